"""Takes pieces out of Go or assembly source so that the rest stands as gofmt would have it.

Whole lines go with the comment at their end; of two blank lines that meet, one goes; what was imported only for the
pieces is no longer imported.
"""

import re
from collections.abc import Iterable

from ast_grep_py import SgNode, SgRoot

from gobuild.patch.edits.go_symbols import Span

_EMPTY_GROUP = re.compile(r"^(?:var|type|import) \(\s*\)\n", re.MULTILINE)
_COLUMN = re.compile(r"(\t+)(\w+(?:, \w+)*)( +)(\S.*)")


def cut_spans(text: str, spans: Iterable[Span]) -> str:
    """The text without the spans."""
    for start, end in sorted(set(spans), reverse=True):
        text = _cut(text, start, end)
    return text


def _cut(text: str, start: int, end: int) -> str:
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end) + 1 or len(text)
    before, after = text[first:start].strip(), text[end:last].strip()
    if not before and (not after or after.startswith("//")):
        head, tail = text[:first], text[last:]
        if tail.startswith("\n") and (not head or head.endswith("\n\n")):
            tail = tail[1:]
        if not tail.strip():
            head = head.rstrip("\n") + "\n"
            tail = ""
        return _aligned(head, tail) if re.match(r"\t\w", text[first:start] + text[start]) else head + tail
    # One statement of several on a line, or the only one between braces that share the line.
    head, tail = text[:start].rstrip(" ;"), text[end:].lstrip(" ;")
    braces = head.endswith("{") and tail.startswith("}")
    return (
        head + tail if braces or tail.startswith("\n") else f"{head} {tail}" if head[-1] in "{" else f"{head}; {tail}"
    )


def _aligned(head: str, tail: str) -> str:
    """Joins the two halves of a group such as `var (...)`, its first column as wide as its longest name.

    gofmt aligns the lines of a group that follow one another: without its longest name, the others move.
    """
    above, below = head.split("\n")[:-1], tail.split("\n")
    up = next((n for n, line in enumerate(reversed(above)) if not _COLUMN.fullmatch(line)), len(above))
    down = next((n for n, line in enumerate(below) if not _COLUMN.fullmatch(line)), len(below))
    opener = next((line for line in reversed(above) if re.match(r"[^\s/]", line)), "")
    lines = above[len(above) - up :] + below[:down]
    if not lines or opener not in ("var (", "type ("):
        return head + tail
    matches = [match for line in lines if (match := _COLUMN.fullmatch(line))]
    width = max(len(match[2]) for match in matches) + 1
    lines = [f"{match[1]}{match[2]:<{width}}{match[4]}" for match in matches]
    return "\n".join([*above[: len(above) - up], *lines, *below[down:]])


def drop_unused_imports(text: str) -> str:
    """A Go file after cutting: no empty groups, and no import that nothing needs any more."""
    text = _EMPTY_GROUP.sub("", text)
    root = SgRoot(text, "go").root()
    operands = (node.field("operand") for node in root.find_all(kind="selector_expression"))
    named = {node.text() for node in (*operands, *root.find_all(kind="package_identifier")) if node}
    idle = [node for node in root.find_all(kind="import_spec") if not _needed(node, named)]
    if not idle:
        return text
    spans = []
    for node in idle:
        if node.text() == '"unsafe"' and re.search(r"^//go:linkname ", text, re.MULTILINE):
            at = node.range().start.index
            return drop_unused_imports(f"{text[:at]}_ {text[at:]}")  # linkname asks for the import all the same
        alone = node.parent()
        place = (alone if alone and alone.kind() == "import_declaration" else node).range()
        spans.append((place.start.index, place.end.index))
    return _EMPTY_GROUP.sub("", cut_spans(text, spans))


def _needed(node: SgNode, named: set[str]) -> bool:
    path, name = node.field("path"), node.field("name")
    known = name.text() if name else path.text().strip('"`').rpartition("/")[2] if path else "_"
    return known in ("_", ".") or known in named


def is_hollow(path: str, text: str) -> bool:
    """Whether a file says nothing any more: only comments, a package clause, imports, includes."""
    if path.endswith(".go"):
        if re.search(r"^//go:(?:linkname|cgo_)", text, re.MULTILINE):
            return False
        said = {node.kind() for node in SgRoot(text, "go").root().children() if node.is_named()}
        return said <= {"comment", "package_clause", "import_declaration"}
    return not re.search(r"^(?:TEXT|DATA|GLOBL|#define)\b", text, re.MULTILINE)
