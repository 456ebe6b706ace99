"""The checks that only a Mach-O file has.

Source of the rules for what dyld binds: dyld's MachOAnalyzer::validBindInfo.
"""

from collections.abc import Iterator

from gobuild.binary import buildid, macho
from gobuild.binary.dyld_info import FLAT, SPECIAL, WEAK, WEAK_IMPORT
from gobuild.binary.macho_types import ARM64, EXECUTE, LEGACY, PLATFORM_MACOS, TWOLEVEL, WRITE, MachO
from gobuild.binary.unsigned import commands_as_signed
from gobuild.binary.view import Range, View
from gobuild.codesign import superblob
from gobuild.core.model import Problem
from gobuild.verify import expect
from gobuild.verify.checks import CheckId, FileReport, GoSections
from gobuild.verify.expect import Expectation
from gobuild.verify.layout import layout_problems, unknown_parts

LINKER_SIGNATURE = 12 + 8 + 88 + len(superblob.LINKER_IDENTIFIER) + 1
"""Bytes of the linker's own signature in front of its page hashes (src/cmd/internal/codesign/codesign.go, Size)."""

DYNAMIC_LOOKUP = 0xFE
"""n_desc's form of FLAT (DYNAMIC_LOOKUP_ORDINAL)."""


def check_macho(view: View, report: FileReport, program: str, expected: Expectation) -> GoSections:
    """Makes the checks that only a Mach-O file has; returns where the parts are that every Go program has."""
    image = report.image = macho.read_macho(view)
    _format(image, report, expected)
    _layout(view, image, report, expected)
    _platform(image, report, expected)
    _install_names(image, report, program, expected)
    _symbols(image, report)
    _imports(image, report, expected)
    names = [each.name for segment in image.segments for each in segment.sections]
    debugging = [name for name in names if name.startswith(("__debug_", "__zdebug_"))]
    report.judge_symbol_table(f"{image.defined} local symbols" if image.defined else "", debugging, expected)
    _uuid(image, report, expected)
    _signature(view, image, report, expected)
    return _go_sections(view, image)


def _format(image: MachO, report: FileReport, expected: Expectation) -> None:
    def title(cputype: int, cpusubtype: int, filetype: int) -> str:
        name = expect.MACHINE_NAMES.get(cputype, "unknown")
        return f"{name}: cputype {cputype:#x}, cpusubtype {cpusubtype:#x}, file type {filetype}"

    cputype, cpusubtype, _page = expect.MACHINES[expected.target]
    seen, wanted = title(image.cputype, image.cpusubtype, image.filetype), title(cputype, cpusubtype, EXECUTE)
    report.judge(
        CheckId.FORMAT,
        [Problem("wrong-machine", seen)] if seen != wanted else [],
        seen=f"Mach-O 64-bit {expected.target.goarch} executable",
        expected=wanted,
    )


def _layout(view: View, image: MachO, report: FileReport, expected: Expectation) -> None:
    _cputype, _cpusubtype, page = expect.MACHINES[expected.target]
    own = expected.profile.own
    unknown = list(unknown_parts(image, own=own))
    strict = expected.facts.measured or not own
    report.judge(
        CheckId.LAYOUT,
        [
            *(Problem("unknown-part", f"{each}, which Go's linker does not write") for each in unknown if strict),
            *layout_problems(view, image, page=page, pie=expected.facts.pie, own=own),
        ],
        seen=f"{len(image.commands)} load commands, {len(image.segments)} segments"
        + (", position-independent" if expected.facts.pie else ""),
        expected="load commands and segments as Go's linker lays them out",
        unknown=() if strict else unknown,
    )


def _platform(image: MachO, report: FileReport, expected: Expectation) -> None:
    seen = f"macOS {image.minos}, SDK {image.sdk}"
    problems = []
    if image.platform != PLATFORM_MACOS:
        problem_id = "other-platform" if image.platform else "no-build-version"
        problems.append(Problem(problem_id, f"platform {image.platform}"))
    for name in (name for name in image.commands if name in LEGACY):
        problem_id = "version-min-macosx" if name == "LC_VERSION_MIN_MACOSX" else "version-min"
        problems.append(Problem(problem_id, f"{name}, which LC_BUILD_VERSION replaced"))
    if not expected.facts.minos and not problems:
        report.skip(CheckId.PLATFORM, f"{seen}; no values measured for this Go version")
        return
    if expected.facts.minos and (image.minos, image.sdk) != (expected.facts.minos, expected.facts.sdk):
        problems.append(Problem("deployment-target", seen))
    report.judge(
        CheckId.PLATFORM, problems, seen=seen, expected=f"macOS {expected.facts.minos}, SDK {expected.facts.sdk}"
    )


