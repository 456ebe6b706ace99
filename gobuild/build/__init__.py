"""build: two builders that make the same bytes: `make`, Go's own make.bash, which is the authority, and `direct`."""

from gobuild.build import direct
from gobuild.build.compare import differing_files
from gobuild.build.make import make

__all__ = ["differing_files", "direct", "make"]
