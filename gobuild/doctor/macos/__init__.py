"""The doctor on macOS: what Apple's own tools say of a go that hangs, is killed or runs translated.

Each topic has `collect`, which runs tools and only on macOS, and `diagnose`, which is pure and works anywhere on what
was collected. All of it was written on Linux, against recorded output: tests/data/doctor/README.md says which of it is
real. Nothing here asks for a password or becomes root: what needs root is told as skipped where the doctor is not root.
"""

from gobuild.doctor.macos.ioreg import COLUMNS, compare, rows

__all__ = ["COLUMNS", "compare", "rows"]
