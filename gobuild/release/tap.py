"""The taps of a tree: every file in them is held against what the signed releases make of it.

Over HTTP git clones a tap bare; in a folder it is judged, then read where it stands. Nothing in it is checked out or
run. A formula is a program, so its digests alone say little: its whole text is made anew, from the signed manifests
and the signed digests of the bottles, and must be the same to the byte.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gobuild.core.errors import CommandError, ConfigError, GobuildError, ToolMissing, VerifyError
from gobuild.core.model import Check
from gobuild.core.process import Runner
from gobuild.publish import homebrew
from gobuild.publish.findings import failed, judged, passed, skipped
from gobuild.publish.homebrew import messages
from gobuild.publish.homebrew.formula import render_formula
from gobuild.publish.homebrew.formula_spec import FormulaSpec, parse_formula
from gobuild.publish.homebrew.tap import Tap, clone_tap
from gobuild.publish.homebrew.update import recipe_of, urls_in_tree, with_bottles
from gobuild.publish.paths import DOWNLOADS
from gobuild.publish.site import ABOUT
from gobuild.release.mirror import Mirror
from gobuild.release.signed_release import SignedRelease

LARGEST = 1 << 20
"""Bytes of a formula; the largest so far has 6 kB."""

NAMED = 20
"""Unexpected files of one tap that are named one by one."""

_TAP = re.compile(r"homebrew-([a-z0-9-]{1,100})\.git")


@dataclass(frozen=True, slots=True, kw_only=True)
class TapFormula:
    """A formula of a tap, which is called by its folder: "homebrew-go-acme.git"."""

    tap: str
    name: str
    text: str
    spec: FormulaSpec

    @property
    def stamp(self) -> str:
        """The release that it installs."""
        return f"go{self.spec.version}"

    @property
    def base_url(self) -> str:
        """Where its url says that the tree is served; "" where that is no url of a tree."""
        base, below, _ = self.spec.downloads[0].url.rpartition(f"/{DOWNLOADS}/")
        return base if below else ""

    @property
    def subject(self) -> str:
        """What it is called in the report."""
        return f"{self.stamp}/{self.tap}/{self.name}.rb"


def open_taps(mirror: Mirror, scratch: Path, run: Runner) -> tuple[dict[str, Tap], list[Check]]:
    """The taps that a tree names, by their folders, and the checks of those that cannot be looked at.

    `ABOUT`, which names them, is not signed.
    """
    about = mirror.read_if_present(ABOUT)
    try:
        names = [str(name) for name in json.loads(about)["taps"]] if about else []
    except (ValueError, KeyError, TypeError, RecursionError):
        names = []
    if not names:
        why = f"{ABOUT} names no tap, and is not signed: none was looked at"
        return {}, [skipped("tap", "clone", why)]
    found, checks = dict[str, Tap](), list[Check]()
    for name in dict.fromkeys(names):
        if not _TAP.fullmatch(name):
            checks.append(failed("tap", "clone", f"{ABOUT} names {name[:80]!a}, which is no tap"))
            continue
        try:
            if mirror.folder is None:
                found[name] = clone_tap(f"{mirror.address}/{name}", scratch / name, run=run)
            else:  # read where it stands: git clones from no other user's, whoever that is
                tap = homebrew.open_tap(mirror.folder / name)
                tap.refuse_unsafe(published=True)
                found[name] = tap
        except ToolMissing as error:
            checks.append(skipped(name, "clone", error.reason))
        except VerifyError as error:
            checks.append(failed(name, "repository", error.reason))
        except (CommandError, ConfigError) as error:
            # The last line is git's own word; the first has the whole of its command.
            why = error.reason.strip().splitlines()[-1].strip()
            checks.append(failed(name, "clone", f"it cannot be cloned: {why[:200]}"))
    return found, checks


def check_taps(
    taps: Mapping[str, Tap], releases: Sequence[SignedRelease], mirror: Mirror, *, every: bool
) -> Iterator[Check]:
    """Holds every file of the taps against the signed releases.

    Where these are not all that the tree says it has (`every`), a formula of another is not looked at.
    """
    signed = {release.stamp: release for release in releases}
    for folder, tap in taps.items():
        try:
            yield from _check_tap(folder, tap, signed, mirror, every=every)
        except ToolMissing as error:
            yield skipped(folder, "files", error.reason)
        except GobuildError as error:
            yield failed(folder, "files", f"it cannot be read: {error.reason[:200]}")


def _check_tap(
    folder: str, tap: Tap, signed: Mapping[str, SignedRelease], mirror: Mirror, *, every: bool
) -> Iterator[Check]:
    entries = tap.entries()
    name = folder.removeprefix("homebrew-").removesuffix(".git")
    ours = messages.formula_paths(name)
    good = {
        path: size
        for path, (mode, size) in entries.items()
        if (path == messages.README or ours.fullmatch(path)) and mode == "100644"
    }
    # Homebrew runs more of a tap than its formulae: cmd/, Casks/, formulae that stand elsewhere.
    odd = sorted(entries.keys() - good.keys())
    for path in odd[:NAMED]:
        yield failed(f"{folder}/{path[:200]!a}", "file", "no file that gobuild puts into a tap")
    if len(odd) > NAMED:
        yield failed(folder, "file", f"{len(odd) - NAMED} more files that gobuild puts into no tap")
    formulae, texts = list[TapFormula](), dict[str, str]()
    for path, size in good.items():
        if size > LARGEST:
            yield failed(f"{folder}/{path}", "text", f"it has more than {LARGEST} bytes")
            continue
        texts[path] = tap.read_file(path) or ""
        if formula := ours.fullmatch(path):
            try:
                spec = parse_formula(texts[path])
                formulae.append(TapFormula(tap=folder, name=formula[1], text=texts[path], spec=spec))
            except ConfigError as error:
                yield failed(f"{folder}/{path}", "text", f"no formula as gobuild writes it: {error.reason}")
    for each in formulae:
        yield from _check_formula(name, each, signed, every=every)
    yield from _check_address(folder, {formula.base_url for formula in formulae}, signed, mirror)
    if messages.README in texts and formulae:
        url = f"{formulae[0].base_url}/{folder}"
        right = texts[messages.README] == messages.render_readme(name, texts, url, homebrew.tap_name(name))
        wrong = "not what gobuild writes of these formulae"
        yield judged(f"{folder}/{messages.README}", "text", right, "as its formulae make it", wrong)
    yield from _releases_without_formula(folder, name, signed, {formula.name: formula.stamp for formula in formulae})


def _check_formula(
    name: str, formula: TapFormula, signed: Mapping[str, SignedRelease], *, every: bool
) -> Iterator[Check]:
    release = signed.get(formula.stamp)
    if release is None:
        seen = f"it installs {formula.stamp[:80]!a}, "
        if every:
            yield failed(formula.subject, "release", f"{seen}no release of the tree that is signed")
        else:
            yield skipped(formula.subject, "release", f"{seen}a release that was not asked for: not looked at")
        return
    for url, sha256 in formula.spec.files(formula.name):
        file = unquote(urlsplit(url).path).rpartition("/")[2]
        wrong = f"{file[:200]!a} has {sha256}, which was not signed"
        yield judged(formula.subject, "digest", release.sums.get(file) == sha256, f"{file}: {sha256}", wrong)
    try:
        made = _render_again(name, formula, release)
    except GobuildError as error:
        yield failed(formula.subject, "text", error.reason)
        return
    if made == formula.text:
        yield passed(formula.subject, "text", "as the signed manifests make it")
        return
    lines = zip_longest(formula.text.splitlines(), made.splitlines(), fillvalue="")
    differing = ((at, one, other) for at, (one, other) in enumerate(lines, start=1) if one != other)
    at, seen, expected = next(differing, (0, "", ""))
    where = f"line {at} is {seen[:120]!a}" if at else "its lines end otherwise"
    yield failed(
        formula.subject,
        "text",
        f"{where}, not what gobuild {version('gobuild')} makes of the signed manifests"
        " (where another gobuild published last, check with that one)",
        f"{expected[:120]!a}",
    )


def _render_again(name: str, formula: TapFormula, release: SignedRelease) -> str:
    """Makes a formula of the signed manifests, archives and bottles; its address and version_scheme nobody signed."""
    builds = list(release.builds)
    pinned = [release.pinned.get(build.archive("toolchain").path.name) for build in builds]
    if None in pinned:
        raise VerifyError("it cannot be made anew: a manifest or an archive of it is not what was signed")
    try:
        urls = urls_in_tree(name, formula.base_url)
        recipe = recipe_of(formula.name, builds, urls, pinned=all(pinned), scheme=formula.spec.scheme)
        recipe = replace(recipe, ended=formula.spec.ended)  # brew's warning of a line that has ended: nobody signed it
        return render_formula(with_bottles(recipe, builds, lambda file: release.sums.get(file, "")))
    except GobuildError as error:
        raise VerifyError(f"the signed manifests make no formula of it: {error.reason}") from error


def _check_address(
    folder: str, bases: set[str], signed: Mapping[str, SignedRelease], mirror: Mirror
) -> Iterator[Check]:
    """Where the formulae fetch from. The digests hold whatever comes from there; the address itself nobody signed."""
    if len(bases) > 1:
        yield failed(folder, "address", f"more than one: {', '.join(map(ascii, sorted(bases)))[:300]}")
    for base in bases if len(bases) == 1 else ():
        if _same_address(base, mirror.address) or base in {each.builder for each in signed.values()} - {""}:
            yield passed(folder, "address", base)
        elif mirror.folder:
            why = f"{base[:200]!a}: nothing signed says whether that is the publisher's; the digests hold"
            yield skipped(folder, "address", why)
        else:
            why = f"{base[:200]!a}, which is neither this tree's address nor one that is signed"
            yield failed(folder, "address", why)


def _same_address(base: str, address: str) -> bool:
    if base.startswith("file:") and address.startswith("file:"):
        return Path(unquote(urlsplit(base).path)).resolve().as_uri() == address
    return base == address


def _releases_without_formula(
    folder: str, name: str, signed: Mapping[str, SignedRelease], installed: Mapping[str, str]
) -> Iterator[Check]:
    """Why no formula is of a release, as far as the tap says it."""
    for stamp in (each for each in signed if each not in installed.values()):
        release = signed[stamp].builds[0].version
        line = homebrew.formula_name(name, release)
        why = f"{line} is of {installed[line]}" if line in installed else f"there is no {line}"
        why = why if release.stable else "it is a candidate, which a tap does not have"
        yield skipped(f"{stamp}/{folder}", "formulae", f"no formula is of it: {why}")
