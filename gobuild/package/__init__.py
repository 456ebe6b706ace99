"""distpack's archives of a toolchain, with digests and a manifest, delivered to dist/ together."""

from gobuild.package.archive import distpack
from gobuild.package.delivery import delivery
from gobuild.package.repack import replace_entries, unpack_executables

__all__ = ["delivery", "distpack", "replace_entries", "unpack_executables"]
