"""http: downloads from a real server that breaks in every way it can."""

import functools
import hashlib
import io
import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from goserver import SECRET, GoServer, secure, serving
from needs import small_disk

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ChecksumMismatch, DiskFull, FetchError, IncompleteDownload, Unreachable
from gobuild.fetch import http

CONTENT = random.Random(7).randbytes(3_000_000)
SIZE = len(CONTENT)
GET = Callable[..., Path]
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(server: GoServer) -> GoServer:
    server.add("go1.30.1", "file.tar.gz", CONTENT)
    return server


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "downloads/file.tar.gz"


@pytest.fixture
def get(server: GoServer, to: Path, console: Console) -> GET:
    to.parent.mkdir()
    return functools.partial(http.download, f"{server.url}{to.name}", to, sha256=SHA256, size=SIZE, console=console)


def left(to: Path) -> set[str]:
    """What stands in the cache's folder besides locks."""
    return {path.name for path in to.parent.iterdir() if not path.name.endswith(".lock")}


def ranges(server: GoServer) -> list[str]:
    return [wanted for path, wanted in server.asked if path.startswith("/files/")]


def test_a_download_follows_redirects_and_is_kept(server: GoServer, get: GET, to: Path) -> None:
    assert get().read_bytes() == CONTENT
    assert left(to) == {"file.tar.gz"}
    asked = len(server.asked)
    assert get() == to
    assert len(server.asked) == asked, "a whole file in the cache is not asked for again"


@pytest.mark.parametrize(
    ("able", "times", "asked"),
    [(True, 2, ["", "bytes=1000000-", "bytes=2000000-"]), (False, 1, ["", "bytes=1000000-"])],
)
def test_a_broken_connection_is_resumed(able: bool, times: int, asked: list[str], server: GoServer, get: GET) -> None:
    server.ranges, server.truncate, server.times = able, 1_000_000, times
    assert get().read_bytes() == CONTENT
    assert ranges(server) == asked


def test_truncated_for_good_keeps_the_part_and_the_next_run_goes_on(server: GoServer, get: GET, to: Path) -> None:
    server.truncate = 200_000
    with pytest.raises(IncompleteDownload, match="600000 of 3000000 bytes came in 3 tries") as caught:
        get()
    assert "the connection broke" in caught.value.reason
    assert not to.exists()
    assert to.with_name("file.tar.gz.part").stat().st_size == 600_000
    server.truncate = None
    server.asked.clear()
    assert get().read_bytes() == CONTENT
    assert ranges(server) == ["bytes=600000-"]
    assert left(to) == {"file.tar.gz"}


def test_another_file_in_between_is_not_glued_to_the_old_half(server: GoServer, get: GET) -> None:
    server.files["file.tar.gz"] = b"old" * 1_000_000
    server.truncate = 500_000
    with pytest.raises(IncompleteDownload):
        get()
    server.files["file.tar.gz"] = CONTENT
    server.truncate = None
    assert get().read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "kept", "size"),
    [
        ("file.tar.gz", CONTENT[:-1] + b"?", SIZE),
        ("file.tar.gz.part", bytes(len(CONTENT)), SIZE),
        ("file.tar.gz.part", bytes(len(CONTENT) + 1), 0),  # longer than the file: the server cannot go on from there
    ],
    ids=["a whole one", "a part", "a longer part"],
)
def test_what_a_crash_has_damaged_is_begun_again(name: str, kept: bytes, size: int, get: GET, to: Path) -> None:
    to.with_name(name).write_bytes(kept)
    assert get(size=size).read_bytes() == CONTENT
    assert left(to) == {"file.tar.gz"}


@pytest.mark.parametrize("size", [SIZE, 0])
def test_a_wrong_checksum_keeps_nothing_and_shows_both(size: int, server: GoServer, get: GET, to: Path) -> None:
    wrong = CONTENT[:-1] + b"?"
    server.files["file.tar.gz"] = wrong
    to.with_name("mine.txt").write_text("the user's")
    with pytest.raises(ChecksumMismatch) as caught:
        get(size=size)
    assert SHA256 in caught.value.reason
    assert hashlib.sha256(wrong).hexdigest() in caught.value.reason
    assert left(to) == {"mine.txt"}


def test_a_body_without_end_is_cut_at_the_size(server: GoServer, get: GET) -> None:
    server.files["file.tar.gz"] = CONTENT + b"!" * 20_000_000
    with pytest.raises(ChecksumMismatch):
        get()


def test_a_server_in_trouble_is_asked_three_times(server: GoServer, get: GET, to: Path) -> None:
    server.status, server.times = 503, 2
    assert get().read_bytes() == CONTENT
    to.unlink()
    server.times = 3
    with pytest.raises(Unreachable, match="HTTP 503"):
        get()
    assert left(to) == set()


