"""Checks a tap as far as that is possible without brew: Ruby's syntax, and that every file served has its digest.

Formulae are read, never run. What only Homebrew itself can tell is in the report as SKIPPED, by name.
"""

import hashlib
import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gobuild.core import files
from gobuild.core.errors import ConfigError, FetchError, Unreachable
from gobuild.core.model import Check, Report
from gobuild.core.process import Runner
from gobuild.publish.findings import failed, passed, skipped
from gobuild.publish.homebrew.choice import Note
from gobuild.publish.homebrew.formula import OURS
from gobuild.publish.homebrew.formula_spec import FormulaSpec, parse_formula
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


def check_tap(tap: Tap, *, run: Runner, blocks: Blocks, offline: bool = False, note: Note = lambda _: None) -> Report:
    """Checks what the newest commit of a tap holds. Offline, archives at file:// are hashed all the same."""
    tap.refuse_unsafe()
    specs: dict[str, FormulaSpec] = {}
    found: list[Check] = []
    for path in tap.entries():
        if path.startswith("Formula/") and path.endswith(".rb"):
            text = tap.read_file(path) or ""
            found.append(_syntax(path, text, run))
            if OURS not in text:
                found.append(skipped(path, "formula", "gobuild did not write it: its syntax alone was checked"))
                continue
            try:
                specs[path] = parse_formula(text)
            except ConfigError as error:
                found.append(failed(path, "formula", error.reason, error.hint))
    if not found:
        found.append(failed("tap", "formulae", "no formula below Formula/", "at least one"))
    found += _digests(specs, None if offline else blocks, note)
    found += [skipped("tap", name, why) for name, why in ONLY_BREW.items()]
    return Report(checks=tuple(found))


def _syntax(path: str, text: str, run: Runner) -> Check:
    """Ruby's own verdict; like `brew readall`, a warning is as bad as an error (readall.rb)."""
    program = shutil.which("ruby")
    if not program:
        return skipped(path, "Ruby syntax", "there is no ruby on PATH")
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        file = Path(scratch) / "formula.rb"
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        done = run([program, "-wc", file], env=environment, cwd=Path(scratch), timeout=60, check=False)
    seen = " ".join(done.output.replace(str(file), path).strip().splitlines())
    good = passed(path, "Ruby syntax", "ruby -wc")
    return good if seen == "Syntax OK" else failed(path, "Ruby syntax", seen, "Syntax OK")


def _digests(specs: dict[str, FormulaSpec], blocks: Blocks | None, note: Note) -> Iterator[Check]:
    wanted: dict[str, tuple[str, str]] = {}
    for path, spec in specs.items():
        for url, sha256 in spec.files(posixpath.basename(path).removesuffix(".rb")):
            first, other = wanted.setdefault(url, (sha256, path))
            if first != sha256:
                yield failed(path, "digest", f"{url} has another SHA-256 in {other}", "one file, one digest")
    for url, (sha256, path) in wanted.items():
        note(f"hashing {url}")
        yield _digest(url, sha256, path, blocks)


def _digest(url: str, sha256: str, path: str, blocks: Blocks | None) -> Check:
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            found = files.sha256(Path(unquote(parts.path)))
        elif blocks is None:
            return skipped(path, "digest", f"--offline: {parts.netloc}")
        else:
            digest = hashlib.sha256()
            for block in blocks(url, LARGEST):
                digest.update(block)
            found = digest.hexdigest()
    except FetchError as error:
        if isinstance(error, Unreachable) and error.__context__ is not None:  # no answer at all, or it broke off
            return skipped(path, "digest", f"{parts.netloc} cannot be reached from here")
        return failed(path, "digest", error.reason, sha256)
    except OSError as error:
        return failed(path, "digest", f"{url}: {error}", sha256)
    if found != sha256:
        return failed(path, "digest", f"{url}: {found}", sha256)
    return passed(path, "digest", posixpath.basename(unquote(parts.path)))
