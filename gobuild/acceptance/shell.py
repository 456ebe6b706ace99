"""A GOROOT as a series makes it, in a git repository with a commit a patch, and a shell in it.

The source is the workbench's; upstream's programs and what make.bash generated stand beside it, and git does not see
them. What the shell leaves in no commit becomes one, and all commits become patches of the series.
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.acceptance import cache_folder, upstream_toolchain
from gobuild.acceptance.goroots import build_programs, link_tree, programs_of
from gobuild.core import files, goenv
from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import GENERATED
from gobuild.patch.manifest import load_or_new
from gobuild.patch.series import NAME, Series
from gobuild.patch.workbench import export
from gobuild.patch.workbench.adopt import user_author
from gobuild.patch.workbench.import_series import PlainSource, import_series
from gobuild.patch.workbench.message import PatchMessage, commit_message
from gobuild.patch.workbench.repository import Repository
from gobuild.pipeline.session import Prepared, Session, prepare
from gobuild.pipeline.sources import unpacked_sources

BESIDE = ("bin", "pkg")
"""What upstream's toolchain has besides the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchShell:
    """A GOROOT to be edited.

    Attributes:
        environment: the whole environment of the shell.
    """

    folder: Path
    version: GoVersion
    series: Series
    environment: Mapping[str, str]

    def run(self) -> int:
        """The user's shell, at its terminal, in src/; its exit code. Ctrl-C is the shell's, and not ours."""
        shell = os.environ.get("SHELL") or "/bin/sh"
        before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
        try:
            return subprocess.call([shell], cwd=self.folder / "src", env=dict(self.environment))
        finally:
            signal.signal(signal.SIGINT, before)

    def uncommitted(self) -> list[str]:
        """What was changed or made, and is in no commit."""
        changed, new = Repository.at(self.folder).uncommitted()
        return [*changed, *new]

    def commit(self, name: str, reason: str) -> None:
        """Makes a commit of that, which is a patch of this name.

        Raises:
            ConfigError: no patch can have the name.
        """
        if not NAME.fullmatch(name):
            hint = (
                f"lower-case words with hyphens: bigger-stacks; {self.folder} has what you did, the same words open it"
            )
            raise ConfigError(f"{name!r} is no name of a patch", hint)
        repository = Repository.at(self.folder)
        repository.git("add", "--all")
        author, email = user_author()
        said = PatchMessage(author=author, email=email, subject=reason or name)
        head = repository.git_text("rev-parse", "HEAD")
        made = repository.commit(commit_message(said, name, "diff"), head, author=(author, email))
        repository.git("update-ref", "HEAD", made)

    def export(self) -> export.Export:
        """Writes the commits into the series."""
        exported = export.export_series(self.folder, self.series)
        export.write_export(exported, add=True, extends=True)
        return exported

    def remove(self) -> None:
        """Removes the GOROOT."""
        files.remove(self.folder)


def begin(session: Session, to: Path | None) -> PatchShell:
    """Lays out the GOROOT in a folder, by default SERIES.shell; one that is there already is gone on with.

    Raises:
        PatchError: a patch of the series does not fit; or a program of the toolchain does not compile with it.
        FetchError: upstream's toolchain of the release is not to be had for this machine.
    """
    settings = session.settings
    series = load_or_new(Path(settings.series).expanduser().absolute())
    folder = (to or series.folder.with_name(f"{series.folder.name}.shell")).absolute()
    if not series.patches:  # one that is not there yet
        session = replace(session, settings=replace(settings, series="none"))
    prepared = prepare(session, delivered=False)
    cache = cache_folder(prepared)
    (cache / "tmp").mkdir(parents=True, exist_ok=True)
    env = goenv.closed(cache, goroot=folder) | {"GOCACHE": str(cache / "gocache-shell")}
    if not folder.exists():
        try:
            _lay_out(session, prepared, series, folder, env)
        except BaseException:
            files.remove(folder)
            raise
    return PatchShell(
        folder=folder, version=prepared.plan.release.version, series=series, environment=_own_environment(folder, env)
    )


def _lay_out(session: Session, prepared: Prepared, series: Series, folder: Path, env: Mapping[str, str]) -> None:
    settings, host = session.settings, prepared.plan.host
    upstream = upstream_toolchain(session, prepared)
    with session.console.stage("shell") as at, unpacked_sources(session) as sources:
        at.note(f"a commit for each patch of {settings.series}")
        ((version, root),) = sources.items()
        plain = PlainSource(version=version, root=root)
        imported = import_series(series, plain, folder, target=settings.for_target, profile=settings.profile)
        if imported.stopped:
            raise PatchError(
                f"the patch {imported.stopped} conflicts", "patches.import --to DIR opens the conflict in git"
            )
        at.note("upstream's programs, and those that the series changes")
        for name in BESIDE:
            link_tree(upstream / name, folder / name)
        made = [name for name in sorted(GENERATED) if (upstream / name).is_file() and not (folder / name).exists()]
        for name in made:
            files.write(folder / name, (upstream / name).read_bytes())
        files.write(folder / ".git/info/exclude", "".join(f"/{name}\n" for name in (*BESIDE, "new", *made)))
        repository = Repository.at(folder)
        changed = {path for commit in repository.commits_above_base() for path in repository.changes(commit)}
        build_programs(folder, programs_of(sorted(changed)), env=env, host=host, run=session.run)


def _own_environment(folder: Path, closed: Mapping[str, str]) -> dict[str, str]:
    """The user's own environment, the GOROOT's go command first, and none of the user's settings of Go."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("GO", "CGO_"))}
    go = {key: value for key, value in closed.items() if key.startswith(("GO", "CGO_"))}
    return mine | go | {"PATH": f"{folder}/bin:{os.environ.get('PATH', os.defpath)}"}
