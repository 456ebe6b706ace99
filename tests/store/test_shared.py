"""The second level: a team's folder, a real server that speaks S3, and ones that are slow, closed or broken."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import boto3
import fsspec
import pytest
import s3fs
from fsspec.implementations.memory import MemoryFileSystem
from moto.server import ThreadedMotoServer
from store_fixtures import KEY, Machine, content, some_files

from gobuild import store
from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.store import StoreFolder, entry_key, shared

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
ENTRY, ZIP = f"toolchain/{KEY}/entry.json", f"toolchain/{KEY}/go.zip"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that speaks S3."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket; how to reach it stands in the environment alone, as for a user."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"team-{time.monotonic_ns()}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/gobuild"


class Flaky(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system that fails, or takes its time, when it is told to."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    trouble: ClassVar[Any] = staticmethod(lambda what, path: None)
    asked: ClassVar[list[str]] = []

    def info(self, path: str, **words: Any) -> Any:
        self.asked.append(f"info {path}")
        self.trouble("info", path)
        return super().info(path, **words)

    def put_file(self, lpath: str, rpath: str, *args: Any, **words: Any) -> Any:
        self.asked.append(f"put {rpath}")
        self.trouble("put", rpath)
        return super().put_file(lpath, rpath, *args, **words)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> type[Flaky]:
    """That file system, empty and in good health."""
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.clear_instance_cache()
    Flaky.store.clear()
    Flaky.pseudo_dirs[:] = [""]
    Flaky.asked.clear()
    monkeypatch.setattr(Flaky, "trouble", staticmethod(lambda what, path: None))
    return Flaky


@dataclass
class Team:
    """Several machines with one second level."""

    tmp_path: Path
    where: str

    def machine(self, name: str, *, shared: bool = True) -> Machine:
        return Machine(self.tmp_path / name, shared=self.where if shared else "")

    def change(self, name: str, how: Callable[[bytes], bytes] | None) -> None:
        """Changes a file of the second level behind everybody's back; None removes it."""
        system, root = fsspec.core.url_to_fs(self.where)
        if how is None:
            system.rm_file(f"{root}/{name}")
        else:
            old = system.cat_file(f"{root}/{name}")
            system.rm_file(f"{root}/{name}")
            system.pipe_file(f"{root}/{name}", how(old))


@pytest.fixture(params=["folder", "s3", "flaky"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Team:
    if request.param == "folder":
        return Team(tmp_path, str(tmp_path / "team"))
    if request.param == "s3":
        return Team(tmp_path, request.getfixturevalue("s3"))
    request.getfixturevalue("flaky")
    return Team(tmp_path, "flaky://team/gobuild")


def test_what_one_machine_made_the_other_has(team: Team, tmp_path: Path) -> None:
    one, two = team.machine("one"), team.machine("two")
    put = some_files(tmp_path / "in", size=300_000)
    assert two.get() is None
    assert one.put(put) and two.get() == content(put)
    # It is here now: the other level is not needed for it any more.
    assert team.machine("two", shared=False).get() == content(put)
    assert one.said == two.said == []


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes] | None]] = {
    "a byte of a file": (ZIP, _flip),
    "a file cut short": (ZIP, lambda data: data[:10]),
    "a giant": (ZIP, lambda data: data + bytes(20_000_000)),
    "no file": (ZIP, None),
    "an entry cut short": (ENTRY, lambda data: data[:100]),
    "an entry without end": (ENTRY, lambda data: data + b" " * (5 << 20)),
}


def test_a_damaged_one_is_told_not_used_and_overwritten(team: Team, tmp_path: Path) -> None:
    put = some_files(tmp_path / "in")
    team.machine("one").put(put)
    for name, (where, how) in DAMAGE.items():
        team.change(where, how)
        victim = team.machine(f"victim of {name}")
        assert victim.get() is None, name
        assert len(victim.said) == 1 and "damaged" in victim.said[0], (name, victim.said)
        assert name not in ("a giant", "a file cut short") or "has another size" in victim.said[0], "not even copied"
        assert not victim.root.exists(), name
        assert victim.put(put), name
        other = team.machine(f"other after {name}")
        assert other.get() == content(put) and other.said == [], name


def test_what_was_made_without_the_others_is_offered_later(team: Team, tmp_path: Path) -> None:
    put = some_files(tmp_path / "in")
    team.machine("one", shared=False).put(put)
    assert team.machine("two").get() is None
    assert team.machine("one").get() == content(put)
    assert team.machine("two").get() == content(put)
    # So is what is damaged there.
    team.change(ENTRY, lambda data: data[:100])
    one = team.machine("one")
    assert one.get() == content(put) and one.said == [] and team.machine("three").get() == content(put)


