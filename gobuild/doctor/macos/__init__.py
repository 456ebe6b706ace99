"""The doctor on macOS: what Apple's own tools say of a go that hangs, is killed or runs translated.

All of it was written on Linux, against recorded output: tests/data/doctor/README.md says which of it is real.
"""
