"""Reads a formula without running it: its text comes in, what each platform would find in it goes out.

A formula is a program, and `ruby` or brew would run it. This reads the lines that formulae of gobuild's shape have,
one stanza a line; what it does not understand it names, and guesses nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from gobuild.core.model import Target
from gobuild.publish.homebrew.formula import CPUS, SYSTEMS

STRING = re.compile(r'"((?:[^"\\#]|\\.|#(?![{$@]))*)"')
_STANZA = re.compile(r"(?P<word>[a-z_0-9]+[!?]?)(?: (?P<rest>.+))?")
_BLOCK = re.compile(r"(?P<word>[a-z_0-9]+) do")
_SYSTEM_OF = {word: goos for goos, word in SYSTEMS.items()}
_CPU_OF = {"arm": "arm64", "intel": "amd64"}


class Unreadable(ValueError):
    """A line that cannot be understood without running it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """A line of the class body, or the head of a block or method there.

    Attributes:
        word: its first word: "url", "on_macos", "install".
        rest: what stands behind it.
        within: the blocks around it, outermost first: ("on_macos", "on_arm").
        line: its number.
    """

    word: str
    rest: str
    within: tuple[str, ...]
    line: int

    @property
    def text(self) -> str:
        """Its one string.

        Raises:
            Unreadable: it is not one string, or Ruby would compute something in it.
        """
        found = STRING.fullmatch(self.rest)
        if not found:
            raise Unreadable(f"line {self.line}: {self.word} {self.rest} is not one plain string")
        return re.sub(r"\\(.)", r"\1", found[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one platform finds.

    Attributes:
        url, sha256, version: "" where there is none.
        refused: the `depends_on` that keeps this platform out; "" where none does.
    """

    url: str
    sha256: str
    version: str
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A formula, read.

    Attributes:
        head: the lines before the class.
        class_name: what the class is called.
        stanzas: in the order of the file.
    """

    head: tuple[str, ...]
    class_name: str
    stanzas: tuple[Stanza, ...] = field(default=())

    def top(self) -> tuple[Stanza, ...]:
        """The stanzas of the class itself."""
        return tuple(each for each in self.stanzas if not each.within)

    def text(self, word: str) -> str:
        """The string of a stanza of the class itself, "" where there is none."""
        return next((each.text for each in self.top() if each.word == word), "")

    def bottles(self) -> dict[str, str]:
        """The bottles' digests by their tags.

        Raises:
            Unreadable: a line of the block is of another shape.
        """
        found = {}
        for each in self.stanzas:
            if each.within == ("bottle",) and each.word == "sha256":
                match = re.fullmatch(r'cellar: :any_skip_relocation, ([a-z0-9_]+): +"([0-9a-f]{64})"', each.rest)
                if not match:
                    raise Unreadable(f"line {each.line}: no bottle: {each.rest}")
                found[match[1]] = match[2]
        return found

    def root_url(self) -> str:
        """Where the bottles are served."""
        return next((each.text for each in self.stanzas if (each.within, each.word) == (("bottle",), "root_url")), "")

    def on(self, target: Target) -> Seen:
        """What brew would find on a platform: a later line of a block that is for it overrides an earlier one."""
        said = {"url": "", "sha256": "", "version": ""}
        refused = ""
        for each in self.stanzas:
            if not all(_is_for(block, target) for block in each.within):
                continue
            if each.word in said:
                said[each.word] = each.text
            elif each.word == "depends_on" and not _allows(each.rest, target):
                refused = refused or each.rest
        return Seen(**said, refused=refused)


def _is_for(block: str, target: Target) -> bool:
    word = block.removeprefix("on_")
    return block.startswith("on_") and (_SYSTEM_OF.get(word) == target.goos or _CPU_OF.get(word) == target.goarch)


def _allows(rest: str, target: Target) -> bool:
    cpu = CPUS["arm" if target.goarch == "arm64" else "intel"]
    if rest.startswith("arch: :"):
        return rest == f"arch: :{cpu}"
    return rest == f":{SYSTEMS[target.goos]}" if rest in (":macos", ":linux") else True


def parse(text: str) -> Formula:
    """Reads a formula.

    Raises:
        Unreadable: it is no single class of Formula, or has a line of another shape.
    """
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith("class ")), len(lines))
    named = re.fullmatch(r"class ([A-Z][A-Za-z0-9]*) < Formula", lines[start]) if start < len(lines) else None
    if not named or lines[-1] != "end" or [line for line in lines[:start] if line and not line.startswith("#")]:
        raise Unreadable("it is not one class of Formula")
    return Formula(head=tuple(lines[:start]), class_name=named[1], stanzas=tuple(_stanzas(lines, start + 1)))


def _stanzas(lines: list[str], start: int) -> Iterator[Stanza]:
    within: list[str] = []
    code = ""  # the indentation at which a method or a `test do` ends: Ruby, and not to be read
    for number, line in enumerate(lines[start:-1], start + 1):
        bare = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if code:
            code = "" if line == f"{code}end" else code
        elif not bare or bare.startswith("#"):
            continue
        elif indent != "  " * (len(within) + (bare != "end")):
            raise Unreadable(f"line {number}: indented otherwise than `brew style` wants")
        elif bare == "end":
            if not within:
                raise Unreadable(f"line {number}: one end too many")
            within.pop()
        elif bare == "test do" or re.fullmatch(r"def [a-z_]+", bare):
            yield Stanza(word=bare.removeprefix("def ").split()[0], rest="", within=tuple(within), line=number)
            code = indent
        elif block := _BLOCK.fullmatch(bare):
            yield Stanza(word=block["word"], rest="", within=tuple(within), line=number)
            within.append(block["word"])
        elif stanza := _STANZA.fullmatch(bare) or re.fullmatch(r"(?P<word>regex)\((?P<rest>.+)\)", bare):
            yield Stanza(word=stanza["word"], rest=stanza["rest"] or "", within=tuple(within), line=number)
        else:
            raise Unreadable(f"line {number}: {bare}")
    if within or code:
        raise Unreadable(f"{within[-1] if within else 'a method'} has no end")
