"""A file's lines, and the heading each stands under: the function or type that a diff names behind a hunk's "@@"."""

import re
from collections.abc import Sequence

_HEADING = re.compile(rb"[A-Za-z_$]")
"""How a line begins that diff takes for a heading (git's default, and diff -p's)."""
_NAMED = re.compile(
    rb"func\s+(?:\(\s*(?:\w+\s+)?\*?\s*(?P<of>\w+)[^)]*\)\s*)?(?P<func>\w+)"
    rb"|(?P<kind>type|var|const)\s+(?P<name>\w+)|TEXT\s+(?P<text>[^\s(<]+)|(?P<imports>import)\b"
)
_TOKEN = re.compile(rb"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`""", re.DOTALL)
"""What of Go's source is no code: comments, strings, runes, raw strings (the Go specification, Lexical elements)."""
_CUT = 39
"""A heading as long as this may have been cut off: GNU diff keeps 40 characters of it, git 80."""


class SourceText:
    """A file's lines, each with its line end, and the heading that each, counted from 0, stands under.

    `same_file` is whether this is the very file that a diff was made for; None where the diff does not tell.
    """

    def __init__(self, lines: list[bytes], path: str, same_file: bool | None = None) -> None:
        self.lines, self.path, self.same_file = lines, path, same_file
        self.code = path.endswith((".go", ".s"))
        self._raw = _raw_lines(lines) if path.endswith(".go") else frozenset()
        self._above = [-1]
        self._places: dict[bytes, list[int]] = {}
        for at, line in enumerate(lines):
            self._above.append(at if _HEADING.match(line) else self._above[-1])
            self._places.setdefault(line, []).append(at)

    def _heading_line(self, at: int) -> int:
        return self._above[min(max(at, 0), len(self.lines))]

    def heading(self, at: int) -> bytes:
        """The heading that a line stands under."""
        above = self._heading_line(at)
        return self.lines[above].strip() if above >= 0 else b""

    def is_vague(self, heading: bytes, at: int) -> bool:
        """Whether a heading is one that a twin may have as well: a label, a line of a raw string, a name cut off."""
        named = _NAMED.match(heading)
        cut = named is not None and named.end() == len(heading) >= _CUT
        return cut or heading.endswith(b":") or self._heading_line(at) in self._raw

    def names_once(self, lines: Sequence[bytes]) -> bool:
        """Whether one of some lines begins a declaration, outside of a raw string, and stands in the file once."""
        return any(
            _NAMED.match(line) and self.lines.count(line) == 1 and self.lines.index(line) not in self._raw
            for line in lines
        )

    def has_once(self, heading: bytes) -> bool:
        """Whether a heading stands in the file once."""
        same = (line for line in self.lines if _HEADING.match(line) and _same_heading(heading, line.strip()))
        return bool(heading) and len(list(same)) == 1

    def together(self, one: int, two: int) -> bool:
        """Whether two lines stand under the very same heading."""
        return self._heading_line(one) == self._heading_line(two)

    def under(self, heading: bytes, at: int) -> bool:
        """Whether a line stands under a heading; under any where there is none to be compared."""
        return not heading or not self.code or _same_heading(heading, self.heading(at))

    def occurrences(self, text: Sequence[bytes]) -> list[int]:
        """Where lines stand together."""
        size = len(text)
        if not size:
            return []
        starts, wanted = self._places.get(text[0], []), list(text)
        return [at for at in starts if self.lines[at : at + size] == wanted]


def lines_of(content: bytes) -> list[bytes]:
    """A file's lines, each with its newline; the last may have none."""
    *whole, rest = content.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _raw_lines(lines: Sequence[bytes]) -> frozenset[int]:
    """The lines, from 0, of a Go file that begin inside a raw string."""
    found: set[int] = set()
    line = at = 0
    whole = b"".join(lines)
    for token in _TOKEN.finditer(whole):
        line += whole.count(b"\n", at, token.start())
        at = token.start()
        if token[0].startswith(b"`"):
            found.update(range(line + 1, line + 1 + token[0].count(b"\n")))
    return frozenset(found)


def _same_heading(heading: bytes, line: bytes) -> bool:
    """Whether a line is the one that a heading was made of: the same name, whatever else its signature says."""
    if len(heading) >= _CUT and line.startswith(heading):
        return True
    one, two = _NAMED.match(heading), _NAMED.match(line)
    return one.groups() == two.groups() if one and two else line == heading
