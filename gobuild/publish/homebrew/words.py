"""What a tap says to people: recipes and the tap as it is come in, commit messages and the README go out."""

import re
from collections.abc import Mapping, Sequence

from gobuild.core.render import render
from gobuild.publish.homebrew.formula import Recipe, class_name
from gobuild.publish.homebrew.remote import UNKNOWN
from gobuild.publish.homebrew.tap import Tap

README = "README.md"

OURS = "<!-- Written by gobuild, anew with every release. -->"
"""The first line of a README of ours: no other README is overwritten."""

_SCHEME = re.compile(r"^  version_scheme ([0-9]{1,6})$", re.MULTILINE)
_VERSION = re.compile(r'^  version "([^"\\]+)"$', re.MULTILINE)


def version_in(formula: str) -> str:
    """The version that a formula of ours writes down; "" where there is none."""
    found = _VERSION.search(formula)
    return found[1] if found else ""


def scheme_in(formula: str) -> int:
    """The version_scheme of a formula of ours; 0 where there is none."""
    found = _SCHEME.search(formula)
    return int(found[1]) if found else 0


def message(recipes: Sequence[Recipe], changes: Mapping[str, str | None], there: Tap) -> str:
    """A commit's message, its first line as Homebrew's own are: "go-acme@1.22 1.22.10-acme1.p3f9c2a1 (new formula)".

    Args:
        recipes: the formulae of one release.
        changes: the files that the commit changes.
        there: the tap before it.
    """
    changed = [recipe for recipe in recipes if f"Formula/{recipe.formula}.rb" in changes] or list(recipes)
    version = recipes[0].stamp.removeprefix("go")
    before = {recipe.formula: version_in(there.read(f"Formula/{recipe.formula}.rb") or "") for recipe in changed}
    title = ", ".join(recipe.formula for recipe in reversed(changed)) + f" {version}"
    if not any(before.values()):
        title += " (new formula)" if len(changed) == 1 else " (new formulae)"
    elif all(was == version for was in before.values()):
        title += ": update"
    lines = [title, ""]
    for recipe in changed:
        was = before[recipe.formula]
        told = "new" if not was else "the same version" if was == version else f"was {was}"
        lines.append(f"{recipe.formula}: {told}")
    lines += ["", f"{recipes[0].stamp}, made from {recipes[0].version.tag}, for:"]
    lines += [f"  {download.target} {download.sha256}" for download in recipes[0].downloads]
    if recipes[0].patches:
        lines.append(f"Patches: {', '.join(recipes[0].patches)}")
    return "\n".join(lines) + "\n"


def readme(name: str, changes: Mapping[str, str | None], there: Tap, url: str, tap: str) -> dict[str, str | None]:
    """The README, if it is ours to write and says something new.

    Args:
        name: the distribution's name.
        changes: the files that the commit changes.
        there: the tap before it.
        url: the URL to tap, "" where the name is enough.
        tap: what the tap is called; "" where that is not known.

    Returns:
        One more change, or none.
    """
    before = there.read(README)
    if before is not None and not before.startswith(OURS):
        return {}
    paths = (path for path in {*there.names(), *changes} if path.startswith("Formula/"))
    texts = {path: changes[path] if path in changes else there.read(path) for path in paths}
    text = readme_text(name, {path: content for path, content in texts.items() if content}, url, tap)
    return {} if text == before else {README: text}


def readme_text(name: str, formulae: Mapping[str, str], url: str, tap: str) -> str:
    """The README of a tap.

    Args:
        name: the distribution's name.
        formulae: the texts of the tap's formulae, by their paths; those of others are left out.
        url: the URL to tap, "" where the name is enough.
        tap: what the tap is called; "" where that is not known.
    """
    ours = re.compile(rf"Formula/{re.escape(name)}(@[0-9]+\.[0-9]+)?\.rb")
    paths = sorted(filter(ours.fullmatch, formulae), key=_line)
    rows = []
    for path in paths:
        formula = path.removeprefix("Formula/").removesuffix(".rb")
        if f"class {class_name(formula)} " in formulae[path]:
            rows.append((formula, version_in(formulae[path])))
    return render("tap_readme.md.j2", ours=OURS, name=name, tap=tap or UNKNOWN, url=url, rows=rows)


def _line(path: str) -> list[int]:
    return [int(part) for part in re.findall("[0-9]+", path.partition("@")[2])]
