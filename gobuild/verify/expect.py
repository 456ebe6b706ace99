"""What a toolchain's binaries must be like: a version and a target come in, an `Expectation` goes out.

All of it is data, in tables by Go version where later rows override earlier ones. Measured on the official binaries
of go1.21.13, 1.22.10, 1.23.9, 1.24.11, 1.25.5, 1.26.6 and 1.27.3 for darwin/arm64 and darwin/amd64; and held against
1.23.1, .2, .3, .4, 1.24.3, 1.25.0, .3, 1.26.0, .3, 1.27.0 and .1 for darwin/arm64, and 1.24.3 for darwin/amd64.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files as resource

from gobuild.binary import macho_types
from gobuild.core.errors import ConfigError
from gobuild.core.model import GoVersion, Target

UUID_PATCH = "link-uuid"
"""The stock patch that makes the linker write LC_UUID for Go before 1.24."""

DROPPED = frozenset({"api", "dist", "distpack", "metadata"})
"""What distpack leaves out of pkg/tool (src/cmd/distpack/pack.go): not shipped, hence not checked."""

INSTALL_NAMES = frozenset(
    {
        "/usr/lib/libSystem.B.dylib",
        "/usr/lib/libresolv.9.dylib",
        "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation",
        "/System/Library/Frameworks/Security.framework/Versions/A/Security",
    }
)
"""All that Go's standard library names for darwin (//go:cgo_import_dynamic)."""

FRAMEWORKS = ("CoreFoundation.framework", "Security.framework")
TRUST = frozenset(name for name in INSTALL_NAMES if any(each in name for each in FRAMEWORKS))
"""What crypto/x509 asks for the system's roots: linked by the programs that speak TLS."""


@cache
def exports() -> Mapping[str, frozenset[str]]:
    """Which library exports which symbol, as far as Go asks for it: by install name.

    exports.json holds what 26 official toolchains of Go 1.21 to 1.27 for darwin bind to which library, and what the
    //go:cgo_import_dynamic lines in the sources of 1.21.13 to 1.27.3 name. tests/test_verify_official.py compares.
    """
    table = json.loads(resource("gobuild.verify").joinpath("exports.json").read_text(encoding="utf-8"))
    return {name: frozenset(symbols) for name, symbols in table.items()}


DENIED_SYMBOLS = re.compile(
    r"_MTL"  # Metal
    r"|_IO[A-Z]"  # IOKit, IOSurface, IOAccelerator
    r"|_CG[A-Z]|_gl[A-Z]|_cl[A-Z]"  # CoreGraphics, OpenGL and OpenCL
    r"|_objc_|_OBJC_"  # Metal is reached by Objective-C, whose runtime CoreFoundation re-exports
    r"|_dlopen|_dlsym|_NS[A-Z]"  # with these, install names would prove nothing
)
"""How the names of symbols begin that no Go tool imports, and that GPU libraries are reached by."""

TRACES = tuple(
    name.encode()
    for name in (
        "Metal.framework",
        "MTLCreateSystemDefaultDevice",
        "IOKit.framework",
        "IOAccelerator.framework",
        "IOSurface.framework",
        "OpenGL.framework",
        "OpenCL.framework",
    )
)
"""Names that, anywhere in a file's bytes, tell of a GPU library loaded by another way than a load command."""

MACHINES: Mapping[Target, tuple[int, int, int]] = {
    Target(goos="darwin", goarch="arm64"): (macho_types.ARM64, 0, 1 << 14),
    Target(goos="darwin", goarch="amd64"): (macho_types.X86_64, 3, 1 << 12),
}
"""Mach-O's cputype and cpusubtype, and the page size in bytes."""

MACHINE_NAMES = {cputype: target.goarch for target, (cputype, _subtype, _page) in MACHINES.items()}
"""GOARCH by Mach-O's cputype, for messages."""

ELF_MACHINES = {"amd64": "EM_X86_64", "arm64": "EM_AARCH64"}

TOOL_SETTINGS = {"-buildmode": "exe", "-compiler": "gc", "-trimpath": "true", "CGO_ENABLED": "0"}
"""What the build information of every binary in a toolchain says; cmd/dist passes -ldflags too, which -trimpath
keeps from being recorded."""


