"""A series as commits in a git repository: imported, changed there with git, and exported to .patch files again."""
