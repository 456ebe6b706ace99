"""A hunk of a unified diff: what stands at one place of a file, and what shall stand there."""

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One place of a file; its old and new lines have their line ends, as far as they have one.

    Attributes:
        header: its "@@ -1,2 +3,4 @@" line.
        heading: what follows the second "@@": the line that diff takes for the function's; empty where it gives none.
        number: which one of its file, from 1.
        old_line, new_line: the stated lines, from 1.
        marks: what each of the hunk's lines is: " ", "-" or "+".
    """

    header: str
    heading: bytes
    number: int
    old_line: int
    new_line: int
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]
    marks: str

    @property
    def leading(self) -> int:
        """How many lines of context stand in front of the first change."""
        return len(self.marks) - len(self.marks.lstrip(" "))

    @property
    def trailing(self) -> int:
        """How many lines of context stand behind the last change."""
        return len(self.marks) - len(self.marks.rstrip(" "))

    @property
    def removed(self) -> tuple[tuple[bytes, ...], ...]:
        """The lines that go, by runs that stand together."""
        runs = re.finditer("-+", self.marks.replace("+", ""))
        return tuple(self.old[run.start() : run.end()] for run in runs)

    def reversed(self) -> "Hunk":
        """The hunk that undoes this one."""
        return replace(
            self,
            old_line=self.new_line,
            new_line=self.old_line,
            old=self.new,
            new=self.old,
            marks=self.marks.translate(str.maketrans("+-", "-+")),
        )
