"""compare: two toolchains come in, what differs goes out, and what explains it; nothing is built, fetched or changed.

`compare` goes entry by entry, as golang.org's gorebuild does. `radius` goes into the executables that differ, down to
functions and data, and asks of each difference whether the stamp, the profile or a patch explains it.
"""

from gobuild.audit.compare.blast import Radius, radius
from gobuild.audit.compare.comparison import Comparison, Ending, compare, table_rows
from gobuild.audit.compare.entries import Side, read_side
from gobuild.audit.compare.executables import Applied

__all__ = ["Applied", "Comparison", "Ending", "Radius", "Side", "compare", "radius", "read_side", "table_rows"]
