"""A series as git commits on a version's plain source; `gobuild.patch.workbench.export` takes them back.

Patches are applied as a build applies them, strictly; git merges only what does not apply so, and the import says of
which patches that is true. Nothing outside of the repository's folder is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Outcome, State
from gobuild.patch.apply import try_patch
from gobuild.patch.series import Patch, Series
from gobuild.patch.tree import Tree
from gobuild.patch.workbench import message
from gobuild.patch.workbench.import_record import ImportRecord
from gobuild.patch.workbench.repository import BASE, BRANCH, Repository

MERGED = "merged"
WAITING = "waiting"
"""What became of a patch that git's three-way merge put in, or will behind a conflict; besides the words of `State`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportStep:
    """One patch of an import: its state is a `State`'s word, `MERGED` or `WAITING`."""

    name: str
    state: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A workbench, with a step for each patch; and where the rebase stands at one, which, and its files in conflict."""

    folder: Path
    steps: tuple[ImportStep, ...]
    stopped: str = ""
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainSource:
    """A version's plain source, in a folder that is read and never written."""

    version: GoVersion
    root: Path


def import_series(
    series: Series, plain: PlainSource, folder: Path, *, target: Target, profile: str, known: PlainSource | None = None
) -> Imported:
    """Makes a workbench in a folder that does not exist, or is empty.

    All patches that fit, optional ones too, become commits, a structural edit by its result. `known` is a version that
    those patches apply to which do not apply to `plain`. On an error no folder is made.
    """
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise ConfigError(f"{folder} is there already", "a folder that does not exist, or is empty")
    if known and known.version == plain.version:
        raise ConfigError(f"--from {known.version} is the version itself", "another version, one the patches apply to")
    patches = series.candidates(plain.version, target, profile)
    with files.atomic_write(folder) as temporary:
        draft = _Draft(Repository.make(temporary), plain, known)
        for patch in patches:
            draft.add(patch)
        draft.finish()
        record = ImportRecord(
            go=plain.version,
            target=target,
            profile=profile,
            series=str(series.folder.absolute()) if series.patches else str(series.folder),
            patches=tuple(step.name for step in draft.steps if step.state in (State.APPLIED, MERGED)),
        )
        record.save(temporary)
    return _merge(Repository.at(folder), draft)


def _merge(repository: Repository, draft: "_Draft") -> Imported:
    """Rebases what did not apply. Where git stops, the workbench is left as it stands."""
    stop = repository.rebase_onto_branch(draft.waiting) if draft.waiting else None
    commit, conflicts = stop or (None, ())
    stopped = commit.message.names[0] if commit else ""
    there = {name for each in repository.commits_above_base() for name in each.message.names}
    steps: list[ImportStep] = []
    behind = False
    for step in draft.steps:
        if step.state != MERGED or step.name in there:
            steps.append(step)
        elif behind or step.name == stopped:
            steps.append(replace(step, state=WAITING if behind else State.CONFLICT))
            behind = True
        else:
            gone = "by git's three-way merge nothing of it is left to do"
            steps.append(replace(step, state=State.ALREADY_UPSTREAM, evidence=gone))
    return Imported(folder=repository.folder, steps=tuple(steps), stopped=stopped, conflicts=conflicts)


@dataclass(slots=True, kw_only=True)
class CommitChain:
    """Commits on one version's source, made beside the work tree: no file but git's is written."""

    repository: Repository
    tree: Tree
    version: GoVersion
    head: str

    @classmethod
    def begin(cls, repository: Repository, plain: PlainSource) -> "CommitChain":
        """The chain's first commit: the plain source."""
        beside = repository.beside(f"index-{plain.version}", plain.root)
        beside.add_all()
        head = beside.commit(f"{plain.version.tag}: its plain source\n", "")
        return cls(repository=beside, tree=Tree(plain.root), version=plain.version, head=head)

    @classmethod
    def on_branch(cls, folder: Path, version: GoVersion) -> "CommitChain":
        """The chain of a workbench whose work tree is as its branch has it, to be gone on with."""
        repository = Repository.at(folder)
        beside = repository.beside("index-chain", folder)
        head = repository.git_text("rev-parse", "HEAD")
        beside.git("read-tree", head)
        return cls(repository=beside, tree=Tree(folder), version=version, head=head)

    def apply(self, patch: Patch) -> Outcome:
        """Applies a patch, and commits what it changed; on a conflict nothing is changed."""
        outcome = try_patch(patch, self.tree)
        if outcome.state is not State.APPLIED:
            return outcome
        if patch.kind == "edit":
            body = f"{patch.reason}\n\n{outcome.evidence}"
            said = message.PatchMessage(subject=f"{patch.name}: a structural edit", body=body)
        else:
            said = message.parse_prose(patch.description, patch.name)
        self.commit(outcome.files, said, patch.name, patch.kind)
        return outcome

    def commit(self, paths: Sequence[str], said: message.PatchMessage, name: str, kind: str = "diff") -> None:
        """Commits files as the tree has them now."""
        for path in paths:
            self.repository.stage(path, self.tree.read_file(path), executable=self.tree.is_executable(path))
        text = message.commit_message(said, name, kind)
        author = (said.author, said.email)
        self.head = self.repository.commit(text, self.head, author=author, date=said.git_date)

    def check_out(self) -> None:
        """Lets the branch point to the chain's end, and the work tree with it; what is noted there alone is lost."""
        self.repository.git("update-ref", f"refs/heads/{BRANCH}", self.head)
        Repository.at(self.repository.folder).git("reset", "--hard", "--quiet", BRANCH)


