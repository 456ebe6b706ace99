"""remove-hook: takes an initialisation out of a Go package, with everything that only it needed.

Removing the call alone does not help: the linker writes a library's install name for its cgo_import_dynamic line,
whether or not anything calls it (setCgoAttr in cmd/link/internal/ld/go.go). So declarations, assembly and directives go
as well, until nothing more becomes unused; what something else uses stays. A denied framework that would stay is an
error, never a success.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.edits import go_symbols
from gobuild.patch.edits.go_symbols import Declaration, GoPackage, SourceFile, Span, word_of
from gobuild.patch.edits.source_edit import cut_spans, drop_unused_imports, is_hollow
from gobuild.patch.tree import Tree, TreeChange

REVISION = 1
"""Counts up when the same names would make another result: it is part of the patch's digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveHook:
    """An operation on a tree, with the keys of series.toml's table (patches/README.md)."""

    what: str
    once: tuple[str, ...]
    init: tuple[str, ...]
    functions: tuple[str, ...]
    frameworks: tuple[str, ...]
    dir: str

    @property
    def content(self) -> bytes:
        """What the patch's digest is made of."""
        return json.dumps({"remove-hook": REVISION, **asdict(self)}, sort_keys=True).encode()

    @property
    def symbols(self) -> list[str]:
        """The names given, as symbols."""
        return [f"·{name}" for name in (*self.once, *self.init)]

    def apply(self, tree: Tree) -> TreeChange:
        """Notes the removal in a tree; `State.NOTHING_TO_DO` where the source has no such hook."""
        package = GoPackage(tree, self.dir)
        anchors = self._anchors(package)
        removal = _Removal(package=package, hook=self)
        removal.mark_calls()
        removal.mark_unused()
        removal.require_whole()
        if not removal.removed:
            return TreeChange(
                state=State.NOTHING_TO_DO,
                evidence=f"nothing to remove: this source has no {self.what} (looked for {self._looked_for}; "
                f"{len(package.texts)} files of {self.dir} read; anchor functions found: {anchors})",
            )
        return TreeChange(state=State.APPLIED, evidence=removal.evidence(), files=tuple(removal.write_files(tree)))

    @property
    def _looked_for(self) -> str:
        calls = ", ".join(f"{once}.Do({init})" for once in self.once for init in self.init)
        return f"{calls}, and for imports from {', '.join(self.frameworks) or 'no framework'}"

    def _anchors(self, package: GoPackage) -> str:
        found = [
            f"{path.rpartition('/')[2]} {name}"
            for path, text in package.texts.items()
            if path.endswith(".go")
            for name in self.functions
            if re.search(rf"^func {name}\(", text, re.MULTILINE) and go_symbols.functions_of(text, [name])
        ]
        if not found:
            raise PatchError(
                f"there is no function {' or '.join(self.functions)} in {self.dir}: "
                f"where this Go would run {self.what} is not known",
                "look where this version starts its finalizers, and add that function's name to `functions`",
            )
        return ", ".join(found)


