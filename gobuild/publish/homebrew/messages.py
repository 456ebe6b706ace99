"""What a tap says to people: commit messages and its README."""

import re
from collections.abc import Mapping, Sequence

from gobuild.core.render import render
from gobuild.publish.homebrew.formula import Recipe, class_name, formula_path
from gobuild.publish.homebrew.formula_spec import version_in
from gobuild.publish.homebrew.tap import Tap
from gobuild.publish.homebrew.urls import TapUrls

README = "README.md"

OURS = "<!-- Written by gobuild, anew with every release. -->"
"""The first line of a README of ours: no other README is overwritten."""

Changes = Mapping[str, str | None]
"""The files that a commit changes, by their paths; None where one is removed."""


def commit_message(recipes: Sequence[Recipe], changes: Changes, tap: Tap) -> str:
    """A commit's message, its first line as Homebrew's own are: "go-acme@1.22 1.22.10-acme1.p3f9c2a1 (new formula)"."""
    changed = [recipe for recipe in recipes if formula_path(recipe.formula) in changes] or list(recipes)
    version = recipes[0].pkg_version
    before = {recipe.formula: version_in(tap.read_file(formula_path(recipe.formula))) for recipe in changed}
    title = ", ".join(recipe.formula for recipe in reversed(changed)) + f" {version}"
    if not any(before.values()):
        title += " (new formula)" if len(changed) == 1 else " (new formulae)"
    elif set(before.values()) == {version}:
        title += ": update"
    lines = [title, ""]
    for formula, was in before.items():
        lines.append(f"{formula}: {'the same version' if was == version else f'was {was}' if was else 'new'}")
    lines += ["", f"{recipes[0].stamp}, made from {recipes[0].version.tag}, for:"]
    lines += [f"  {download.target} {download.sha256}" for download in recipes[0].downloads]
    if recipes[0].patches:
        lines.append(f"Patches: {', '.join(recipes[0].patches)}")
    return "\n".join(lines) + "\n"


def readme_change(name: str, changes: Changes, tap: Tap, urls: TapUrls) -> dict[str, str | None]:
    """The README as one more change to the tap as it is, if it is ours to write and says something new."""
    before = tap.read_file(README)
    if before is not None and not before.startswith(OURS):
        return {}
    paths = (path for path in {*tap.entries(), *changes} if path.startswith("Formula/"))
    texts = {path: changes[path] if path in changes else tap.read_file(path) for path in paths}
    text = render_readme(name, {path: content for path, content in texts.items() if content}, urls.tap, urls.tap_name)
    return {} if text == before else {README: text}


def formula_paths(name: str) -> re.Pattern[str]:
    """Where the formulae of a distribution stand in a tap."""
    return re.compile(rf"Formula/({re.escape(name)}(@[0-9]+\.[0-9]+)?)\.rb")


def render_readme(name: str, formulae: Mapping[str, str], url: str, tap_name: str) -> str:
    """Makes the README of a tap from the texts of its formulae by their paths; those of others are left out.

    `url` is what to tap, "" where the name is enough; `tap_name` is "" where nobody knows it.
    """
    rows = []
    for path in sorted(formulae, key=lambda path: [int(part) for part in re.findall("[0-9]+", path.partition("@")[2])]):
        ours = formula_paths(name).fullmatch(path)
        if ours and f"class {class_name(ours[1])} " in formulae[path]:
            rows.append((ours[1], version_in(formulae[path])))
    return render("tap_readme.md.j2", ours=OURS, name=name, tap=tap_name or "USER/TAP", url=url, rows=rows)
