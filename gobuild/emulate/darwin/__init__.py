"""Darwin's numbers and structs, as facts: each module says which of Apple's headers it is taken from."""