DETECTOR: Mapping[str, re.Pattern[str]] = {
    "platform": re.compile(r"macOS \S*, SDK \S*|platform 0|LC_VERSION_MIN_MACOSX, which LC_BUILD_VERSION replaced"),
    "symbols": re.compile(r"_dlsym"),
    "imports": re.compile(r"\S+ is asked of any library\b.*"),
    "code": re.compile(r"function \d+ of \d+ is out of order"),
    "layout": re.compile(r"no LC_BUILD_VERSION"),
}
"""What the race detector brings into a program, as problems of checks that were made for Go's own code. The functions
of LLVM's object in src/runtime/race stand among Go's. For darwin that object also has an SDK version of its own
(seen: 12.3 in 1.22.10; for amd64 the older LC_VERSION_MIN), imports dlsym, and has its symbols looked up in every
library. A check that failed on nothing else is skipped, and says so."""


LIBRARIES = frozenset({"c-archive", "c-shared", "plugin", "shared"})
"""Build modes that make no program: what these are like, nobody has measured, and nothing here was made for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Facts that hold from a Go version on; what is None is as it was.

    Attributes:
        since: the language version.
        target: "darwin/arm64", or "darwin" for every GOARCH; empty for every target.
        minos, sdk: LC_BUILD_VERSION's.
        uuid: whether the linker writes LC_UUID.
        tools: what pkg/tool holds in an archive.
        pie: whether executables are position-independent.
        trusting: the programs that link the libraries of `TRUST`.
    """

    since: str
    target: str = ""
    minos: str | None = None
    sdk: str | None = None
    uuid: bool | None = None
    tools: frozenset[str] | None = None
    pie: bool | None = None
    trusting: frozenset[str] | None = None


_FEW_TOOLS = frozenset({"asm", "cgo", "compile", "cover", "link", "preprofile", "vet"})
_TOOLS = (_FEW_TOOLS - {"preprofile"}) | {
    *("addr2line", "buildid", "covdata", "doc", "fix", "nm", "objdump", "pack", "pprof", "test2json", "trace"),
}

ROWS = (
    Row(since="1.21", tools=_TOOLS),
    Row(since="1.21", target="darwin", uuid=False, trusting=frozenset({"cmd/go", "cmd/pprof", "cmd/trace"})),
    Row(since="1.21", target="darwin/amd64", minos="10.13", sdk="10.13", pie=False),
    Row(since="1.21", target="darwin/arm64", minos="11.0", sdk="11.0"),
    Row(since="1.22", target="darwin/amd64", pie=True),
    Row(since="1.23", tools=_TOOLS | {"preprofile"}),
    Row(since="1.23", target="darwin/amd64", minos="11.0", sdk="11.0"),
    Row(since="1.24", target="darwin", uuid=True),
    Row(since="1.25", tools=_FEW_TOOLS),
    Row(since="1.25", target="darwin", minos="12.0", sdk="12.0", trusting=frozenset({"cmd/go"})),
    Row(since="1.26", tools=_FEW_TOOLS | {"fix"}),
    Row(since="1.27", target="darwin", minos="13.0", sdk="26.2"),
)

