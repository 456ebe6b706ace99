"""A server that speaks go.dev's index, and a console whose words are kept."""

import io
from collections.abc import Iterator

import pytest
from goserver import GoServer, serving

from gobuild.core.console import Console
from gobuild.fetch import http


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[GoServer]:
    """The server, with nothing in its index."""
    with serving() as server:
        yield server


@pytest.fixture
def stream() -> io.StringIO:
    """What the console said."""
    return io.StringIO()


@pytest.fixture
def console(stream: io.StringIO) -> Console:
    """A console."""
    return Console(stream=stream)
