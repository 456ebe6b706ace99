"""The blast radius of a patched toolchain: what differs from another, and which patch, stamp or profile explains it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from gobuild.audit.compare.comparison import Comparison, Ending, metadata_differences
from gobuild.audit.compare.entries import TEXTS, Side
from gobuild.audit.compare.executables import (
    PROFILE,
    STAMP,
    Applied,
    ChangedExecutable,
    Difference,
    compare_executables,
)

SCHEMA = 1
"""Changes when a key of the document changes its meaning."""

MANIFEST = "gobuild's manifest"

CGO_FILE = "src/go/build/zcgo.go"


@dataclass(frozen=True, slots=True, kw_only=True)
class Radius:
    """All that differs between two toolchains."""

    ours: str
    base: str
    stamps: tuple[str, str]  # base's and ours
    applied: Applied
    same: int  # how many executables are the same but for signature and LC_UUID; `programs` are those that are not
    programs: tuple[ChangedExecutable, ...]
    files: tuple[Difference, ...]

    @property
    def unexplained(self) -> tuple[tuple[str, Difference], ...]:
        """The differences that nothing explains, each with its executable; "" for another file."""
        inside = ((program.name, each) for program in self.programs for each in program.differences)
        return tuple((name, each) for name, each in (*inside, *(("", each) for each in self.files)) if not each.by)

    @property
    def ok(self) -> bool:
        """Whether executables were compared, and all that differs is explained."""
        return not self.unexplained and bool(self.same or self.programs)

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: deterministic, and without this machine's folders."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "ours": self.ours,
            "base": self.base,
            "stamps": list(self.stamps),
            "patches": {name: list(names) for name, names in self.applied.patches.items()},
            "not_proven": dict(self.applied.unproven),
            "cgo": self.applied.cgo,
            "same_executables": self.same,
            "executables": [
                {
                    "name": each.name,
                    "functions": each.functions,
                    "data_bytes": list(each.data),
                    "differences": [asdict(difference) for difference in each.differences],
                }
                for each in self.programs
            ],
            "files": [asdict(each) for each in self.files],
            "unexplained": len(self.unexplained),
        }


def radius(comparison: Comparison, ours: Side, base: Side, applied: Applied) -> Radius:
    """Explains every difference of a patched toolchain from the official one, or another that it should resemble."""
    programs, files, same = [], [], 0
    for each in comparison.compared:
        one, two = base.entries.get(each.name), ours.entries.get(each.name)
        if one and two and (seen := "; ".join(metadata_differences(two, one))):
            files.append(Difference(kind="file", name=each.name, seen=seen))  # nothing explains another mode
        if each.ending is Ending.PASS:
            same += each.executable
        elif each.ending is Ending.SKIP:
            continue
        elif each.name not in TEXTS and one and two and one.path and two.path:
            changed = compare_executables(each.name, one.path, two.path, applied=applied)
            same += changed is None
            programs += [changed] if changed else []
        elif not (one and two and one.sha256 == two.sha256):
            by = tuple(_file(each.name, ours, base, applied))
            files.append(Difference(kind="file", name=each.name, seen=each.how, by=by))
    return Radius(
        ours=ours.called,
        base=base.called,
        stamps=(base.stamp, ours.stamp),
        applied=applied,
        same=same,
        programs=tuple(programs),
        files=tuple(files),
    )


def _file(name: str, ours: Side, base: Side, applied: Applied) -> Iterator[str]:
    """What explains a file that differs; a generated one is explained only by its whole content."""
    one, two = base.text_of(name), ours.text_of(name)
    if name == "gobuild.json" and not one:
        yield MANIFEST
    elif one and two and base.stamp != ours.stamp and one.replace(base.stamp, ours.stamp, 1) == two:
        yield STAMP
    elif name == CGO_FILE and applied.cgo is not None and with_cgo(base, applied.cgo, ours):
        yield PROFILE
    else:
        yield from (patch for patch, names in applied.patches.items() if name in names)


def with_cgo(base: Side, cgo: str, ours: Side) -> bool:
    """Whether a profile's CGO_ENABLED is all that differs in the file that cmd/dist writes it to."""
    one, two = base.text_of(CGO_FILE), ours.text_of(CGO_FILE)
    return one != two == one.replace('defaultCGO_ENABLED = ""', f'defaultCGO_ENABLED = "{cgo}"')
