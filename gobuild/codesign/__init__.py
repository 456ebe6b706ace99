"""Apple's code signatures, read and made."""
