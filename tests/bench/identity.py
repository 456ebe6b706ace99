"""Are both builders' bytes the same? A record of every comparison, written after each.

    patched      the stock series, by make.bash and by the direct builder. One run of make.bash serves two targets: a
                 cross build makes this machine's toolchain on its way.
    unpatched    by the direct builder as upstream builds it, against upstream's own official toolchain, which make.bash
                 made (`invoke reproduce` shows that ours does). Executables for darwin without Apple's signature.

That the archives are the same too is shown by `--builder both` and by tests/e2e.
"""

import io
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cost import commit
from gobuild import fetch, pipeline
from gobuild.binary.unsigned import unsigned
from gobuild.build import differing_files
from gobuild.core import archives, files
from gobuild.core.console import Console
from gobuild.core.errors import CommandError, GobuildError
from gobuild.core.goversion import Target
from gobuild.core.model import Toolchain
from gobuild.core.process import Runner, run
from gobuild.core.settings import Settings
from gobuild.pipeline.compilation import build_toolchain, fetch_source, patch_source
from gobuild.pipeline.session import Run, Session, prepare
from gobuild.pipeline.timing import Clock
from gobuild.store import open_store

UNPATCHED, PATCHED = "unpatched", "patched"
REPORT = Path(__file__).parents[1] / "reports/identity.json"

AGAINST = {UNPATCHED: "upstream's own", PATCHED: "make.bash"}

Entry = dict[str, Any]
"""A comparison: what was built, and either `error` or `against`, `executables`, `differ`, `wall`, `same`."""


class Prover:
    """Builds and compares; keeps make.bash's tree of a release for its other target."""

    def __init__(self, folder: Path, base: Settings, *, run: Runner, console: Console) -> None:
        self.folder, self.base, self.run, self.console = folder, base, run, console
        self.oracle: tuple[str, Toolchain, float] | None = None

    def compare(self, go: str, target: str, patches: str) -> Entry:
        """One comparison."""
        with self._built(go, target, patches, "direct") as (direct, seconds):
            wall, ours = {"direct": seconds}, _programs(direct.bin, direct.tools)
            if patches == PATCHED:
                made, wall["make.bash"] = self._oracle(go, target)
                made = replace(made, target=direct.target)
                missing = (
                    ours.keys() - _programs(made.bin, made.tools).keys()
                )  # of programs, those of both are compared
                differ = [*differing_files(made, direct), *(f"{name} (not make.bash's)" for name in sorted(missing))]
            else:
                theirs = self._official(direct)
                differ = [f"{name} (missing)" for name in sorted(ours.keys() ^ theirs.keys())]
                differ += [
                    name
                    for name in sorted(ours.keys() & theirs.keys())
                    if unsigned(ours[name].read_bytes()) != unsigned(theirs[name].read_bytes())
                ]
            return {
                "against": AGAINST[patches],
                "stamp": direct.source.stamp,
                "executables": len(ours),
                "differ": differ,
                "wall": {name: round(each, 1) for name, each in wall.items()},
                "same": bool(ours) and not differ,
            }

    @contextmanager
    def _built(self, go: str, target: str, patches: str, builder: str) -> Iterator[tuple[Toolchain, float]]:
        """A toolchain, and the seconds that its builder took; its tree goes when the block ends."""
        folder = self.folder / builder
        settings = replace(self.base, work=folder, go=go, target=target, builder=builder)
        if patches == UNPATCHED:
            settings = replace(settings, series="none", suffix="", profile="upstream")
        session = Session(settings=settings, console=self.console, run=self.run)
        prepared, clock = prepare(session, delivered=False), Clock(self.console)
        under_way = Run(session=session, prepared=prepared, clock=clock, store=open_store(settings, self.console.warn))
        try:
            with pipeline.cleanup_on_failure(prepared.plan, pipeline.ROOM):
                made = build_toolchain(under_way, patch_source(under_way, fetch_source(under_way)))
            yield made.toolchain, sum(clock.programs.values())
        finally:
            files.remove(folder)

    def _oracle(self, go: str, target: str) -> tuple[Toolchain, float]:
        """make.bash's toolchain, of a cross build where there is one: it holds the host's as well."""
        if self.oracle is None or self.oracle[0] != go or str(Target.host()) != target != str(self.oracle[1].target):
            files.remove(self.folder / "oracle")
            with self._built(go, target, PATCHED, "make.bash") as (made, seconds):
                (self.folder / "make.bash").rename(self.folder / "oracle")
            root = self.folder / "oracle" / made.goroot.relative_to(self.folder / "make.bash")
            source = replace(made.source, source=replace(made.source.source, root=root))
            self.oracle = (go, replace(made, source=source), seconds)
        return self.oracle[1:]

    def _official(self, made: Toolchain) -> dict[str, Path]:
        """The official programs of the same release."""
        archive, _, _ = fetch.official(self.base, made.version, made.target, run=self.run, console=self.console)
        official = self.folder / "official"
        files.remove(official)
        archives.unpack(archive, official, lambda name: name if name.startswith(("go/bin/", "go/pkg/tool/")) else None)
        return _programs(official / "go/bin", official / "go/pkg/tool" / made.target.underscored)


