"""Builds patched Go toolchains, and proves them."""
