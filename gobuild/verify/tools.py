"""Second opinions: what other programs read in the same files, held against what our own reader says.

`Inspected` files come in, checks go out: one that says a tool agrees on all of them, one for each file on which it
does not, or one SKIPPED where the machine has no such tool. A file that our reader already refused is not asked about.
The tools' adapters stand in `opinions`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gobuild.binary.view import Malformed
from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.model import Check, Verdict
from gobuild.core.process import Runner, Threads, kill_children_on_failure
from gobuild.verify.checks import Inspected
from gobuild.verify.opinions import OPINIONS, Opinion

STUB = re.compile(r"xcode-select|xcrun: error")
"""What the stubs /usr/bin/otool and nm say on a Mac without the Command Line Tools. It could not be tried there."""

TIME_LIMIT = 60.0
"""Seconds a tool has for one file; they need a tenth of one."""


def second_opinions(files: Sequence[Inspected], *, path: str, scratch: Path, run: Runner) -> Iterator[Check]:
    """Asks every tool that is there about every file.

    Args:
        files: inspected files.
        path: the folders to look for tools in, as in PATH.
        scratch: a folder for the tools' HOME.
        run: starts the tools.
    """
    for opinion in OPINIONS:
        if readable := [each for each in files if isinstance(each.image, opinion.reads) and _asked(opinion, each)]:
            yield from _opinion(opinion, readable, path=path, scratch=scratch, run=run)


def _asked(opinion: Opinion, each: Inspected) -> bool:
    """Whether our own reader has something to compare: what it cannot read, it has already refused."""
    try:
        return bool(opinion.ours(each))
    except (Malformed, OSError):
        return False


def _opinion(opinion: Opinion, files: list[Inspected], *, path: str, scratch: Path, run: Runner) -> list[Check]:
    """One tool on every file: a check for each that it disputes, or one for all of them."""
    name = f"second opinion: {opinion.name}"

    def of_all(verdict: Verdict, seen: str) -> list[Check]:
        return [Check(subject="all", name=name, verdict=verdict, seen=seen)]

    words = _find(opinion, path) or opinion.stand_in
    if not words:
        programs = " or ".join(_plain(pattern) for pattern, _ in opinion.programs)
        module = f", and no Python module {opinion.module[0]}" if opinion.module[0] else ""
        return of_all(Verdict.SKIPPED, f"no {programs} on PATH{module}")
    env = {"PATH": path, "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C"}

    def ask(each: Inspected) -> tuple[str, str]:
        return _ask(opinion, each, words, env=env, cwd=scratch, run=run)

    try:
        # The tools are processes of their own: as many at once as there are processors.
        with Threads(os.cpu_count()) as pool, kill_children_on_failure():
            answers = list(pool.map(ask, files))
    except ToolMissing as error:
        return of_all(Verdict.SKIPPED, error.reason)
    disputed = [
        Check(subject=each.subject, name=name, verdict=Verdict.FAILED, seen=seen, expected=expected)
        for each, (seen, expected) in zip(files, answers, strict=True)
        if seen
    ]
    called = Path(words[0]).name if words != opinion.stand_in else opinion.module[0]
    return disputed or of_all(Verdict.OK, f"{called} agrees on {len(files)} of {len(files)} files")


def _ask(
    opinion: Opinion, each: Inspected, words: Sequence[str], *, env: Mapping[str, str], cwd: Path, run: Runner
) -> tuple[str, str]:
    """What the tool says where it disagrees, and what our reader says there; two empty strings where they agree.

    Raises:
        ToolMissing: the program cannot be run, or only stands in for one that is not installed.
    """
    try:
        argv: list[str | Path] = [*words, *opinion.words(each), each.path.absolute()]
        result = run(argv, env=env, cwd=cwd, timeout=TIME_LIMIT, check=False)
    except CommandError as error:
        return str(error.reason), "an answer"
    ours, theirs = opinion.ours(each), opinion.theirs(result)
    if not theirs and STUB.search(result.output):
        raise ToolMissing(f"{words[0]} only stands for Xcode's, which is not installed")
    if not theirs:
        return f"exit code {result.code}: {result.tail(3)}", "; ".join(f"{key} {value}" for key, value in ours.items())
    called = opinion.module[0] if tuple(words) == opinion.stand_in else Path(words[0]).name
    differing = [key for key, value in theirs.items() if value != ours.get(key, "")]
    return (
        "; ".join(f"{called} reads {key} {theirs[key] or 'none'}" for key in differing),
        "; ".join(f"our reader reads {key} {ours.get(key) or 'none'}" for key in differing),
    )


def _find(opinion: Opinion, path: str) -> tuple[str, ...]:
    """The first program there is, with its words; of several numbered ones, llvm-nm-14 and -16, the newest."""
    for pattern, words in opinion.programs:
        found = []
        for folder in filter(None, path.split(os.pathsep)):
            try:
                names = [each.name for each in Path(folder).iterdir()]
            except OSError:  # not there, or not for this user to read
                continue
            matches = (re.fullmatch(pattern, name) for name in names)
            found += [(int(match[1] or 1 << 16), folder, match[0]) for match in matches if match]
        usable = [each for each in found if os.access(Path(each[1], each[2]), os.X_OK)]
        if usable:
            # max keeps the first of equals: PATH's own order.
            _, folder, name = max(usable, key=lambda each: each[0])
            return (str(Path(folder, name)), *words)
    return ()


def _plain(pattern: str) -> str:
    return pattern.split("(", 1)[0]
