"""What a Go program has on every target: its parts come in from the reader of its format, and are judged here.

The build information, the build ID, the functions and their instructions, and what must stand nowhere in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from gobuild.binary import buildid, buildinfo
from gobuild.binary.buildid import AsLinked
from gobuild.binary.pclntab import read_pclntab
from gobuild.binary.view import Malformed, Range, View
from gobuild.verify import expect, instructions
from gobuild.verify.expect import Expectation
from gobuild.verify.inspected import Inspected

ABSOLUTE = 3
"""Source files with whole paths that are named."""

TRIMMED = b"/src/runtime/proc.go"
"""Behind a folder's path, this is in every Go binary built without -trimpath; with it, the name is runtime/proc.go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where a Go program's parts are.

    Attributes:
        buildinfo: the section of that name.
        text: Go's own code: from its first function to the end of the section.
        table: the table of functions (pclntab).
        entry: the file offset of the first instruction.
        buildid: Go's build ID; empty without one.
        first: whether the build ID stands where Go's linker puts it.
        written: what the file may have been like when the build ID was written.
        foreign: why the code is not looked at; empty where it is.
    """

    buildinfo: Range | None
    text: Range | None
    table: Range | None
    entry: int
    buildid: str
    first: bool
    written: tuple[AsLinked, ...]
    foreign: str = ""


def judge(view: View, inspected: Inspected, parts: Parts, program: str, expected: Expectation) -> None:
    """Makes the checks that every Go program has."""
    absolute = _code(view, inspected, parts, expected)
    _information(view, inspected, parts.buildinfo, program, expected)
    _build_id(view, inspected, parts, expected)
    _bytes(view, inspected, expected, absolute)


def stripped(inspected: Inspected, expected: Expectation, *, symbols: str, debugging: list[str]) -> None:
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


def _code(view: View, inspected: Inspected, parts: Parts, expected: Expectation) -> tuple[str, ...]:
    """The functions are the machine's; returns the names of source files that are whole paths."""
    goarch = expected.target.goarch
    wanted = f"functions of a Go program for {goarch}"
    if parts.foreign:
        inspected.skip("code", parts.foreign)
        return ()
    try:
        if not parts.table or not parts.text:
            raise Malformed("no table of functions" if parts.text else "no code of Go's")
        table = read_pclntab(view, parts.table)
        absolute = tuple(islice(table.absolute_files(), ABSOLUTE))
        begins = instructions.ENTRY[expected.target.goos, goarch] if expected.own else ""
        inspected.judge(
            "code",
            map(str, instructions.problems(view, table, parts.text, parts.entry, goarch, begins)),
            seen=f"{table.count} functions, which begin as {goarch}'s do",
            expected=wanted,
        )
    except Malformed as error:
        inspected.judge("code", [str(error)], seen="", expected=wanted)
        return ()
    return absolute


def _information(view: View, inspected: Inspected, place: Range | None, program: str, expected: Expectation) -> None:
    try:
        if not place:
            raise Malformed("no section with Go's build information")
        info = buildinfo.read_buildinfo(view, place)
    except Malformed as error:
        inspected.judge("version", [str(error)], seen="", expected=expected.stamp or "Go's build information")
        return
    inspected.judge(
        "version",
        [] if expected.calls_itself(info.version) else [info.version],
        seen=info.version,
        expected=expected.stamp + (f" with {expected.experiment}" if expected.experiment else ""),
    )
    inspected.version = info.version
    wanted: Mapping[str, str] = ({"path": program} if program else {}) | dict(expected.settings)
    settings = {"path": info.path} | dict(info.settings)
    inspected.judge(
        "settings",
        [f"{key}={settings.get(key, '(none)')}" for key, value in wanted.items() if settings.get(key) != value],
        seen=", ".join(f"{key}={value}" for key, value in wanted.items()),
        expected=", ".join(f"{key}={value}" for key, value in wanted.items()),
    )


def _build_id(view: View, inspected: Inspected, parts: Parts, expected: Expectation) -> None:
    """There, in its form and its place; and its last part is the hash of the file, which cmd/go made when it linked."""
    name, wanted = "build ID", "four hashes in base64, of which the last is the file's"
    written = parts.buildid
    if not written and not expected.own:
        inspected.skip(name, "none, as -ldflags=-buildid= leaves it out")
    elif not buildid.FORM.fullmatch(written):
        if expected.own:
            inspected.judge(name, [written or "none"], seen="", expected=wanted)
        else:
            inspected.skip(name, f"{written}, which is not cmd/go's")
    elif expected.own and not parts.first:
        inspected.judge(name, ["not where Go's linker puts it"], seen="", expected=wanted)
    else:
        contents = (buildid.content_hash(view, written, form) for form in parts.written)
        right = written.rpartition("/")[2] in contents
        if not right and not expected.own:
            inspected.skip(name, "of another content: the file was changed after cmd/go had linked it")
            return
        wrong = f"{written}, whose last part is not the hash of this file"
        inspected.judge(name, [] if right else [wrong], seen=f"{written}, the content's hash is right", expected=wanted)


def _bytes(view: View, inspected: Inspected, expected: Expectation, absolute: tuple[str, ...]) -> None:
    """What must stand nowhere in the file."""
    problems = [f"the path {path}" for path in expected.paths if view.holds(path.encode())]
    if expected.trimmed:
        if view.holds(TRIMMED):
            problems.append("file names with their folders, as without -trimpath")
        problems += [f"the source file {name}" for name in absolute]
    inspected.judge("build paths", problems, seen="none", expected="no path of the machine that built it")
    if expected.target.goos == "darwin":
        found = [trace.decode() for trace in expect.TRACES if view.holds(trace)]
        if expected.own:
            found += [name for name in view.frameworks() if name not in (*expect.FRAMEWORKS, *found)]
        inspected.judge(
            "traces",
            found,
            seen="no name of a GPU library",
            expected="no name of Metal, IOKit or OpenGL anywhere in the file",
        )
