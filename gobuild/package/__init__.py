"""package: a toolchain comes in, archives with digests and a manifest go out."""

from gobuild.package.archive import distpack, names
from gobuild.package.delivery import delivery
from gobuild.package.repack import executables, replace

__all__ = ["delivery", "distpack", "executables", "names", "replace"]