@dataclass(slots=True, kw_only=True)
class _Removal:
    """What is to go from a package, as it grows."""

    package: GoPackage
    hook: RemoveHook
    removed: list[tuple[str, str]] = field(default_factory=list)
    """What, and from which file."""
    _dead: dict[str, list[Span]] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)

    def mark_calls(self) -> None:
        """Marks the statements that run the hook."""
        for once in self.hook.once:
            for file in self.package.files(once):
                if file.path.endswith(".go"):
                    for function, span in go_symbols.once_calls(file.text, [once], self.hook.init, self.hook.functions):
                        self._mark(file, [span], f"{file.text[slice(*span)]} in {function}")

    def mark_unused(self) -> None:
        """Marks, round by round, what nothing uses any more of all that belongs to the hook."""
        for file, found in self._imports():
            if found.name == "_":
                self._mark(file, found.spans, found.what)
        candidates = self._own()
        while ready := [name for name in sorted(candidates - self._gone) if self._unused(name)]:
            for name in ready:
                self._gone.add(name)
                for file, found in self.package.declared(name):
                    self._mark(file, found.spans, found.what)
                    candidates |= found.refs

    def _own(self) -> set[str]:
        """The names given, the denied imports, and the assembly that leads to these.

        No function is taken for the hook's because it leads there: somebody wrote it, and shall name it.
        """
        imports = {found.name for _, found in self._imports()} - {"_"}
        texts = {
            user.name
            for symbol in imports
            for file in self.package.files(word_of(symbol))
            for user in file.declarations
            if symbol in user.refs and user.what.startswith("TEXT")
        }
        return {*self.hook.symbols, *imports, *texts}

    def _imports(self) -> list[tuple[SourceFile, Declaration]]:
        """The cgo_import_dynamic lines of denied frameworks."""
        return [
            (file, one)
            for part in {f"/{name}.framework/": None for name in self.hook.frameworks}
            for file in self.package.files(part)
            for one in file.declarations
            if part in one.library
        ]

    def _unused(self, symbol: str) -> bool:
        word = word_of(symbol)
        if word != symbol and (word[0].isupper() or word in ("init", "main", *self.hook.functions)):
            return False  # used without being named here: by importers, by the linker, by what the hook was put into
        found = self.package.declared(symbol)
        if not found or any(one.fixed for _, one in found) or self._users(symbol):
            return False
        return symbol not in self.package.elsewhere

    def _users(self, symbol: str) -> list[tuple[SourceFile, int]]:
        """Where a symbol is used by what stays: in code that is not marked, and not in its own declaration."""
        users = []
        for file in self.package.files(word_of(symbol)):
            own = [span for one in file.declarations if one.name == symbol for span in one.spans]
            away = own + self._dead.get(file.path, [])
            sites = [at for used, at in file.uses if used == symbol]
            users += [(file, at) for at in sites if not any(start <= at < end for start, end in away)]
        return users

    def _mark(self, file: SourceFile, spans: "tuple[Span, ...] | list[Span]", what: str) -> None:
        self._dead.setdefault(file.path, []).extend(spans)
        self.removed.append((what, file.path))

    def require_whole(self) -> None:
        """Refuses a removal by which a denied framework stays linked, or nothing goes though the names are there."""
        stays = [
            (file, found) for file, found in self._imports() if found.spans[0] not in self._dead.get(file.path, [])
        ]
        if stays:
            file, found = stays[0]
            raise PatchError(
                f"{found.what} would stay in {file.path}: {self._chain(found.name)}",
                "in series.toml, add the function that runs it to `functions`, or take it out of `frameworks`",
            )
        if self.removed:
            return
        for name in self.hook.symbols:
            declared = [(file, one.spans[-1][0]) for file, one in self.package.declared(name)]
            if places := self._users(name) or declared:
                file, at = places[0]
                raise PatchError(
                    f"{file.path}:{file.line(at)} has {word_of(name)}, but not as a statement "
                    f"{self.hook.once[0]}.Do({self.hook.init[0]}) in {' or '.join(self.hook.functions)}: "
                    "nothing was removed",
                    "look at that place; add the function to `functions` in series.toml if it runs the hook",
                )

    def _chain(self, symbol: str) -> str:
        """Who uses a symbol, and who uses that one, up to what is not the hook's."""
        said: list[str] = []
        seen: set[str] = set()
        while symbol not in seen and (users := self._users(symbol)):
            seen.add(symbol)
            file, at = users[0]
            owner = next((one for one in file.declarations for start, end in one.spans if start <= at < end), None)
            place = f"{file.path.rpartition('/')[2]}:{file.line(at)}"
            said.append(f"{word_of(symbol)} is used by {owner.what if owner else 'code'} ({place})")
            symbol = owner.name if owner else symbol
        if symbol not in seen:
            fixed = next((one.fixed for _, one in self.package.declared(symbol) if one.fixed), "")
            said.append(
                f"{word_of(symbol)} stays, since {fixed or 'another package or the compiler asks for it by name'}"
            )
        return ", ".join(said)

    def evidence(self) -> str:
        """What went, file by file, and what stays of the names given."""
        files = dict.fromkeys(path for _, path in self.removed)
        went = "; ".join(f"{', '.join(_counted(self.removed, path))} ({path})" for path in files)
        stays = [
            self._chain(name) for name in self.hook.symbols if name not in self._gone and self.package.declared(name)
        ]
        return f"removed {went}" + "".join(f"; not removed: {chain}" for chain in stays)

    def write_files(self, tree: Tree) -> Iterator[str]:
        """Notes the files' new content; yields their paths, sorted."""
        for path, spans in sorted(self._dead.items()):
            text = self.package.texts[path]
            if text.encode() != tree.read_file(path):
                raise PatchError(f"{path} is not UTF-8, as Go source has to be", "look at the source")
            text = drop_unused_imports(cut_spans(text, spans)) if path.endswith(".go") else cut_spans(text, spans)
            if is_hollow(path, text):
                tree.delete_file(path)
            else:
                tree.write_file(path, text.encode())
            yield path


def _counted(removed: list[tuple[str, str]], path: str) -> list[str]:
    """The things removed from a file, those of one kind together: "2 x once.Do(init) in runfinq"."""
    things = Counter(what for what, where in removed if where == path)
    return [f"{count} x {what}" if count > 1 else what for what, count in things.items()]
