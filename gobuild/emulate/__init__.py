"""Runs unmodified darwin/arm64 programs on Linux: an engine for the instructions, and a small, strict libSystem.

The engine (Unicorn, GPLv2) is loaded in a process of its own alone, `child`; `run` is what everybody else calls.
"""
