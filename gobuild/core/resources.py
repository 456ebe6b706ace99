"""The data that ships with gobuild: in the wheel below ``gobuild/_data``, in a checkout beside the package."""

import json
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of the package gobuild."""


def folder(name: str) -> Path:
    """The folder ``patches`` or ``templates``, as installed or as checked out."""
    for place in (PACKAGE / "_data" / name, PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"gobuild's own folder {name!r} is missing: reinstall gobuild")


def text(name: str) -> str:
    """A text file of ``gobuild/data``, such as ``LICENSE``."""
    return (PACKAGE / "data" / name).read_text(encoding="utf-8")


def table(name: str) -> Any:
    """A JSON file of ``gobuild/data``, parsed."""
    return json.loads(text(name))
