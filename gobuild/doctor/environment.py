"""The environment: what the go command is told, by whom, and whether it understands that.

GOTOOLCHAIN and go.mod are `switching`'s, values that go refuses `values`', preloaded libraries `preload`'s.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import CommandError, GobuildError
from gobuild.core.model import State
from gobuild.doctor import preload, redact, switching, values
from gobuild.doctor.latency import CLEAN, EXPERIMENT_CURE, error_line, own_environment
from gobuild.doctor.model import BROKEN, ENVIRONMENT, Case, Finding, Grade
from gobuild.doctor.switching import read_text
from gobuild.verify import build_information

MOST = 16
"""Values of GOEXPERIMENT that are asked about, and other go commands that are looked at."""

ASK = ("GOROOT", "GOVERSION", "GOENV", "GOCACHE", "GOFLAGS", "GOEXPERIMENT", "GOTOOLCHAIN")
"""What ``go env`` is asked for. Without names it would run a C compiler as well (cmd/go/internal/envcmd)."""

ASKED = 3.0
"""Seconds for each question."""

FLAGS = {
    "-toolexec": "every compiler and linker is started through that program",
    "-overlay": "files are replaced by others while compiling",
    "-modfile": "another go.mod than the one in the folder is read",
    "-compiler": "another compiler than this toolchain's may be used",
}
"""Flags in GOFLAGS that change which program, or which source, is used."""

_SETTINGS = re.compile(r"\{\s*(?:[Nn]ame:\s*)?\"([a-z0-9]+)\"\s*,")
_TABLES = ("src/internal/godebugs/table.go", "src/runtime/runtime1.go")
"""Where a toolchain's source lists the settings of GODEBUG."""


def collect(case: Case) -> dict[str, Any]:
    """Reads what is set, and asks the toolchain what it makes of that."""
    hangs = any(each["environment"] == CLEAN for each in case.captured)
    clean: Any = {"error": "go hangs"} if hangs else _go_env(case, dict(case.clean))
    asks = f"go env fails in a clean environment ({clean['error']})" if "error" in clean else ""
    told: Any = {} if asks else _go_env(case, own_environment(case))
    file = _user_file(case, told)
    lines = _assignments(file)
    heard = {name: value for name, value in (*lines.items(), *case.environment.items()) if value}
    wanted = {name: heard.get(name, "") for name in ("GOEXPERIMENT", "GOFLAGS", "GODEBUG")}
    words = [word for word in dict.fromkeys(wanted["GOEXPERIMENT"].split(",")) if word][:MOST]
    root = Path(str(clean.get("GOROOT") or case.root or "/nowhere"))
    others = _go_commands(case)
    shown, goroot = redact.shown_variables(case.environment), case.environment.get("GOROOT", "")
    return {
        "shown": shown,
        "hidden": len(case.environment) - len(shown),
        "not asked": asks,
        "clean": clean,
        # The whole version, which go env GOVERSION need not have (patches/scanner-version).
        "stamp": next((each["version"] for each in others if each["path"] == str(case.go)), clean.get("GOVERSION", "")),
        "own": told,
        "file": {"path": str(file) if file else "", "values": redact.shown_variables(lines)},
        "from file": sorted(name for name in wanted if name in heard and not case.environment.get(name)),
        "wanted": wanted,
        "experiments": [{"value": each, "says": _go_error(case, "GOEXPERIMENT", each)} for each in words if not asks],
        "flags": "" if asks else _go_error(case, "GOFLAGS", wanted["GOFLAGS"]),
        "debug": sorted({name for table in _TABLES for name in _SETTINGS.findall(read_text(root / table))}),
        "goroot": _version(Path(goroot)) if goroot else "",
        "own goroot": _same_folder(goroot, clean.get("GOROOT", "")),
        "patches": _patch_names(root),
        "values": values.read_values(heard, root=root),
        "switching": switching.read_switching(case, heard, root=root, in_file=lines.get("GOTOOLCHAIN", "")),
        "preloaded": preload.read_preloaded(case.environment),
        "others": others,
    }


