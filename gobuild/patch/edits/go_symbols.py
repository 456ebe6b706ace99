"""What a file of a Go package declares and uses, by symbol: Go source by its syntax tree, assembly by its lines.

A symbol of the package is written "·name", as Go's assembler writes it (https://go.dev/doc/asm, "Symbols"); any other
symbol, such as the libc_open of a cgo_import_dynamic line, is written bare. Where it is not certain that a name is
meant, it counts as used.
"""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from ast_grep_py import SgNode, SgRoot

from gobuild.core.errors import PatchError
from gobuild.patch.tree import Tree

Span = tuple[int, int]
"""From and up to, in characters of the text."""

_IMPORT = re.compile(r'//go:cgo_import_dynamic[ \t]+(\S+)(?:[ \t]+(\S+))?(?:[ \t]+"([^"]*)")?')
_LINKNAME = re.compile(r"//go:linkname[ \t]+(\S+)(?:[ \t]+(\S+))?")
_SPECS = {"var_declaration": ("var_spec",), "type_declaration": ("type_spec", "type_alias")}
_STATEMENTS = ("expression_statement", "go_statement", "defer_statement")
_DO = re.compile(r"(\w+)\s*\.\s*Do\(\s*(\w+)\s*,?\s*\)")
_ASM_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ASM_SYMBOL = re.compile(r"([\w\u00b7\u2215.]+)(<[^>\n]*>)?(?:[+-]\w+)?\(SB\)")
_ASM_TEXT = re.compile(r"^TEXT[ \t]+([\w\u00b7\u2215.]+)(<[^>\n]*>)?\(SB\)")
_ASM_NEXT = re.compile(r"^(?:TEXT|DATA|GLOBL|#)")
_ASM_ENDS = re.compile(r"\s*(?:RET|JMP|B|BR|UNDEF|INT|BRK)\b")
_FIRST_WORD = re.compile(
    r"^(?:func (?:\([^)\n]*?(?=\w+(?:\[[^\n]*\])?\)))?|var |type |TEXT[ \t]+(?:\w*·)?|//go:\w+[ \t]+|\t)(\w+)",
    re.MULTILINE,
)
"""The words that a line could declare: all of them, and some more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One declaration of a symbol. A symbol may have several: a Go prototype, and a TEXT block for each GOARCH."""

    name: str
    what: str  # for people: "func initMetal"
    spans: tuple[Span, ...]  # the text that goes if the declaration goes: itself, and the comments that belong to it
    refs: frozenset[str] = frozenset()  # the symbols it uses
    library: str = ""  # of a cgo_import_dynamic line: the library's path
    fixed: str = ""  # why it cannot be removed, where it cannot


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file: what it declares, as far as that could be removed, and every mention of a symbol in code, and where."""

    path: str
    text: str
    declarations: tuple[Declaration, ...]
    uses: tuple[tuple[str, int], ...]

    def line(self, at: int) -> int:
        """The line of a character, from 1."""
        return self.text.count("\n", 0, at) + 1


class GoPackage:
    """The files of one package that are compiled, whatever the target, without tests; each is parsed when asked for."""

    def __init__(self, tree: Tree, folder: str) -> None:
        self.tree, self.dir = tree, folder
        self.texts = {
            path: (tree.read_file(path) or b"").decode(errors="replace")
            for path in tree.list_files(folder)
            if path.endswith((".go", ".s", ".h")) and not path.endswith("_test.go")
        }
        if not self.texts:
            raise PatchError(f"there is no Go package at {folder}", "look at `dir` in series.toml, and at the source")
        self._parsed: dict[str, SourceFile] = {}

    def files(self, word: str, among: Container[str] | None = None) -> Iterator[SourceFile]:
        """The files in which a word stands at all."""
        for path, text in self.texts.items():
            if word in text and (among is None or path in among):
                if path not in self._parsed:
                    self._parsed[path] = _parse(path, text)
                yield self._parsed[path]

    def declared(self, symbol: str) -> list[tuple[SourceFile, Declaration]]:
        """Every declaration of a symbol."""
        word = word_of(symbol)
        # Parsing every file in which a short name stands would take seconds.
        files = self.files(word, [path for path, words in self._first_words.items() if word in words])
        return [(file, found) for file in files for found in file.declarations if found.name == symbol]

    @cached_property
    def _first_words(self) -> dict[str, set[str]]:
        return {path: set(_FIRST_WORD.findall(text)) for path, text in self.texts.items()}

    @cached_property
    def elsewhere(self) -> frozenset[str]:
        """The symbols that other packages, and the compiler, ask for by name."""
        name = re.escape(self.dir.rpartition("/")[2])
        linkname = re.compile(rf"^//go:linkname[ \t]+\S+[ \t]+{name}\.(\w+)".encode(), re.MULTILINE)
        asm = re.compile(rf"\b{name}·(\w+)".encode())
        quoted = re.compile(rf'"(?:{name}\.)?(\w+)"'.encode())
        found: set[bytes] = set()
        for path, content in self.tree.walk_files("src", (".go", ".s")):
            if path.rpartition("/")[0] == self.dir or path.endswith("_test.go"):
                continue
            pattern = asm if path.endswith(".s") else quoted if path.startswith("src/cmd/compile/") else linkname
            found.update(pattern.findall(content))
        return frozenset(f"·{name.decode()}" for name in found)


def word_of(symbol: str) -> str:
    """The word a symbol is written with: "·x" is x."""
    return symbol.removeprefix("·")


def _parse(path: str, text: str) -> SourceFile:
    """Reads a .go, .s or .h file of a package whose import path ends like its folder's name."""
    package = PurePosixPath(path).parent.name
    return _parse_go(path, text, package) if path.endswith(".go") else _parse_asm(path, text, package)


