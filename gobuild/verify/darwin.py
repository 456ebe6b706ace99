"""The checks of a Mach-O file: a `View` and an `Expectation` come in, the checks go into an `Inspected`.

Each check is a sentence of the report: what was seen, or what is wrong. What is read, and how strictly, is for `macho`,
`layout`, `imports`, `code` and `signature` to say; what it must be is `expect`'s.
"""

from gobuild.binary import buildid, dyld_info, macho
from gobuild.binary.macho_types import ARM64, EXECUTE, LEGACY, PLATFORM_MACOS, MachO
from gobuild.binary.unsigned import commands_as_signed
from gobuild.binary.view import Range, View
from gobuild.codesign import superblob
from gobuild.verify import expect, imports, layout, shape
from gobuild.verify.expect import Expectation
from gobuild.verify.inspected import Inspected
from gobuild.verify.parts import Parts, stripped

LINKER_SIGNATURE = 12 + 8 + 88 + len(superblob.LINKER_IDENTIFIER) + 1
"""Bytes of the linker's own signature in front of its page hashes (src/cmd/internal/codesign/codesign.go, Size)."""


def judge(view: View, inspected: Inspected, program: str, expected: Expectation) -> Parts:
    """Makes the checks that only a Mach-O file has; returns where the parts are that every Go program has.

    Raises:
        Malformed: the file cannot be read on.
    """
    image = macho.read_macho(view)
    inspected.image = image
    cputype, cpusubtype, page = expect.MACHINES[expected.target]
    seen, wanted = _kind(image.cputype, image.cpusubtype, image.filetype), _kind(cputype, cpusubtype, EXECUTE)
    inspected.judge(
        "format",
        [seen] if seen != wanted else [],
        seen=f"Mach-O 64-bit {expected.target.goarch} executable",
        expected=wanted,
    )
    strange = [*layout.unknown(image), *(shape.unknown(image) if expected.own else ())]
    strict = expected.measured or not expected.own
    inspected.judge(
        "layout",
        [
            *(f"{each}, which Go's linker does not write" for each in strange if strict),
            *layout.problems(image, size=view.size, page=page, pie=expected.pie),
            *layout.header(view, image),
            *shape.problems(image, page=page, own=expected.own, linker=expected.pie),
        ],
        seen=f"{len(image.commands)} load commands, {len(image.segments)} segments"
        + (", position-independent" if expected.pie else ""),
        expected="load commands and segments as Go's linker lays them out",
        unknown=() if strict else strange,
    )
    _platform(image, inspected, expected)
    _install_names(image, inspected, program, expected)
    _imports(image, inspected, expected)
    sections = [each.name for part in image.segments for each in part.sections]
    stripped(
        inspected,
        expected,
        symbols=f"{image.defined} local symbols" if image.defined else "",
        debugging=[name for name in sections if name.startswith(("__debug_", "__zdebug_"))],
    )
    _uuid(image, inspected, expected)
    _signature(view, image, inspected, expected)
    return _parts(view, image)


def _kind(cputype: int, cpusubtype: int, filetype: int) -> str:
    name = expect.MACHINE_NAMES.get(cputype, "unknown")
    return f"{name}: cputype {cputype:#x}, cpusubtype {cpusubtype:#x}, file type {filetype}"


def _platform(image: MachO, inspected: Inspected, expected: Expectation) -> None:
    seen = f"macOS {image.minos}, SDK {image.sdk}"
    problems = [] if image.platform == PLATFORM_MACOS else [f"platform {image.platform}"]
    problems += [f"{name}, which LC_BUILD_VERSION replaced" for name in image.commands if name in LEGACY]
    if not expected.minos and not problems:
        inspected.skip("platform", f"{seen}; no values measured for this Go version")
        return
    if expected.minos and (image.minos, image.sdk) != (expected.minos, expected.sdk):
        problems.append(seen)
    inspected.judge("platform", problems, seen=seen, expected=f"macOS {expected.minos}, SDK {expected.sdk}")