def _go_env(case: Case, env: Mapping[str, str]) -> dict[str, Any]:
    try:
        answer = case.run([case.go, "env", "-json", *ASK], env=env, seconds=ASKED)
        told = json.loads(answer.output) if answer.code == 0 else {"error": error_line(answer.output)}
        # Only what was asked for: a broken go may print anything.
        return {name: str(told[name]) for name in (*ASK, "error") if name in told} if isinstance(told, dict) else {}
    except GobuildError as error:
        return {"error": error.reason}
    except (ValueError, RecursionError):
        return {"error": "its answer to go env -json is no JSON"}


def _go_error(case: Case, name: str, value: str) -> str:
    """What go says of a setting that makes ``go version`` fail; empty where it does not."""
    if not value:
        return ""
    try:
        answer = case.run([case.go, "version"], env={**case.clean, name: value}, seconds=ASKED)
    except CommandError as error:
        return error.reason
    return error_line(answer.output) or f"exit code {answer.code}" if answer.code else ""


def _user_file(case: Case, told: Mapping[str, str]) -> Path | None:
    """The file of ``go env -w``: where go says it is, else where it would be (os.UserConfigDir)."""
    if named := case.environment.get("GOENV") or str(told.get("GOENV") or ""):
        return None if named == "off" else Path(named)
    home = case.environment.get("HOME", "")
    config = case.environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    return Path(config) / "go" / "env" if config else None


def _assignments(path: Path | None) -> dict[str, str]:
    """The lines NAME=value of a file as go reads it (cmd/go/internal/cfg, readEnvFile)."""
    pairs = (line.partition("=") for line in (read_text(path) if path else "").splitlines() if not line.startswith("#"))
    return {name: value for name, sign, value in pairs if sign and re.fullmatch(r"[A-Z][A-Z0-9_]*", name)}


def _version(root: Path) -> str:
    return read_text(root / "VERSION").split("\n", 1)[0].strip()[:100] or "no VERSION there"


def _patch_names(root: Path) -> list[str]:
    """The names of the patches that a toolchain was built with, as its own gobuild.json tells; [] where none does."""
    try:
        told = json.loads(read_text(root / "gobuild.json"))
        mine = told["stamp"] == _version(root)  # else it was left over by another
        present = (State.APPLIED, State.ALREADY_UPSTREAM)
        return [str(each["name"]) for each in told["patches"] if mine and each["state"] in present]
    except BROKEN:
        return []


def _same_folder(one: str, other: str) -> bool:
    """Whether two names are of one folder: Homebrew's GOROOT is a link."""
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False


def _go_commands(case: Case) -> list[dict[str, str]]:
    """The go and every other one on PATH: what its file says of itself, its compiler's digest. None is run."""
    folders = [Path(each) for each in case.environment.get("PATH", "").split(os.pathsep) if each.startswith("/")]
    found: dict[Path, dict[str, str]] = {}
    for path in [case.go, *(folder / "go" for folder in folders)]:
        try:
            real = path.resolve(strict=True)
            if real in found or len(found) >= MOST or not real.is_file():
                continue
            info = build_information(real)
            tools = sorted(real.parent.parent.glob("pkg/tool/*/compile"))
            digest = files.sha256(tools[0]) if len(tools) == 1 else ""
        except (OSError, RuntimeError):
            continue
        if info:
            found[real] = {"path": str(path), "version": info.stamp, "compiler": digest}
    return list(found.values())


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Judges each setting."""
    if part["not asked"]:
        advice = "see start latency: a go that does not answer cannot say what it makes of your settings"
        yield ENVIRONMENT.fail("go env", part["not asked"], advice)
    yield from _experiment_findings(part)
    yield from _flag_findings(part)
    yield from _debug_findings(part)
    yield from _root_findings(part)
    stamp, patches = str(part["stamp"]), list(part["patches"])
    yield from switching.judge_switching(part["switching"], stamp, patches)
    yield from values.judge_values(part["values"], stamp=stamp, patches=patches)
    yield from preload.judge_preloaded(part["preloaded"])
    yield from _cache_findings(part)


def _wanted(part: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    """A variable's value, the same with its place, and what unsets it."""
    value = part["wanted"][name]
    if name in part["from file"]:
        return value, f"{value!r}, set in {part['file']['path']} by go env -w", f"go env -u {name}"
    return value, f"{value!r}, set in the environment", f"unset {name}"