def _symbol(name: str, package: str, dot: str) -> str:
    """A name as source spells it, as a symbol: "runtime·x", "·x" and linkname's "runtime.x" are all "·x"."""
    home, found, rest = name.partition(dot)
    return f"·{rest}" if found and home in ("", package) else name


def once_calls(
    text: str, once: Sequence[str], init: Sequence[str], functions: Sequence[str]
) -> Iterator[tuple[str, Span]]:
    """The statements `ONCE.Do(INIT)` in the named functions, closures in them included, by the function's name."""
    for function in functions_of(text, functions):
        for statement in function.find_all(any=[{"kind": kind} for kind in _STATEMENTS]):
            call = next((child for child in statement.children() if child.kind() == "call_expression"), None)
            match = call and _DO.fullmatch(call.text())
            if match and match[1] in once and match[2] in init:
                yield _name(function), _span(statement)


def functions_of(text: str, names: Sequence[str]) -> list[SgNode]:
    """The syntax nodes of the functions with these names, methods excepted."""
    found = SgRoot(text, "go").root().find_all(kind="function_declaration")
    return [node for node in found if _name(node) in names]


def _name(node: SgNode) -> str:
    name = node.field("name")
    return name.text() if name else ""


def _span(node: SgNode) -> Span:
    place = node.range()
    return place.start.index, place.end.index


def _parse_go(path: str, text: str, package: str) -> SourceFile:
    root = SgRoot(text, "go").root()
    if wrong := root.find(kind="ERROR"):
        raise PatchError(f"{path}:{wrong.range().start.line + 1} is not Go that can be read", "look at the source")
    found = list(_go_declarations(root, text))
    named = {at for _, _, _, at in found}
    uses = []
    for kind in ("identifier", "type_identifier"):
        uses += [(f"·{node.text()}", _span(node)[0]) for node in root.find_all(kind=kind)]
    uses = sorted((name, at) for name, at in uses if at not in named)
    declarations = [
        Declaration(
            name=f"·{name}",
            what=what,
            spans=spans,
            refs=frozenset(used for used, at in uses if any(start <= at < end for start, end in spans)),
        )
        for name, what, spans, _ in found
    ]
    for node in root.children():
        comment = node.kind() == "comment" and node.range().start.column == 0
        if comment and (directive := _directive(node.text(), _span(node), package)):
            declarations.append(directive)
            uses += [(name, _span(node)[0]) for name in directive.refs]
    return SourceFile(path=path, text=text, declarations=tuple(declarations), uses=tuple(uses))


