"""Two toolchains compared entry by entry (`compare`); what explains each difference, down to functions (`radius`)."""

from gobuild.audit.compare.blast import Radius, radius
from gobuild.audit.compare.comparison import Comparison, Ending, compare, table_rows
from gobuild.audit.compare.entries import Side, read_side
from gobuild.audit.compare.executables import Applied

__all__ = ["Applied", "Comparison", "Ending", "Radius", "Side", "compare", "radius", "read_side", "table_rows"]
