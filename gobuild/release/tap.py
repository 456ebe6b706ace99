"""The taps of a tree: what signed releases say comes in; every file of a tap is held against what they make of it.

Over HTTP git clones a tap bare, as a user's brew would fetch it; in a folder it is judged, then read where it stands.
Nothing in it is checked out or run. A formula is a program, so its digests alone say little: its whole text is made
anew, from the signed manifests and the signed digests of the bottles, and must be the same to the byte. What nobody
signed is the address that files are served from.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gobuild.core.errors import CommandError, ConfigError, GobuildError, ToolMissing, VerifyError
from gobuild.core.model import TARGETS, Check, GoVersion, Verdict
from gobuild.core.process import Runner
from gobuild.publish import homebrew
from gobuild.publish.builds import Build
from gobuild.publish.homebrew import bottle, read, words
from gobuild.publish.homebrew.tap import Tap
from gobuild.publish.site import ABOUT
from gobuild.publish.supply import attestations
from gobuild.release.papers import Release
from gobuild.release.place import Place, there

LARGEST = 1 << 20
"""Bytes of a formula; the largest so far has 6 kB."""

NAMED = 20
"""Unexpected files of one tap that are named one by one."""

_TAP = re.compile(r"homebrew-([a-z0-9-]{1,100})\.git")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A release whose digests were signed.

    Attributes:
        release: its signed papers.
        builds: its builds, by their signed manifests.
    """

    release: Release
    builds: Sequence[Build]

    @property
    def builder(self) -> str:
        """The address that the publisher had when the release was signed; "" where the provenance has none."""
        try:
            line = self.release.signed[attestations.PROVENANCE].decode().splitlines()[0]
            said = str(json.loads(line)["predicate"]["runDetails"]["builder"]["id"])
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            return ""
        return said.rstrip("/") if said.startswith("https://") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """The taps of a tree.

    Attributes:
        found: by the folder's name, "homebrew-go-acme.git".
        checks: of those that cannot be looked at.
    """

    found: Mapping[str, Tap]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Formula:
    """A formula of a tap.

    Attributes:
        tap: the folder of the tap.
        name: its own: "go-acme@1.22".
        text: the file's.
        told: the same, read.
        stamp: of the release that it installs.
        base: where the tree is served, as its url has it; "" where that is no url of a tree.
    """

    tap: str
    name: str
    text: str
    told: read.Formula
    stamp: str
    base: str

    def check(self, name: str, verdict: Verdict, seen: str, expected: str = "") -> Check:
        subject = f"{self.stamp}/{self.tap}/{self.name}.rb"
        return Check(subject=subject, name=name, verdict=verdict, seen=seen, expected=expected)


def clone(tree: Place, scratch: Path, run: Runner) -> Taps:
    """Clones the taps that a tree names; `ABOUT`, which names them, is not signed."""
    said = there(tree, ABOUT)
    try:
        names = [str(name) for name in json.loads(said)["taps"]] if said else []
    except (ValueError, KeyError, TypeError, RecursionError):
        names = []
    if not names:
        why = f"{ABOUT} names no tap, and is not signed: none was looked at"
        return Taps(found={}, checks=(_tap_check("tap", "clone", Verdict.SKIPPED, why),))
    found, checks = {}, []
    for name in dict.fromkeys(names):
        if not _TAP.fullmatch(name):
            checks.append(_tap_check("tap", "clone", Verdict.FAILED, f"{ABOUT} names {name[:80]!a}, which is no tap"))
            continue
        try:
            found[name] = _there(tree, name, scratch, run)
        except ToolMissing as error:
            checks.append(_tap_check(name, "clone", Verdict.SKIPPED, error.reason))
        except VerifyError as error:
            checks.append(_tap_check(name, "repository", Verdict.FAILED, error.reason))
        except (CommandError, ConfigError) as error:
            # The last line is git's own word; the first has the whole of its command.
            why = error.reason.strip().splitlines()[-1].strip()
            checks.append(_tap_check(name, "clone", Verdict.FAILED, f"it cannot be cloned: {why[:200]}"))
    return Taps(found=found, checks=tuple(checks))


def _there(tree: Place, name: str, scratch: Path, run: Runner) -> Tap:
    """A tap of a tree. In a folder it is read where it stands: git clones from no other user's, whoever that is."""
    if tree.folder is None:
        return homebrew.clone(f"{tree.address}/{name}", scratch / name, run=run)
    found = homebrew.at(tree.folder / name)
    found.judge(whole=True)
    return found


