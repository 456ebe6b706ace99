"""What a tap lacks of finished builds becomes formulae, bottles and commits."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PackageError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import State
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.homebrew import messages
from gobuild.publish.homebrew.bottle import bottle_tag, make_bottle, pins_toolchain
from gobuild.publish.homebrew.choice import Note, formula_now, formulae_by_release
from gobuild.publish.homebrew.formula import Recipe, downloads, formula_path, render_formula, tap_name
from gobuild.publish.homebrew.formula_spec import bottle_file
from gobuild.publish.homebrew.tap import AUTHOR, Tap, open_bare_tap
from gobuild.publish.homebrew.urls import TapUrls
from gobuild.publish.paths import DOWNLOADS
from gobuild.publish.supply.attestations import BOTTLES
from gobuild.vulns.status import fixes_of
from gobuild.vulns.support import support_of

HAPPENED = (State.APPLIED, State.ALREADY_UPSTREAM)
"""The states of a patch whose effect the toolchain has."""

_UUID_SINCE = GoVersion(major=1, minor=24)
"""The first Go whose linker writes LC_UUID by itself (cmd/link/internal/ld/main.go)."""


def tap_folder(name: str) -> str:
    """The folder of the tap in the published tree, and below its URL."""
    return f"homebrew-{name}.git"


def urls_in_tree(name: str, base_url: str) -> TapUrls:
    """Where a published tree has what the formulae name."""
    base = base_url.rstrip("/")
    return TapUrls(
        archives=f"{base}/{DOWNLOADS}",
        bottles=f"{base}/{BOTTLES}",
        page=base if base.startswith("http") else "",
        tap=f"{base}/{tap_folder(name)}",
        tap_name=tap_name(name),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TapOptions:
    """How the tap of a published tree is written."""

    author: str = AUTHOR  # who commits
    bottles: bool = True  # whether bottles are made; those that are there are served in any case
    drop: frozenset[Target] = frozenset()  # as for `update_tap`
    deprecate: bool = False  # as for `update_tap`


def write_tap(catalogue: Catalogue, tree: Path, how: TapOptions | None = None, *, note: Note = lambda _: None) -> None:
    """Writes the tap and the bottles of a staged tree, which may share files with the one that is served now."""
    how, urls = how or TapOptions(), urls_in_tree(catalogue.name, catalogue.base_url)
    if any(build.version.stable for build in catalogue.builds):
        tap, folder = open_bare_tap(tree / tap_folder(catalogue.name), author=how.author), tree / BOTTLES
        update_tap(
            catalogue, tap, urls, bottles=folder, make=how.bottles, drop=how.drop, deprecate=how.deprecate, note=note
        )


def update_tap(
    catalogue: Catalogue,
    tap: Tap,
    urls: TapUrls,
    *,
    bottles: Path | None = None,
    make: bool = True,
    drop: frozenset[Target] = frozenset(),
    deprecate: bool = False,
    note: Note = lambda _: None,
) -> tuple[str, ...]:
    """Brings a tap up to date with what is offered: a commit a release, whose first lines it returns, oldest first.

    Files of others stay, and so do formulae of releases that are no longer offered. Bottles that are not in the folder
    `bottles` are made if `make` is set. A formula may leave the platforms in `drop` behind.
    With `deprecate` that of a line which gets no fixes any more, neither from upstream nor by a patch, says so to brew.
    """
    made = []
    for stamp, names in formulae_by_release(catalogue, tap, drop=drop, note=note).items():
        builds = catalogue.releases[stamp]
        pinned = all(pins_toolchain(build.archive("toolchain").path) for build in builds)
        recipes = []
        for name in names:
            plain = recipe_of(name, builds, urls, pinned=pinned, scheme=_scheme(tap, name, builds[0]))
            if bottles and make:
                for build in builds:
                    make_bottle(build, plain, bottles)
            # A bottle holds the formula as well, without that, and stays the same bytes when a line ends.
            recipe = replace(plain, ended=_line_ended(builds)) if deprecate and plain.versioned else plain
            recipes.append(with_bottles(recipe, builds, _digests_in(bottles)) if bottles else recipe)
        if changes := _changes(recipes, tap):
            note(f"the tap: {', '.join(names)} is of {stamp}")
            message = messages.commit_message(recipes, changes, tap)
            changes |= messages.readme_change(catalogue.name, changes, tap, urls)
            tap.commit(changes, message)
            made.append(message.splitlines()[0])
    return tuple(made)


def _line_ended(builds: Sequence[Build]) -> str:
    """Since when the line of a release gets no fixes; "" where it does, or where a patch brings some."""
    support = support_of(builds[0].version)
    mended = any(fixes_of(build.manifest.patches) for build in builds)
    return support.ended if support and not mended else ""


def _scheme(tap: Tap, formula: str, build: Build) -> int:
    """The version_scheme with which brew takes a release for newer than what the tap's formula has.

    Without a higher one Homebrew 6.0.18 upgrades from 1.22.10-gobuild.p36efb16 to 1.22.10-gobuild.p9abcdef never. What
    brew makes of two suffixes is brew's; so each toolchain that is of the same Go as the one before has a higher one.
    """
    now = formula_now(tap, formula)
    if now is None:
        return 0
    again = GoVersion.parse(now.version.partition("-")[0]) == build.version and f"go{now.version}" != build.stamp
    return now.scheme + again


def _changes(recipes: Iterable[Recipe], tap: Tap) -> dict[str, str | None]:
    """The formulae of one release, as far as the tap has them not."""
    changes: dict[str, str | None] = {}
    there = tap.entries()
    for recipe in recipes:
        path, text = formula_path(recipe.formula), render_formula(recipe)
        if tap.read_file(path) != text:
            changes[path] = text
        if (alias := f"Aliases/{recipe.formula}") in there:
            changes[alias] = None  # `brew readall` refuses an alias that is called as a formula is
    return changes


def recipe_of(formula: str, builds: Sequence[Build], urls: TapUrls, *, pinned: bool, scheme: int = 0) -> Recipe:
    """What a formula says of the builds of one stamp, without bottles; no archive is read."""
    first, manifests = builds[0], [build.manifest for build in builds]
    states = [{patch.name: patch.state for patch in manifest.patches} for manifest in manifests]
    # The patches that the manifest inside the toolchain names (`gobuild.core.manifest.InnerManifest`).
    inside = [tuple(name for name, state in each.items() if state is not State.NOT_FOR_THIS_VERSION) for each in states]
    return Recipe(
        formula=formula,
        version=first.version,
        stamp=first.stamp,
        downloads=tuple(downloads(manifests, urls.archives)),
        pinned=pinned,
        scheme=scheme,
        urls=urls,
        # Where platforms have different patches, a formula cannot ask all of them for the same.
        patches=inside[0] if len(set(inside)) == 1 and states[0] else None,
        uuid=first.version >= _UUID_SINCE or all(state.get("link-uuid") in HAPPENED for state in states),
        cgo=False if {manifest.profile.cgo for manifest in manifests} == {"0"} else None,
    )


def with_bottles(plain: Recipe, builds: Sequence[Build], digest: Callable[[str], str]) -> Recipe:
    """What a formula says where there are bottles of it; `digest` gives a bottle's SHA-256 by its name, "" for none."""
    found = []
    for build in builds:
        with suppress(PackageError):  # without a tag there is none
            tag = bottle_tag(build.manifest)
            if sha256 := digest(bottle_file(plain.formula, plain.pkg_version, tag)):
                found.append((tag, sha256))
    return replace(plain, bottles=tuple(found))


def _digests_in(folder: Path) -> Callable[[str], str]:
    return lambda name: files.sha256(folder / name) if (folder / name).is_file() else ""
