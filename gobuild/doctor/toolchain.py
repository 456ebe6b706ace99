"""Which toolchain this is: release, suffix and patches; whether its programs are for one machine. Nothing is run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild import patch
from gobuild.audit import identify
from gobuild.core.errors import GobuildError
from gobuild.core.process import Runner
from gobuild.doctor.model import Finding, Grade, Job
from gobuild.verify import tree

GROUP = "toolchain"


def collect(job: Job, *, run: Runner) -> dict[str, Any]:  # noqa: ARG001  (every topic is called so)
    """Reads the tree and what tells of its patches."""
    found: dict[str, Any] = {"identity": {}, "problem": "", "machines": {}, "script": is_script(job)}
    if found["script"]:
        return found
    try:
        identity = identify.identify(
            job.root or job.go.resolve(), dist=job.settings.dist, series=[patch.load_series(job.settings.series)]
        )
        found["identity"] = identity.document()
    except (GobuildError, OSError, RuntimeError) as error:
        found["problem"] = getattr(error, "reason", None) or str(error)
        return found
    if job.root:
        found["machines"] = _machines(job.root)
    return found


def is_script(job: Job) -> bool:
    """Whether the go command is a script in no GOROOT, as asdf's and goenv's are: it starts a go that is not known."""
    try:
        with job.go.open("rb") as file:
            return job.root is None and file.read(2) == b"#!"
    except OSError:
        return False


def _machines(root: Path) -> dict[str, list[str]]:
    """The programs that people and the go command start, by what they run on."""
    found: dict[str, list[str]] = {}
    for path in [*(root / "bin").glob("*"), *(root / "pkg/tool").glob("*/*")]:
        if path.is_file() and tree.executable(path):
            machine = tree.identify(path)
            name = path.relative_to(root).as_posix()
            found.setdefault(str(machine or "another machine"), []).append(name)
    return found


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Judges."""
    identity = part["identity"]
    if not identity:
        advice = 'where this is a wrapper, name the go behind it: --path "$(go env GOROOT)"'
        if part.get("script"):
            yield _finding("identity", Grade.WARN, "a script, which may start any go", advice)
        else:
            yield _finding("identity", Grade.FAIL, part["problem"] or "not known", advice)
        return
    yield from _identity(identity)
    yield from _machine_findings(part["machines"])


def _identity(identity: Mapping[str, Any]) -> Iterator[Finding]:
    told = f"{identity['stamp']}: {identity['says']}"
    patches = identity["patches"]
    if identity["release"] and patches is not None:
        names = Counter(each["state"] or "in the series" for each in patches)
        counts = ", ".join(f"{count} {state}" for state, count in names.items()) or "none"
        yield _finding("identity", Grade.OK, f"{told}; patches: {counts}")
    elif identity["release"] and not identity["suffix"]:
        yield _finding("identity", Grade.OK, told)
    else:
        advice = "give --dist with its manifest, or ask whoever built it for gobuild.json: its patches are not known"
        yield _finding("identity", Grade.WARN, told, advice)


def _machine_findings(machines: Mapping[str, list[str]]) -> Iterator[Finding]:
    tools = {machine: [name for name in names if name.startswith("pkg/tool/")] for machine, names in machines.items()}
    if not machines:
        yield _finding("one architecture", Grade.SKIPPED, "no GOROOT with programs")
    elif len(machines) == 1:
        machine, names = next(iter(machines.items()))
        yield _finding("one architecture", Grade.OK, f"{len(names)} programs, all for {machine}")
    else:
        seen = "; ".join(
            f"{len(names)} for {machine} ({', '.join(names[:3])} ...)" for machine, names in machines.items()
        )
        # A cross-built tree has the tools of both, each in the folder named for it.
        wrong = [
            name
            for machine, names in tools.items()
            for name in names
            if name.split("/")[2] != machine.replace("/", "_")
        ]
        advice = (
            "unpack the archive into an empty folder: another toolchain's programs are mixed in (only a tree in which "
            "make.bash cross-built may look so)"
        )
        seen += f"; in a folder of another machine: {', '.join(wrong[:3])}" if wrong else ""
        yield _finding("one architecture", Grade.FAIL if wrong else Grade.WARN, seen, advice)


def _finding(name: str, grade: Grade, seen: str, advice: str = "") -> Finding:
    return Finding(group=GROUP, name=name, grade=grade, seen=seen, advice=advice)
