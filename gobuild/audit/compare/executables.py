"""Two executables: what differs in functions, data, headers and build information, and what explains each.

Not compared: line numbers, stack maps and unwinding tables; the signature; the value of LC_UUID, which is a hash of the
build ID; the build ID itself, which follows from all else.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from gobuild.audit.compare import code
from gobuild.audit.compare.data import CODE, DataComparison, Token, linker_tables
from gobuild.audit.compare.program import FunctionKey, Pair, Program, load_program
from gobuild.binary import buildinfo
from gobuild.binary.unsigned import unsigned
from gobuild.binary.view import Malformed

COMPILER = ("cmd/compile/", "cmd/internal/obj/", "cmd/asm/")
"""What decides over every program's code: a patch of it may change any function, and nobody can say which."""

LINKER = ("cmd/link/",)

CGO = "go/build.defaultContext"
"""The function that `const defaultCGO_ENABLED` changes (src/go/build/build.go), for a profile that sets it."""

STAMP, PROFILE, BUILD_ID = "the stamp", "the profile", "the build ID"

_BUILD_ID = re.compile(rb'\xff Go build ID: "([^"\n]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What is said to have been done to ours."""

    # The files, relative to GOROOT, that each patch is proven to have changed, by its name
    patches: Mapping[str, tuple[str, ...]]
    cgo: str | None = None  # the profile's CGO_ENABLED; None for upstream's default
    # Why a claimed patch explains nothing, or not all that it claims, by name
    unproven: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that differs."""

    kind: str  # "file", "code", "added", "removed", "data", "types", "header", "build information" or "unreadable"
    name: str  # the file, the function, or for data the functions that refer to it
    seen: str
    by: tuple[str, ...] = ()  # what explains it; empty where nothing does


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedExecutable:
    """An executable that is not the same."""

    name: str
    functions: int = 0  # how many were compared
    data: tuple[int, int] = (0, 0)  # bytes of data that were compared, and how many there are
    differences: tuple[Difference, ...]


def compare_executables(name: str, base: Path, ours: Path, *, applied: Applied) -> ChangedExecutable | None:
    """The differences of two executables; None where the signature and the value of LC_UUID are all that differs."""
    try:
        plain = [unsigned(path.read_bytes(), uuid=False) for path in (base, ours)]
        if plain[0] == plain[1]:
            return None
        one, two = load_program(base), load_program(ours)
        return _ExecutableComparison(one, two, applied).run(name)
    except Malformed as error:
        return ChangedExecutable(name=name, differences=(Difference(kind="unreadable", name=name, seen=str(error)),))


class _ExecutableComparison:
    def __init__(self, base: Program, ours: Program, applied: Applied) -> None:
        self.base, self.ours, self.applied = base, ours, applied
        self.marks: tuple[set[int], set[int]] = (set(), set())
        self.data = DataComparison(base=base, ours=ours, tokens=tuple(_tokens(base, ours)), marks=self.marks)
        self.pairs: list[Pair] = []
        self.referrers: dict[int, set[FunctionKey]] = {}
        self.sources = {
            patch: {
                name.removeprefix("src/")
                for name in changed
                if name.endswith((".go", ".s")) and not name.endswith("_test.go")
            }
            for patch, changed in applied.patches.items()
        }

    def run(self, name: str) -> ChangedExecutable:
        functions = list(self._functions())
        # Neither the stamp nor the profile brings a type or takes one away.
        causes = tuple(dict.fromkeys(cause for each in functions for cause in each.by if cause in self.applied.patches))
        differences = [*functions, *self._data(causes), *self._headers(), *self._information()]
        if not differences:
            differences.append(
                Difference(kind="file", name=name, seen="the bytes differ, but neither code nor data that was compared")
            )
        whole = sum(part.size for part in self.base.sections if not part.zerofill and part.name not in _CODE)
        return ChangedExecutable(
            name=name,
            functions=len(self.base.functions),
            data=(self.data.compared, whole),
            differences=tuple(differences),
        )

    def _functions(self) -> Iterator[Difference]:
        base, ours, marks = self.base, self.ours, self.marks
        for key, function in base.named.items():
            other = ours.named.get(key)
            if key[0] == "go:buildid" and other:
                continue
            how, pairs = code.compare_code(base, function, ours, other) if other else ("only in base", [])
            self.pairs += pairs
            for one, _ in pairs:
                self.referrers.setdefault(one, set()).add(key)
            if how:
                marks[0].update(code.references(base, function))
                marks[1].update(code.references(ours, other) if other else ())
                kind = "code" if other else "removed"
                yield self._explained(kind, how, key[0], base.table.source_files(function))
        # Ours' own table of files is believed only of what base does not have: it could name any file.
        for key, function in ours.named.items():
            if key not in base.named:
                marks[1].update(code.references(ours, function))
                yield self._explained("added", "only in ours", key[0], ours.table.source_files(function))

    def _explained(self, kind: str, seen: str, name: str, files: tuple[str, ...]) -> Difference:
        by = list(self._patches(name, set(files)))
        if name == CGO and self.applied.cgo is not None:
            by.append(PROFILE)
        if not by and (makers := self._patches_below(COMPILER)):
            seen += f"; {', '.join(makers)} changes the compiler, which may do this: not proven"
        return Difference(kind=kind, name=name, seen=seen, by=tuple(by))

    def _patches(self, name: str, files: set[str]) -> Iterator[str]:
        """The patches that explain code of these files; for what the compiler generates, those of its package."""
        package = package_of(name, main=self.base.info.path) if files <= {"<autogenerated>", ""} else ""
        for patch, sources in self.sources.items():
            packages = {str(PurePosixPath(each).parent) for each in sources if each.endswith(".go")}
            if files & sources or package in packages:
                yield patch

    def _patches_below(self, folders: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            patch for patch, sources in self.sources.items() if any(each.startswith(folders) for each in sources)
        )

    def _data(self, causes: tuple[str, ...]) -> Iterator[Difference]:
        """What differs in data. `causes` explain the functions that differ, and with them types that come and go."""
        tables, lengths = linker_tables(self.base, self.ours)
        self.data.run([*self.pairs, *tables])
        for what in sorted(self.data.known - {BUILD_ID}):
            yield Difference(kind="data", name="strings", seen="the toolchain's version", by=(what,))
        types, section = 0, self.base.types
        for each in self.data.differences:
            part = self.base.section_at(each.base)
            if part and part is section and each.what != CODE:
                types += 1
                continue
            where = f"{part.name.removeprefix('__')}+{each.base - part.addr:#x}" if part else hex(each.base)
            keys = self.referrers.get(each.origin, set())
            names = sorted({name for name, _ in keys}) or ["no function"]
            who = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            by = tuple(self._owners(keys))
            yield Difference(kind="data", name=who, seen=f"{each.what} differs at {where}", by=by)
        for name, (one, two) in lengths.items():
            yield Difference(kind="types", name=name, seen=f"{one} entries became {two}", by=causes)
        if section and types:
            yield Difference(
                kind="types",
                name="descriptors of types" + ("" if section.name == "__go_type" else ", and tables with pointers"),
                seen=f"{types} places differ, or were not told apart from their neighbours",
                by=causes,
            )

    def _owners(self, keys: Iterable[FunctionKey]) -> Iterator[str]:
        """The patches of a file that one of these functions is in: what they refer to may be the patch's."""
        files = {file for key in keys for file in self.base.table.source_files(self.base.named[key])}
        return (patch for patch, sources in self.sources.items() if files & sources)

    def _headers(self) -> Iterator[Difference]:
        linker = self._patches_below(LINKER)
        for what, one in self.base.headers.items():
            two = self.ours.headers.get(what, ())
            if one != two:
                less, more = sorted(set(one) - set(two)), sorted(set(two) - set(one))
                seen = "; ".join(
                    f"{word} {', '.join(names)}" for word, names in (("without", less), ("with", more)) if names
                )
                # Of other programs' headers a patch of the linker explains this alone.
                uuid = what == "load commands" and not less and more == ["LC_UUID"]
                yield Difference(kind="header", name=what, seen=seen or "in another order", by=linker if uuid else ())

    def _information(self) -> Iterator[Difference]:
        one, two = self.base.info, self.ours.info
        settings = sorted((one.settings.keys() | two.settings.keys()) - {buildinfo.STAMP})
        for name, left, right in (
            ("path", one.path, two.path),
            ("version", one.stamp, two.stamp),
            *((key, one.settings.get(key), two.settings.get(key)) for key in settings),
        ):
            if left != right:
                by = (STAMP,) if name == "version" else ()
                yield Difference(kind="build information", name=name, seen=f"{left} became {right}", by=by)
        if one.other != two.other:
            yield Difference(kind="build information", name="modules", seen="other lines of modules")


_CODE = ("__text", "__gopclntab")

_GENERATED = re.compile(r"type:\.(?:eq|hash)\.(?:\[\d+\])*")
"""What the compiler puts before a type, in the name of the function that it makes for it."""


def package_of(name: str, *, main: str = "main") -> str:
    """The import path in a linker's name, as "type:.eq.[2]go/ast.Field"; empty where it tells none.

    `main` is the path of the program's own package, which the linker calls "main".
    """
    path = re.split(r"[(\[{ ]", _GENERATED.sub("", name, count=1), maxsplit=1)[0]
    folder, slash, last = path.rpartition("/")
    package, dot, _ = last.partition(".")
    found = unquote(f"{folder}{slash}{package}") if dot else ""  # PathToPrefix: "gopkg.in/yaml%2ev3"
    return main if found == "main" else found


def _tokens(base: Program, ours: Program) -> Iterator[Token]:
    """The strings that are known to differ, both of which a program may carry."""
    if base.info.stamp != ours.info.stamp:
        yield STAMP, base.info.stamp.encode(), ours.info.stamp.encode()
    ids = [_BUILD_ID.search(program.data) for program in (base, ours)]
    if ids[0] and ids[1] and ids[0][1] != ids[1][1]:
        yield BUILD_ID, ids[0][1], ids[1][1]
