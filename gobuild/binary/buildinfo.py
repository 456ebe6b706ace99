"""Go's build information, as the linker leaves it in every binary.

Source: src/debug/buildinfo/buildinfo.go and src/cmd/link/internal/ld/data.go. Only the format with inline strings is
read, which Go writes since 1.18.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from gobuild.binary.view import Malformed, Range, View

MAGIC = b"\xff Go buildinf:"
HEADER = 32
SENTINEL = 16
"""Bytes of cmd/go's infoStart and infoEnd around the module information."""

STAMP = "gobuild_version"
"""The build setting in which the stock patch scanner-version has the linker write the toolchain's whole version."""

LIMIT = 1 << 20
"""Bytes of either string; a Go toolchain's largest has 700, a program with many modules some ten thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInfo:
    """What a Go binary says of itself."""

    version: str  # of the toolchain that built it, as scanners read it
    path: str  # the main package: "cmd/go"
    settings: Mapping[str, str]  # by name: "GOOS", "-trimpath"
    other: tuple[str, ...] = ()  # the lines of modules: "mod", "dep", "=>"

    @property
    def stamp(self) -> str:
        """VERSION's first line, and the experiments: runtime.Version(). It is `version` where `STAMP` is not set."""
        _, space, experiments = self.version.partition(" ")
        return f"{whole}{space}{experiments}" if (whole := self.settings.get(STAMP)) else self.version

    @property
    def is_consistent(self) -> bool:
        """Whether `version` is the release that the stamp is of, where both are there."""
        release = self.stamp.partition("-")[0]
        return STAMP not in self.settings or self.version.partition(" ")[0] == release


def read_buildinfo(view: View, place: Range) -> BuildInfo:
    """Reads a section __go_buildinfo or .go.buildinfo."""
    view.require(place.offset, place.size, "the build information")
    if place.size < HEADER or view.copy(place.offset, len(MAGIC), "the build information") != MAGIC:
        raise Malformed("no Go build information where its section is")
    _pointer, flags = view.copy(place.offset + len(MAGIC), 2, "the build information")
    if not flags & 2:
        raise Malformed("build information in the format of Go before 1.18")
    version, at = _string(view, place.offset + HEADER, place.end)
    module, _ = _string(view, at, place.end)
    framed = len(module) > 2 * SENTINEL and module[-SENTINEL - 1 : -SENTINEL] == b"\n"
    lines = module[SENTINEL:-SENTINEL].decode("utf-8", "replace").splitlines() if framed else []
    fields = [line.split("\t", 1) for line in lines if "\t" in line]
    settings = (value.partition("=")[::2] for key, value in fields if key == "build")
    return BuildInfo(
        version=version.decode("utf-8", "replace"),
        path=next((value for key, value in fields if key == "path"), ""),
        settings={key: _unquote(value) for key, value in settings},
        other=tuple(line for line in lines if not line.startswith(("build\t", "path\t"))),
    )


def _string(view: View, at: int, end: int) -> tuple[bytes, int]:
    """A string with its length in front, as encoding/binary's Uvarint; and the offset behind it."""
    length, start = view.uleb128(at, end, "the build information")
    if length > min(LIMIT, end - start):
        raise Malformed("a string of the build information leaves its section")
    return view.copy(start, length, "a string"), start + length


def _unquote(value: str) -> str:
    """Undoes strconv.Quote for the values cmd/go quotes; one that is not as JSON would have it stays as it is."""
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value
