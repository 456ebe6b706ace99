"""Builds patched Go toolchains, and proves them.

The library's front door: make `Settings`, put them into a `Session`, and `build`.
"""

from gobuild.core.errors import GobuildError
from gobuild.core.settings import Settings
from gobuild.pipeline import Built, build, repackage
from gobuild.pipeline.session import Session, prepare

__all__ = ["Built", "GobuildError", "Session", "Settings", "build", "prepare", "repackage"]