def _experiment_findings(part: Mapping[str, Any]) -> Iterator[Finding]:
    name = "GOEXPERIMENT"
    value, place, unset = _wanted(part, name)
    refused = "; ".join(f"{each['value']}: {each['says']}" for each in part["experiments"] if each["says"])
    if refused:
        yield ENVIRONMENT.fail(name, f"{place}: {refused}", EXPERIMENT_CURE)
    elif value and part["experiments"]:
        advice = f"{unset}, unless you mean to build with that experiment: it changes every build"
        yield ENVIRONMENT.warn(name, f"{place}: this toolchain knows it", advice)
    elif value:
        yield ENVIRONMENT.skipped(name, f"{value!r} is set, and go was not asked about it")
    else:
        yield ENVIRONMENT.ok(name, "not set")


def _flag_findings(part: Mapping[str, Any]) -> Iterator[Finding]:
    value, place, unset = _wanted(part, "GOFLAGS")
    words = {word.lstrip("'\"").replace("--", "-", 1).split("=", 1)[0] for word in value.split()}
    risky = "; ".join(f"{flag}: {why}" for flag, why in FLAGS.items() if flag in words)
    if part["flags"]:
        yield ENVIRONMENT.fail("GOFLAGS", f"{place}: {part['flags']}", f"take that flag out of GOFLAGS, or {unset}")
    elif risky:
        yield ENVIRONMENT.warn("GOFLAGS", f"{place}: {risky}", f"{unset}, unless you put it there and trust it")
    else:
        yield ENVIRONMENT.ok("GOFLAGS", f"{place}: nothing that changes the toolchain" if value else "not set")


def _debug_findings(part: Mapping[str, Any]) -> Iterator[Finding]:
    value, place, unset = _wanted(part, "GODEBUG")
    names = [each.partition("=")[0].strip() for each in value.split(",") if each.strip()]
    unknown = [name for name in names if name not in part["debug"] and not name.startswith("cpu.")]
    if not value:
        yield ENVIRONMENT.ok("GODEBUG", "not set")
    elif not part["debug"]:
        yield ENVIRONMENT.skipped("GODEBUG", f"{place}; the source that lists the settings is not in this GOROOT")
    elif unknown:
        seen = f"{place}: this toolchain's source knows no {', '.join(unknown)}, and passes such settings over"
        yield ENVIRONMENT.warn("GODEBUG", seen, f"{unset}, or correct the name")
    else:
        yield ENVIRONMENT.ok("GODEBUG", f"{place}: settings this toolchain knows")


def _root_findings(part: Mapping[str, Any]) -> Iterator[Finding]:
    said, real = part["shown"].get("GOROOT", ""), str(part["clean"].get("GOROOT", ""))
    version = str(part["stamp"])
    if not said:
        yield ENVIRONMENT.ok("GOROOT", f"not set; go takes its own, {real}" if real else "not set")
    elif not real:
        yield ENVIRONMENT.skipped("GOROOT", f"set to {said}; go could not be asked for its own")
    elif part["own goroot"]:
        yield ENVIRONMENT.ok("GOROOT", f"set to {said}, which is this go's own")
    else:
        grade = Grade.WARN if part["goroot"] == version else Grade.FAIL
        seen = f"set to {said} ({part['goroot']}), and this go's own is {real} ({version})"
        advice = "unset GOROOT: go finds its own, and with another's files it fails or builds something else"
        yield ENVIRONMENT.finding("GOROOT", grade, seen, advice)


def _cache_findings(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Two toolchains of one version string share entries of the build cache (cmd/go/internal/work, toolID)."""
    if not part["others"]:
        yield ENVIRONMENT.skipped("GOCACHE", "this go's file says nothing of a Go version, so it cannot be compared")
        return
    this, *others = part["others"]
    twins = [each for each in others if each["version"] == this["version"] and each["compiler"] != this["compiler"]]
    cache = str(part["own"].get("GOCACHE") or part["clean"].get("GOCACHE") or "the build cache")
    if twins:
        seen = f"{', '.join(each['path'] for each in twins)} says {this['version']} as well, with another compiler: "
        seen += f"both take the other's results from {cache}"
        advice = "give each a GOCACHE of its own, or build the patched one with a suffix (--suffix)"
        yield ENVIRONMENT.warn("GOCACHE", seen, advice)
    else:
        seen = f"no other go on PATH calls itself {this['version']} ({len(others)} others looked at)"
        yield ENVIRONMENT.ok("GOCACHE", seen)
