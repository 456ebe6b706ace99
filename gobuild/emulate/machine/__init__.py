"""The machine and what the kernel and dyld make of a file on it: no function of libSystem is known here."""