def _programs(bin: Path, tools: Path) -> dict[str, Path]:
    named = {"bin": bin, "pkg/tool": tools}
    return {f"{where}/{path.name}": path for where, at in named.items() for path in at.iterdir() if path.is_file()}


def prove(releases: Sequence[str], targets: Sequence[str], scratch: Path, to: str, *, resume: bool) -> None:
    """Compares both builders' bytes; where they differ or a build fails, the record has all that was found."""
    console, record = Console(), Path(to or REPORT)
    names = {key: f"INVOKE_GOBUILD_{key.upper()}" for key in ("index_url", "cache", "source")}
    base = Settings.of({"store": str(scratch / "store")}, {key: os.environ.get(name) for key, name in names.items()})
    prover = Prover(scratch, base, run=run, console=Console(stream=io.StringIO()))
    entries = compare_all(releases, targets, prover.compare, record=record, resume=resume, note=console.say)
    console.table("make.bash and direct, byte for byte", COLUMNS, rows(entries))
    console.say(f"wrote {record}")
    if wrong := [entry for entry in entries if not entry.get("same")]:
        raise CommandError(f"{len(wrong)} of {len(entries)} comparisons are not the same bytes, or could not be made")


def compare_all(
    releases: Sequence[str],
    targets: Sequence[str],
    compare: Callable[[str, str, str], Entry],
    *,
    record: Path,
    resume: bool,
    note: Callable[[str], None],
) -> list[Entry]:
    """Compares every release for every target, patched and unpatched; returns all entries of the record.

    With `resume`, what the record says to be the same is passed over; its other entries stay in any case.
    """
    kept: list[Entry] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else []
    entries = {(each["go"], each["target"], each["patches"]): each for each in kept}
    # The cross builds first: make.bash's tree of one holds the host's toolchain too.
    ordered = sorted(targets, key=lambda target: target == str(Target.host()))
    for go, patches, target in itertools.product(releases, AGAINST, ordered):
        if resume and entries.get((go, target, patches), {}).get("same"):
            continue
        note(f"{go} for {target}, {patches}")
        began = time.monotonic()
        about = {"go": go, "target": target, "patches": patches, "date": f"{datetime.now(UTC):%F}", "commit": commit()}
        try:
            entries[go, target, patches] = about | compare(go, target, patches)
        except GobuildError as error:
            entries[go, target, patches] = about | {"error": error.reason}
        files.write(record, json.dumps(list(entries.values()), indent=1) + "\n")
        note(f"{go} for {target}, {patches}: {time.monotonic() - began:.0f} s")
    return list(entries.values())


COLUMNS = ("release", "target", "", "against", "executables", "wall of the builders", "")


def rows(entries: Iterable[Entry]) -> list[tuple[str, ...]]:
    """A row for each comparison; a difference or an error in words."""
    found: list[tuple[str, ...]] = []
    for entry in entries:
        wall = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in entry.get("wall", {}).items())
        said = "OK" if entry.get("same") else f"differ: {', '.join(entry.get('differ', ()))}"
        known = (str(entry.get(key, "")) for key in ("go", "target", "patches", "against", "executables"))
        found.append((*known, wall, str(entry.get("error", said))))
    return found
