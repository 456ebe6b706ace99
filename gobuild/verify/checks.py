"""The checks of one file: a path and an `Expectation` come in, an `Inspected` with every check goes out.

Checks are collected, and one that fails keeps none of the others from being made. Whatever the file is, the answer
is a verdict, never an exception.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gobuild.model import Check, Verdict
from gobuild.verify import buildinfo, elf, expect, layout, macho, signature
from gobuild.verify.elf import Elf
from gobuild.verify.expect import Expectation
from gobuild.verify.image import EXECUTE, PLATFORM_MACOS, MachO
from gobuild.verify.signature import Signature
from gobuild.verify.view import Malformed, View, opened

TRIMMED = b"/src/runtime/proc.go"
"""Behind a folder's path, this is in every Go binary built without -trimpath; with it, the name is runtime/proc.go."""


@dataclass(slots=True, kw_only=True)
class Inspected:
    """A file, what was read in it, and its checks.

    Attributes:
        path: where it stands.
        subject: what it is called in the report.
        checks: in the order they were made.
        size: in bytes.
        image: what its headers say; None where they could not be read.
        signature: of a Mach-O file that has one.
    """

    path: Path
    subject: str
    checks: list[Check] = field(default_factory=list)
    size: int = 0
    image: MachO | Elf | None = None
    signature: Signature | None = None

    def judge(self, name: str, problems: Iterable[str], *, seen: str, expected: str) -> None:
        """Adds a check: OK with what was seen, or FAILED with the problems."""
        found = list(problems)
        self.checks.append(
            Check(
                subject=self.subject,
                name=name,
                verdict=Verdict.FAILED if found else Verdict.OK,
                seen="; ".join(found[:8]) if found else seen,
                expected=expected if found else "",
            )
        )

    def skip(self, name: str, reason: str) -> None:
        """Adds a check that was not made."""
        self.checks.append(Check(subject=self.subject, name=name, verdict=Verdict.SKIPPED, seen=reason))


def inspect(path: Path, *, subject: str, program: str, expected: Expectation) -> Inspected:
    """Makes every check of one executable.

    Args:
        path: the file.
        subject: what to call it.
        program: the main package its build information must name; empty accepts any.
        expected: what it must be like.
    """
    inspected = Inspected(path=path, subject=subject)
    wanted = f"an executable for {expected.target}"
    if path.is_symlink() or not path.is_file():
        inspected.judge("format", ["no plain file"], seen="", expected=wanted)
        return inspected
    try:
        with opened(path) as view:
            inspected.size = view.size
            if expected.target.goos == "darwin":
                place = _macho(view, inspected, expected)
            else:
                place = _elf(view, inspected, expected)
            _buildinfo(view, inspected, place, program, expected)
            _bytes(view, inspected, expected)
    except (Malformed, OSError) as error:
        inspected.judge("format", [str(error)], seen="", expected=wanted)
    return inspected


def _macho(view: View, inspected: Inspected, expected: Expectation) -> tuple[int, int] | None:
    """The checks of a Mach-O file; returns where its build information is."""
    image = macho.read(view)
    inspected.image = image
    cputype, cpusubtype, page = expect.MACHINES[expected.target]
    seen, wanted = _kind(image.cputype, image.cpusubtype, image.filetype), _kind(cputype, cpusubtype, EXECUTE)
    inspected.judge(
        "format",
        [seen] if seen != wanted else [],
        seen=f"Mach-O 64-bit {expected.target.goarch} executable",
        expected=wanted,
    )
    inspected.judge(
        "layout",
        layout.problems(image, size=view.size, page=page),
        seen=f"{len(image.commands)} load commands, {len(image.segments)} segments, position-independent",
        expected="load commands and segments as Go's linker lays them out",
    )
    _platform(image, inspected, expected)
    _linking(image, inspected)
    sections = [each.name for part in image.segments for each in part.sections]
    _stripped(
        inspected,
        expected,
        symbols=f"{image.defined} local symbols" if image.defined else "",
        debugging=[name for name in sections if name.startswith(("__debug_", "__zdebug_"))],
    )
    _uuid(image, inspected, expected)
    _signature(view, image, inspected, expected)
    info = image.section("__go_buildinfo")
    return (info.offset, info.size) if info else None


def _kind(cputype: int, cpusubtype: int, filetype: int) -> str:
    name = expect.MACHINE_NAMES.get(cputype, "unknown")
    return f"{name}: cputype {cputype:#x}, cpusubtype {cpusubtype:#x}, file type {filetype}"


def _platform(image: MachO, inspected: Inspected, expected: Expectation) -> None:
    seen = f"macOS {image.minos}, SDK {image.sdk}"
    problems = [] if image.platform == PLATFORM_MACOS else [f"platform {image.platform}"]
    if not expected.minos and not problems:
        inspected.skip("platform", f"{seen}; no values measured for this Go version")
        return
    if expected.minos and (image.minos, image.sdk) != (expected.minos, expected.sdk):
        problems.append(seen)
    inspected.judge("platform", problems, seen=seen, expected=f"macOS {expected.minos}, SDK {expected.sdk}")


