"""The tasks that run darwin/arm64 programs here: `emulate`, and `trace.compare` for what it has written."""

import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, GobuildError, LimitReached, NotStarted
from gobuild.core.printable import printable
from gobuild.tasks.words import file_to_write, flagged, path_of

if TYPE_CHECKING:
    from gobuild.emulate.plan import Plan

GO_TEST = "--go-test"

ENDS: dict[str, tuple[type[GobuildError], str]] = {
    # kind of verdict on the program -> what is raised, and what to try
    "refused": (NotStarted, "gobuild verify PROGRAM, or another --macos"),
    "limit": (LimitReached, "--time-limit gives it more seconds; the other limits stay"),
}


def as_words(argv: Sequence[str]) -> list[str]:
    """The words of a command line, where `go test -exec "gobuild emulate --go-test"` has put a test behind the flag.

    What stands there is the test's own, however it looks to a reader of flags: the program, and its arguments.
    """
    words = list(argv)
    if words[1:2] != ["emulate"] or GO_TEST not in words:
        return words
    at = words.index(GO_TEST) + 1
    program, arguments = words[at : at + 1], words[at + 1 :]
    return [*words[:at], *program, *([f"--args={shlex.join(arguments)}"] if arguments else [])]


@flagged()
def emulate(
    _context: Context,
    path: Annotated[str, "a darwin/arm64 program"],
    args: Annotated[str, "its arguments, as a shell would split them"] = "",
    root: Annotated[
        str, "the folder that it sees as /, read-only; by default the GOROOT it is of, or its own folder"
    ] = "",
    scratch: Annotated[str, "the folder that it sees as /tmp, and may write to; by default one that goes"] = "",
    env: Annotated[list[str] | None, "NAME=value for its environment; may be repeated"] = None,
    cpus: Annotated[str, "how many processors it sees"] = "1",
    macos: Annotated[str, "the major version of macOS that it runs on"] = "15",
    trace: Annotated[list[str] | None, "a file for all calls: .txt, .jsonl or .html; may be repeated"] = None,
    time_limit: Annotated[str, "seconds until it is ended"] = "600",
    go_test: Annotated[bool, 'for go test -exec "gobuild emulate --go-test": a test in its package\'s folder'] = False,
) -> None:
    """Runs a darwin/arm64 program on Linux, in a closed world.

    Output and exit code are the program's, 128 and n where signal n ended it. The codes 10, 22, 23 and 24 are ours: no
    engine, no Mach-O program, macOS would not start it, a limit has ended it.

    Your own tests run so: GOOS=darwin GOARCH=arm64 go test -exec "gobuild emulate --go-test" ./...

    Example: gobuild emulate go/bin/go --args version --trace start.html
    """
    from gobuild.core import files
    from gobuild.emulate.guest import GuestOptions, program_plan, test_plan
    from gobuild.emulate.timeline import trace_kind, write_trace

    traces = [file for each in trace or () if (file := file_to_write(each, "--trace"))]
    for each in traces:
        trace_kind(each)
    with tempfile.TemporaryDirectory(prefix="gobuild-") as temporary:
        folder = Path(temporary)
        place = path_of(scratch) or folder / "scratch"
        place.mkdir(parents=True, exist_ok=True)
        options = GuestOptions(
            scratch=place,
            root=path_of(root),
            env=_environment(env or ()),
            cpus=_number("--cpus", cpus, 64),
            macos=_number("--macos", macos, 99),
            seconds=_number("--time-limit", time_limit, 1_000_000),
            trace=folder / "trace" if traces else None,
        )
        words, program = _split(args), Path(path).expanduser()
        if go_test:
            (folder / "root").mkdir()
            plan = test_plan(program, words, options, cwd=Path.cwd(), skeleton=folder / "root")
        else:
            plan = program_plan(program, words, options)
        try:
            code = _run(plan)
        finally:
            for each in traces:
                if (folder / "trace").is_file():
                    write_trace(folder / "trace", each)
            files.remove(folder / "scratch")
    if code:
        raise Exit(code=code)


def _run(plan: "Plan") -> int:
    """Runs it, and tells what ended a process otherwise than by its own exit; what ended the program is raised."""
    from gobuild.emulate.kernel.processes import FIRST_PID
    from gobuild.emulate.run import run

    outcome = run(plan, capture=False)
    for verdict in outcome.verdicts:
        if verdict.kind in ENDS and verdict.pid in (0, FIRST_PID):
            failure, hint = ENDS[verdict.kind]
            raise failure(str(verdict), hint)
        print(f"gobuild emulate: {printable(str(verdict))}", file=sys.stderr)
    return outcome.code


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--args {text}: {error}", "words as for a shell") from error


def _environment(words: Sequence[str]) -> dict[str, str]:
    for word in words:
        if not word.partition("=")[0] or "=" not in word:
            raise ConfigError(f"--env {word!r}", "--env NAME=value")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _number(flag: str, text: str, most: int) -> int:
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise ConfigError(f"{flag} is {text!r}", f"a whole number from 1 to {most}")
    return int(text)


@flagged()
def compare(
    _context: Context,
    before: Annotated[str, "a trace that gobuild emulate --trace FILE.jsonl has written"],
    after: Annotated[str, "another"],
) -> None:
    """Says what one start does that the other does not.

    Example: gobuild trace.compare before.jsonl after.jsonl
    """
    from gobuild.emulate.timeline import compare_traces, load_trace

    left, right = (load_trace(Path(each).expanduser()) for each in (before, after))
    differences, parting = compare_traces(left, right)
    console = Console()
    if differences:
        rows = [(each.call, each.caller, str(each.before), str(each.after)) for each in differences]
        console.table(f"{left.program} and {right.program}", ("call", "called by", before, after), rows)
    console.say(printable(parting) if parting else "nothing differs")


ns = Collection("trace", compare)
