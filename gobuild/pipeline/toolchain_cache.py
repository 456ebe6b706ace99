"""Finished toolchains in the store: under which key, and what is kept of them: the archives, and all for a manifest."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from gobuild import store as stores
from gobuild.core import files, resources
from gobuild.core.errors import ConfigError, PackageError
from gobuild.core.manifest import Manifest, archive_names, read_manifest, structure, unstructure
from gobuild.core.model import Report, Toolchain
from gobuild.package import manifest
from gobuild.pipeline.plan import Plan
from gobuild.pipeline.session import Prepared, Run
from gobuild.store import Store, StoreEntry

KIND = "toolchain"

BUILDERS = {"auto": ("direct", "make.bash"), "make.bash": ("make.bash",), "direct": ("direct",), "both": ()}
"""Whose toolchains answer to the setting; who wants both built wants to see them built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToolchain:
    """A toolchain ready to be delivered."""

    toolchain: Toolchain  # the toolchain; from the store, its folder is gone
    tree: str  # the dirhash of its source before it was patched
    report: Report
    packed: tuple[Path, ...]  # its archives
    pinned: bool  # whether its go.env keeps newer toolchains out
    run: dict[str, Any]  # what the run that built it measured of itself
    kept: str = ""  # when it was stored; empty where it was built just now
    # What the manifest says of the signing; empty where nobody signed
    signature: Mapping[str, str] = field(default_factory=dict)


def keys(prepared: Prepared) -> dict[str, str]:
    """The keys of a build, by the builder.

    Everything that decides a byte of the archives is in them, and what the user says of the report: the source by its
    digest or its origin's identity, the series with its reasons, the stamp, the flags, the target, the policy, the
    toolchain that --bootstrap names, gobuild's own code. The machine is not: it decides no byte, and the manifest says
    which one it was. Of wheels whose digest gobuild does not know beforehand the release stands for the file.
    """
    plan, settings = prepared.plan, prepared.settings
    start = Path(settings.bootstrap).expanduser() / "bin/go" if settings.bootstrap else None
    source = [file.sha256 for file in plan.release.files if file.kind == "source"]
    parts = {
        "gobuild": code_fingerprint(),
        "release": str(plan.release.version),
        "source": source or prepared.reached.catalog.identity,
        "stamp": plan.stamp,
        "target": str(plan.target),
        "profile": [plan.profile.name, plan.profile.cgo, plan.profile.ldflags],
        "series": [[each.name, each.reason, each.sha256, each.direct, each.fixes] for each in prepared.patches],
        "environment": dict(prepared.series.environment),
        "beside": [prepared.series.extends, *prepared.series.without],
        "absent": [[each.name, each.reason, each.evidence] for each in prepared.absent],
        "policy": Path(settings.policy).expanduser().read_text(encoding="utf-8") if settings.policy else "",
        "bootstrap": files.sha256(start) if start and start.is_file() else "",
    }
    return {name: stores.entry_key(builder=name, **parts) for name in BUILDERS["auto"]}


DECIDING = (
    "binary",
    "build",
    "codesign",
    "core",
    "data",
    "emulate",
    "fetch",
    "package",
    "patch",
    "pipeline",
    "store",
    "verify",
)
"""The folders of gobuild that decide a byte of a toolchain or a word of its report; the others do not."""

ADDED = ("gowrap",)
"""The folders of templates/ that go into toolchains."""

LIBRARIES = ("ast-grep-py", "pyelftools", "cryptography")
"""The libraries that edit source, or read what is checked."""


@cache
def code_fingerprint() -> str:
    """Gobuild's version, those of the libraries that decide anything, and the dirhash of its own files that do.

    Once a process: what it runs is what it has loaded.
    """
    versions = ", ".join(f"{name} {installed(name)}" for name in ("gobuild", *LIBRARIES))
    return f"{versions}, {fingerprint(resources.PACKAGE, resources.folder('templates'))}"


def fingerprint(package: Path, templates: Path) -> str:
    """The dirhashes of what decides bytes and reports, in gobuild's own folder and in that of its templates."""
    parts = [package / name for name in DECIDING]
    added = [templates / name for name in ADDED]
    return f"{files.dirhash(package, _names(package, parts))}, {files.dirhash(templates, _names(templates, added))}"


def _names(root: Path, parts: Iterable[Path]) -> list[str]:
    found = [path for part in parts for path in (part, *part.rglob("*")) if path.is_file()]
    return [path.relative_to(root).as_posix() for path in found if "__pycache__" not in path.parts]


def reuse(run: Run) -> VerifiedToolchain | None:
    """The finished toolchain that the store has for this build; None where it has none, or a fresh one is wanted."""
    refuse_another(run.store, run.prepared)
    if run.prepared.settings.fresh:
        return None
    with run.clock.stage("store"):
        return recall(run.store, run.prepared, run.plan.scratch / "kept")


def store(run: Run, toolchain: VerifiedToolchain) -> None:
    """Stores a toolchain for the next build of it."""
    with run.clock.stage("store"):
        put(run.store, run.prepared, toolchain)


