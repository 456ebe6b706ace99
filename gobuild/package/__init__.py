"""package: distpack's archives of a toolchain, their digests and manifest, delivered to dist/ together."""

from gobuild.package.archive import distpack
from gobuild.package.delivery import delivery
from gobuild.package.repack import executables, replace

__all__ = ["delivery", "distpack", "executables", "replace"]