@pytest.mark.parametrize(("asked", "seconds"), [("1", (1, 5)), ("86400", (0, 5)), ("soon", (0, 5))])
def test_a_server_may_ask_to_be_waited_for_but_not_for_ever(
    asked: str, seconds: tuple[float, float], server: GoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LONGEST_WAIT", 1)
    server.status, server.times, server.retry_after = 429, 1, asked
    began = time.monotonic()
    if asked == "soon":
        with pytest.raises(Unreachable):
            http.fetch_document(server.url)
    else:
        assert http.fetch_document(server.url)
    assert seconds[0] <= time.monotonic() - began < seconds[1]


def test_a_document_that_breaks_off_is_asked_for_again(server: GoServer) -> None:
    url = server.url.replace("/dl/", f"/files/file.tar.gz?token={SECRET}")
    server.truncate, server.times = 1000, 2
    assert http.fetch_document(url) == CONTENT
    server.times = 3
    with pytest.raises(Unreachable, match="the connection broke"):
        http.fetch_document(url)
    server.times = 1
    with pytest.raises(Unreachable, match="the connection broke"):
        list(http.stream_bytes(url, 1 << 30))
    with pytest.raises(Unreachable, match="more than 1000000 bytes"):
        list(http.stream_bytes(url, 1_000_000))


@pytest.mark.parametrize("hops", ["to http", "over http back to https"])
def test_a_redirect_from_https_to_http_is_refused(
    hops: str, server: GoServer, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as other, secure(server, tmp_path) as url:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
        other.add("go1.30.1", "file.tar.gz", CONTENT)
        server.elsewhere = f"{other.url}file.tar.gz"
        if hops != "to http":
            other.elsewhere = url.replace("/dl/", "/files/file.tar.gz")
        with pytest.raises(FetchError, match=r"redirected to http://.*which anybody could have written") as caught:
            http.download(f"{url}file.tar.gz", tmp_path / "file.tar.gz", sha256=SHA256, console=console)
        assert SECRET not in str(caught.value)
        with pytest.raises(FetchError, match="anybody"):
            http.fetch_document(f"{url}file.tar.gz")
        with pytest.raises(FetchError, match="anybody"):
            list(http.stream_bytes(f"{url}file.tar.gz", 1 << 30))


def test_why_says_no_more_than_it_may(tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, why in {
        f"http://me:{SECRET}@127.0.0.1:9/dl/x?key={SECRET}#{SECRET}": "connection refused",
        f"http://me:{SECRET}@no-such-host.invalid/dl/x?key={SECRET}": "the name is not known",
    }.items():
        with pytest.raises(Unreachable, match=why) as caught:
            http.fetch_document(url)
        assert SECRET not in str(caught.value)
        assert "me" not in http.redact_url(url).partition("/dl/")[0].split(".")
        with pytest.raises(Unreachable, match=why) as caught:
            http.download(url, tmp_path / "x", sha256=SHA256, console=console)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:9")
    with pytest.raises(Unreachable, match="the proxy does not let it through") as caught:
        http.fetch_document("http://go.example.invalid/dl/")
    assert SECRET not in str(caught.value)


def test_the_redirects_token_is_never_seen(server: GoServer, stream: io.StringIO, get: GET, to: Path) -> None:
    server.truncate = 100
    with pytest.raises(IncompleteDownload) as caught:
        get()
    assert any(SECRET in path for path, _ in server.asked)
    assert SECRET not in str(caught.value) + stream.getvalue()
    for path in to.parent.iterdir():
        assert SECRET.encode() not in path.read_bytes()


@pytest.fixture
def no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*http.BUNDLES, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.usefixtures("no_bundles")
def test_a_companys_certificate_counts_where_it_is_named(
    variable: str, server: GoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secure(server, tmp_path) as url:
        monkeypatch.setattr(http, "PAUSE", 60)  # which would be waited, were it asked for again
        with pytest.raises(FetchError, match="its certificate is not trusted") as caught:
            http.fetch_document(url)
        assert not isinstance(caught.value, Unreachable)
        assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        assert "proxy" not in str(caught.value)
        monkeypatch.setenv(variable, str(tmp_path / "certificate.pem"))
        assert http.fetch_document(url) == http.fetch_document(server.url)


@pytest.mark.parametrize("variable", http.BUNDLES)
@pytest.mark.usefixtures("no_bundles")
def test_a_file_of_certificates_that_is_not_there(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/nonexistent/company.pem")
    with pytest.raises(FetchError, match=f"{variable} names /nonexistent/company.pem, which is not there") as caught:
        http.fetch_document("https://127.0.0.1:9/dl/")
    assert caught.value.exit_code == 4


def test_a_file_of_certificates_that_is_none(server: GoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "company.pem").write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "company.pem"))
    with secure(server, tmp_path) as url, pytest.raises(FetchError, match="no TLS connection") as caught:
        http.fetch_document(url)
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint


def test_a_login_page_in_place_of_an_archive(server: GoServer, get: GET, to: Path) -> None:
    server.page = b"<html>Welcome! Please sign in.</html>"
    with pytest.raises(FetchError, match=r"a web page instead of file\.tar\.gz") as caught:
        get()
    assert "sign in" in caught.value.hint
    assert len(server.asked) == 1
    assert left(to) == set()


def _in_another_process(url: str, to: str, sha256: str, size: int) -> None:
    http.download(url, Path(to), sha256=sha256, size=size, console=Console())


def test_two_processes_download_a_file_once(server: GoServer, to: Path) -> None:
    server.delay = 0.3
    spawn = multiprocessing.get_context("spawn")
    work = (server.url + "file.tar.gz", str(to), SHA256, len(CONTENT))
    processes = [spawn.Process(target=_in_another_process, args=work) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(ranges(server)) == 1
    assert files.sha256(to) == SHA256
    assert left(to) == {"file.tar.gz"}


def test_a_full_disk_is_said_and_freed(server: GoServer, get: GET, to: Path) -> None:
    to.parent.rmdir()
    with small_disk(to.parent, "-o", "size=1m"):
        with pytest.raises(DiskFull, match=r"downloading file.tar.gz needs about 2 MiB"):
            get()
        assert server.asked == []
        with pytest.raises(OSError, match="No space left on device"):
            get(size=0)
        assert left(to) == set()
