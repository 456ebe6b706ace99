"""Are both builders' bytes the same? Releases and targets come in; a record of every comparison goes out.

    patched      the stock series, by make.bash and by the direct builder. One run of make.bash serves two targets: a
                 cross build makes this machine's toolchain on its way.
    unpatched    by the direct builder as upstream builds it, against upstream's own official toolchain, which make.bash
                 made (`invoke reproduce` shows that ours does). Executables for darwin without Apple's signature.

The record is written after each, so that a killed run keeps what is done. What it does not do: pack; that the archives
are the same too is shown by `--builder both` and by tests/e2e.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gobuild import fetch, pipeline
from gobuild.binary.unsigned import unsigned
from gobuild.build import differing_files
from gobuild.core import archives, files
from gobuild.core.console import Console
from gobuild.core.errors import GobuildError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Toolchain
from gobuild.core.process import Runner
from gobuild.core.settings import Settings
from gobuild.pipeline.compilation import build_toolchain, fetch_source, patch_source
from gobuild.pipeline.session import Run, Session, prepare
from gobuild.pipeline.timing import Clock
from gobuild.store import open_store

PATCHED, UNPATCHED = "patched", "unpatched"

WORDS: dict[str, dict[str, str]] = {
    UNPATCHED: {"series": "none", "suffix": "", "profile": "upstream"},
    PATCHED: {},
}
"""The settings that make a build patched or not, beside release, target and builder."""

AGAINST = {PATCHED: "make.bash", UNPATCHED: "upstream's own"}

Entry = dict[str, Any]
"""A comparison: what was built, and either `error` or `against`, `executables`, `differ`, `wall`, `same`."""


class Prover:
    """Builds and compares; keeps make.bash's tree of a release for its other target."""

    def __init__(self, folder: Path, base: Settings, *, run: Runner, console: Console) -> None:
        self.folder, self.base, self.run, self.console = folder, base, run, console
        self.oracle: tuple[str, Toolchain, float] | None = None

    def compare(self, go: str, target: str, patches: str) -> Entry:
        """One comparison.

        Raises:
            GobuildError: a build failed.
        """
        with self._built(go, target, patches, "direct") as (direct, seconds):
            wall = {"direct": seconds}
            if patches == PATCHED:
                oracle, wall["make.bash"] = self._oracle(go, target)
                differ = [*differing_files(replace(oracle, target=direct.target), direct), *_missing(oracle, direct)]
            else:
                differ = list(self._unlike_upstream(direct))
            programs = [path for folder in (direct.bin, direct.tools) for path in folder.iterdir() if path.is_file()]
            return {
                "against": AGAINST[patches],
                "stamp": direct.source.stamp,
                "executables": len(programs),
                "differ": differ,
                "wall": {name: round(each, 1) for name, each in wall.items()},
                "same": bool(programs) and not differ,
            }

    @contextmanager
    def _built(self, go: str, target: str, patches: str, builder: str) -> Iterator[tuple[Toolchain, float]]:
        """A toolchain, and the seconds that its builder took; its tree goes when the block ends."""
        folder = self.folder / builder
        words = WORDS[patches] | {"go": go, "target": target, "builder": builder}
        session = Session(settings=replace(self.base, work=folder, **words), console=self.console, run=self.run)  # type: ignore[arg-type]
        prepared, clock = prepare(session, delivered=False), Clock(self.console)
        store = open_store(session.settings, self.console.warn)
        try:
            with pipeline.cleanup_on_failure(prepared.plan, pipeline.ROOM):
                run = Run(session=session, prepared=prepared, clock=clock, store=store)
                made = build_toolchain(run, patch_source(run, fetch_source(run)))
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

    def _unlike_upstream(self, made: Toolchain) -> Iterator[str]:
        """The executables that are not the official ones."""
        version = GoVersion.parse(str(made.version))
        archive, _, _ = fetch.official(self.base, version, made.target, run=self.run, console=self.console)
        official = self.folder / "official"
        files.remove(official)
        archives.unpack(archive, official, lambda name: name if name.startswith(("go/bin/", "go/pkg/tool/")) else None)
        for ours, where in ((made.bin, "bin"), (made.tools, f"pkg/tool/{made.target.underscored}")):
            theirs = official / "go" / where
            names = {path.name for folder in (ours, theirs) for path in folder.iterdir() if path.is_file()}
            for name in sorted(names):
                both = [folder / name for folder in (ours, theirs)]
                if not all(path.is_file() for path in both):
                    yield f"{where}/{name} (missing)"
                elif len({unsigned(path.read_bytes()) for path in both}) > 1:
                    yield f"{where}/{name}"


def _missing(oracle: Toolchain, direct: Toolchain) -> Iterator[str]:
    """What the direct builder made and make.bash did not: `differing_files` compares what both have."""
    whole = replace(oracle, target=direct.target)
    for ours, theirs in ((direct.bin, whole.bin), (direct.tools, whole.tools)):
        for path in sorted(ours.iterdir()):
            if path.is_file() and not (theirs / path.name).is_file():
                yield f"{path.name} (not make.bash's)"


def prove(
    releases: Sequence[str],
    targets: Sequence[str],
    *,
    record: Path,
    prover: Prover,
    commit: str,
    resume: bool,
    note: Callable[[str], None],
) -> list[Entry]:
    """Compares every release for every target, patched and unpatched.

    Args:
        releases, targets: as the settings go and target.
        record: the JSON file to write after each comparison.
        prover: builds and compares.
        commit: what the record calls this checkout.
        resume: whether to pass over what the record says to be the same; other entries of it stay in any case.
        note: told what is being built.

    Returns:
        All entries of the record.
    """
    kept: list[Entry] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else []
    entries = {_key(entry): entry for entry in kept}
    # The cross builds first: make.bash's tree of one holds the host's toolchain too.
    ordered = sorted(targets, key=lambda target: target == str(Target.host()))
    for go, patches, target in itertools.product(releases, WORDS, ordered):
        if resume and entries.get((go, target, patches), {}).get("same"):
            continue
        note(f"{go} for {target}, {patches}")
        began = time.monotonic()
        about = {"go": go, "target": target, "patches": patches, "date": f"{datetime.now(UTC):%F}", "commit": commit}
        try:
            entries[go, target, patches] = about | prover.compare(go, target, patches)
        except GobuildError as error:
            entries[go, target, patches] = about | {"error": error.reason}
        files.write(record, json.dumps(list(entries.values()), indent=1) + "\n")
        note(f"{go} for {target}, {patches}: {time.monotonic() - began:.0f} s")
    return list(entries.values())


def _key(entry: Entry) -> tuple[str, str, str]:
    return entry["go"], entry["target"], entry["patches"]


COLUMNS = ("release", "target", "", "against", "executables", "wall of the builders", "")


def rows(entries: Iterable[Entry]) -> list[tuple[str, ...]]:
    """A row for each comparison; a difference or an error in words."""
    found: list[tuple[str, ...]] = []
    for entry in entries:
        wall = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in entry.get("wall", {}).items())
        said = "OK" if entry.get("same") else f"differ: {', '.join(entry.get('differ', ()))}"
        counted = (str(entry.get("against", "")), str(entry.get("executables", "")), wall)
        found.append((*_key(entry), *counted, str(entry.get("error", said))))
    return found
