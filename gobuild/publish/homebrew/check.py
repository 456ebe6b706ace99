"""Checks a tap as far as that is possible without brew: a tap comes in, a report goes out.

Formulae are read, never run. What only Homebrew itself can tell is in the report as SKIPPED, by name.
"""

import hashlib
import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from gobuild.core import files
from gobuild.core.errors import FetchError, Unreachable
from gobuild.core.model import TARGETS, Check, Report, Verdict
from gobuild.core.process import Runner
from gobuild.publish.homebrew.choice import serves
from gobuild.publish.homebrew.formula import OURS, class_name
from gobuild.publish.homebrew.read import Formula, Unreadable, parse
from gobuild.publish.homebrew.rules import checks, newest
from gobuild.publish.homebrew.tap import Tap

ONLY_BREW = {
    "brew readall": "evaluates every formula for every macOS and CPU",
    "brew style": "RuboCop with Homebrew's own rules",
    "brew audit --strict": "looks into the installed keg as well",
    "brew install, test, upgrade, uninstall": "only Homebrew can",
}
"""What no check of ours stands for."""

LARGEST = 1 << 30
"""Bytes of one archive or bottle; the largest so far has 75 MB."""

Blocks = Callable[[str, int], Iterator[bytes]]
"""The bytes of a URL as they are served, and never more than so many (`gobuild.fetch.http.stream_bytes`)."""

Note = Callable[[str], None]


def check(there: Tap, *, run: Runner, blocks: Blocks, offline: bool = False, note: Note = lambda _: None) -> Report:
    """Checks what the newest commit of a tap holds.

    Args:
        there: the tap.
        run: starts ruby, where it is.
        blocks: fetches.
        offline: fetch nothing over the network; archives at file:// are hashed all the same.
        note: told what is fetched.

    Returns:
        A check for each formula and rule; one for the digest of each file; what could not be checked.

    Raises:
        VerifyError: the repository has what makes git run or read something else; git was not started.
        CommandError, ToolMissing: git failed, or is missing.
    """
    there.judge()
    read: dict[str, Formula] = {}
    found: list[Check] = []
    names = there.names()
    paths = [name for name in names if name.startswith("Formula/") and name.endswith(".rb")]
    for path in paths:
        text = there.read(path) or ""
        found.append(_syntax(path, text, run))
        if OURS not in text:
            why = "gobuild did not write it: its syntax alone was checked"
            found.append(Check(subject=path, name="rules", verdict=Verdict.SKIPPED, seen=why))
            continue
        try:
            read[path] = parse(text)
        except Unreadable as error:
            found.append(_failed(path, "shape", str(error), "one stanza a line, as gobuild writes it"))
    for path, formula in read.items():
        found += checks(path, formula)
    found.append(_tap(paths, read))
    found += _aliases(there, names, paths)
    found += _digests(read, None if offline else blocks, note)
    found += [Check(subject="tap", name=name, verdict=Verdict.SKIPPED, seen=why) for name, why in ONLY_BREW.items()]
    return Report(checks=tuple(found))


def _failed(subject: str, name: str, seen: str, expected: str) -> Check:
    return Check(subject=subject, name=name, verdict=Verdict.FAILED, seen=seen, expected=expected)


def _ok(subject: str, name: str, seen: str) -> Check:
    return Check(subject=subject, name=name, verdict=Verdict.OK, seen=seen)


def _syntax(path: str, text: str, run: Runner) -> Check:
    """Ruby's own verdict; like `brew readall`, a warning is as bad as an error (readall.rb)."""
    name = "Ruby syntax"
    program = shutil.which("ruby")
    if not program:
        return Check(subject=path, name=name, verdict=Verdict.SKIPPED, seen="there is no ruby on PATH")
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        file = Path(scratch) / "formula.rb"
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        said = run([program, "-wc", file], env=environment, cwd=Path(scratch), timeout=60, check=False)
    lines = said.output.replace(str(file), path).strip().splitlines()
    return _ok(path, name, "ruby -wc") if lines == ["Syntax OK"] else _failed(path, name, " ".join(lines), "Syntax OK")


