"""The checks that verify makes, by id, and the report of one file in which they are collected."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gobuild.binary.buildid import AsLinked
from gobuild.binary.elf import Elf
from gobuild.binary.macho_types import MachO
from gobuild.binary.view import Range
from gobuild.codesign.superblob import Signature
from gobuild.core.model import Check, Problem, Verdict
from gobuild.verify.expect import Expectation

NAMED = 8
"""Problems that one check names."""


class CheckId(StrEnum):
    """A check, by the name that reports show and policies give; `sentence` is what it says, without a full stop."""

    sentence: str

    def __new__(cls, name: str, sentence: str) -> "CheckId":
        """Makes a member of its name and its sentence."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.sentence = sentence
        return member

    FORMAT = "format", "The file is a thin 64-bit executable for the target, and can be read to its end"
    LAYOUT = "layout", "Load commands, segments and sections lie as the kernel and dyld need them"
    PLATFORM = "platform", "LC_BUILD_VERSION names macOS, and the deployment target and SDK of this Go version"
    INSTALL_NAMES = (
        "install names",
        "Only libraries that Go's standard library names are loaded, by LC_LOAD_DYLIB, without LC_RPATH",
    )
    IMPORTS = "imports", "Every imported symbol comes from the library that has it"
    SYMBOLS = "symbols", "No symbol of Metal, IOKit, OpenGL, Objective-C or dlopen is imported"
    SYMBOL_TABLE = "symbol table", "Debugging information and local symbols are there, or not, as the profile says"
    CODE = (
        "code",
        "The program begins at Go's entry, and its functions begin as the target's do, not as another machine's",
    )
    UUID = "LC_UUID", "The file has a UUID where its Go version or a patch writes one"
    SIGNATURE = "signature", "The code signature holds: every hash, flag and, for an identity, its certificates"
    LINKING = "linking", "An ELF file needs no interpreter and no shared library"
    VERSION = "version", "VERSION and the build information name the toolchain"
    SETTINGS = "settings", "The build information holds the settings that the toolchain is built with"
    BUILD_ID = "build ID", "Go's build ID is there, and its last part is the hash of the file"
    BUILD_PATHS = "build paths", "No path of the machine that built it stands in the file"
    TRACES = "traces", "No name of a GPU library stands anywhere in the file"
    CONTENTS = (
        "contents",
        "In what is packed stands nothing that distpack would not have packed, and no program in src or test",
    )
    TOOLS = "tools", "pkg/tool holds the tools that this Go version ships"
    BOTTLE = "bottle", "A Homebrew bottle's links point to files in it, and its receipt can be read"
    NAME = "name", "An archive's name says the version and the target that are in it"
    LINK = "link", "A symbolic link among programs points to one of them"
    COMPILE = "compile", "The new toolchain compiles a program"
    RUN = "run", "A program that the new toolchain compiled runs, and says what it must"
    STARTS = "starts", "The program, run by the emulator in a closed world, starts and says what it must"
    REFUSED = "refused", "The new toolchain refuses, with the right words, what cannot be built here"
    SECOND_OPINION = "second opinion", "Another program reads the same in the file as gobuild does"
    POLICY = "policy", "What a policy asks for besides gobuild's own checks"

    @classmethod
    def of(cls, name: str) -> "CheckId | None":
        """The check of that name; "second opinion: nm" and "policy: team" are of their families."""
        family = name.partition(":")[0]
        known = name if name == family or family not in (cls.SECOND_OPINION, cls.POLICY) else family
        return next((each for each in cls if each == known), None)


def check_sentence(name: str) -> str:
    """What a check says, without a full stop."""
    known = CheckId.of(name)
    return known.sentence if known else name


@dataclass(frozen=True, slots=True, kw_only=True)
class GoSections:
    """Where the parts are that a Go program has on every target."""

    buildinfo: Range | None
    text: Range | None  # Go's own code: from its first function to the end of the section
    pclntab: Range | None
    entry: int  # the file offset of the first instruction
    buildid: str
    as_linked: tuple[AsLinked, ...]  # what the file may have been like when the build ID was written
    first: bool = True  # whether the build ID stands where Go's linker puts it
    foreign: str = ""  # why the code is not looked at; empty where it is


@dataclass(slots=True, kw_only=True)
class FileReport:
    """A file, what was read in it, and its checks in the order they were made."""

    subject: str  # what it is called in the report
    path: Path = Path()
    checks: list[Check] = field(default_factory=list)
    version: str = ""  # what its build information calls the toolchain that built it
    image: MachO | Elf | None = None  # what its headers say; None where they could not be read
    signature: Signature | None = None
    excused: frozenset[str] = frozenset()  # ids of problems that do not count

    def judge(
        self,
        check: CheckId,
        problems: Iterable[Problem],
        *,
        seen: str,
        expected: str,
        unknown: Iterable[str] = (),
        of: str = "",
    ) -> "FileReport":
        """Adds a check: OK with what was seen, or FAILED with the problems; SKIPPED where each of them is excused.

        SKIPPED too, where nothing is wrong, is what no table knows (`unknown`), so that nobody can say whether it is.
        `of` says which one of a family: "nm" of the second opinions.
        """
        found, strange = tuple(problems), list(unknown)
        named = "; ".join(str(each) for each in found[:NAMED])
        if found and all(each.id in self.excused for each in found):
            return self.skip(check, f"{named}: what LLVM's race detector brings", of=of)
        if found:
            return self._add(check, of, Verdict.FAILED, named, expected=expected, problems=found)
        if strange:
            more = f"; and {len(strange) - NAMED} more" if len(strange) > NAMED else ""
            return self.skip(check, f"not in gobuild's tables: {'; '.join(strange[:NAMED])}{more}", of=of)
        return self._add(check, of, Verdict.OK, seen)

    def skip(self, check: CheckId, reason: str, *, of: str = "") -> "FileReport":
        """Adds a check that was not made."""
        return self._add(check, of, Verdict.SKIPPED, reason)

    def _add(self, check: CheckId, of: str, verdict: Verdict, seen: str, **failure: Any) -> "FileReport":
        name = f"{check}: {of}" if of else str(check)
        self.checks.append(Check(subject=self.subject, name=name, verdict=verdict, seen=seen, **failure))
        return self

    def judge_symbol_table(self, symbols: str, debugging: list[str], expected: Expectation) -> None:
        """Adds the check of what the linker's -s and -w leave out."""
        problems = []
        if debugging and not expected.profile.debugging:
            problems.append(Problem("debugging-information", f"debugging information: {', '.join(debugging)}"))
        if symbols and expected.stripped:
            problems.append(Problem("local-symbols", symbols))
        self.judge(
            CheckId.SYMBOL_TABLE,
            problems,
            seen=f"{'debugging information' if debugging else 'no debugging information'}, {symbols or 'stripped'}",
            expected="no debugging information" + (", no local symbols" if expected.stripped else ""),
        )
