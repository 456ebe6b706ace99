"""Foreign patches as commits of a workbench, each by the strictest way that it fits; what stops there is gone on with.

What is changed is the form alone, and that is told of each patch: no fuzz, and no guess between two places that fit.
"""

import itertools
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PackageError, PatchError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.manifest import SCHEMA, read_manifest, to_json
from gobuild.core.model import UNSAID, State
from gobuild.core.process import run
from gobuild.patch.diff.unified import Diff
from gobuild.patch.series import Series
from gobuild.patch.tree import Tree
from gobuild.patch.workbench import message, routes
from gobuild.patch.workbench.canonical import canonical_patch
from gobuild.patch.workbench.import_series import MERGED, CommitChain, PlainSource, import_series
from gobuild.patch.workbench.incoming import Incoming
from gobuild.patch.workbench.message import PatchMessage
from gobuild.patch.workbench.readings import Reading, read_incoming
from gobuild.patch.workbench.repository import Repository

ADOPTED = "adopted"
BY_GIT = "by git"
BY_PATCH = "by patch"
BY_HAND = "by hand"
LEFT_OUT = "left out"
NO_PATCH = "no patch"
"""What became of a patch, besides `MERGED` and the words of `State`: words without a diff are no patch."""

RECORD = ".git/gobuild-adopt.json"

PATCH_PACKAGES = "install patch (Debian's package patch, Homebrew's gpatch)"

GIT_FORMS = {
    rb"^rename from ": "renames as delete and add",
    rb"^copy from ": "copies as added files",
    rb"^GIT binary patch$": "binary",
}

