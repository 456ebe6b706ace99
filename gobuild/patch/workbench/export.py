"""A workbench's commits as .patch files: what says the same as before keeps every byte, the rest is made anew.

What series.toml says (order, versions, reasons) is a person's word and stays; what it lacks is proposed.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PatchError
from gobuild.patch import quilt
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.unified import Diff
from gobuild.patch.safe_read import safe_read
from gobuild.patch.series import MANIFEST, NAME, Patch, Series
from gobuild.patch.workbench import message
from gobuild.patch.workbench.canonical import canonical_patch, does_same, require_p1
from gobuild.patch.workbench.entries import add_entries, entry, is_listed, placeholder
from gobuild.patch.workbench.import_record import ImportRecord
from gobuild.patch.workbench.repository import Commit, Repository


class Export:
    """What an export finds, commit by commit.

    Attributes:
        texts: the files to write, by name; nothing of what is unchanged.
        unchanged: the patches whose commits say what their files or entries say.
        entries: what series.toml (or quilt's series) lacks, a proposal a patch.
        notes: what a person should know, a sentence each.
    """

    def __init__(self, repository: Repository, record: ImportRecord, series: Series, *, variant: bool) -> None:
        self.repository, self.record, self.series, self.variant = repository, record, series, variant
        fitting = series.candidates(record.go, record.target, record.profile)
        self.known = {patch.name: patch for patch in fitting}
        self.seen: dict[str, Commit] = {}
        self.found: dict[str, str] = {}  # by a commit's id, the patch that it is in spite of its message
        self.texts: dict[str, bytes] = {}
        self.unchanged: list[str] = []
        self.entries: list[str] = []
        self.notes: list[str] = []

    def find_unnamed(self, commits: Sequence[Commit]) -> None:
        """Knows a patch again whose commit has lost its trailer, as `git commit --amend -m` makes it lose it.

        It stands where that patch stood, between the same neighbours, and changes a file of it; or the patch was not
        more than begun.
        """
        there = {name for commit in commits for name in commit.message.names}
        at, unnamed = 0, list[Commit]()
        for commit in (*commits, None):
            if commit and not commit.message.names:
                unnamed.append(commit)
                continue
            name = commit.message.names[0] if commit else ""
            known = name in self.record.patches
            end = self.record.patches.index(name) if known else len(self.record.patches)
            gone = [each for each in self.record.patches[at:end] if each not in there]
            if len(gone) == len(unnamed) and all(map(self._may_be, unnamed, gone)):
                self.found |= {one.id: each for one, each in zip(unnamed, gone, strict=True)}
            at, unnamed = (end + 1 if known else at), []

    def _may_be(self, commit: Commit, name: str) -> bool:
        patch = self.known.get(name)
        if not patch or not isinstance(patch.operation, Diff):
            return False
        names = set(patch.operation.names)
        return names == {placeholder(name)[0]} or not names.isdisjoint(self.repository.changes(commit))

    def take(self, commit: Commit) -> None:
        """Compares one commit with the patch that it is, or makes a patch of it."""
        name = self._name(commit)
        self.seen[name] = commit
        patch = self.known.get(name)
        if commit.message.kind == "edit" or (patch and patch.kind == "edit"):
            self._edit(commit, name, patch)
        elif (
            patch
            and message.parse_prose(patch.description, name).kept == commit.message.kept
            and does_same(self.repository, commit, patch)
        ):
            self.unchanged.append(name)
        else:
            self._anew(commit, name, patch)

    def _name(self, commit: Commit) -> str:
        names = commit.message.names
        if len(names) > 1:
            raise PatchError(
                f"{commit.short} is two patches: {' and '.join(names)}", f"leave one line {message.NAME_TRAILER}"
            )
        if not names and (known := self.found.get(commit.id)):
            self.notes.append(
                f"{commit.short} is taken for the patch {known}, in whose place it stands: if it is another, give it a "
                f"line {message.NAME_TRAILER}: NAME at its end"
            )
            names = (known,)
        name = names[0] if names else self._new_name(commit.message.subject)
        if not NAME.fullmatch(name):
            raise PatchError(f"{commit.short} names the patch {name!r}", "lower-case words with hyphens")
        if other := self.seen.get(name):
            raise PatchError(
                f"{other.short} and {commit.short} are both the patch {name}", "squash them, or rename one"
            )
        return name

    def _new_name(self, subject: str) -> str:
        """A name for a commit without one: the same each time, and nobody else's."""
        first = message.name_from_subject(subject)
        names = itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
        taken = {*self.seen, *self.record.patches}
        return next(name for name in names if name not in taken and self._subject(name) in (None, subject))

    def _subject(self, name: str) -> str | None:
        """The subject of the patch of this name, which an earlier export may have made; None where there is none."""
        variants = [patch for patch in self.series.patches if patch.name == name]
        if variants:
            prose = self.known.get(name, variants[0]).description
        elif (self.series.folder / f"{name}.patch").exists():
            try:
                prose = parse_diff(safe_read(self.series.folder, f"{name}.patch")).description
            except PatchError:
                prose = ""
        else:
            return None
        return message.parse_prose(prose, name).subject

    def _edit(self, commit: Commit, name: str, patch: Patch | None) -> None:
        """An edit is an entry in series.toml; its commit is only looked at."""
        if patch and patch.kind == "edit" and does_same(self.repository, commit, patch):
            self.unchanged.append(name)
        else:
            self.notes.append(
                f"the commit of {name}, a structural edit, is not what its entry in {MANIFEST} does: left out. Change "
                f"the entry; or make a patch of it: git commit --amend, without the lines {message.NAME_TRAILER} and "
                f"{message.KIND_TRAILER}"
            )

    def _anew(self, commit: Commit, name: str, patch: Patch | None) -> None:
        """Makes the file of a commit, and sees that it does what the commit does before anything is written."""
        said = commit.message
        if not said.subject:
            raise PatchError(f"the commit {commit.id[:10]} has no message", "git commit --amend")
        own = patch if patch and patch.folder == self.series.folder and not self.variant else None
        old = patch.operation if patch and isinstance(patch.operation, Diff) else None
        if old and own:
            require_p1(own, old)
            said = replace(said, date=message.parse_prose(old.description, name).date)
        content = canonical_patch(self.repository, commit, name, said, old)
        file = own.file if own else self._new_file(name)
        if (self.series.folder / file).exists() and safe_read(self.series.folder, file) == content:
            self.unchanged.append(name)
        else:
            self.texts[file] = content
            if own:
                self.notes.append(
                    f"{file} is made on {self.record.go} now, and its entry is for go {own.go!r}: look at "
                    "patches.status, and where it conflicts export with --variant"
                )
        if own is None:
            self._propose(name, file, said.subject)

    def _new_file(self, name: str) -> str:
        """A new patch's file: not that of a variant for other versions."""
        variant = any(patch.name == name for patch in self.series.patches)
        return f"{name}-{self.record.go}.patch" if variant else f"{name}.patch"

    def _propose(self, name: str, file: str, reason: str) -> None:
        """What is to be added to series.toml, or to quilt's series."""
        if is_listed(self.series.folder):
            self.entries.append(file)
            return
        if quilt.is_unlisted(self.series.folder):
            self.notes.append(f"{file} comes where its name stands among the others: nothing lists them")
            return
        if self.variant and (other := self.known.get(name)):
            self.notes.append(
                f"narrow the entry of {name} for go {other.go!r}: two variants may not be for one version"
            )
        if any(patch.name == name and patch.folder != self.series.folder for patch in self.series.patches):
            self.notes.append(f"{name} replaces the stock series' patch of that name, in all of its variants")
        self.entries.append(entry(name, made_on=self.record.go, file=file, reason=reason))

    def finish(self, untracked: list[str]) -> None:
        """Notes what only all commits together show."""
        order = [name for name in self.seen if name in self.known]
        listed = [name for name in self.known if name in self.seen]
        if order != listed:
            self.notes.append(
                f"the commits stand in the order {', '.join(order)}, the series in the order {', '.join(listed)}, in "
                "which patches apply: move the series' entries"
            )
        self.notes += [
            f"no commit is the patch {name} any more: its file and its entry stay; take them out if it may go"
            for name in self.record.patches
            if name not in self.seen
        ]
        if untracked:
            self.notes.append(f"not in any commit, and so in no patch: {', '.join(untracked)}")


def export_series(folder: Path, series: Series, *, variant: bool = False) -> Export:
    """Makes patch files of a workbench's commits, to replace those of a series; writes nothing.

    With `variant` a patch that was changed becomes a variant for this version, in a file of its own, and the one that
    is there stays for the others.

    Raises:
        PatchError: the folder is no workbench; a rebase is under way; changes are not committed; two commits are the
            same patch, or one is two; a commit holds what no patch can do.
    """
    record = ImportRecord.load(folder)
    repository = Repository.at(folder)
    if repository.rebasing:
        raise PatchError(f"a rebase is under way in {folder}", "git rebase --continue there, or --abort")
    changed, untracked = repository.uncommitted()
    if changed:
        raise PatchError(
            f"{folder} has changes that are not committed: {', '.join(changed)}",
            "git commit (--amend, or --fixup and git rebase --interactive --autosquash); or git stash",
        )
    export = Export(repository, record, series, variant=variant)
    commits = repository.commits_above_base()
    export.find_unnamed(commits)
    for commit in commits:
        export.take(commit)
    export.finish(untracked)
    return export


def write_export(exported: Export, *, add: bool = False, extends: bool = False) -> None:
    """Writes what an export found, each file whole; with `add`, its entries at the end of series.toml as well.

    `extends` is as for `add_entries`.
    """
    for name, content in exported.texts.items():
        files.write(exported.series.folder / name, content)
    if add and exported.entries:
        add_entries(exported.series.folder, exported.entries, extends=extends)
