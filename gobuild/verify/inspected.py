"""A file under inspection: where the checks of one file are collected, a fact each, passed or not.

It makes no check itself; `checks` says which there are.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gobuild.binary.elf import Elf
from gobuild.binary.macho_types import MachO
from gobuild.codesign.superblob import Signature
from gobuild.core.model import Check, Verdict

NAMED = 8
"""Problems that one check names."""


@dataclass(slots=True, kw_only=True)
class Inspected:
    """A file, what was read in it, and its checks.

    Attributes:
        path: where it stands.
        subject: what it is called in the report.
        checks: in the order they were made.
        size: in bytes.
        version: what its build information calls the toolchain that built it.
        image: what its headers say; None where they could not be read.
        signature: of a Mach-O file that has one.
        excuses: by a check's name, the problems that do not count: `expect.Expectation`'s.
    """

    path: Path
    subject: str
    checks: list[Check] = field(default_factory=list)
    size: int = 0
    version: str = ""
    image: MachO | Elf | None = None
    signature: Signature | None = None
    excuses: Mapping[str, re.Pattern[str]] = field(default_factory=dict)

    def judge(
        self, name: str, problems: Iterable[str], *, seen: str, expected: str, unknown: Iterable[str] = ()
    ) -> None:
        """Adds a check: OK with what was seen, or FAILED with the problems; SKIPPED where each of them is excused.

        Args:
            name: the check.
            problems: what is wrong.
            seen: what was seen, where nothing is.
            expected: what should have been seen, where something is.
            unknown: what no table knows, so that nobody can say whether it is wrong: SKIPPED, where nothing else is.
        """
        found = list(problems)
        excuse = self.excuses.get(name)
        if found and excuse and all(excuse.fullmatch(each) for each in found):
            self.skip(name, f"{'; '.join(found[:NAMED])}: what LLVM's race detector brings")
            return
        strange = list(unknown)
        if strange and not found:
            more = f"; and {len(strange) - NAMED} more" if len(strange) > NAMED else ""
            self.skip(name, f"not in gobuild's tables: {'; '.join(strange[:NAMED])}{more}")
            return
        self.checks.append(
            Check(
                subject=self.subject,
                name=name,
                verdict=Verdict.FAILED if found else Verdict.OK,
                seen="; ".join(found[:NAMED]) if found else seen,
                expected=expected if found else "",
            )
        )

    def skip(self, name: str, reason: str) -> None:
        """Adds a check that was not made."""
        self.checks.append(Check(subject=self.subject, name=name, verdict=Verdict.SKIPPED, seen=reason))
