"""What a toolchain's binaries must be like, by Go version and target.

Measured on the official binaries of go1.21.13, 1.22.10, 1.23.9, 1.24.11, 1.25.5, 1.26.6 and 1.27.3 for darwin/arm64 and
darwin/amd64; held against 1.23.1, .2, .3, .4, 1.24.3, 1.25.0, .3, 1.26.0, .3, 1.27.0 and .1 for darwin/arm64, and
1.24.3 for darwin/amd64.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from gobuild.binary import macho_types
from gobuild.binary.buildinfo import STAMP
from gobuild.core import resources
from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion, Target

UUID_PATCH, SCANNER_PATCH = "link-uuid", "scanner-version"
"""The stock patches that make the linker write LC_UUID for Go before 1.24, and the build setting `buildinfo.STAMP`."""

DROPPED = frozenset({"api", "dist", "distpack", "metadata"})
"""What distpack leaves out of pkg/tool (src/cmd/distpack/pack.go): not shipped, hence not checked."""


@cache
def exports() -> Mapping[str, frozenset[str]]:
    """Which library exports which symbol, as far as Go asks for it: by install name.

    The table holds what 26 official toolchains of Go 1.21 to 1.27 for darwin bind to which library, and what the
    //go:cgo_import_dynamic lines in the sources of 1.21.13 to 1.27.3 name. tests/verify/test_official.py compares.
    """
    return {name: frozenset(symbols) for name, symbols in resources.table("darwin_exports.json").items()}


INSTALL_NAMES = frozenset(exports())
"""All libraries that Go's standard library names for darwin (//go:cgo_import_dynamic)."""

FRAMEWORKS = ("CoreFoundation.framework", "Security.framework")
TRUST = frozenset(name for name in INSTALL_NAMES if any(each in name for each in FRAMEWORKS))
"""What crypto/x509 asks for the system's roots: linked by the programs that speak TLS."""

DENIED_SYMBOLS = re.compile(
    r"_MTL"  # Metal
    r"|_IO[A-Z]"  # IOKit, IOSurface, IOAccelerator
    r"|_CG[A-Z]|_gl[A-Z]|_cl[A-Z]"  # CoreGraphics, OpenGL and OpenCL
    r"|_objc_|_OBJC_"  # Metal is reached by Objective-C, whose runtime CoreFoundation re-exports
    r"|_dlopen|_dlsym|_NS[A-Z]"  # with these, install names would prove nothing
)
"""How the names of symbols begin that no Go tool imports, and that GPU libraries are reached by."""

_GPU = ("Metal", "IOKit", "IOAccelerator", "IOSurface", "OpenGL", "OpenCL")
TRACES = (*(f"{name}.framework" for name in _GPU), "MTLCreateSystemDefaultDevice")
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

_RACE_BUILD = (
    *("function-order", "deployment-target", "no-build-version", "version-min-macosx", "dlsym", "flat-lookup"),
    "weak-import",
)
RACE_DETECTOR = {"linux": frozenset({"function-order"}), "darwin": frozenset(_RACE_BUILD)}
"""By GOOS, the problems that the race detector brings into a program: the functions of LLVM's object in
src/runtime/race stand among Go's. For darwin that object also has an SDK version of its own (seen: 12.3 in 1.22.10; for
amd64 the older LC_VERSION_MIN), imports dlsym, has its symbols looked up in every library, and binds one that may be
missing (in 1.27.3: pthread_introspection_hook_install)."""

STRIPS_MACHO = GoVersion(major=1, minor=22, stage="rc", serial=1)
"""Up to 1.21 the linker's -s leaves the symbols of a Mach-O file alone (https://go.dev/doc/go1.22#linker)."""

LIBRARIES = frozenset({"c-archive", "c-shared", "plugin", "shared"})
"""Build modes that make no program: what these are like, nobody has measured, and nothing here was made for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What holds for the programs of one line of Go, on one target; empty where nobody has measured."""

    minos: str = ""
    sdk: str = ""
    uuid: bool = False  # whether the linker writes LC_UUID
    tools: frozenset[str] = frozenset()  # what pkg/tool holds in an archive
    pie: bool = True
    trusting: frozenset[str] = frozenset()  # the programs that may link the libraries of `TRUST`
    # Whether the tables know this line: a load command, segment or section that they do not know is wrong only then
    measured: bool = False


_FEW_TOOLS = frozenset({"asm", "cgo", "compile", "cover", "link", "preprofile", "vet"})
_TOOLS = (_FEW_TOOLS - {"preprofile"}) | {
    *("addr2line", "buildid", "covdata", "doc", "fix", "nm", "objdump", "pack", "pprof", "test2json", "trace"),
}

ROWS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("1.21", "", {"tools": _TOOLS}),
    ("1.21", "darwin", {"uuid": False, "trusting": frozenset({"cmd/go", "cmd/pprof", "cmd/trace"})}),
    ("1.21", "darwin/amd64", {"minos": "10.13", "sdk": "10.13", "pie": False}),
    ("1.21", "darwin/arm64", {"minos": "11.0", "sdk": "11.0"}),
    ("1.22", "darwin/amd64", {"pie": True}),
    ("1.23", "", {"tools": _TOOLS | {"preprofile"}}),
    ("1.23", "darwin/amd64", {"minos": "11.0", "sdk": "11.0"}),
    ("1.24", "darwin", {"uuid": True}),
    ("1.25", "", {"tools": _FEW_TOOLS}),
    ("1.25", "darwin", {"minos": "12.0", "sdk": "12.0", "trusting": frozenset({"cmd/go"})}),
    ("1.26", "", {"tools": _FEW_TOOLS | {"fix"}}),
    ("1.27", "darwin", {"minos": "13.0", "sdk": "26.2"}),
)
"""From which line on, for which target ("darwin": every GOARCH, "": all), what holds; the rest stays as it was."""

