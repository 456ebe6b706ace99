"""sign: programs that the linker signed ad hoc come in, the same programs signed as asked for go out.

One interface, three signers: ad hoc and with a certificate by apple-platform-py (rcodesign as a library, on any
machine), and by an identity in the keychain by Apple's `codesign` on a Mac. "linker", the default, signs nothing: Go's
linker has. What it does not do: it knows no archive, and does not check what it made; `verify` does.
"""

from gobuild.codesign.signers.plan import Signer, copies, signer

__all__ = ["Signer", "copies", "signer"]