def _tap(paths: list[str], read: dict[str, Formula]) -> Check:
    """What the formulae are to one another."""
    name = "formulae together"
    classes: dict[str, str] = {}
    for path in paths:
        formula = path.rpartition("/")[2].removesuffix(".rb")
        if formula in classes.values():
            return _failed("tap", name, f"{formula} stands there twice", "each once")
        if (other := classes.setdefault(class_name(formula), formula)) != formula:
            return _failed("tap", name, f"{formula} and {other} are one class", "a class each")
    if not paths:
        return _failed("tap", name, "no formula below Formula/", "at least one")
    read_well = {path.rpartition("/")[2].removesuffix(".rb"): serves(formula) for path, formula in read.items()}
    behind = newest({each: serving for each, serving in read_well.items() if serving})
    if behind and behind.held:
        why = f"{behind.text}: that is not there for {behind.held}, and {behind.text.split()[0]} waits for it"
        return Check(subject="tap", name=name, verdict=Verdict.SKIPPED, seen=why)
    if behind:
        return _failed("tap", name, behind.text, "the newest release")
    return _ok("tap", name, f"{len(paths)} formulae")


def _aliases(there: Tap, names: list[str], paths: list[str]) -> Iterator[Check]:
    """An alias is a symbolic link to a formula, and not called as one is (readall.rb, valid_aliases?)."""
    links = there.links()
    formulae = {path.rpartition("/")[2] for path in paths}
    for name in names:
        if name.startswith("Aliases/"):
            to = posixpath.normpath(posixpath.join("Aliases", links.get(name, ""))) if name in links else ""
            if to not in paths:
                yield _failed(name, "alias", to or "no symbolic link", "a link to a formula of the tap")
            elif f"{posixpath.basename(name)}.rb" in formulae:
                yield _failed(name, "alias", "a formula is called so", "a name of its own")
            else:
                yield _ok(name, "alias", to)


def _files(formula: Formula, name: str) -> Iterator[tuple[str, str]]:
    """The URL and digest of every file that brew would fetch for a formula."""
    for target in TARGETS:
        seen = formula.on(target)
        if not seen.refused:
            yield seen.url, seen.sha256
    for tag, sha256 in formula.bottles().items():
        file = f"{name}-{formula.text('version')}.{tag}.bottle.tar.gz"
        yield f"{formula.root_url().rstrip('/')}/{quote(file)}", sha256


def _digests(read: dict[str, Formula], blocks: Blocks | None, note: Note) -> Iterator[Check]:
    wanted: dict[str, tuple[str, str]] = {}
    for path, formula in read.items():
        try:
            for url, sha256 in _files(formula, path.rpartition("/")[2].removesuffix(".rb")):
                said, other = wanted.setdefault(url, (sha256, path))
                if said != sha256:
                    yield _failed(path, "digest", f"{url} has another SHA-256 in {other}", "one file, one digest")
        except Unreadable:
            continue  # the rules have told of it
    for url, (sha256, path) in wanted.items():
        note(f"hashing {url}")
        yield _digest(url, sha256, path, blocks)


def _digest(url: str, sha256: str, path: str, blocks: Blocks | None) -> Check:
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            found = files.sha256(Path(unquote(parts.path)))
        elif blocks is None:
            return Check(subject=path, name="digest", verdict=Verdict.SKIPPED, seen=f"--offline: {parts.netloc}")
        else:
            found = _fetched(url, blocks)
    except FetchError as error:
        if isinstance(error, Unreachable) and error.__context__ is not None:  # no answer at all, or it broke off
            why = f"{parts.netloc} cannot be reached from here"
            return Check(subject=path, name="digest", verdict=Verdict.SKIPPED, seen=why)
        return _failed(path, "digest", error.reason, sha256)
    except OSError as error:
        return _failed(path, "digest", f"{url}: {error}", sha256)
    if found != sha256:
        return _failed(path, "digest", f"{url}: {found}", sha256)
    return _ok(path, "digest", posixpath.basename(unquote(parts.path)))


def _fetched(url: str, blocks: Blocks) -> str:
    """The SHA-256 of what a server has; no more of it is held than a block."""
    digest = hashlib.sha256()
    for block in blocks(url, LARGEST):
        digest.update(block)
    return digest.hexdigest()