class _Draft:
    """An import under way: commits on the version, and those that wait for the three-way merge."""

    def __init__(self, repository: Repository, plain: PlainSource, known: PlainSource | None) -> None:
        self.chain = CommitChain.begin(repository, plain)
        self.known = known
        self.other: CommitChain | None = None
        self.steps: list[ImportStep] = []
        self.waiting: list[str] = []
        self.applied: list[Patch] = []
        repository.git("update-ref", f"refs/tags/{BASE}", self.chain.head)

    def add(self, patch: Patch) -> None:
        """Makes the next patch a commit, on the version or to be merged into it."""
        # What comes behind a conflict may need what is merged there: it is merged as well, in its order.
        outcome = None if self.waiting else self.chain.apply(patch)
        if outcome is None or outcome.state is State.CONFLICT:
            self._wait(patch, outcome)
        else:
            self.applied.append(patch)
            self._step(patch, outcome.state, outcome.evidence)

    def _wait(self, patch: Patch, here: Outcome | None) -> None:
        """Makes a commit of a patch where it applies: on the known version, or beside the branch on this one.

        `here` is its conflict with this version, None where that was not tried.
        """
        other = self._other(patch, here)
        order = (other,) if here else (self.chain, other) if patch.kind == "edit" else (other, self.chain)
        outcomes = [here] if here else []
        for chain in order:
            outcomes.append(chain.apply(patch))
            if outcomes[-1].state is State.APPLIED:
                self.waiting.append(chain.head)
                was = f"does not apply to {self.chain.version} as it is" if here else "stands behind one that is merged"
                evidence = f"{was}; merged by git from {chain.version}: look at it"
                self._step(patch, MERGED, evidence)
                return
        done = next((one for one in outcomes if not here and one.state is not State.CONFLICT), None)
        if done is None:
            raise PatchError(
                f"the patch {patch.name} applies neither to {self.chain.version} nor to {other.version}: "
                f"{outcomes[0].evidence}",
                "--from another version, one that it applies to",
            )
        self._step(patch, done.state, done.evidence)

    def _other(self, patch: Patch, here: Outcome | None) -> CommitChain:
        if self.other is None:
            if self.known is None:
                raise PatchError(
                    f"the patch {patch.name} does not apply to {self.chain.version}: {here.evidence if here else ''}",
                    "--from VERSION, one that it applies to: then git merges three ways, and opens a rebase",
                )
            self._point()
            self.other = CommitChain.begin(self.chain.repository, self.known)
            for one in self.applied:
                self.other.apply(one)  # as far as it does: only what comes behind is taken from here
        return self.other

    def _point(self) -> None:
        self.chain.repository.git("update-ref", f"refs/heads/{BRANCH}", self.chain.head)

    def _step(self, patch: Patch, state: str, evidence: str) -> None:
        self.steps.append(ImportStep(name=patch.name, state=state, evidence=evidence))

    def finish(self) -> None:
        """Lets the branch point to the commits, and writes the work tree."""
        if not self.waiting:
            self._point()
        folder = self.chain.repository.folder
        for name in ("index", *(f"index-{chain.version}" for chain in (self.chain, self.other) if chain)):
            (folder / ".git" / name).unlink(missing_ok=True)
        for number, commit in enumerate(self.waiting, 1):
            # Kept from being pruned, and at hand after a `git rebase --abort`.
            self.chain.repository.git("update-ref", f"refs/gobuild/waiting/{number}", commit)
        Repository.at(folder).git("reset", "--hard", "--quiet")
