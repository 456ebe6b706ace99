"""One patch on one tree, in memory. A patch that says it applied and changed nothing is an error, whatever its kind."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gobuild.core.errors import PatchError
from gobuild.core.model import Outcome, State
from gobuild.patch.diff.conflict import REFRESH, Misfit
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.series import Patch, Unreadable
from gobuild.patch.tree import Tree

STAMPED = "of its VERSION the time alone stays: the toolchain's stamp becomes the first line"
"""What is said of a patch that changes VERSION, which `gobuild.patch.version` writes anew."""


def apply_patch(patch: Patch, tree: Tree, *, before: Sequence[Patch] = ()) -> Outcome:
    """Applies a patch to a tree; `before` are those applied to it already, for what is said of a conflict.

    Raises:
        PatchError: it does not fit, or changes nothing; the tree is then as it was.
    """
    try:
        return _apply(patch, tree, keep=True)
    except PatchError as error:
        file = f" ({patch.file})" if patch.file else ""
        said, way_out = _blamed(patch, error, tree, before)
        narrow = "; or narrow its `go` in series.toml" if error.hint == REFRESH and patch.entry else ""
        raise PatchError(
            f"the patch {patch.name}{file} cannot be applied: {error.reason}{said}", way_out or f"{error.hint}{narrow}"
        ) from error


def try_patch(patch: Patch, tree: Tree, *, keep: bool = True, before: Sequence[Patch] = ()) -> Outcome:
    """What `apply_patch` would say, as an outcome too where it would raise; its changes are taken back on request."""
    try:
        return _apply(patch, tree, keep=keep)
    except PatchError as error:
        said, _ = _blamed(patch, error, tree, before)
        whole = isinstance(error, Misfit) and not error.conflict.hunk and error.hint != REFRESH
        return Outcome(
            name=patch.name,
            reason=patch.reason,
            state=State.UNREADABLE if isinstance(patch.operation, Unreadable) else State.CONFLICT,
            evidence=error.reason + f" ({error.hint})" * whole + said,
            sha256=patch.sha256,
            conflict=error.conflict if isinstance(error, Misfit) else None,
        )


def _apply(patch: Patch, tree: Tree, *, keep: bool) -> Outcome:
    with tree.trial(keep=keep) as before:
        change = patch.operation.apply(tree)
        if change.state is State.APPLIED and all(
            tree.read_file(path) == before.read_file(path) and tree.is_executable(path) == before.is_executable(path)
            for path in change.files
        ):
            raise PatchError("it applies, and changes nothing", "take it out of the series")
    return Outcome(
        name=patch.name,
        reason=patch.reason,
        state=change.state,
        evidence=change.evidence + (f"; {STAMPED}" if "VERSION" in change.files else ""),
        files=change.files,
        sha256=patch.sha256,
        fixes=patch.fixes,
    )


def _blamed(patch: Patch, error: PatchError, tree: Tree, before: Sequence[Patch]) -> tuple[str, str]:
    """Which patches changed the file of a conflict before it, and whether it would apply without them; a way out."""
    if not isinstance(error, Misfit) or not isinstance(patch.operation, Diff):
        return "", ""
    parts = _parts_for(set(patch.operation.names), before)
    changers = [one.name for one, files in _applied(parts, Tree(tree.root)) if error.conflict.file in files]
    if not changers:
        return "", ""
    plain = Tree(tree.root)
    list(_applied([one for one in parts if one.name not in changers], plain))
    fits = try_patch(patch, plain, keep=False).state is not State.CONFLICT
    stock = [one.name for one in parts if one.name in changers and one.folder != patch.folder]
    names = ", ".join(f"{name}{' of the stock series' * (name in stock)}" for name in changers)
    it = "it" if len(changers) == 1 else "them"
    would = "would apply" if fits else "would not apply either"
    said = f"\n    {error.conflict.file} was changed before it by {names}; without {it} this patch {would}"
    way_out = f"--without {','.join(stock)}, or without = {json.dumps(stock)} in series.toml"
    return said, way_out if stock and fits else ""


def _parts_for(names: set[str], patches: Sequence[Patch]) -> list[Patch]:
    """The patches, in order, that may change one of some files, each cut down to what it does to these."""
    found: list[Patch] = []
    for one in reversed(patches):
        operation = one.operation
        if isinstance(operation, Diff):
            files = tuple(file for file in operation.files if not names.isdisjoint(file.names))
            names = names | {name for file in files for name in file.names}  # a rename's content comes from elsewhere
            if files:
                found.append(replace(one, operation=replace(operation, files=files)))
        elif not isinstance(operation, RemoveHook) or any(name.startswith(f"{operation.dir}/") for name in names):
            found.append(one)
    return found[::-1]


def _applied(patches: Sequence[Patch], tree: Tree) -> Iterator[tuple[Patch, tuple[str, ...]]]:
    """Applies the patches that apply to a tree; gives each, and the files that it changed."""
    for one in patches:
        outcome = try_patch(one, tree)
        if outcome.state is State.APPLIED:
            yield one, outcome.files
