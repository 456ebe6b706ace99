"""Start latency: how long ``go version`` takes, and which setting changes that.

It is run in an empty folder: under a clean environment, under the user's own, and under each suspicious variable that
the user has set, alone on top of the clean one.
"""

import fnmatch
import re
import statistics
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gobuild.doctor import hang
from gobuild.doctor.model import LATENCY, Case, Finding
from gobuild.doctor.watch import Watched, watch

CLEAN, OWN = "clean environment", "your environment"

ROUNDS = 5
LIMIT = 4.0
"""Seconds after which ``go version`` counts as hanging; it takes about 0.01 s on Linux."""

SLOW = 1.0
"""Seconds of a median that are too many."""

CHANGES = (3.0, 0.25)
"""A variable changes the time if the median is that many times the clean one's, and that many seconds more."""

SUSPICIOUS: dict[str, str] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
"""Variables that can change how a Go program starts, by shell pattern, and why each is looked at."""

ANSWER = re.compile(r"go version (?P<stamp>\S.*?) (?P<target>[a-z0-9]+/[a-z0-9]+)\n?")

UNKNOWN_EXPERIMENT = re.compile(r"go: (unknown GOEXPERIMENT \S+)")
EXPERIMENT_CURE = (
    "unset GOEXPERIMENT (go env -u GOEXPERIMENT where go env -w has set it); no GOEXPERIMENT turns a GPU off, "
    "for Go uses none"
)


def own_environment(case: Case) -> dict[str, str]:
    """The user's, with what keeps go from changing anything."""
    return {**case.environment, "GOTOOLCHAIN": "local", "TEST_TELEMETRY_DIR": case.clean["TEST_TELEMETRY_DIR"]}


def collect(case: Case) -> dict[str, Any]:
    """Measures each environment. A hang ends its rounds; the time that is left is shared among the others."""
    (case.scratch / "empty").mkdir(parents=True, exist_ok=True)
    environments = [("", CLEAN, "", dict(case.clean)), ("", OWN, "", own_environment(case))]
    environments += [
        (name, f"{name} alone", why, {**case.clean, name: case.environment[name]})
        for pattern, why in SUSPICIOUS.items()
        for name in fnmatch.filter(sorted(case.environment), pattern)
    ]
    measured: list[dict[str, Any]] = []
    sound = True
    for index, (variable, called, why, env) in enumerate(environments):
        entry: dict[str, Any] = {"environment": called, "variable": variable, "why": why, "runs": [], "skipped": ""}
        measured.append(entry)
        if variable and not sound:
            entry["skipped"] = "go fails in a clean environment too, so this variable is not the cause"
            continue
        ends = time.monotonic() + case.left / (len(environments) - index)
        for _ in range(ROUNDS):
            if case.left < min(LIMIT, 1.0):
                entry["skipped"] = "" if entry["runs"] else "no time was left"
                break
            entry["runs"].append(asdict(_once(case, called, env)))
            if _fault(entry["runs"][-1]) or time.monotonic() + entry["runs"][-1]["seconds"] > ends:
                break
        if called == CLEAN:
            sound = _is_sound(entry)
    # The rest of a capture on macOS is evidence of the topic that judges it.
    told = ("environment", "processes", "error")
    captured = [{key: each[key] for key in told if key in each} for each in case.captured]
    return {"limit": LIMIT, "rounds": ROUNDS, "measured": measured, "captured": captured}


def _once(case: Case, called: str, env: Mapping[str, str]) -> Watched:
    def on_hang(pid: int) -> None:
        first = not case.captured or case.capture
        case.captured.append({**(hang.capture(pid, case) if first else {}), "environment": called})

    limit = min(LIMIT, case.left)
    return watch([case.go, "version"], env=env, cwd=case.scratch / "empty", limit=limit, on_hang=on_hang)


