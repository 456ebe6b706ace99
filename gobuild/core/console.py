"""What a person sees: stages with elapsed time, progress, tables. Plain lines where nobody watches (a pipe, CI's log).

`rich` sees to NO_COLOR.
"""

import errno
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from gobuild.core.printable import printable

COLOURS = {
    "green": ("OK", "PASS", "applied"),
    "yellow": ("SKIPPED", "SKIP", "WARN"),
    "bold red": ("FAILED", "FAIL", "conflict"),
    "cyan": ("nothing to do", "nothing", "already upstream", "upstream"),
    "dim": ("not for this version", "—"),
}
"""Words that mean something get a colour in every table."""

_STYLES = {word: colour for colour, words in COLOURS.items() for word in words}


class Note(Protocol):
    """How `Console.board` is told."""

    def __call__(self, name: str, text: str, *, ended: bool = False) -> None:
        """What the thing of this name is at."""


@dataclass(slots=True)
class Stage:
    """A stage under way: `note` says what it is at."""

    name: str
    note: Callable[[str], None]
    seconds: float = 0.0


class _Pipe(RichConsole):
    """Leaves a reader who has seen enough to the boundary around the tasks; rich itself would end with code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


@dataclass(slots=True)
class Console:
    """Where gobuild speaks: standard error where a result goes to standard output, else standard output.

    What is under way is told on the terminal; where standard output is none, on standard error.
    """

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    width: int | None = None
    details: bool = False  # whether also what went well is shown
    rich: RichConsole = field(init=False)
    progress: RichConsole = field(init=False)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.rich = self.progress = self._on(self.stream)
        if self.stream is sys.stdout and not self.rich.is_terminal:
            self.progress = self._on(sys.stderr)

    def _on(self, stream: TextIO) -> RichConsole:
        return _Pipe(file=stream, width=self.width, highlight=False, soft_wrap=False)

    @property
    def live(self) -> bool:
        """Whether a person watches, on a terminal that can draw a line anew."""
        watched = self.progress.is_terminal and not self.progress.is_dumb_terminal
        return watched and self.progress.encoding.startswith("utf")

    def say(self, text: str, style: str = "") -> None:
        """A sentence: wrapped between words on a terminal, elsewhere one line. A long path stays whole."""
        self._print(Text(self._wrapped(text), style=style))

    def _wrapped(self, text: str, indent: str = "") -> str:
        """Wraps between words on a terminal: what stands there is copied, and a word may be a path."""
        if not self.rich.is_terminal:
            return indent + text
        place: dict[str, Any] = {"initial_indent": indent, "subsequent_indent": 2 * indent, "width": self.rich.width}
        lines = text.split("\n")
        return "\n".join(textwrap.fill(each, break_long_words=False, break_on_hyphens=False, **place) for each in lines)

    def _print(self, text: Text) -> None:
        self.rich.print(text, soft_wrap=True)

    def aside(self, text: str) -> None:
        """One line of what is under way, beside the living one."""
        self.progress.print(Text(text, style="dim"), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that should not be overlooked."""
        self.say(text, style="yellow")

    def verdict(self, text: str, *made: str, then: str = "") -> None:
        """The last words of a task that went well: what came of it, what was made, and the next commands, a line each.

        No path and no command is folded: they can be copied.
        """
        mark = "✓" if self.rich.encoding.startswith("utf") else "OK:"
        words = self._wrapped(f"{mark} {text}").removeprefix(mark)
        self._print(Text.assemble((mark, "bold green"), (words, "bold")))
        for line in made:
            self._print(Text(self._wrapped(line, "  ")))
        for number, line in enumerate(filter(None, then.split("\n"))):
            self._print(Text.assemble(("      " if number else "Next: ", "bold"), line))

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """A stage of the pipeline: what it is at, and how long it took, if that was a second or more.

        With `details`, what its living line said for more than two seconds stays above it with its time. When the block
        ends, `seconds` holds the wall time.
        """
        began = time.monotonic()
        progress = _living_line(self.progress) if self.live else None
        line = progress.add_task("", name=name, total=None) if progress else None
        latest = ("", began)

        def note(text: str) -> None:
            nonlocal latest
            if progress is None or line is None:
                self._log(name, text)
                return
            said, since = latest
            if self.details and said and time.monotonic() - since > 2:
                progress.console.print(Text(f"  {name:<8} {said}  {clock(time.monotonic() - since)}", style="dim"))
            latest = (text, time.monotonic())
            progress.update(line, description=escape(text))

        stage = Stage(name=name, note=note)
        mark = "[bold red]✗"
        try:
            with progress or nullcontext():
                yield stage
                if progress:
                    note("")
            mark = "[green]✓"
        finally:
            stage.seconds = time.monotonic() - began
            if progress and (self.details or stage.seconds >= 1 or "red" in mark):
                self.progress.print(f"{mark}[/] [bold]{name:<8}[/] [dim]{clock(stage.seconds)}[/]")
        if not progress:
            self._log(name, f"done in {clock(stage.seconds)}")

    def _log(self, name: str, text: str) -> None:
        self.progress.print(Text(f"[{time.monotonic() - self.started:7.1f} s] {name:<8} {text}"), soft_wrap=True)
        self.progress.file.flush()

    @contextmanager
    def download(self, description: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A progress bar over bytes; yields a function to call with the number of bytes that are there."""
        if not self.live:
            self._log("fetch", f"{description} ({amount(total)})" if total else description)
            yield lambda _count: None
            return
        shown = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), *shown, console=self.progress, transient=True) as progress:
            bar = progress.add_task(escape(description), total=total)
            yield lambda count: progress.update(bar, completed=count)

    @contextmanager
    def board(self, names: Sequence[str]) -> Iterator["Note"]:
        """Many things at once, by their names: on a terminal a living line each, elsewhere every word as a plain line.

        Yields a function for any thread; with `ended` the name's clock stops.
        """
        if not self.live:

            def say(name: str, text: str, *, ended: bool = False) -> None:  # noqa: ARG001
                self.progress.print(Text(printable(f"{name} | {text}")), soft_wrap=True)
                self.progress.file.flush()

            yield say
            return
        width = max(map(len, names), default=0)
        with _living_line(self.progress, width, transient=False) as progress:
            lines = {name: progress.add_task("waits", name=name, total=None, start=False) for name in names}

            def note(name: str, text: str, *, ended: bool = False) -> None:
                progress.start_task(lines[name])
                progress.update(lines[name], description=escape(printable(text)))
                if ended:
                    progress.update(lines[name], total=1, completed=1)

            yield note

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; a cell that is a word of `COLOURS` gets its colour.

        No word is folded: where the terminal has no room for them, every row is a paragraph. A pipe gets plain lines.
        """
        needed = [max((len(word) for cell in column for word in cell.split()), default=0) for column in
                  zip(columns, *rows, strict=True)]  # fmt: skip
        if not rows:
            return
        self.say(title, style="bold")
        if not self.rich.is_terminal:
            self._plain([columns, *rows])
        elif sum(needed) + 3 * len(needed) + 1 <= self.rich.width:
            table = Table(header_style="bold")
            for column, width in zip(columns, needed, strict=True):
                table.add_column(column, min_width=width)
            for row in rows:
                table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
            self.rich.print(table)
        else:
            for first, *rest in rows:
                if first:
                    self._print(Text(first, style="bold"))
                for column, cell in zip(columns[1:], rest, strict=True):
                    label = f"{column}: " if column and len(columns) > 2 else ""
                    self._print(Text(self._wrapped(label + cell, "  "), style=_STYLES.get(cell, "")))

    def _plain(self, rows: Sequence[Sequence[str]]) -> None:
        lines = [[cell.replace("\n", "; ") for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            if text := "  ".join(map(str.ljust, line, widths)).rstrip():
                self._print(Text(text))


def _living_line(console: RichConsole, width: int = 8, *, transient: bool = True) -> Progress:
    # The widths hold where what it is at has no room; that is cut.
    name = TextColumn(f"[bold]{{task.fields[name]:<{width}}}[/]", table_column=Column(min_width=width))
    elapsed = TimeElapsedColumn(table_column=Column(min_width=len("0:00:00")))
    what = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Progress(SpinnerColumn(), name, elapsed, what, console=console, transient=transient)


def clock(seconds: float) -> str:
    """Seconds for people: "0.3 s", "7 min 06 s"."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def counted(count: int, word: str, words: str = "") -> str:
    """A number of things for people: "1 patch", "2 entries"; of a word that does not take an s, both forms."""
    return f"{count} {word if count == 1 else words or word + 's'}"


def amount(count: int) -> str:
    """Bytes for people: "28 B", "4.1 kB", "64.0 MB"."""
    for unit, name in ((10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"
