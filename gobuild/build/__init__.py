"""build: a patched source and a target come in, a toolchain goes out."""

from gobuild.build.make import make

__all__ = ["make"]