_GO_ON = "there: edit the files; git add FILE; then the same words again; or with --skip, which leaves this patch out"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptStep:
    """What became of one patch; `forms` is what was changed in its form, `sha256` is of the patch as it came."""

    label: str
    state: str
    evidence: str
    forms: tuple[str, ...] = ()
    sha256: str

    @property
    def summary(self) -> str:
        """What to know of it besides its state."""
        return "; ".join(filter(None, (*self.forms, self.evidence))) or "as it stands"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptRecord:
    """How far an adoption has come, in its workbench.

    Attributes:
        head: the commit that the next patch goes on.
        stopped: the SHA-256 of the patch whose conflict stands open there; "" where none does.
    """

    schema: int = SCHEMA
    steps: tuple[AdoptStep, ...] = ()
    head: str = ""
    stopped: str = ""

    def save(self, folder: Path) -> None:
        """Writes it into a workbench."""
        files.write(folder / RECORD, to_json(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A workbench with a step for each patch so far; and where it stands at a conflict, which, why, and in what files.

    A conflict without files is one that cannot be marked in any: a file is missing.
    """

    folder: Path
    steps: tuple[AdoptStep, ...]
    stopped: str = ""
    reason: str = ""
    hint: str = ""
    conflicts: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[AdoptStep, ...]:
        """The patches that stay outside."""
        return tuple(step for step in self.steps if step.state == LEFT_OUT)


def adopt_patches(
    patches: Sequence[Incoming],
    plain: PlainSource,
    series: Series,
    folder: Path,
    *,
    target: Target,
    profile: str,
    skip: bool = False,
) -> Adopted:
    """Makes a commit of each patch, on a series' own commits in a new workbench, or goes on in one that it stopped in.

    With `skip` what does not fit stays outside, also the one whose conflict stands open.

    Raises:
        PatchError: the series itself does not apply; the workbench is another one's; its conflict is not resolved.
    """
    if not (folder / RECORD).exists():
        import_series(series, plain, folder, target=target, profile=profile)
        AdoptRecord(head=Repository.at(folder).git_text("rev-parse", "HEAD")).save(folder)
    adoption = _Adoption(patches, plain, series, folder, skip=skip)
    for one in patches[len(adoption.steps) :]:
        if stop := adoption.take(one):
            return stop
    adoption.finish()
    return Adopted(folder=folder, steps=tuple(adoption.steps))


def user_author() -> tuple[str, str]:
    """Who writes a patch that names nobody: the user, as git knows their name and address; else `message.AUTHOR`."""
    found = []
    for variable, key in (("GIT_AUTHOR_NAME", "user.name"), ("GIT_AUTHOR_EMAIL", "user.email")):
        said = os.environ.get(variable, "")
        with suppress(ToolMissing):
            done = run(("git", "config", "--global", "--get", key), env=os.environ, cwd=Path.cwd(), check=False)
            said = said or (done.output.strip() if done.code == 0 else "")
        found.append(said)
    name, email = found
    return (name, email) if name and email else message.AUTHOR


class _Adoption:
    """An adoption under way, in its workbench."""

    def __init__(
        self, patches: Sequence[Incoming], plain: PlainSource, series: Series, folder: Path, *, skip: bool
    ) -> None:
        self.folder, self.version, self.skip = folder, plain.version, skip
        self.repository = Repository.at(folder)
        try:
            self.record = read_manifest(folder / RECORD, AdoptRecord)
        except PackageError as error:
            raise PatchError(error.reason, f"remove {folder}, and adopt again") from error
        self.steps = list(self.record.steps)
        if [step.sha256 for step in self.steps] != [one.sha256 for one in patches[: len(self.steps)]]:
            raise PatchError(f"{folder} is a workbench of other patches", "remove it; or another one by --to")
        self.names = {patch.name for patch in series.patches}
        self.names |= {name for commit in self.repository.commits_above_base() for name in commit.message.names}
        self.author = user_author()
        self.chain = self._chain()
        if self.record.stopped and len(self.steps) < len(patches):
            self._take_up(patches[len(self.steps)])
            self.chain = self._chain()

    def _chain(self) -> CommitChain:
        return CommitChain.on_branch(self.folder, self.version)

    def _take_up(self, one: Incoming) -> None:
        """Sees what has become of the conflict that stood open: a step, or nothing, and then it is tried again."""
        if self.skip or one.sha256 != self.record.stopped:
            self.repository.git("reset", "--hard", "--quiet", self.record.head)
            if self.skip:
                self._step(one, LEFT_OUT, "its conflict was not resolved")
            return
        if open_files := self.repository.unmerged():
            raise PatchError(f"{one.label} is in conflict in {self.folder}: {', '.join(open_files)}", _GO_ON)
        if loose := self.repository.names("diff"):
            raise PatchError(f"{self.folder} has changes that are not added: {', '.join(loose)}", _GO_ON)
        staged = self.repository.names("diff", "--cached")
        if self.chain.head != self.record.head:
            self._step(one, BY_HAND, "commits of yours stand for it")
        elif staged:
            marked = [path for path in staged if b"\n<<<<<<< " in b"\n" + (self.repository.blob(f":{path}") or b"")]
            if marked:
                raise PatchError(f"the marks of a conflict are left in {', '.join(marked)}", _GO_ON)
            said, name = self._message(one, read_incoming(one, self.chain.tree)[0].diff)
            text = message.commit_message(said, name, "diff")
            made = self.repository.commit(text, self.chain.head, author=(said.author, said.email), date=said.git_date)
            self.repository.git("reset", "--soft", made)
            self._step(one, BY_HAND, "its conflict was resolved")

    def take(self, one: Incoming) -> Adopted | None:
        """Makes a commit of a patch, or says why it stays outside; what it gives is a conflict to stop at."""
        if one.only_words and not one.refused:
            self._step(one, NO_PATCH, "words alone, without a diff")
            return None
        try:
            reading, change = read_incoming(one, self.chain.tree)
            if change is None:
                return self._force(one, reading)
            if change.state is State.ALREADY_UPSTREAM:
                self._step(one, change.state, change.evidence, reading)
            else:
                with self.chain.tree.trial() as before:
                    reading.diff.apply(self.chain.tree)
                    self._commit(one, reading, before)
                moved = re.findall(r"([^;]*) \(\d+ moved\)", change.evidence)
                self._step(one, ADOPTED, f"moved:{','.join(moved)}" if moved else "", reading)
        except PatchError as error:
            self._step(one, LEFT_OUT, error.reason)
        return None

    def _force(self, one: Incoming, reading: Reading) -> Adopted | None:
        """Takes a patch that does not fit by gobuild's own rules by another route, or stops at it."""
        missing = ""
        for state, route in ((BY_GIT, routes.by_git), (MERGED, routes.by_clean_merge), (BY_PATCH, routes.by_patch)):
            with self.chain.tree.trial() as before:
                try:
                    evidence = route(self.chain, reading.diff)
                except ToolMissing:
                    evidence, missing = "", f"; patch -F0 may take it: {PATCH_PACKAGES}"
                if evidence:
                    self._commit(one, reading, before)
            if evidence:
                self._step(one, state, evidence, reading)
                return None
        reason, hint = _why(reading.diff, self.chain.tree)
        if self.skip:
            self._step(one, LEFT_OUT, reason + missing, reading)
            return None
        self.finish(stopped=one.sha256)
        return Adopted(
            folder=self.folder,
            steps=tuple(self.steps),
            stopped=one.label,
            reason=reason,
            hint=missing.removeprefix("; ") or hint,
            conflicts=() if missing else self._open_conflict(reading.diff),
        )

    def _open_conflict(self, diff: Diff) -> tuple[str, ...]:
        """Leaves the workbench with what fits of a patch in its index, and what does not as files in conflict."""
        stuck: tuple[routes.ConflictSides, ...] = ()
        self.chain = self._chain()
        tree = self.chain.tree
        with suppress(PatchError), tree.trial() as before:  # a file that is not there at all cannot be marked
            _, stuck = routes.by_merge(self.chain, diff)
            paths = _changed(diff, tree, before)
            for sides in stuck:
                tree.write_file(sides.path, sides.marked)
        if stuck:
            for path in paths:
                self.repository.stage(path, tree.read_file(path), executable=tree.is_executable(path))
            for sides in stuck:
                three = (sides.base, sides.ours, sides.theirs)
                self.repository.stage_conflict(sides.path, three, executable=tree.is_executable(sides.path))
            tree.commit()
        return tuple(sides.path for sides in stuck)

    def finish(self, stopped: str = "") -> None:
        """Lets the branch point to the commits, and notes how far it has come."""
        self.chain.check_out()
        AdoptRecord(steps=tuple(self.steps), head=self.chain.head, stopped=stopped).save(self.folder)

    def _commit(self, one: Incoming, reading: Reading, before: Tree) -> None:
        """Commits what a patch has changed; what could not be exported again is no commit."""
        paths = _changed(reading.diff, self.chain.tree, before)
        if not paths:
            raise PatchError("it applies, and changes nothing")
        parent = self.chain.head
        said, name = self._message(one, reading.diff)
        try:
            self.chain.commit(paths, said, name)
            made = self.repository.read_commit(self.chain.head)
            canonical_patch(self.repository, made, name or one.stem, made.message, None)
        except PatchError:
            self.chain.head = parent
            self.chain.repository.git("read-tree", parent)
            raise
        self.names |= {name} - {""}

    def _message(self, one: Incoming, diff: Diff) -> tuple[PatchMessage, str]:
        """A patch's words; and a name, where its subject gives none."""
        said = message.parse_prose(diff.description, one.stem)
        if (said.author, said.email) == message.AUTHOR:
            said = replace(said, author=self.author[0], email=self.author[1])
        if diff.description and message.name_from_subject(said.subject) != message.NAMELESS:
            return said, ""
        stem = message.name_from_subject(one.stem)
        names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in self.names)
        return said if diff.description else replace(said, subject=f"{UNSAID}: why {name} exists"), name

    def _step(self, one: Incoming, state: str, evidence: str, reading: Reading | None = None) -> None:
        forms = (*reading.forms, *reading.diff.notes, *_git_forms(reading.diff)) if reading else one.forms
        self.steps.append(AdoptStep(label=one.label, state=state, evidence=evidence, forms=forms, sha256=one.sha256))


def _changed(diff: Diff, tree: Tree, before: Tree) -> list[str]:
    """The files that a diff has changed, or whose executable bit it has."""

    def states(path: str) -> tuple[bytes | None, bool]:
        return tree.read_file(path), tree.is_executable(path)

    was = {path: (before.read_file(path), before.is_executable(path)) for path in diff.names}
    return sorted(path for path in was if states(path) != was[path])


def _why(diff: Diff, tree: Tree) -> tuple[str, str]:
    """Why a diff does not fit, with both sides, and what may help."""
    try:
        with tree.trial(keep=False):
            diff.apply(tree)
    except PatchError as error:
        return error.reason, error.hint
    return "it fits", ""


def _git_forms(diff: Diff) -> tuple[str, ...]:
    """What a diff says in git's own words that is written in others: renames, copies, binary files."""
    found = [form for pattern, form in GIT_FORMS.items() if re.search(pattern, diff.content, re.MULTILINE)]
    twice = len({file.path for file in diff.files}) < len(diff.files)
    return (*found, *(("several diffs of one file",) if twice else ()))
