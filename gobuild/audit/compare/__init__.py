"""compare: two toolchains come in, what differs goes out, and what explains it; nothing is built, fetched or changed.

`compare` goes entry by entry, as golang.org's gorebuild does. `radius` goes into the executables that differ, down to
functions and data, and asks of each difference whether the stamp, the profile or a patch explains it.
"""

from gobuild.audit.compare.archives import Comparison, Ending, compare, rows
from gobuild.audit.compare.blast import Radius, radius
from gobuild.audit.compare.entries import Side, read
from gobuild.audit.compare.executables import Done

__all__ = ["Comparison", "Done", "Ending", "Radius", "Side", "compare", "radius", "read", "rows"]
