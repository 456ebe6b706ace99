"""Structural edits: patches made by rules instead of lines, which find their place in Go's source by its syntax."""
