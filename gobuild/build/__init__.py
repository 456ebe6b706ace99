"""build: a patched source and a target come in, a toolchain goes out.

Two builders make the same bytes: `make`, Go's own make.bash, which is the authority, and the module `direct`.
"""

from gobuild.build import direct
from gobuild.build.make import make
from gobuild.build.twins import differences

__all__ = ["differences", "direct", "make"]