def _linking(image: MachO, inspected: Inspected) -> None:
    names = [name for _command, name in image.dylibs]
    problems = [name for name in names if name not in expect.INSTALL_NAMES]
    problems += [f"{command} {name}" for command, name in image.dylibs if command != "LC_LOAD_DYLIB"]
    problems += [f"LC_RPATH {path}" for path in image.rpaths]
    inspected.judge(
        "install names",
        dict.fromkeys(problems),
        seen=", ".join(name.rsplit("/", 1)[-1] for name in names) or "none",
        expected="only " + ", ".join(sorted(name.rsplit("/", 1)[-1] for name in expect.INSTALL_NAMES)),
    )
    imported = sorted(image.bound.union(image.imports))
    inspected.judge(
        "symbols",
        [name for name in imported if expect.DENIED_SYMBOLS.match(name)],
        seen=f"{len(imported)} imported, none of Metal, IOKit or OpenGL",
        expected="no symbol of Metal, IOKit, OpenGL, Objective-C or dlopen",
    )


def _stripped(inspected: Inspected, expected: Expectation, *, symbols: str, debugging: list[str]) -> None:
    """What of the linker's -s and -w is to be seen."""
    problems = []
    if debugging and not expected.debugging:
        problems.append(f"debugging information: {', '.join(debugging)}")
    if symbols and expected.stripped:
        problems.append(symbols)
    inspected.judge(
        "symbol table",
        problems,
        seen=", ".join(("debugging information" if debugging else "no debugging information", symbols or "stripped")),
        expected="no debugging information" + (", no local symbols" if expected.stripped else ""),
    )


def _uuid(image: MachO, inspected: Inspected, expected: Expectation) -> None:
    if image.uuid:
        zero = [] if image.uuid.strip("0") else ["all zero"]
        inspected.judge("LC_UUID", zero, seen=image.uuid, expected="a UUID")
    elif expected.uuid:
        inspected.judge("LC_UUID", ["none"], seen="", expected="a UUID, without which macOS 26 may refuse the program")
    else:
        inspected.skip("LC_UUID", "none, as upstream's linker leaves it out before Go 1.24")


def _signature(view: View, image: MachO, inspected: Inspected, expected: Expectation) -> None:
    found = inspected.signature = signature.read(view, image)
    if found:
        seen = f"{found.kind}, identifier {found.identifier}, {found.pages} page hashes right"
        inspected.judge("signature", found.problems, seen=seen, expected="a signature whose every hash is right")
    elif expected.signed:
        inspected.judge("signature", ["none"], seen="", expected=f"{expected.target} runs nothing unsigned")
    else:
        inspected.skip("signature", f"none, and {expected.target} needs none")


def _elf(view: View, inspected: Inspected, expected: Expectation) -> tuple[int, int] | None:
    """The checks of an ELF file; returns where its build information is."""
    image = elf.read(view)
    inspected.image = image
    machine = expect.ELF_MACHINES[expected.target.goarch]
    fits = image.machine == machine and image.kind in ("ET_EXEC", "ET_DYN")
    inspected.judge(
        "format",
        [] if fits else [f"{image.machine}, {image.kind}"],
        seen=f"ELF 64-bit {expected.target.goarch} executable",
        expected=f"{machine}, ET_EXEC or ET_DYN",
    )
    inspected.judge(
        "layout",
        elf.problems(image, size=view.size),
        seen=f"{len(image.loads)} segments, none writable and executable",
        expected="segments as Go's linker lays them out",
    )
    problems = [f"needs {name}" for name in image.needed] + ["an interpreter"] * image.interpreter
    if expected.static:
        inspected.judge("linking", problems, seen="static", expected="no interpreter and no shared library")
    else:
        inspected.judge("linking", [], seen="; ".join(problems) or "static", expected="")
    debugging = sorted(name for name in image.sections if name.startswith((".debug_", ".zdebug_")))
    symbols = "a symbol table" if ".symtab" in image.sections else ""
    _stripped(inspected, expected, symbols=symbols, debugging=debugging)
    return image.buildinfo


def _buildinfo(
    view: View, inspected: Inspected, place: tuple[int, int] | None, program: str, expected: Expectation
) -> None:
    try:
        if not place:
            raise Malformed("no section with Go's build information")
        info = buildinfo.read(view, *place)
    except Malformed as error:
        inspected.judge("version", [str(error)], seen="", expected=expected.stamp or "Go's build information")
        return
    inspected.judge(
        "version",
        [info.version] if info.version != expected.stamp else [],
        seen=info.version,
        expected=expected.stamp,
    )
    wanted = {"path": program} if program else {}
    wanted |= expected.settings
    settings = {"path": info.path} | dict(info.settings)
    inspected.judge(
        "settings",
        [f"{key}={settings.get(key, '(none)')}" for key, value in wanted.items() if settings.get(key) != value],
        seen=", ".join(f"{key}={value}" for key, value in wanted.items()),
        expected=", ".join(f"{key}={value}" for key, value in wanted.items()),
    )


def _bytes(view: View, inspected: Inspected, expected: Expectation) -> None:
    """What must stand nowhere in the file."""
    problems = [f"the path {path}" for path in expected.paths if view.holds(path.encode())]
    if expected.trimmed and view.holds(TRIMMED):
        problems.append("file names with their folders, as without -trimpath")
    inspected.judge("build paths", problems, seen="none", expected="no path of the machine that built it")
    if expected.target.goos == "darwin":
        inspected.judge(
            "traces",
            [trace.decode() for trace in expect.TRACES if view.holds(trace)],
            seen="no name of a GPU library",
            expected="no name of Metal, IOKit or OpenGL anywhere in the file",
        )
