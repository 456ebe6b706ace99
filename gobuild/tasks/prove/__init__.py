"""The tasks under the heading Prove that have a module of their own."""
