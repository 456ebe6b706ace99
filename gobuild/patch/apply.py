"""One patch on one tree, in memory. A patch that says it applied and changed nothing is an error, whatever its kind."""

from gobuild.core.errors import PatchError
from gobuild.core.model import Outcome, State
from gobuild.patch.diff.conflict import Misfit
from gobuild.patch.series import Patch
from gobuild.patch.tree import Tree


def apply_patch(patch: Patch, tree: Tree) -> Outcome:
    """Applies a patch to a tree.

    Raises:
        PatchError: it does not fit, or changes nothing; the tree is then as it was.
    """
    try:
        return _apply(patch, tree, keep=True)
    except PatchError as error:
        file = f" ({patch.file})" if patch.file else ""
        raise PatchError(f"the patch {patch.name}{file} cannot be applied: {error.reason}", error.hint) from error


def try_patch(patch: Patch, tree: Tree, *, keep: bool = True) -> Outcome:
    """What `apply_patch` would say, as an outcome too where it would raise; its changes are taken back on request."""
    try:
        return _apply(patch, tree, keep=keep)
    except PatchError as error:
        return Outcome(
            name=patch.name,
            reason=patch.reason,
            state=State.CONFLICT,
            evidence=error.reason,
            sha256=patch.sha256,
            conflict=error.conflict if isinstance(error, Misfit) else None,
        )


def _apply(patch: Patch, tree: Tree, *, keep: bool) -> Outcome:
    with tree.trial(keep=keep) as before:
        change = patch.operation.apply(tree)
        if change.state is State.APPLIED and all(
            tree.read_file(path) == before.read_file(path) for path in change.files
        ):
            raise PatchError("it applies, and changes nothing", "take it out of the series")
    return Outcome(
        name=patch.name,
        reason=patch.reason,
        state=change.state,
        evidence=change.evidence,
        files=change.files,
        sha256=patch.sha256,
        fixes=patch.fixes,
    )
