"""What a toolchain's own gobuild.json claims was done to it, and what of that is proven.

A claim explains nothing. What explains is a patch at hand, of the digest that the manifest names, if base's files with
the patch in them are ours', byte for byte.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gobuild.audit.compare import Applied, Side
from gobuild.audit.compare.blast import with_cgo
from gobuild.core.errors import PatchError, VerifyError
from gobuild.core.manifest import InnerManifest, structure
from gobuild.core.model import State
from gobuild.patch import Patch, Series
from gobuild.patch.apply import apply_patch
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.add_command import LISTS
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a manifest says: the digest of each patch that was applied, by its name, in their order, and more."""

    patches: dict[str, str]
    cgo: str | None = None
    wheel: bool = False

    def at_hand(self, series: Series) -> dict[str, Patch]:
        """The patches of a series that are the claimed ones, by name and content, in the order of the claims."""
        known = {(patch.name, patch.sha256): patch for patch in series.patches}
        return {claim[0]: known[claim] for claim in self.patches.items() if claim in known}

    def needed_files(self, series: Series) -> Iterator[str]:
        """The files of base, and the folders, that the claimed patches are applied to."""
        for patch in self.at_hand(series).values():
            if isinstance(patch.operation, Diff):
                yield from patch.operation.names
            elif isinstance(patch.operation, RemoveHook):
                yield f"{patch.operation.dir}/"
            else:
                yield from (path for path, _, _ in LISTS)


def read_claims(side: Side) -> Claims:
    """Reads a side's manifest; a side without one claims nothing."""
    text = side.text_of("gobuild.json")
    if not text:
        return Claims(patches={})
    try:
        manifest = structure(json.loads(text), InnerManifest)
    except ValueError as error:
        raise VerifyError(f"{side.called}: gobuild.json is no manifest of gobuild's", "build it again") from error
    patches = {each.name: each.sha256 for each in manifest.patches if each.state is State.APPLIED}
    return Claims(patches=patches, cgo=manifest.profile.cgo, wheel=manifest.source.kind == "wheel")


def prove_claims(claims: Claims, *, ours: Side, base: Side, sources: Path, series: Series) -> Applied:
    """Applies what ours claims to base's files, and says which patches made ours'.

    `sources` is a folder with base's files that `Claims.needed_files` names; it is not changed.
    """
    tree, hand = Tree(sources), claims.at_hand(series)
    missing = f"the series {series.folder.name} has no such patch of this content"
    unproven = {name: missing for name in claims.patches if name not in hand}
    made: dict[str, tuple[str, ...]] = {}
    for name, patch in hand.items():
        try:
            made[name] = apply_patch(patch, tree).files
        except PatchError as error:
            unproven[name] = error.reason
    patches = {}
    for name, files in made.items():
        patches[name] = tuple(file for file in files if _made_by_patches(file, tree.read_file(file), ours, base))
        others = [file for file in files if file not in patches[name]]
        if others:
            unproven[name] = f"it makes another {', '.join(others)} of {base.called}'s"
    cgo = claims.cgo if claims.cgo is not None and with_cgo(base, claims.cgo, ours) else None
    return Applied(patches=patches, cgo=cgo, unproven=unproven)


def _made_by_patches(file: str, content: bytes | None, ours: Side, base: Side) -> bool:
    """Whether a file of ours is not base's, and is what the patches make of that."""
    made = None if content is None else hashlib.sha256(content).hexdigest()
    ours_has, base_has = (entry and entry.sha256 for entry in (ours.entries.get(file), base.entries.get(file)))
    return made == ours_has != base_has