FIRST, LAST = (1, 21), (1, 27)
"""The Go versions measured. Of older ones nothing is known; newer ones are held to what once began and stays (LC_UUID),
and the checks that need the rest are skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramProfile:
    """How a program was made, and so what may be in it."""

    # It is a toolchain's own or a probe, made by the go command and not changed since but by signing; imports are then
    # only what the standard library asks for
    own: bool = True
    debugging: bool = False  # DWARF may be there
    static: bool = True  # an ELF file must do without an interpreter and shared libraries
    trimmed: bool = True  # file names must be without folders, as -trimpath makes them
    excused: frozenset[str] = frozenset()  # ids of problems that do not count


PROGRAM = ProgramProfile(own=False, debugging=True, static=False, trimmed=False)
"""Any Go program, however it was built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a binary must be like.

    Attributes:
        stamp, settings: what its build information must say.
        uuid: whether LC_UUID must be there.
        stripped: whether the symbol table may hold imports only.
        paths: folders whose paths must not be in the file.
        roots: certificates (DER) that a signature's chain may end at, besides Apple's.
        experiment: the toolchain's own default for GOEXPERIMENT, which its go.env or its buildcfg says.
    """

    target: Target
    stamp: str
    settings: Mapping[str, str]
    profile: ProgramProfile = ProgramProfile()
    facts: VersionFacts = VersionFacts()
    uuid: bool = False
    stripped: bool = False
    paths: tuple[str, ...] = ()
    roots: tuple[bytes, ...] = ()
    experiment: str = ""

    @property
    def signed(self) -> bool:
        """Whether a code signature must be there: arm64's kernel runs nothing unsigned."""
        return self.target == Target(goos="darwin", goarch="arm64")

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


def expectation(
    version: GoVersion | None, target: Target, *, stamp: str, patches: frozenset[str] = frozenset()
) -> Expectation:
    """What a toolchain's own binaries must be like, with the stock patches of these names."""
    line = (version.major, version.minor) if version else (0, 0)
    facts = VersionFacts(measured=FIRST <= line <= LAST)
    for since, where, changes in ROWS if line >= FIRST else ():
        first = GoVersion.parse(since)
        if (first.major, first.minor) <= line and where in ("", target.goos, str(target)):
            facts = replace(facts, **changes)
    if line > LAST:
        facts = VersionFacts(uuid=facts.uuid, pie=facts.pie)
    settings = TOOL_SETTINGS | {"GOOS": target.goos, "GOARCH": target.goarch}
    if SCANNER_PATCH in patches:
        settings |= {STAMP: stamp}
    uuid = facts.uuid or UUID_PATCH in patches
    return Expectation(target=target, stamp=stamp, settings=settings, facts=facts, uuid=uuid)


def strips(version: GoVersion | None, target: Target) -> bool:
    """Whether a release's linker, told -s, leaves the symbols out: see `STRIPS_MACHO`."""
    return target.goos != "darwin" or version is None or version >= STRIPS_MACHO


def release_of(stamp: str) -> GoVersion | None:
    """The release that a stamp such as "go1.22.10-acme1" is of; None for a development version."""
    try:
        return GoVersion.parse(re.split(r"[-\s]", stamp, maxsplit=1)[0])
    except ConfigError:
        return None


def for_probe(expected: Expectation, *, cgo: str | None, flags: tuple[str, ...] = ()) -> Expectation:
    """What a program must be like that the toolchain compiles without debugging information, by flags of `go build`.

    `expected` is for its own binaries; `cgo` is CGO_ENABLED, or None for upstream's default.
    """
    settings = {name: value for name, value in expected.settings.items() if cgo == "0" or name != "CGO_ENABLED"}
    settings |= {name: value or "true" for name, _, value in (flag.partition("=") for flag in flags)}
    settings |= {"CGO_ENABLED": cgo} if cgo else {}
    # C's objects bring debugging information of their own. On linux a position-independent program has an interpreter,
    # and so has one with the race detector.
    profile = ProgramProfile(static=cgo == "0" and not flags, debugging=cgo == "1")
    wanted = replace(expected, settings=settings, stripped=False, profile=profile)
    return with_race_detector(wanted) if "-race" in flags else wanted


def for_program(expected: Expectation) -> Expectation:
    """What any Go program must be like."""
    settings = {key: expected.settings[key] for key in ("-compiler", "GOOS", "GOARCH")}
    return replace(expected, settings=settings, stripped=False, profile=PROGRAM)


def with_race_detector(expected: Expectation) -> Expectation:
    """What a program must be like that was built with -race, which links LLVM's object."""
    profile = replace(expected.profile, excused=RACE_DETECTOR[expected.target.goos])
    return replace(expected, profile=profile)
