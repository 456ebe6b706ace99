"""One patch on one tree, in memory. A patch that says it applied and changed nothing is an error, whatever its kind."""

import json
from collections.abc import Sequence
from dataclasses import replace

from gobuild.core.errors import PatchError
from gobuild.core.model import Outcome, State
from gobuild.patch.diff.conflict import REFRESH, Misfit
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.series import Patch, Unreadable
from gobuild.patch.tree import Tree

UNLISTED = "gobuild patches.import --from VERSION, one that it applies to: git merges it, and patches.export writes it"
"""What helps a patch that does not fit and has no entry whose `go` could be narrowed."""

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
        hint = UNLISTED if error.hint == REFRESH and not patch.entry else error.hint
        raise PatchError(
            f"the patch {patch.name}{file} cannot be applied: {error.reason}{said}", way_out or hint
        ) from error


def try_patch(patch: Patch, tree: Tree, *, keep: bool = True, before: Sequence[Patch] = ()) -> Outcome:
    """What `apply_patch` would say, as an outcome too where it would raise; its changes are taken back on request."""
    try:
        return _apply(patch, tree, keep=keep)
    except PatchError as error:
        said, _ = _blamed(patch, error, tree, before)
        return Outcome(
            name=patch.name,
            reason=patch.reason,
            state=State.UNREADABLE if isinstance(patch.operation, Unreadable) else State.CONFLICT,
            evidence=error.reason + said,
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
    )


def _blamed(patch: Patch, error: PatchError, tree: Tree, before: Sequence[Patch]) -> tuple[str, str]:
    """Which patches changed the file of a conflict before it, and whether it would apply without them; a way out."""
    if not isinstance(error, Misfit) or not isinstance(patch.operation, Diff):
        return "", ""
    paths = {file.path for file in patch.operation.files}
    changers = _changers(before, Tree(tree.root), paths, error.conflict.file)
    if not changers:
        return "", ""
    others, plain = [each for each in before if each not in changers], Tree(tree.root)
    _changers(others, plain, paths, "")
    fits = try_patch(patch, plain, keep=False).state is not State.CONFLICT
    stock = [each.name for each in changers if each.folder != patch.folder]
    names = ", ".join(f"{each.name}{' of the stock series' * (each.name in stock)}" for each in changers)
    it = "it" if len(changers) == 1 else "them"
    would = "would apply" if fits else "would not apply either"
    said = f"\n    {error.conflict.file} was changed before it by {names}; without {it} this patch {would}"
    way_out = f"--without {','.join(stock)}, or without = {json.dumps(stock)} in series.toml"
    return said, way_out if stock and fits else ""


def _changers(patches: Sequence[Patch], tree: Tree, paths: set[str], wanted: str) -> list[Patch]:
    """Applies patches to a tree, of diffs the parts for some files alone; gives those that changed one file."""
    found = []
    for each in patches:
        operation = each.operation
        if isinstance(operation, RemoveHook) and not any(path.startswith(f"{operation.dir}/") for path in paths):
            continue
        if isinstance(operation, Diff):
            operation = replace(operation, files=tuple(file for file in operation.files if file.path in paths))
            if not operation.files:
                continue
        outcome = try_patch(replace(each, operation=operation), tree)
        if outcome.state is State.APPLIED and wanted in outcome.files:
            found.append(each)
    return found
