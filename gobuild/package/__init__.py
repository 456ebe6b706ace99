"""package: a toolchain comes in, archives with digests and a manifest go out."""

from gobuild.package.archive import deliver, distpack, names, write

__all__ = ["deliver", "distpack", "names", "write"]
