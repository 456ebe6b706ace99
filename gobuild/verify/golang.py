"""The checks of one executable: those of its format, and what a Go program has on every target.

A check that fails keeps none of the others from being made, and whatever the file is, the answer is a verdict, never an
exception.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

from gobuild.binary import buildid, buildinfo, elf, macho
from gobuild.binary.buildinfo import BuildInfo
from gobuild.binary.pclntab import Pclntab, read_pclntab
from gobuild.binary.view import FRAMEWORKS_LIMIT, Malformed, Range, View, opened
from gobuild.core.goversion import Target
from gobuild.core.model import Problem
from gobuild.verify import darwin, expect, linux, tree
from gobuild.verify.checks import CheckId, FileReport, GoSections
from gobuild.verify.expect import Expectation

TRIMMED = b"/src/runtime/proc.go"
"""Behind a folder's path, this is in every Go binary built without -trimpath; with it, the name is runtime/proc.go."""

ENTRY = {(goos, goarch): f"_rt0_{goarch}_{goos}" for goos in ("darwin", "linux") for goarch in ("arm64", "amd64")}
"""The function that a program of Go's own linker begins with."""

RUNTIME = ("runtime.schedinit", "runtime.main")
"""Functions that every Go program has."""

PROLOGUES = {"arm64": bytes.fromhex("900b40f9"), "amd64": bytes.fromhex("493b6610")}
"""How a function begins that may have to grow its stack: the limit is loaded from g (LDR X16, [X28, #16]), or the stack
pointer is compared with it (CMPQ SP, 16(R14)). Between 58 % and 84 % of the functions in the binaries measured."""

FEWEST = 0.25
"""The share of functions that must begin so."""

QUANTUM = {"arm64": 4, "amd64": 1}
"""Bytes of the smallest instruction, which the table's header says."""

ABSOLUTE = 3
"""Source files with whole paths that are named."""

FORMATS = {"darwin": darwin.check_macho, "linux": linux.check_elf}


def inspect_file(path: Path, *, subject: str, program: str, expected: Expectation) -> FileReport:
    """Makes every check of one executable, which must be of the main package `program`; empty accepts any."""
    report = FileReport(path=path, subject=subject)
    try:
        if path.is_symlink() or not path.is_file():
            raise Malformed("no plain file")
        with opened(path) as view:
            inspect_bytes(view, report, program=program, expected=expected)
    except (Malformed, OSError) as error:
        problem = Problem("unreadable-file", getattr(error, "strerror", None) or str(error))
        report.judge(CheckId.FORMAT, [problem], seen="", expected=f"an executable for {expected.target}")
    return report


def inspect_program(path: Path, target: Target | None, *, subject: str, roots: tuple[bytes, ...] = ()) -> FileReport:
    """The checks of one executable, held to what it says of itself."""
    seems = target or tree.identify(path) or tree.resembled(path)
    try:
        info = build_information(path, seems)
    except OSError:
        info = None  # it cannot be read, as `inspect` will say
    stamp, main, settings = (info.stamp, info.path, info.settings) if info else ("", "", {})
    mode = settings.get("-buildmode", "")
    if mode in expect.LIBRARIES:
        problem = Problem("library", f"a library, by -buildmode={mode}")
        return FileReport(subject=subject).judge(CheckId.FORMAT, [problem], seen="", expected="a program")
    expected = replace(expect.expectation(expect.release_of(stamp), seems, stamp=stamp), roots=roots)
    if not main.startswith("cmd/"):
        expected = expect.for_program(expected)
        if settings.get("-race") == "true":
            expected = expect.with_race_detector(expected)
    return inspect_file(path, subject=subject, program=main, expected=expected)


