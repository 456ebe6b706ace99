"""Mends the form of a unified diff that hands and mail programs have bent, where only one thing can be meant.

Nothing of what a diff says is changed: a mended diff has to fit as strictly as any other. What is mended is what
patch(1) and `git apply --recount` mend: line ends of two characters, counts behind "@@" that the lines belie, blanks
that got lost in front of context, a last line without its end.
"""

import re
from collections.abc import Sequence

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_HEAD = re.compile(r"diff --git |Index: |=== |From [0-9a-f]{7,64} ")
_SIGNATURE = ("-- ", "--")
"""What git format-patch puts in front of its version, behind the last hunk (RFC 3676, 4.3); a blank may be lost."""


def mend(text: str) -> tuple[str, tuple[str, ...]]:
    """A diff in the form that it should have, and what was changed in form, a few words each; nothing may be."""
    said: dict[str, None] = {}
    if "\r\n" in text and text.count("\r\n") == text.count("\n"):
        text = text.replace("\r\n", "\n")
        said["line ends CRLF"] = None
    if not text.endswith("\n"):
        text += "\n"
        said["last line without its end"] = None
    lines = text[:-1].split("\n")
    found: list[str] = []
    at = 0
    while at < len(lines):
        header = lines[at]
        at += 1
        if match := _HUNK.match(header):
            counts = int(match[2] or 1), int(match[4] or 1)
            body, forms = _body(lines[at : _end(lines, at)], counts)
            said |= dict.fromkeys(forms)
            if (counted := _counted(body)) != counts:
                header = f"@@ -{match[1]},{counted[0]} +{match[3]},{counted[1]} @@{header[match.end() :]}"
            found += [header, *body]
            at += len(body)
        else:
            found.append(header)
    return "\n".join(found) + "\n", tuple(said)


def _end(lines: Sequence[str], at: int) -> int:
    """The first line from `at` on that cannot be one of a hunk."""
    while at < len(lines):
        line = lines[at]
        if _HEAD.match(line) or not (line == "" or line[0] in " +-\\\t"):
            break
        if line.startswith("--- ") and lines[at + 1 : at + 2] and lines[at + 1].startswith("+++ "):
            break
        if line in _SIGNATURE and re.match(r"\d+\.\d+|$", "".join(lines[at + 1 : at + 2])):
            break
        at += 1
    return at


def _body(lines: Sequence[str], counts: tuple[int, int]) -> tuple[list[str], list[str]]:
    """The lines of a hunk: as many as its header counts, where no more than blank ones follow; else all."""
    whole = [f" {line}" if line == "" or line[0] == "\t" else line for line in lines]
    filled = len(whole)
    while filled and not lines[filled - 1].strip():
        filled -= 1
    size = _counted_out(whole, counts)
    said = ["counts mended"] * (size < filled)
    body = whole[: max(size, filled)]
    return body, said + ["blanks of context restored"] * any(line.startswith("\t") for line in lines[: len(body)])


def _counted_out(body: Sequence[str], counts: tuple[int, int]) -> int:
    """How many lines of a hunk its header counts, with the note on a missing newline; 0 where it counts others."""
    old, new = counts
    for at, line in enumerate(body):
        if (old, new) == (0, 0):
            return at + (line[0] == "\\")
        old -= line[0] in " -"
        new -= line[0] in " +"
    return len(body) if (old, new) == (0, 0) else 0


def _counted(body: Sequence[str]) -> tuple[int, int]:
    """How many lines a hunk's body has of the old and of the new side."""
    marks = [line[0] for line in body]
    return len(marks) - marks.count("+") - marks.count("\\"), len(marks) - marks.count("-") - marks.count("\\")