FIRST, LAST = (1, 21), (1, 27)
"""The Go versions measured. Of older ones nothing is known; newer ones are held to what once began and stays (LC_UUID),
and the checks that need the rest are skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a binary must be like.

    Attributes:
        target: what it runs on.
        stamp: the version its build information says.
        settings: what its build information must hold.
        minos, sdk: LC_BUILD_VERSION's; empty where nobody has measured.
        uuid: whether LC_UUID must be there.
        signed: whether a code signature must be there; one that is there must hold in any case.
        stripped: whether the symbol table may hold imports only.
        debugging: whether DWARF may be there.
        static: whether an ELF file must do without an interpreter and shared libraries.
        trimmed: whether file names must be without folders, as -trimpath makes them.
        tools: what pkg/tool must hold; empty where nobody has measured.
        paths: folders whose paths must not be in the file.
        roots: certificates (DER) that a signature's chain may end at, besides Apple's.
        pie: whether it must be position-independent (Mach-O).
        own: whether it is a toolchain's own or a probe, made by the go command and not changed since but by signing;
            imports are then only what the standard library asks for.
        trusting: the programs that may link the libraries of `TRUST`; empty where nobody has measured.
        excuses: by a check's name, what may be wrong without counting: `of_race` says why.
        experiment: the toolchain's own default for GOEXPERIMENT, which its go.env or its buildcfg says.
        measured: whether the tables know this Go version: a load command, segment or section that they do not know is
            wrong only then.
    """

    target: Target
    stamp: str
    settings: Mapping[str, str]
    minos: str = ""
    sdk: str = ""
    uuid: bool = False
    signed: bool = False
    stripped: bool = False
    debugging: bool = False
    static: bool = True
    trimmed: bool = True
    tools: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    roots: tuple[bytes, ...] = ()
    pie: bool = True
    own: bool = True
    trusting: frozenset[str] = frozenset()
    excuses: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    experiment: str = ""
    measured: bool = False

    def calls_itself(self, version: str) -> bool:
        """Whether a version is the stamp, or the stamp and experiments that the toolchain's configuration names.

        The linker adds those that differ from the release's own set (src/cmd/link/internal/ld/main.go): " X:nodwarf5",
        from 1.26 on "-X:nodwarf5" where the stamp has no hyphen.
        """
        if version == self.stamp:
            return True
        words = re.fullmatch(re.escape(self.stamp) + r"[ -]X:(.+)", version)
        named = self.experiment.split(",")
        return words is not None and all(
            each in named or ("none" in named and each.startswith("no")) for each in words[1].split(",")
        )


def expectation(version: GoVersion | None, target: Target, *, stamp: str, uuid: bool = False) -> Expectation:
    """What a toolchain's own binaries must be like.

    Args:
        version: the Go release; None where it is not known.
        target: what they run on.
        stamp: the first line of VERSION.
        uuid: LC_UUID must be there even where the release's own linker writes none.
    """
    chosen = Expectation(
        target=target,
        stamp=stamp,
        settings=TOOL_SETTINGS | {"GOOS": target.goos, "GOARCH": target.goarch},
        # arm64's kernel runs nothing unsigned; for amd64, Go's linker signs nothing.
        signed=target == Target(goos="darwin", goarch="arm64"),
        uuid=uuid,
    )
    line = (version.major, version.minor) if version else (0, 0)
    if line < FIRST:
        return chosen
    for row in ROWS:
        since = GoVersion.parse(row.since)
        if (since.major, since.minor) <= line and row.target in ("", target.goos, str(target)):
            chosen = replace(
                chosen,
                minos=chosen.minos if row.minos is None else row.minos,
                sdk=chosen.sdk if row.sdk is None else row.sdk,
                uuid=chosen.uuid if row.uuid is None else row.uuid or uuid,
                tools=chosen.tools if row.tools is None else row.tools,
                pie=chosen.pie if row.pie is None else row.pie,
                trusting=chosen.trusting if row.trusting is None else row.trusting,
            )
    return (
        replace(chosen, measured=True)
        if line <= LAST
        else replace(chosen, minos="", sdk="", tools=frozenset(), trusting=frozenset())
    )


def release_of(stamp: str) -> GoVersion | None:
    """The release that a stamp such as "go1.22.10-acme1" is of; None for a development version."""
    try:
        return GoVersion.parse(re.split(r"[-\s]", stamp, maxsplit=1)[0])
    except ConfigError:
        return None


def of_program(expected: Expectation, *, cgo: str | None) -> Expectation:
    """What a program must be like that the toolchain compiles with its defaults, in debugging's lightest form.

    Args:
        expected: what the toolchain's own binaries must be like.
        cgo: "0" where the toolchain's default for CGO_ENABLED must be 0; None where it is upstream's.
    """
    settings = dict(expected.settings)
    if cgo != "0":
        del settings["CGO_ENABLED"]
    return replace(expected, settings=settings, stripped=False, static=cgo == "0")


def of_race(expected: Expectation) -> Expectation:
    """What a program must be like that has the race detector in it (-race), which is LLVM's object."""
    darwin = expected.target.goos == "darwin"
    return replace(expected, excuses=DETECTOR if darwin else {"code": DETECTOR["code"]})


def of_any(expected: Expectation) -> Expectation:
    """What any Go program must be like, however it was built."""
    settings = {key: expected.settings[key] for key in ("-compiler", "GOOS", "GOARCH")}
    return replace(expected, settings=settings, stripped=False, debugging=True, static=False, trimmed=False, own=False)
