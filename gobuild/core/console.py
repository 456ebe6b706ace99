"""What a person sees: stages with elapsed time, progress, tables. Plain lines where nobody watches (a pipe, CI's log).

`rich` sees to NO_COLOR.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, TextIO

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


@dataclass(slots=True)
class Console:
    """Where gobuild speaks: standard error where a result goes to standard output, else standard output."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    width: int | None = None
    rich: RichConsole = field(init=False)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.rich = RichConsole(file=self.stream, width=self.width, highlight=False, soft_wrap=False)
        if not self.rich.is_terminal and self.width is None:
            self.rich.width = 160  # a log has no edge; wrapped paths cannot be copied

    @property
    def live(self) -> bool:
        """Whether a person watches."""
        return self.rich.is_terminal and "utf" in (getattr(self.stream, "encoding", None) or "utf-8").lower()

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self.rich.print(Text(text, style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that should not be overlooked."""
        self.say(text, style="yellow")

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """A stage of the pipeline: what it is at, and how long it took.

        What its living line said for more than two seconds stays above it with its time. When the block ends, `seconds`
        holds the wall time.
        """
        began = time.monotonic()
        progress = _living_line(self.rich) if self.live else None
        line = progress.add_task("", name=name, total=None) if progress else None
        latest = ("", began)

        def note(text: str) -> None:
            nonlocal latest
            if progress is None or line is None:
                self._log(name, text)
                return
            said, since = latest
            if said and time.monotonic() - since > 2:
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
            if progress:
                self.rich.print(f"{mark}[/] [bold]{name:<8}[/] [dim]{clock(stage.seconds)}[/]")
        if not progress:
            self._log(name, f"done in {clock(stage.seconds)}")

    def _log(self, name: str, text: str) -> None:
        self.rich.print(Text(f"[{time.monotonic() - self.started:7.1f} s] {name:<8} {text}"), soft_wrap=True)
        self.stream.flush()

    @contextmanager
    def download(self, description: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A progress bar over bytes; yields a function to call with the number of bytes that are there."""
        if not self.live:
            self._log("fetch", f"{description} ({amount(total)})" if total else description)
            yield lambda _count: None
            return
        shown = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), *shown, console=self.rich, transient=True) as progress:
            bar = progress.add_task(escape(description), total=total)
            yield lambda count: progress.update(bar, completed=count)

    @contextmanager
    def board(self, names: Sequence[str]) -> Iterator["Note"]:
        """Many things at once, by their names: on a terminal a living line each, elsewhere every word as a plain line.

        Yields a function for any thread; with `ended` the name's clock stops.
        """
        if not self.live:

            def say(name: str, text: str, *, ended: bool = False) -> None:  # noqa: ARG001
                self.say(printable(f"{name} | {text}"))
                self.stream.flush()

            yield say
            return
        width = max(map(len, names), default=0)
        with _living_line(self.rich, width, transient=False) as progress:
            lines = {name: progress.add_task("waits", name=name, total=None, start=False) for name in names}

            def note(name: str, text: str, *, ended: bool = False) -> None:
                progress.start_task(lines[name])
                progress.update(lines[name], description=escape(printable(text)))
                if ended:
                    progress.update(lines[name], total=1, completed=1)

            yield note

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; a cell that is a word of `COLOURS` gets its colour."""
        table = Table(title=Text(title), title_justify="left", title_style="bold", header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        self.rich.print(table)


def _living_line(console: RichConsole, width: int = 8, *, transient: bool = True) -> Progress:
    # The widths hold where what it is at has no room; that is cut.
    name = TextColumn(f"[bold]{{task.fields[name]:<{width}}}[/]", table_column=Column(min_width=width))
    elapsed = TimeElapsedColumn(table_column=Column(min_width=len("0:00:00")))
    what = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Progress(SpinnerColumn(), name, elapsed, what, console=console, transient=transient)


def clock(seconds: float) -> str:
    """Seconds for people: "0.3 s", "7 min 06 s"."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def amount(count: int) -> str:
    """Bytes for people: "28 B", "4.1 kB", "64.0 MB"."""
    for unit, name in ((10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"
