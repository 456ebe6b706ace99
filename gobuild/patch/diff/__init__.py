"""A unified diff: read from a .patch file, placed in a source by strict rules, applied, or shown where it conflicts."""
