"""Until when a line of Go gets fixes from upstream, by when its lines were released."""

import json
from dataclasses import dataclass

from gobuild.core import resources
from gobuild.core.goversion import GoVersion

LINES = resources.PACKAGE / "vulns/go_lines.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """Whether a line of Go gets fixes: until there are two newer ones (https://go.dev/doc/devel/release#policy)."""

    line: str
    until: str  # the line whose release ends it
    ended: str  # when that was, YYYY-MM-DD; "" where the table has no such release
    source: str
    date: str  # the day that the table is of: of later releases it does not know

    def __str__(self) -> str:
        if self.ended:
            return f"Go {self.line} gets no fixes any more, since {self.until} came on {self.ended}"
        return f"Go {self.line} gets fixes until {self.until} comes, by {self.source} of {self.date}"


def support_of(version: GoVersion) -> Support | None:
    """Whether the line of a version gets fixes; None for one that the table does not know."""
    table = json.loads(LINES.read_text(encoding="utf-8"))
    released, until = table["released"], f"{version.major}.{version.minor + 2}"
    if version.line not in released:
        return None
    ended = released.get(until, "")
    return Support(line=version.line, until=until, ended=ended, source=table["source"], date=table["date"])