def put(kept: Store, prepared: Prepared, done: VerifiedToolchain) -> None:
    """Stores a toolchain. That it cannot be stored is told, and no reason to fail."""
    facts = {
        "stamp": prepared.plan.stamp,
        "target": str(prepared.plan.target),
        "state": manifest.dump_toolchain(_nowhere(done.toolchain), done.tree, prepared.plan.job),
        "checks": unstructure(done.report.checks),
        "pinned": done.pinned,
        "run": done.run,
    }
    packed = {path.name: path for path in done.packed}
    kept.put(KIND, keys(prepared)[done.toolchain.builder], packed, facts)


def _nowhere(toolchain: Toolchain) -> Toolchain:
    """The same without the folders that say something of this machine alone."""
    bootstrap = replace(toolchain.bootstrap, goroot=Path(toolchain.bootstrap.goroot.name))
    toolchain = replace(toolchain, bootstrap=bootstrap)
    return _from(toolchain, "") if toolchain.source.source.kind == "local" else toolchain


def _from(toolchain: Toolchain, location: str) -> Toolchain:
    source = replace(toolchain.source.source, location=location)
    return replace(toolchain, source=replace(toolchain.source, source=source))


def refuse_another(kept: Store, prepared: Prepared) -> None:
    """Refuses a build whose version another one has already: go's build cache would take one compiler for the other.

    With {id} in the suffix no two have the same.
    """
    plan, identity, suffix = prepared.plan, prepared.reached.catalog.identity, prepared.settings.suffix
    if not suffix or "{id}" in suffix:
        return
    kind = {"": "archive", "wheel": "wheel"}.get(identity) or ("git" if identity.startswith("git:") else "local")
    ours = (
        str(plan.release.version),
        (kind, identity if kind in ("git", "local") else ""),
        sorted((each.name, each.sha256) for each in prepared.patches),
        [plan.profile.name, plan.profile.cgo, plan.profile.ldflags],
        dict(prepared.series.environment),
    )
    for place, other in _known(kept, plan):
        if manifest.decisive_parts(other) != ours:
            raise ConfigError(
                f"{place} has another build that calls itself {plan.stamp}",
                f"--suffix {suffix}.{{id}}, which changes with what is built; or remove the other one",
            )


def _known(kept: Store, plan: Plan) -> Iterator[tuple[str, Manifest]]:
    """The builds of this stamp and target that can be seen from here, each with the name of its place."""
    with suppress(PackageError, OSError):
        yield str(plan.dist), read_manifest(plan.manifest, Manifest)
    with suppress(PackageError, OSError):
        yield str(plan.job), _manifest(*manifest.read_toolchain(plan.state))
    for entry, _ in stores.list_entries(kept.folder):
        facts = entry.facts
        if (entry.kind, facts.get("stamp"), facts.get("target")) == (KIND, plan.stamp, str(plan.target)):
            with suppress(PackageError, KeyError, TypeError):
                yield f"the store ({kept.folder.root})", _manifest(*manifest.load_toolchain(facts["state"], plan.job))


def _manifest(toolchain: Toolchain, tree: str) -> Manifest:
    return manifest.outer_manifest(toolchain, Report(checks=()), (), tree=tree, run={})


def answering_keys(prepared: Prepared) -> tuple[str, ...]:
    """The keys of what answers to a build, the likeliest first."""
    of, settings = keys(prepared), prepared.settings
    builders = BUILDERS[settings.builder]
    if settings.bootstrap and settings.builder == "auto":
        builders = BUILDERS["make.bash"]  # as in `Compilation`: the word says what to start from
    return tuple(of[builder] for builder in builders)


def recall(kept: Store, prepared: Prepared, into: Path) -> VerifiedToolchain | None:
    """What the store has for a build, if anything: its archives in `into`, every digest checked."""
    found = (kept.get(KIND, key, into) for key in answering_keys(prepared))
    entry = next((each for each in found if each), None)
    return _finished(kept, entry, prepared, into) if entry else None


def _finished(kept: Store, entry: StoreEntry, prepared: Prepared, into: Path) -> VerifiedToolchain | None:
    plan, facts = prepared.plan, entry.facts
    names = archive_names(plan.stamp, plan.target)
    try:
        toolchain, tree = manifest.load_toolchain(facts["state"], plan.job)
        report, pinned, run = structure({"checks": facts["checks"]}, Report), bool(facts["pinned"]), dict(facts["run"])
        if set(entry.files) != set(names) or not report.ok:
            raise PackageError("its files or its checks are not a finished toolchain's")
        if (toolchain.source.stamp, toolchain.target) != (plan.stamp, plan.target):
            raise PackageError("it is another toolchain")
    except (PackageError, KeyError, TypeError, ValueError) as error:
        kept.say(f"the store's toolchain {entry.key[:12]} cannot be used: {getattr(error, 'reason', error)}")
        files.remove(into)
        return None
    if toolchain.source.source.kind == "local":
        toolchain = _from(toolchain, str(Path(prepared.settings.source).expanduser().resolve()))
    return VerifiedToolchain(
        toolchain=toolchain,
        tree=tree,
        report=report,
        packed=tuple(into / name for name in names),
        pinned=pinned,
        run=run,
        kept=entry.made,
    )