def test_the_entry_comes_last(flaky: type[Flaky], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that ends halfway leaves no entry, and the next one completes it."""
    team = Team(tmp_path, "flaky://team/gobuild")

    def second_fails(what: str, path: str) -> None:
        if what == "put" and len([each for each in flaky.asked if each.startswith("put")]) == 2:
            raise ConnectionResetError("reset")

    monkeypatch.setattr(flaky, "trouble", staticmethod(second_fails))
    one = team.machine("one")
    assert one.put(some_files(tmp_path / "in")) and "cannot be written (ConnectionResetError)" in one.said[0]
    assert flaky.store and not [path for path in flaky.store if path.endswith("entry.json")]
    monkeypatch.setattr(flaky, "trouble", staticmethod(lambda what, path: None))
    assert team.machine("one").get() and flaky.asked[-1].endswith(ENTRY)
    assert team.machine("two").get()


def test_a_slow_one_holds_nobody_up(flaky: type[Flaky], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flaky, "trouble", staticmethod(lambda what, path: time.sleep(20)))
    monkeypatch.setattr(shared, "PATIENCE", 0.3)
    one = Team(tmp_path, "flaky://team/gobuild").machine("one")
    opened, began = one.open(), time.monotonic()
    assert one.get(store=opened) is None
    assert opened.put("toolchain", KEY, some_files(tmp_path / "in"), {})
    for _ in range(5):
        assert one.get(store=opened)
    assert time.monotonic() - began < 5
    assert one.said == [
        "the shared store flaky://team/gobuild cannot be read (no answer in time): going on without that",
    ]


def test_one_that_may_only_be_read_is_read(flaky: type[Flaky], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    team = Team(tmp_path, "flaky://team/gobuild")
    put = some_files(tmp_path / "in")
    team.machine("one").put(put)

    def no(what: str, path: str) -> None:
        if what == "put":
            raise PermissionError(f"403 for {SECRET} at https://user:{SECRET}@example/{path}")

    monkeypatch.setattr(flaky, "trouble", staticmethod(no))
    two = team.machine("two")
    opened = two.open()
    assert all(opened.put("toolchain", entry_key(of=each), put, {}) for each in ("more", "yet more"))
    assert two.get(store=opened) == content(put)
    assert two.said == [f"the shared store {team.where} cannot be written (access denied): going on without that"]
    assert SECRET not in f"{two.said} {opened!r}"


@pytest.mark.parametrize("trouble", ["closed", "no bucket", "no credentials"])
def test_a_failing_s3_fails_nothing(s3: str, trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = s3
    if trouble == "closed":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    elif trouble == "no bucket":
        where = "s3://no-such-bucket/gobuild"
    else:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(shared, "PATIENCE", 1.0)
    one, put = Team(tmp_path, where).machine("one"), some_files(tmp_path / "in")
    opened = one.open()
    assert one.get(store=opened) is None
    assert opened.put("toolchain", KEY, put, {}) and one.get(store=opened) == content(put)
    assert len(one.said) == 1 and "cannot be" in one.said[0], one.said
    assert SECRET not in str(one.said)


def test_a_shared_folder_is_a_store_that_its_owner_keeps(tmp_path: Path) -> None:
    """Verified and pruned as a local one: it is one."""
    team, put = Team(tmp_path, f"file://{tmp_path}/team"), some_files(tmp_path / "in")
    made = team.machine("one").put(put)
    folder = StoreFolder(tmp_path / "team")
    assert store.verify_store(folder) == ([made], [])
    store.prune_store(folder, 0)
    assert team.machine("two").get() is None
    # A folder that nobody may write to, or that is none.
    files.remove(tmp_path / "team")
    (tmp_path / "team").touch()
    three = team.machine("three")
    assert three.put(put) and "cannot be written" in three.said[0]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (f"s3://user:{SECRET}@bucket/x", "credentials"),
        (f"s3://bucket/x?key={SECRET}", "credentials"),
        (f"s3://bucket/x#{SECRET}", "credentials"),
        ("nonsense://x", "nonsense://"),
        ("gs://bucket/x", "pip install"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_once(tmp_path: Path, where: str, says: str) -> None:
    if where.startswith("gs:"):
        pytest.MonkeyPatch().setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ConfigError, match=says) as error:
        Machine(tmp_path / "store", shared=where).open()
    assert SECRET not in str(error.value)


def test_without_fsspec_a_folder_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert Machine(tmp_path / "store", shared=str(tmp_path / "team")).get() is None
    with pytest.raises(ConfigError, match=r"pip install 'gobuild\[store\]'"):
        Machine(tmp_path / "store", shared="s3://bucket").open()