def _install_names(image: MachO, inspected: Inspected, program: str, expected: Expectation) -> None:
    names = [name for _command, name in image.dylibs]
    allowed = set(expect.INSTALL_NAMES)
    if program.startswith("cmd/") and expected.trusting and program not in expected.trusting:
        allowed -= expect.TRUST
    problems = [name for name in names if name not in allowed]
    problems += [f"{command} {name}" for command, name in image.dylibs if command != "LC_LOAD_DYLIB"]
    problems += [f"{name} twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [f"LC_RPATH {path}" for path in image.rpaths]
    inspected.judge(
        "install names",
        dict.fromkeys(problems),
        seen=", ".join(name.rsplit("/", 1)[-1] for name in names) or "none",
        expected="only " + ", ".join(sorted(name.rsplit("/", 1)[-1] for name in allowed)),
    )


def _imports(image: MachO, inspected: Inspected, expected: Expectation) -> None:
    """No symbol of the deny-list; and every other one is exported by the library that is asked for it."""
    imported = sorted(image.bound.union(image.imports))
    inspected.judge(
        "symbols",
        [name for name in imported if expect.DENIED_SYMBOLS.match(name)],
        seen=f"{len(imported)} imported, none of Metal, IOKit or OpenGL",
        expected="no symbol of Metal, IOKit, OpenGL, Objective-C or dlopen",
    )
    libraries = {name.rsplit("/", 1)[-1] for _command, name in image.dylibs}
    wrong, unknown = _claims(image, expected)
    inspected.judge(
        "imports",
        [*map(str, imports.problems(image)), *wrong],
        seen=f"{len(image.bindings) or len(imported)} resolved in {', '.join(sorted(libraries)) or 'nothing'}",
        expected="every symbol bound to the library that exports it",
        unknown=unknown,
    )


def _claims(image: MachO, expected: Expectation) -> tuple[list[str], list[str]]:
    """What is bound to a library that does not export it, and what the table knows of no library.

    The table holds what official Go asks for: a newer line, or a patch, may ask its libraries for more. Of a program
    that is no toolchain's own, that is expected.
    """
    wrong, unknown = list[str](), list[str]()
    exports = expect.exports()
    names = [name for _command, name in image.dylibs]
    homes = {symbol: home for home, symbols in exports.items() for symbol in symbols}
    claims = [
        (each.name, names[each.ordinal - 1] if 0 < each.ordinal <= len(names) else dyld_info.SPECIAL.get(each.ordinal))
        for each in image.bindings
    ]
    if not expected.pie and not image.bindings:
        # Go 1.21 for darwin/amd64 leaves it to dyld to look in every library: the one that exports it must be there.
        claims = [(name, homes[name] if homes.get(name) in names else None) for name in image.imports]
    elif unbound := sorted(set(image.imports) - image.bound):
        wrong.append(f"imported, but never bound: {', '.join(unbound[:5])}")
    for each in image.bindings if expected.own else ():
        if each.flags or each.table != "bind opcodes":
            wrong.append(f"{each.name} is bound by {each.table}, flags {each.flags}")
    for name, claim in claims:
        home = homes.get(name)
        asked = claim.rsplit("/", 1)[-1] if claim else "no library that is linked"
        if claim not in names or home not in (None, claim) or (expected.own and claim not in expect.INSTALL_NAMES):
            wrong.append(f"{name} is asked of {asked}" + (f", and is in {home.rsplit('/', 1)[-1]}" if home else ""))
        elif home is None and expected.own:
            unknown.append(f"{name} of {asked}")
    return wrong, unknown


def _uuid(image: MachO, inspected: Inspected, expected: Expectation) -> None:
    if image.uuid:
        zero = [] if image.uuid.strip("0") else ["all zero"]
        inspected.judge("LC_UUID", zero, seen=image.uuid, expected="a UUID")
    elif expected.uuid:
        inspected.judge("LC_UUID", ["none"], seen="", expected="a UUID, without which macOS 26 may refuse the program")
    else:
        inspected.skip("LC_UUID", "none, as upstream's linker leaves it out before Go 1.24")


def _signature(view: View, image: MachO, inspected: Inspected, expected: Expectation) -> None:
    found = inspected.signature = superblob.parse_signature(view, image, roots=expected.roots)
    if found:
        seen = f"{found.kind}, identifier {found.identifier}, {found.pages} page hashes right"
        inspected.judge(
            "signature", map(str, found.problems), seen=seen, expected="a signature whose every hash is right"
        )
    elif expected.signed:
        inspected.judge("signature", ["none"], seen="", expected=f"{expected.target} runs nothing unsigned")
    else:
        inspected.skip("signature", f"none, and {expected.target} needs none")


def _parts(view: View, image: MachO) -> Parts:
    info, text, table = (image.section(name) for name in ("__go_buildinfo", "__text", "__gopclntab"))
    at = view.data.find(buildid.PREFIX, text.offset, text.offset + text.size) if text else -1
    if text:
        # The build ID is the first of Go's functions; a C linker may put others in front of it. Without one, Go's own
        # linker begins __text with them.
        start = max(at, text.offset)
        code = Range(what="__text", offset=start, size=text.place.end - start)
    return Parts(
        buildinfo=info.place if info else None,
        text=code if text else None,
        table=table.place if table else None,
        entry=image.entry or 0,
        buildid=buildid.at_text(view, at, text.offset + text.size - at) if text and at >= 0 else "",
        first=bool(text and at == text.offset),
        written=_as_linked(view, image),
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