def _install_names(image: MachO, report: FileReport, program: str, expected: Expectation) -> None:
    names = [name for _command, name in image.dylibs]
    allowed = set(expect.INSTALL_NAMES)
    if program.startswith("cmd/") and expected.facts.trusting and program not in expected.facts.trusting:
        allowed -= expect.TRUST
    problems = [Problem("unknown-library", name) for name in names if name not in allowed]
    others = [f"{command} {name}" for command, name in image.dylibs if command != "LC_LOAD_DYLIB"]
    problems += [Problem("other-load-command", each) for each in others]
    problems += [Problem("library-twice", f"{name} twice") for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [Problem("rpath", f"LC_RPATH {path}") for path in image.rpaths]
    report.judge(
        CheckId.INSTALL_NAMES,
        dict.fromkeys(problems),
        seen=", ".join(name.rsplit("/", 1)[-1] for name in names) or "none",
        expected="only " + ", ".join(sorted(name.rsplit("/", 1)[-1] for name in allowed)),
    )


def _symbols(image: MachO, report: FileReport) -> None:
    imported = sorted(image.bound.union(image.imports))
    denied = [name for name in imported if expect.DENIED_SYMBOLS.match(name)]
    report.judge(
        CheckId.SYMBOLS,
        [Problem("dlsym" if name == "_dlsym" else "denied-symbol", name) for name in denied],
        seen=f"{len(imported)} imported, none of Metal, IOKit or OpenGL",
        expected="no symbol of Metal, IOKit, OpenGL, Objective-C or dlopen",
    )


def _imports(image: MachO, report: FileReport, expected: Expectation) -> None:
    libraries = {name.rsplit("/", 1)[-1] for _command, name in image.dylibs}
    count = len(image.bindings) or len(image.bound.union(image.imports))
    wrong, unknown = library_problems(image, expected)
    report.judge(
        CheckId.IMPORTS,
        [*bind_problems(image), *wrong],
        seen=f"{count} resolved in {', '.join(sorted(libraries)) or 'nothing'}",
        expected="every symbol bound to the library that exports it",
        unknown=unknown,
    )


def _uuid(image: MachO, report: FileReport, expected: Expectation) -> None:
    if image.uuid:
        zero = [] if image.uuid.strip("0") else [Problem("zero-uuid", "all zero")]
        report.judge(CheckId.UUID, zero, seen=image.uuid, expected="a UUID")
    elif expected.uuid:
        wanted = "a UUID, without which macOS 26 may refuse the program"
        report.judge(CheckId.UUID, [Problem("no-uuid", "none")], seen="", expected=wanted)
    else:
        report.skip(CheckId.UUID, "none, as upstream's linker leaves it out before Go 1.24")


def _signature(view: View, image: MachO, report: FileReport, expected: Expectation) -> None:
    found = report.signature = superblob.parse_signature(view, image, roots=expected.roots)
    if found:
        seen = f"{found.kind}, identifier {found.identifier}, {found.pages} page hashes right"
        report.judge(CheckId.SIGNATURE, found.problems, seen=seen, expected="a signature whose every hash is right")
    elif expected.signed:
        wanted = f"{expected.target} runs nothing unsigned"
        report.judge(CheckId.SIGNATURE, [Problem("no-signature", "none")], seen="", expected=wanted)
    else:
        report.skip(CheckId.SIGNATURE, f"none, and {expected.target} needs none")


def _go_sections(view: View, image: MachO) -> GoSections:
    sections = (image.section(name) for name in ("__go_buildinfo", "__text", "__gopclntab"))
    info, text, table = (section.place if section else None for section in sections)
    at = view.data.find(buildid.PREFIX, text.offset, text.end) if text else -1
    # The build ID is the first of Go's functions; a C linker may put others in front of it. Without one, Go's own
    # linker begins __text with them.
    start = max(at, text.offset if text else 0)
    return GoSections(
        buildinfo=info,
        text=Range(what="__text", offset=start, size=text.end - start) if text else None,
        pclntab=table,
        entry=image.entry or 0,
        buildid=buildid.at_text(view, at, text.end - at) if text and at >= 0 else "",
        first=bool(text and at == text.offset),
        as_linked=_as_linked(view, image),
    )


def _as_linked(view: View, image: MachO) -> tuple[buildid.AsLinked, ...]:
    """The file as it was when cmd/go wrote the build ID: with the linker's own signature, or with none.

    The UUID counts as zero since Go 1.24; before, the linker's option -B could write one, which counted.
    """
    zero: tuple[Range, ...] = ()
    end, size = view.size, 0
    if image.signature and image.cputype == ARM64:
        start = image.signature.offset
        size = LINKER_SIGNATURE + 32 * -(-start // 4096)
        zero, end = (Range(what="the signature", offset=start, size=size),), start + size
    elif image.signature:
        start = image.signature.offset
        end = max((each.end for each in image.linkedit if each.offset < start), default=start)
    heads = [commands_as_signed(view, image, end=end, signature=size, uuid=uuid) for uuid in (False, True)]
    return tuple(buildid.AsLinked(head=head, zero=zero, end=end) for head in dict.fromkeys(heads))


def bind_problems(image: MachO) -> Iterator[Problem]:
    """What is wrong with where dyld would write, and which library it would ask."""
    writable = {index: segment.vmsize - 8 for index, segment in enumerate(image.segments) if segment.initprot & WRITE}
    taken: set[tuple[int, int]] = set()
    for each in image.bindings:
        place = each.segment, each.offset
        if each.offset > writable.get(each.segment, -1) or each.offset % 8:
            yield Problem("bound-outside-data", f"{each.name} is bound outside the writable segments")
        if place in taken and not each.table.startswith("weak"):
            yield Problem("bound-twice", f"{each.name} is bound where something else is written")
        taken.add(place)
        if each.ordinal > len(image.dylibs) or each.ordinal < WEAK:
            yield Problem("library-ordinal", f"{each.name} is bound to library {each.ordinal} of {len(image.dylibs)}")
    yield from _two_levels(image)


def _two_levels(image: MachO) -> Iterator[Problem]:
    """The symbol table's own claim of a library, in n_desc's upper half, against that of the opcodes.

    Go's own linker leaves it zero, and the header's flag MH_TWOLEVEL unset; dyld obeys the opcodes in any case, other
    tools believe the table.
    """
    claimed = {each.name: each.ordinal for each in image.bindings if each.ordinal != WEAK}
    for name, n_desc in zip(image.imports, image.n_desc, strict=True):
        ordinal = n_desc >> 8
        if not image.flags & TWOLEVEL and not ordinal:
            continue
        bound = claimed.get(name, ordinal)
        absent = len(image.dylibs) < ordinal < DYNAMIC_LOOKUP
        if absent or ordinal != (DYNAMIC_LOOKUP if bound == FLAT else bound):
            said = f"of library {ordinal} by the symbol table, and of library {bound} by its binding"
            yield Problem("symbol-table-ordinal", f"{name} is {said}")


def library_problems(image: MachO, expected: Expectation) -> tuple[list[Problem], list[str]]:
    """What is asked of a library that does not export it, and symbols that the table knows of no library.

    The table holds what official Go asks for: a newer line, or a patch, may ask its libraries for more. Of a program
    that is no toolchain's own, that is expected.
    """
    wrong, unknown = list[Problem](), list[str]()
    own = expected.profile.own
    names = [name for _command, name in image.dylibs]
    homes = {symbol: home for home, symbols in expect.exports().items() for symbol in symbols}
    claims = [
        (each.name, names[each.ordinal - 1] if 0 < each.ordinal <= len(names) else SPECIAL.get(each.ordinal))
        for each in image.bindings
    ]
    if not expected.facts.pie and not image.bindings:
        # Go 1.21 for darwin/amd64 leaves it to dyld to look in every library: the one that exports it must be there.
        claims = [(name, homes[name] if homes.get(name) in names else None) for name in image.imports]
    elif unbound := sorted(set(image.imports) - image.bound):
        wrong.append(Problem("unbound-import", f"imported, but never bound: {', '.join(unbound[:5])}"))
    for each in image.bindings if own else ():
        if each.flags or each.table != "bind opcodes":
            problem_id = "weak-import" if each.table == "bind opcodes" and each.flags == WEAK_IMPORT else "odd-binding"
            wrong.append(Problem(problem_id, f"{each.name} is bound by {each.table}, flags {each.flags}"))
    for name, claim in claims:
        home = homes.get(name)
        asked = claim.rsplit("/", 1)[-1] if claim else "no library that is linked"
        if claim not in names or home not in (None, claim) or (own and claim not in expect.INSTALL_NAMES):
            problem_id = "flat-lookup" if claim == SPECIAL[FLAT] else "wrong-library"
            also = f", and is in {home.rsplit('/', 1)[-1]}" if home else ""
            wrong.append(Problem(problem_id, f"{name} is asked of {asked}{also}"))
        elif home is None and own:
            unknown.append(f"{name} of {asked}")
    return wrong, unknown
