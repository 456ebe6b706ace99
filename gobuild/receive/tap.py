"""The tap of a tree: its formulae are read as text, and each digest in them is held against the signed ones.

git clones the tap as a user's brew would; no Ruby is run.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gobuild.errors import CommandError, ToolMissing
from gobuild.model import Check, Verdict
from gobuild.publish.site import ABOUT
from gobuild.receive.papers import BOTTLE, Release
from gobuild.receive.place import Place, there
from gobuild.run import Runner

_PAIR = re.compile(
    r'^\s*url "((?:[^"\\]|\\.)*)"\n(?:\s*(?:version|using:).*\n)*\s*sha256 "([0-9a-f]{64})"', re.MULTILINE
)
_BOTTLE = re.compile(r'^\s*sha256 cellar: :\w+, *(\w+): +"([0-9a-f]{64})"', re.MULTILINE)
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Formulae:
    """The formulae of a tree's taps.

    Attributes:
        texts: by "TAP/FILE".
        absent: why there are none, where there are none.
    """

    texts: Mapping[str, str]
    absent: str = ""


def formulae(tree: Place, scratch: Path, run: Runner) -> Formulae:
    """Clones the taps that a tree names."""
    said = there(tree, ABOUT)
    try:
        names = json.loads(said)["taps"] if said else []
        good = [name for name in names if re.fullmatch(r"homebrew-[a-z0-9-]{1,100}\.git", name)]
    except (ValueError, KeyError, TypeError, RecursionError):
        good = []
    if not good:
        return Formulae(texts={}, absent="the tree names no tap")
    texts: dict[str, str] = {}
    for name in good:
        to = scratch / name
        words = ["git", "-c", "core.hooksPath=/dev/null", "clone", "--quiet", "--no-hardlinks", "--template="]
        try:
            run([*words, "--", f"{tree.address}/{name}", to], env=_environment(scratch), cwd=scratch, timeout=300)
        except (CommandError, ToolMissing) as error:
            return Formulae(texts={}, absent=f"{name} cannot be cloned: {error.reason[:200]}")
        for path in sorted(to.glob("Formula/*.rb")):
            if not path.is_symlink() and path.stat().st_size < _LARGEST:
                texts[f"{name}/{path.name}"] = path.read_text(encoding="utf-8", errors="replace")
    return Formulae(texts=texts)


def _environment(home: Path) -> dict[str, str]:
    """For git without a user: no configuration, no prompt, no credentials, and no other protocol than these."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:http:https",
        "LC_ALL": "C.UTF-8",
    }


def check(release: Release, found: Formulae) -> Iterator[Check]:
    """The digests of a release's archives in the formulae: those of a file that was signed must be the signed ones."""
    if found.absent:
        yield Check(subject=f"{release.stamp}/tap", name="formulae", verdict=Verdict.SKIPPED, seen=found.absent)
        return
    mine = [each for name, text in found.texts.items() for each in _told(name, text) if each[1] in release.sums]
    if not mine:
        seen = "no formula installs it: a newer one of its line does"
        yield Check(subject=f"{release.stamp}/tap", name="formulae", verdict=Verdict.SKIPPED, seen=seen)
    for name, file, sha256 in mine:
        right = release.sums[file] == sha256
        yield Check(
            subject=f"{release.stamp}/{name}",
            name="digest",
            verdict=Verdict.OK if right else Verdict.FAILED,
            seen=f"{file}: {sha256}" if right else f"{file} has {sha256}, which was not signed",
        )


def _told(name: str, text: str) -> Iterator[tuple[str, str, str]]:
    """What a formula says: its own name, a file's, and the digest it must have."""
    version = re.search(r'^  version "([^"\\]+)"$', text, re.MULTILINE)
    for url, sha256 in _PAIR.findall(text):
        yield name, Path(unquote(urlsplit(url).path)).name, sha256
    for tag, sha256 in _BOTTLE.findall(text):
        formula = name.rpartition("/")[2].removesuffix(".rb")
        yield name, f"{formula}-{version[1] if version else ''}.{tag}{BOTTLE}", sha256
