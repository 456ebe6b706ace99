"""Readers of file formats: Mach-O, ELF, Go's own tables. They say what stands there, and judge nothing."""
