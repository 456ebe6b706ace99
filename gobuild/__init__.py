"""Builds patched Go toolchains, and proves them.

The library's front door: make `Settings`, put them into a `Session`, and `build`. Each name is imported when it is
used, so that ``gobuild --version`` need not wait for all of them.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gobuild.core.errors import GobuildError
    from gobuild.core.settings import Settings
    from gobuild.pipeline import build, repackage
    from gobuild.pipeline.delivery import Built
    from gobuild.pipeline.session import Session, prepare

__all__ = ["Built", "GobuildError", "Session", "Settings", "build", "prepare", "repackage"]

_HOMES = {
    "Built": "gobuild.pipeline.delivery",
    "GobuildError": "gobuild.core.errors",
    "Session": "gobuild.pipeline.session",
    "Settings": "gobuild.core.settings",
    "prepare": "gobuild.pipeline.session",
    "repackage": "gobuild.pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gobuild' has no attribute {name!r}")


class _FrontDoor(ModuleType):
    """`gobuild.build` is the function, although a package of that name sets the attribute when it is imported."""

    @property
    def build(self) -> Any:
        return import_module("gobuild.pipeline").build

    @build.setter
    def build(self, _package: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _FrontDoor