def _go_declarations(root: SgNode, text: str) -> Iterator[tuple[str, str, tuple[Span, ...], int]]:
    """Name, words, spans, and where the name stands."""
    for node in root.children():
        kind = node.kind()
        name, receiver = node.field("name"), node.field("receiver")
        if kind == "function_declaration" and name:
            yield name.text(), f"func {name.text()}", _with_comments(node, text), _span(name)[0]
        elif receiver and name and (of := receiver.find(kind="type_identifier")):
            # A method goes with its type; its name is a selector and cannot be mistaken for a function.
            yield of.text(), f"method {of.text()}.{name.text()}", _with_comments(node, text), _span(of)[0]
        elif kind in _SPECS:
            word = kind.partition("_")[0]
            specs = [spec for wanted in _SPECS[kind] for spec in node.find_all(kind=wanted)]
            specs = [spec for spec in specs if not any(a.kind() == "func_literal" for a in spec.ancestors())]
            for spec in specs:
                names = spec.field_children("name")
                if len(names) == 1:
                    whole = node if len(specs) == 1 else spec
                    yield names[0].text(), f"{word} {names[0].text()}", _with_comments(whole, text), _span(names[0])[0]


def _with_comments(node: SgNode, text: str) -> tuple[Span, ...]:
    """The node, and the lines of comment right above it; directives for other symbols speak for themselves."""
    spans = [_span(node)]
    above, line = node.prev(), node.range().start.line
    while above and above.kind() == "comment" and above.range().end.line == line - 1:
        start, end = _span(above)
        if text[text.rfind("\n", 0, start) + 1 : start].strip():
            break  # it ends a line of code
        if not _IMPORT.match(above.text()) and not _LINKNAME.match(above.text()):
            spans.append((start, end))
        line = above.range().start.line
        above = above.prev()
    return tuple(sorted(spans))


def _directive(text: str, span: Span, package: str) -> Declaration | None:
    """What a comment of one line declares: an imported symbol, or another name for one (cmd/compile, cmd/cgo)."""
    if match := _IMPORT.match(text):
        local, remote, library = match[1], match[2] or match[1], match[3] or ""
        what = f"the import of {remote if remote != '_' else 'nothing'} from {library}"
        return Declaration(name=local, what=what, spans=(span,), library=library)
    if match := _LINKNAME.match(text):
        local, remote = match[1], _symbol(match[2] or "", package, ".")
        # With a name in another package, it is handed out to that package, which nobody here can see.
        fixed = f"linkname hands it to {remote}" if "." in remote else ""
        refs = frozenset({remote} if remote and not fixed and remote != f"·{local}" else ())
        return Declaration(name=f"·{local}", what=f"linkname {local}", spans=(span,), refs=refs, fixed=fixed)
    return None


def _parse_asm(path: str, text: str, package: str) -> SourceFile:
    bare = _ASM_COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    uses = []
    for match in _ASM_SYMBOL.finditer(bare):
        name = _symbol(match[1], package, "·") + (f"<>{path}" if match[2] == "<>" else "")
        if not _ASM_TEXT.match(bare[bare.rfind("\n", 0, match.start()) + 1 : match.end()]):
            uses.append((name, match.start()))
    # go_asm.h's names for a type's size and fields: T__size, T_field (cmd/compile, "-asmhdr").
    for match in re.finditer(r"\b[A-Za-z]\w*_\w+\b(?![<(])", bare):
        uses += [(f"·{match[0][:at]}", match.start()) for at, letter in enumerate(match[0]) if letter == "_"]
    uses.sort()
    declarations = []
    for name, start, end, fixed in _asm_blocks(bare, text):
        refs = frozenset(used for used, at in uses if start <= at < end)
        own = _symbol(name, package, "·")
        declarations.append(
            Declaration(name=own, what=f"TEXT {own}", spans=((start, end),), refs=refs - {own}, fixed=fixed)
        )
    return SourceFile(path=path, text=text, declarations=tuple(declarations), uses=tuple(uses))


def _asm_blocks(bare: str, text: str) -> Iterator[tuple[str, int, int, str]]:
    """Every TEXT block: its name, from its comment to its last instruction, and why that is not sure."""
    lines, plain = text.split("\n"), bare.split("\n")
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    for first, line in enumerate(plain):
        match = _ASM_TEXT.match(line)
        if not match or match[2] == "<>":
            continue
        after = next((at for at in range(first + 1, len(plain)) if _ASM_NEXT.match(plain[at])), len(plain))
        body = [at for at in range(first, after) if plain[at].strip()]
        fixed = "" if _ASM_ENDS.match(plain[body[-1]]) else "its end cannot be told"
        top = first
        while top and lines[top - 1].startswith("//"):
            top -= 1  # the comment right above belongs to it
        yield match[1], offsets[top], offsets[body[-1] + 1] - 1, fixed