def build_information(path: Path, target: Target | None = None) -> BuildInfo | None:
    """What a thin executable for darwin or linux says of itself; it is read for `target`, or for what it looks like.

    None where it is no such executable, is damaged, or has no build information of Go's. Raises OSError.
    """
    seems = target or tree.identify(path)
    if seems is None:
        return None
    try:
        with opened(path) as view:
            if seems.goos == "darwin":
                section = macho.read_macho(view).section("__go_buildinfo")
                place = section.place if section else None
            else:
                place = elf.read_elf(view).places.get(".go.buildinfo")
            return buildinfo.read_buildinfo(view, place) if place else None
    except Malformed:
        return None


def inspect_bytes(view: View, report: FileReport, *, program: str, expected: Expectation) -> None:
    """Makes every check of a file's bytes, until it is Malformed."""
    report.excused = expected.profile.excused
    sections = FORMATS[expected.target.goos](view, report, program, expected)
    absolute = _code(view, report, sections, expected)
    _build_information(view, report, sections, program, expected)
    _build_id(view, report, sections, expected)
    _build_paths(view, report, expected, absolute)
    if expected.target.goos == "darwin":
        _traces(view, report, expected)


def _code(view: View, report: FileReport, sections: GoSections, expected: Expectation) -> tuple[str, ...]:
    """The functions are the machine's; returns the names of source files that are whole paths."""
    goarch = expected.target.goarch
    wanted = f"functions of a Go program for {goarch}"
    if sections.foreign:
        report.skip(CheckId.CODE, sections.foreign)
        return ()
    try:
        if not sections.pclntab or not sections.text:
            raise Malformed("no table of functions" if sections.text else "no code of Go's")
        table = read_pclntab(view, sections.pclntab)
        absolute = tuple(islice(table.absolute_files(), ABSOLUTE))
        begins = ENTRY[expected.target.goos, goarch] if expected.profile.own else ""
        report.judge(
            CheckId.CODE,
            code_problems(view, table, sections.text, sections.entry, goarch, begins),
            seen=f"{table.count} functions, which begin as {goarch}'s do",
            expected=wanted,
        )
    except Malformed as error:
        report.judge(CheckId.CODE, [Problem("malformed-pclntab", str(error))], seen="", expected=wanted)
        return ()
    return absolute


def code_problems(
    view: View, table: Pclntab, text: Range, entry: int, goarch: str, begins: str = ""
) -> Iterator[Problem]:
    """What is wrong with a program's functions; `begins`, if not empty, must stand at the file offset `entry`."""
    starts = table.starts
    for index, (one, two) in enumerate(pairwise(starts[:-1]), start=1):
        if two <= one:
            yield Problem("function-order", f"function {index} of {table.count} is out of order")
            return
    found = table.find([*RUNTIME, *([begins] if begins else [])])
    if begins and (begins not in found or text.offset + starts[found[begins]] != entry):
        yield Problem("entry-function", f"the entry point is not {begins}")
    if table.quantum != QUANTUM[goarch]:
        size = f"instructions of {table.quantum} bytes, not {goarch}'s"
        yield Problem("instruction-size", f"the table of functions is for {size}")
    if starts[-1] > text.size:
        yield Problem("function-outside-text", "the table of functions goes beyond __text")
        return
    if goarch == "arm64" and any(start % 4 for start in starts[:-1]):
        yield Problem("function-alignment", "a function begins between instructions")
    if missing := sorted(set(RUNTIME) - found.keys()):
        yield Problem("no-runtime", f"no function {' or '.join(missing)}")
    yield from _prologues(view, table, text, goarch)


def _prologues(view: View, table: Pclntab, text: Range, goarch: str) -> Iterator[Problem]:
    counted = dict.fromkeys(PROLOGUES.values(), 0)
    for start in table.starts[:-1]:
        word = view.data[text.offset + start : text.offset + start + 4]
        if word in counted:
            counted[word] += 1
    for machine, word in PROLOGUES.items():
        number, said = counted[word], f"{counted[word]} of {table.count} functions begin as {machine}'s do"
        if machine != goarch and number:
            yield Problem("foreign-prologues", said)
        if machine == goarch and number < FEWEST * table.count:
            yield Problem("few-prologues", said)


