"""Which variables a series may add to the builder's environment, which is closed: those of what its patches added.

They are part of the stamp and of the manifest, so what a value says has to be the same on every machine.
"""

import re

from gobuild.core.errors import PatchError

NAME = re.compile(r"[A-Z][A-Z0-9_]*")

WANTED = ("GOROOT_OVERRIDE", "GOEXPERIMENT")
"""Names like Go's own that a series may set: OpenEmbedded's cmd/go reads the one; the other is what the toolchain takes
for GOEXPERIMENT by default (defaultGOEXPERIMENT, which cmd/dist writes into internal/buildcfg)."""

RESERVED = re.compile(
    # What Go reads (KnownEnv in src/internal/cfg/cfg.go, os.Getenv in src/cmd/dist), of 1.21 to 1.27.
    r"GO(?:111MODULE|386|AMD64|ARM|ARM64|MIPS|MIPS64|PPC64|RISCV64|WASM|FIPS140|OS|ARCH|EXE|HOST.*|ROOT.*|TOOLDIR)"
    r"|GO(?:AUTH|BIN|BOOTSTRAP.*|BUILDTIMELOGFILE|CACHE.*|DEBUG|ENV|FLAGS|GCCFLAGS|INSECURE|MODCACHE|NOPROXY|NOSUMDB)"
    r"|GO(?:PATH|PRIVATE|PROXY|SUMDB|TELEMETRY.*|TMPDIR|TOOLCHAIN|VCS|WORK)"
    r"|GO(?:COVERDIR|GC|MAXPROCS|MEMLIMIT|RACE|TRACEBACK)"
    r"|GO_(?:BUILDER_NAME|DISTFLAGS|EXTLINK.*|GCFLAGS|LDFLAGS|LDSO|TEST.*)|BOOT_GO_.*|CGO_.*|GCCGO.*"
    # Compilers, and what they and the dynamic linkers look for.
    r"|(?:CC|CXX|AR|AS|LD|FC|CPP|PKG_CONFIG)(?:_.*)?|(?:C|CPP|CXX|LD)FLAGS|DYLD_.*|.*_(?:INCLUDE_PATH|LIBRARY_PATH)"
    r"|C?PATH|CDPATH|LIBRARY_PATH|COMPILER_PATH|SDKROOT|MACOSX_DEPLOYMENT_TARGET"
    # A shell's, a user's, a machine's.
    r"|BASH.*|ENV|IFS|SHELL.*|PS4|POSIXLY_CORRECT|HOME|USER|LOGNAME|PWD|OLDPWD|TERM|TZ|LANG|LANGUAGE|LC_.*|TMP|TEMP|TMPDIR"
    r"|XDG_.*|GIT_.*|SSH_.*|SSL_.*|(?:HTTPS?|FTP|ALL|NO)_PROXY|SOURCE_DATE_EPOCH|PYTHON.*|PERL.*|GLIBC_.*|MALLOC_.*"
)
"""Names that mean something to others than a series' patches: gobuild sets them, or a build must not depend on them."""

_PATH = re.compile(r"(?:^|[\s:;,='\"])(?:/|~|[A-Za-z]:[\\/])|\.\./|file:")
LONGEST = 200
"""Characters of a value."""


def require_harmless(name: str, value: object) -> None:
    """Refuses a variable that is gobuild's or somebody else's, and a value that may name a place on this machine."""
    if not NAME.fullmatch(name):
        raise PatchError(f"{name!r} is no name of a variable", "capital letters, digits and _")
    if RESERVED.fullmatch(name) and name not in WANTED:
        raise PatchError(
            f"the variable {name} is not the series' to set: the builder has it already, or must not depend on it",
            f"a variable that the series' own patches read; of Go's own, {' and '.join(WANTED)}",
        )
    if not isinstance(value, str) or not re.fullmatch(rf"[\x20-\x7e]{{1,{LONGEST}}}", value):
        raise PatchError(f"{name} = {value!r}", f"a text of 1 to {LONGEST} plain characters")
    if _PATH.search(value):
        raise PatchError(f"{name} = {value!r} names a path of this machine", "a value that is the same on all machines")