def check(taps: Taps, releases: Sequence[Signed], tree: Place, *, every: bool) -> Iterator[Check]:
    """Holds every file of the taps against the signed releases.

    Args:
        taps: what was cloned.
        releases: those that the signature let pass.
        tree: where the tree is.
        every: whether these are all that the tree says it has; else a formula of another one is not looked at.
    """
    yield from taps.checks
    known = {each.release.stamp: each for each in releases}
    for tap, repository in taps.found.items():
        try:
            yield from _tap(tap, repository, known, tree, every=every)
        except ToolMissing as error:
            yield _tap_check(tap, "files", Verdict.SKIPPED, error.reason)
        except GobuildError as error:
            yield _tap_check(tap, "files", Verdict.FAILED, f"it cannot be read: {error.reason[:200]}")


def _tap_check(subject: str, name: str, verdict: Verdict, seen: str) -> Check:
    return Check(subject=subject, name=name, verdict=verdict, seen=seen)


def _tap(tap: str, repository: Tap, known: Mapping[str, Signed], tree: Place, *, every: bool) -> Iterator[Check]:
    entries = repository.entries()
    name = tap.removeprefix("homebrew-").removesuffix(".git")
    ours = re.compile(rf"README\.md|Formula/{re.escape(name)}(@[0-9]+\.[0-9]+)?\.rb")
    good = [path for path, (mode, size) in entries.items() if ours.fullmatch(path) and mode == "100644" and size >= 0]
    yield from _unexpected(tap, sorted(entries.keys() - set(good)))
    formulae, texts = list[_Formula](), dict[str, str]()
    for path in good:
        if entries[path][1] > LARGEST:
            yield _tap_check(f"{tap}/{path}", "text", Verdict.FAILED, f"it has more than {LARGEST} bytes")
            continue
        texts[path] = repository.read(path) or ""
        if path != words.README:
            try:
                formulae.append(_read(tap, path.removeprefix("Formula/").removesuffix(".rb"), texts[path]))
            except read.Unreadable as error:
                yield _tap_check(f"{tap}/{path}", "text", Verdict.FAILED, f"no formula as gobuild writes it: {error}")
    for formula in formulae:
        yield from _formula(name, formula, known, every=every)
    yield from _address(tap, {formula.base for formula in formulae}, known, tree)
    if words.README in texts and formulae:
        made = words.readme_text(name, texts, f"{formulae[0].base}/{tap}", homebrew.tap_name(name))
        right = texts[words.README] == made
        seen = "as its formulae make it" if right else "not what gobuild writes of these formulae"
        yield _tap_check(f"{tap}/{words.README}", "text", Verdict.OK if right else Verdict.FAILED, seen)
    for stamp in known.keys() - {formula.stamp for formula in formulae}:
        yield _of_none(tap, name, stamp, formulae)


def _unexpected(tap: str, paths: Sequence[str]) -> Iterator[Check]:
    """Homebrew runs more of a tap than its formulae: cmd/, Casks/, formulae that stand elsewhere."""
    for path in paths[:NAMED]:
        yield _tap_check(f"{tap}/{path[:200]!a}", "file", Verdict.FAILED, "no file that gobuild puts into a tap")
    if len(paths) > NAMED:
        yield _tap_check(tap, "file", Verdict.FAILED, f"{len(paths) - NAMED} more files that gobuild puts into no tap")


def _read(tap: str, name: str, text: str) -> _Formula:
    told = read.parse(text)
    base, below, _ = told.text("url").rpartition(f"/{homebrew.DOWNLOADS}/")
    stamp = f"go{told.text('version')}"
    return _Formula(tap=tap, name=name, text=text, told=told, stamp=stamp, base=base if below else "")


def _formula(name: str, formula: _Formula, known: Mapping[str, Signed], *, every: bool) -> Iterator[Check]:
    signed = known.get(formula.stamp)
    if signed is None:
        verdict = Verdict.FAILED if every else Verdict.SKIPPED
        why = "no release of the tree that is signed" if every else "a release that was not asked for: not looked at"
        yield formula.check("release", verdict, f"it installs {formula.stamp[:80]!a}, {why}")
        return
    try:
        pairs = dict.fromkeys(_pairs(formula))
    except read.Unreadable as error:
        yield formula.check("digest", Verdict.FAILED, str(error))
        return
    for file, sha256 in pairs:
        right = signed.release.sums.get(file) == sha256
        wrong = f"{file[:200]!a} has {sha256[:80]!a}, which was not signed"
        yield formula.check("digest", Verdict.OK if right else Verdict.FAILED, f"{file}: {sha256}" if right else wrong)
    yield _text(name, formula, signed)