def _is_sound(entry: Mapping[str, Any]) -> bool:
    return bool(entry["runs"]) and _fault(entry["runs"][-1]) is None


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Judges every environment by itself, then each variable against the clean one."""
    measured = {entry["environment"]: entry for entry in part["measured"]}
    times = [each["seconds"] for each in measured.get(CLEAN, {}).get("runs", ()) if each["ended"] == "exit"]
    clean = statistics.median(times) if times else None
    sound = {name for name, entry in measured.items() if _is_sound(entry)}
    blamed = any(each["variable"] and each["runs"] and not _is_sound(each) for each in measured.values())
    for entry in measured.values():
        yield _finding(entry, clean, sound, blamed=blamed)
    # Without --capture only the first hang was looked at from outside.
    for index, each in enumerate(part["captured"]):
        if not index or each.get("processes"):
            name = each["environment"]
            runs = measured.get(name, {}).get("runs", ())
            seen = hang.describe(each, str(runs[-1]["dump"]) if runs else "")
            advice = "send the bundle (--bundle FILE) to whoever maintains this toolchain: it holds the whole capture"
            yield LATENCY.warn(f"hang, {name}", seen, advice)


def _finding(entry: Mapping[str, Any], clean: float | None, sound: set[str], *, blamed: bool) -> Finding:
    name, runs, variable = entry["environment"], entry["runs"], entry["variable"]
    why = f" ({entry['why']})" if entry["why"] else ""
    if not runs:
        return LATENCY.skipped(name, entry["skipped"] or "it was not run")
    if wrong := _fault(runs[-1]):
        return LATENCY.fail(name, wrong[0] + why, _advice(entry, wrong[1], sound, blamed=blamed))
    times = [each["seconds"] for each in runs]
    middle = statistics.median(times)
    spread = f"min {min(times):.3f} s, median {middle:.3f} s, max {max(times):.3f} s (the first {times[0]:.3f} s)"
    seen = (f"{len(times)} runs: {spread}" if len(times) > 1 else f"1 run: {times[0]:.3f} s") + why
    if left := sum(each["left"] for each in runs):
        seen += f"; what it had started went on after it and was ended ({left} processes)"
        return LATENCY.warn(name, seen, "find out which program that is: a go command leaves nothing behind")
    if variable and clean is not None and middle > clean * CHANGES[0] and middle > clean + CHANGES[1]:
        advice = f"unset {variable}, or set it only for the one program that needs it"
        return LATENCY.warn(name, f"{seen}; clean {clean:.3f} s", advice)
    if middle <= SLOW:
        return LATENCY.ok(name, seen)
    advice = "compare the rows of the single variables: the clean environment is faster"
    if CLEAN not in sound or clean is None or clean > SLOW or name == CLEAN:
        advice = "look at what this machine does when a program starts: a virus scanner, a network file system, "
        advice += "an emulated processor; or a wrapper script in place of go"
    return LATENCY.warn(name, f"slow: {seen}", advice)


def error_line(said: str) -> str:
    """The line of a message that says what is wrong: the first of go's or its runtime's own, else the last."""
    lines = said.strip().splitlines() or [""]
    return next((each for each in lines if each.startswith(("go: ", "fatal error: "))), lines[-1])[:300]


def _fault(found: Mapping[str, Any]) -> tuple[str, str] | None:
    """What was wrong with a run, and the general cure; None where nothing was."""
    said, ended, code = str(found["output"]).strip(), found["ended"], found["code"]
    last = error_line(said)
    if ended == "not started":
        return f"it cannot be started: {said}", "the path of a go command for this machine, by --path"
    if ended == "hang":
        told = f"; it had said '{last}'" if last else ""
        return f"it hangs: no end within {found['seconds']:.1f} s{told}", "see what was captured of it below"
    if ended == "signal":
        cure = _KILLED.get(code, "run it by hand under a debugger: the program itself is broken, or was damaged")
        return f"it was killed by signal {code}" + (f" ({_SIGNALS[code]})" if code in _SIGNALS else ""), cure
    if code:
        unknown = UNKNOWN_EXPERIMENT.search(said)
        seen = f"it ends with exit code {code}: {unknown[0] if unknown else last or 'no message'}"
        return seen, EXPERIMENT_CURE if unknown else "do what its message says"
    if not ANSWER.fullmatch(str(found["output"])):
        start = " ".join(said[:200].split()) or "nothing"
        seen = f"it answers with {len(said)} characters that are no version of Go: '{start}'"
        return seen, "this is no go command, or a wrapper that prints by itself: look at the file, or use --path"
    return None


_SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM", 31: "SIGSYS"}

_KILLED = {
    9: "on Linux the kernel kills what uses too much memory (dmesg, or the container's limit); on macOS it kills what "
    "is not validly signed: codesign -v on the file, and the macOS checks here",
    4: "the program was made for a newer processor (GOAMD64, GOARM64), or was damaged",
    11: "the program is damaged, or a preloaded library breaks it: try without LD_PRELOAD and DYLD_*",
    31: "a sandbox (seccomp) refuses a system call of it",
}


def _advice(entry: Mapping[str, Any], general: str, sound: set[str], *, blamed: bool) -> str:
    """The advice, sharper where the environments tell the cause apart; `blamed` if a single variable is one."""
    name, variable = entry["environment"], entry["variable"]
    if variable and general != EXPERIMENT_CURE:
        return f"unset {variable}: alone it is enough to break go; {general}"
    if name == OWN and CLEAN in sound:
        rows = ": see the rows of single settings" if blamed else ""
        return f"{general}; the clean environment works, so a variable of yours or the file of go env -w does it{rows}"
    if name == CLEAN and OWN in sound:
        return f"{general}; your own environment works: go needs something here that only it has"
    return f"{general}; no environment variable of yours is the cause" if name == CLEAN else general
