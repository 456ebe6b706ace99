"""Which toolchain really runs: who sets GOTOOLCHAIN, who wins, and whether a go.mod or go.work asks for another.

Source: https://go.dev/doc/toolchain and cmd/go/internal/toolchain/select.go.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion
from gobuild.doctor.model import ENVIRONMENT, Case, Finding, Grade

_LINE = re.compile(r"^(go|toolchain)[ \t]+(\S{1,100})[ \t]*(?://.*)?$", re.MULTILINE)
_LIMIT = 1 << 20
"""Bytes of a text file that are read."""


CURES = {
    "": "unset GOTOOLCHAIN, or export GOTOOLCHAIN=local",
    "go env -w": "go env -u GOTOOLCHAIN, or go env -w GOTOOLCHAIN=local",
    "GOROOT/go.env": "export GOTOOLCHAIN=local",
}


def read_switching(case: Case, heard: Mapping[str, str], *, root: Path, in_file: str) -> dict[str, Any]:
    """Reads the three places that GOTOOLCHAIN may stand in, and the go.work and go.mod that count in a folder."""
    in_root = re.search(r"^GOTOOLCHAIN=(\S*)", read_text(root / "go.env"), re.MULTILINE)
    places = (
        ("the environment", case.environment.get("GOTOOLCHAIN", "")),
        ("go env -w", in_file),
        ("GOROOT/go.env", in_root[1] if in_root else ""),
    )
    work, found = heard.get("GOWORK", "auto"), []
    if work == "auto":
        found.append(_above(case.cwd, "go.work"))
    elif work.startswith("/") and Path(work).is_file():  # any other but "off" is refused: `values` says so
        found.append(Path(work))
    if heard.get("GO111MODULE") != "off":
        found.append(_above(case.cwd, "go.mod"))
    return {
        "places": [{"place": place, "value": value} for place, value in places],
        "allowed": case.environment.get("GOBUILD_ALLOW_SWITCH") == "1",
        "files": [{"path": str(path), **dict(_LINE.findall(read_text(path)))} for path in found if path],
    }


def _above(folder: Path, name: str) -> Path | None:
    return next((each / name for each in (folder, *folder.parents) if (each / name).is_file()), None)


def read_text(path: Path) -> str:
    """The beginning of a text file; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT).decode("utf-8", "replace").replace("\r", "")
    except (OSError, ValueError):
        return ""


def judge_switching(part: Mapping[str, Any], stamp: str, patches: Collection[str] = ()) -> Iterator[Finding]:
    """Says which toolchain is used; `stamp` is "" where go was not asked, `patches` are those in its gobuild.json."""
    set_in = [each for each in part["places"] if each["value"]]
    place, value = (set_in[0]["place"], set_in[0]["value"]) if set_in else ("", "")
    told = ", ".join(f"{each['place']}: {each['value']}" for each in set_in) or "set nowhere"
    wins = f"{told}; {place} wins" if len(set_in) > 1 else told
    named, _, mode = value.partition("+")
    own = {stamp, stamp.partition("-")[0] if "scanner-version" in patches else stamp}
    other = named not in ("auto", "path", "local", *own)
    guarded = "toolchain-guard" in patches and not part["allowed"]
    local = value in ("", "local") or (named == "local" and not mode) or value in own
    guard = "this toolchain's guard refuses to switch"
    silently = "a go.mod that asks for a newer Go silently replaces the patched toolchain by upstream's"
    grade, said = next(
        (grade, said)
        for holds, grade, said in (
            (
                not _taken(value),
                Grade.FAIL,
                "go takes no such value, and every go command ends with invalid GOTOOLCHAIN",
            ),
            (local, Grade.OK, "this toolchain is used"),
            (guarded and other, Grade.FAIL, f"{guard} to {named}, so that every build ends with an error"),
            (guarded, Grade.OK, f"{guard}, whatever asks for it"),
            (other, Grade.WARN, f"{named} is used in place of {stamp or 'this toolchain'}"),
            ("-" in stamp, Grade.WARN, silently),
            (True, Grade.OK, "a go.mod may ask for a newer Go; this one is not patched"),
        )
        if holds
    )
    cure = CURES.get(place, CURES[""]) + ": then the toolchain you call is used"
    yield ENVIRONMENT.finding("GOTOOLCHAIN", grade, f"{wins}: {said}", "" if grade is Grade.OK else cure)
    if _taken(value):  # else no go command comes as far as go.mod
        switches = not guarded and value not in ("", "local") and (named in ("auto", "path") or bool(mode))
        yield from _files(part["files"], stamp, switches=switches)


def _taken(value: str) -> bool:
    """Whether go takes a value (cmd/go/internal/toolchain, Select)."""
    named, plus, mode = value.partition("+")
    toolchain = named == "local" or (named.startswith("go1") and parse_version(named) is not None)
    return value in ("", "auto", "path") or (toolchain and (not plus or mode in ("auto", "path")))


def _files(found: list[Mapping[str, Any]], stamp: str, *, switches: bool) -> Iterator[Finding]:
    if not found:
        yield ENVIRONMENT.ok("go.mod, go.work", "none for the current folder")
        return
    running = parse_version(stamp)
    for each in found:
        name = Path(each["path"]).name
        lines = ", ".join(f"{key} {each[key]}" for key in ("go", "toolchain") if key in each) or "no go line"
        if running is None:
            yield ENVIRONMENT.skipped(name, f"{each['path']}: {lines}; this go's version is not known")
            continue
        language, toolchain = (_newer(str(each.get(key, "")), running) for key in ("go", "toolchain"))
        if switches and (language or toolchain):
            seen = f"{each['path']}: {lines}, newer than {stamp}: go switches to that toolchain in this folder"
            advice = "GOTOOLCHAIN=local, and if go then refuses, lower the go line or build a newer patched toolchain"
            yield ENVIRONMENT.warn(name, seen, advice)
        elif language:
            seen = f"{each['path']}: {lines}, newer than {stamp}: go commands in this folder end with an error"
            yield ENVIRONMENT.fail(name, seen, "a patched toolchain of that version, or a lower go line")
        else:
            yield ENVIRONMENT.ok(name, f"{each['path']}: {lines}; {stamp} serves")


def _newer(wanted: str, running: GoVersion) -> bool:
    """Whether a line asks for more; "1.28" is the language, which a release candidate of 1.28 has as well."""
    version = parse_version(wanted)
    if version is None or (version.line == running.line and str(version) == version.line):
        return False
    return version > running


def parse_version(text: str) -> GoVersion | None:
    """A version without a toolchain's suffix, which go passes over when it compares (internal/gover)."""
    try:
        return GoVersion.parse(re.split(r"[- ]", text, maxsplit=1)[0])
    except ConfigError:
        return None