def _pairs(formula: _Formula) -> Iterator[tuple[str, str]]:
    """Every file that brew would fetch for a formula, and the digest it would demand."""
    for target in TARGETS:
        seen = formula.told.on(target)
        yield unquote(urlsplit(seen.url).path).rpartition("/")[2], seen.sha256
    for tag, sha256 in formula.told.bottles().items():
        yield bottle.file_name(formula.name, formula.stamp, tag), sha256


def _text(name: str, formula: _Formula, signed: Signed) -> Check:
    """The whole text, made anew."""
    offers = list(signed.builds)
    pinned = [signed.release.pinned.get(offer.archive("toolchain").path.name) for offer in offers]
    if not offers or None in pinned:
        why = "it cannot be made anew: a manifest or an archive of it is not what was signed"
        return formula.check("text", Verdict.FAILED, why)
    try:
        place = homebrew.in_tree(name, formula.base)
        scheme = words.scheme_in(formula.text)  # which release came first is in no manifest
        recipe = homebrew.recipe(formula.name, offers, place, pinned=all(pinned), scheme=scheme)
        recipe = homebrew.with_bottles(recipe, offers, place, lambda file: signed.release.sums.get(file, ""))
        made = homebrew.text(recipe)
    except GobuildError as error:
        return formula.check("text", Verdict.FAILED, f"the signed manifests make no formula of it: {error.reason}")
    if made == formula.text:
        return formula.check("text", Verdict.OK, "as the signed manifests make it")
    mine, theirs = made.splitlines(), formula.text.splitlines()
    at = next((at for at, (one, other) in enumerate(zip(mine, theirs, strict=False)) if one != other), None)
    at = min(len(mine), len(theirs)) if at is None else at
    seen, expected = ((lines[at] if at < len(lines) else "")[:120] for lines in (theirs, mine))
    return formula.check(
        "text",
        Verdict.FAILED,
        f"line {at + 1} is {seen!a}, not what gobuild {version('gobuild')} makes of the signed manifests"
        " (where another gobuild published last, check with that one)",
        f"{expected!a}",
    )


def _address(tap: str, bases: set[str], known: Mapping[str, Signed], tree: Place) -> Iterator[Check]:
    """Where the formulae fetch from. The digests hold whatever comes from there; the address itself nobody signed."""
    if len(bases) > 1:
        yield _tap_check(tap, "address", Verdict.FAILED, f"more than one: {', '.join(map(ascii, sorted(bases)))[:300]}")
    for base in bases if len(bases) == 1 else ():
        if _same(base, tree.address) or base in {each.builder for each in known.values()} - {""}:
            yield _tap_check(tap, "address", Verdict.OK, base)
        elif tree.address.startswith("file:"):
            why = f"{base[:200]!a}: nothing signed says whether that is the publisher's; the digests hold"
            yield _tap_check(tap, "address", Verdict.SKIPPED, why)
        else:
            why = f"{base[:200]!a}, which is neither this tree's address nor one that is signed"
            yield _tap_check(tap, "address", Verdict.FAILED, why)


def _same(base: str, address: str) -> bool:
    if base.startswith("file:") and address.startswith("file:"):
        return Path(unquote(urlsplit(base).path)).resolve().as_uri() == address
    return base == address


def _of_none(tap: str, name: str, stamp: str, formulae: Sequence[_Formula]) -> Check:
    """Why no formula is of a release, as far as the tap says it."""
    release = GoVersion.parse(stamp.removeprefix("go").partition("-")[0])
    line = homebrew.formula_name(name, release)
    beside = next((formula.stamp for formula in formulae if formula.name == line), "")
    why = f"{line} is of {beside}" if beside else f"there is no {line}"
    why = why if release.stable else "it is a candidate, which a tap does not have"
    return _tap_check(f"{stamp}/{tap}", "formulae", Verdict.SKIPPED, f"no formula is of it: {why}")
