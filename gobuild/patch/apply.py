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
        with tree.trial():
            return _apply(patch, tree)
    except PatchError as error:
        file = f" ({patch.file})" if patch.file else ""
        raise PatchError(f"the patch {patch.name}{file} cannot be applied: {error.reason}", error.hint) from error


def try_patch(patch: Patch, tree: Tree, *, keep: bool) -> Outcome:
    """What `apply_patch` would say, as an outcome too where it would raise.

    With `keep` its changes stay in the tree, for the patches behind it.
    """
    try:
        with tree.trial(keep=keep):
            return _apply(patch, tree)
    except PatchError as error:
        return Outcome(
            name=patch.name,
            reason=patch.reason,
            state=State.CONFLICT,
            evidence=error.reason,
            sha256=patch.sha256,
            conflict=error.conflict if isinstance(error, Misfit) else None,
        )


def _apply(patch: Patch, tree: Tree) -> Outcome:
    before = tree.snapshot()
    change = patch.operation.apply(tree)
    unchanged = (tree.read_file(path) == tree.read_file(path, before) for path in change.files)
    if change.state is State.APPLIED and all(unchanged):
        raise PatchError("it applies, and changes nothing", "take it out of the series, or look at what it should do")
    return Outcome(
        name=patch.name,
        reason=patch.reason,
        state=change.state,
        evidence=change.evidence,
        files=change.files,
        sha256=patch.sha256,
    )
