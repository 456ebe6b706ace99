"""Builds patched Go toolchains, and proves them.

The library's front door: make `Settings`, put them into a `Session`, and `build`.
"""

from gobuild.errors import GobuildError
from gobuild.pipeline import Built, build, repackage
from gobuild.session import Session, prepare
from gobuild.settings import Settings

__all__ = ["Built", "GobuildError", "Session", "Settings", "build", "prepare", "repackage"]