def _build_information(
    view: View, report: FileReport, sections: GoSections, program: str, expected: Expectation
) -> None:
    try:
        if not sections.buildinfo:
            raise Malformed("no section with Go's build information")
        info = buildinfo.read_buildinfo(view, sections.buildinfo)
    except Malformed as error:
        problem = Problem("no-build-information", str(error))
        report.judge(CheckId.VERSION, [problem], seen="", expected=expected.stamp or "Go's build information")
        return
    report.version = info.stamp
    wrong_version = [] if expected.calls_itself(info.stamp) else [Problem("wrong-version", info.stamp)]
    if not info.is_consistent:
        wrong_version.append(Problem("other-release", f"scanners read {info.version}"))
    report.judge(
        CheckId.VERSION,
        wrong_version,
        seen=info.stamp,
        expected=expected.stamp + (f" with {expected.experiment}" if expected.experiment else ""),
    )
    wanted = ({"path": program} if program else {}) | dict(expected.settings)
    settings = {"path": info.path} | dict(info.settings)
    shown = ", ".join(f"{key}={value}" for key, value in wanted.items())
    wrong = [f"{key}={settings.get(key, '(none)')}" for key, value in wanted.items() if settings.get(key) != value]
    report.judge(CheckId.SETTINGS, [Problem("wrong-setting", each) for each in wrong], seen=shown, expected=shown)


def _build_id(view: View, report: FileReport, sections: GoSections, expected: Expectation) -> None:
    """There, in its form and its place; and its last part is the hash of the file, which cmd/go made when it linked."""
    found, own = sections.buildid, expected.profile.own
    problem, reason = None, ""
    if not buildid.FORM.fullmatch(found):
        problem = Problem("no-build-id", found or "none")
        reason = f"{found}, which is not cmd/go's" if found else "none, as -ldflags=-buildid= leaves it out"
    elif own and not sections.first:
        problem = Problem("displaced-build-id", "not where Go's linker puts it")
    elif found.rpartition("/")[2] not in (buildid.content_hash(view, found, form) for form in sections.as_linked):
        problem = Problem("wrong-content-hash", f"{found}, whose last part is not the hash of this file")
        reason = "of another content: the file was changed after cmd/go had linked it"
    if problem and not own:
        report.skip(CheckId.BUILD_ID, reason)
        return
    report.judge(
        CheckId.BUILD_ID,
        [problem] if problem else [],
        seen=f"{found}, the content's hash is right",
        expected="four hashes in base64, of which the last is the file's",
    )


def _build_paths(view: View, report: FileReport, expected: Expectation, absolute: tuple[str, ...]) -> None:
    problems = [f"the path {path}" for path in expected.paths if view.holds(path.encode())]
    if expected.profile.trimmed:
        if view.holds(TRIMMED):
            problems.append("file names with their folders, as without -trimpath")
        problems += [f"the source file {name}" for name in absolute]
    report.judge(
        CheckId.BUILD_PATHS,
        [Problem("build-path", each) for each in problems],
        seen="none",
        expected="no path of the machine that built it",
    )


def _traces(view: View, report: FileReport, expected: Expectation) -> None:
    """No name of a GPU library in the file's bytes; in a toolchain's own, no other framework's either."""
    names = view.frameworks()

    def holds(trace: str) -> bool:
        # One look at the file finds all names of frameworks, unless it has more than are looked for.
        if trace.endswith(".framework") and len(names) < FRAMEWORKS_LIMIT:
            return any(name.endswith(trace) for name in names)
        return view.holds(trace.encode())

    found = [trace for trace in expect.TRACES if holds(trace)]
    if expected.profile.own:
        found += [name for name in names if name not in (*expect.FRAMEWORKS, *found)]
    report.judge(
        CheckId.TRACES,
        [Problem("framework-name", each) for each in found],
        seen="no name of a GPU library",
        expected="no name of Metal, IOKit or OpenGL anywhere in the file",
    )
