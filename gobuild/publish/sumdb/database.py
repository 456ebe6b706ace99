"""A checksum database of the published toolchains, in Go's own format and all of it static files.

Under proxy/sumdb/NAME/ stand a signed tree head, the tiles of a transparent log, and one lookup a module, as the go
command asks for them (https://go.dev/design/25530-sumdb). What was once logged stays: the log is appended to, heads
that clients have seen remain provable, and a toolchain's hash never changes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PublishError, VerifyError
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.paths import MODULE, PROXY, module_version
from gobuild.publish.proxy import go_mod_hash, zip_hash
from gobuild.publish.sumdb import tlog
from gobuild.publish.sumdb.note import NoteSigner, Verifier
from gobuild.publish.sumdb.tlog import Head, Log

Get = Callable[[str], bytes]
"""Reads a file of the database by its path there, "latest" or "tile/8/0/000.p/2": from a folder, or over HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database whose signature and hashes were found right."""

    verifier: Verifier
    log: Log

    @property
    def versions(self) -> dict[str, bytes]:
        """The record of each version of golang.org/toolchain."""
        return {record.split(b" ", 2)[1].decode(): record for record in self.log.records}

    def hashes(self, version: str) -> tuple[str, str] | None:
        """The "h1:" of a version's zip and of its go.mod; None where it was never logged."""
        record = self.versions.get(version)
        if record is None:
            return None
        zip_line, mod_line = record.decode().splitlines()
        return zip_line.split(" ")[2], mod_line.split(" ")[2]


def database_folder(name: str) -> Path:
    """Where a database stands, relative to the tree."""
    return PROXY / "sumdb" / name


def database_names(tree: Path) -> tuple[str, ...]:
    """The databases that a tree has: a tree that has one must go on with it."""
    root = tree / PROXY / "sumdb"
    return tuple(sorted(path.parent.relative_to(root).as_posix() for path in root.glob("**/latest")))


def read_database(get: Get, verifier: Verifier) -> Database:
    """Reads a database, and checks it from its signature down: the head, and that the records are those it is over.

    Raises:
        VerifyError: a signature, a record or a tile is not what it should be.
    """
    head = Head.parse(verifier.open(get("latest")))
    records: list[bytes] = []
    for tile in tlog.last_tiles(head.size):
        if tile.level < 0:
            records += tlog.unframed(get(tile.path), tile.number * tlog.WIDTH)
    try:
        log = Log(records)
    except ValueError as error:
        raise VerifyError(f"a record of {verifier.name} is damaged", "the tree as it was published") from error
    if log.head() != head:
        raise VerifyError(
            f"the records of {verifier.name} are not those that its tree head is over", "the tree as it was published"
        )
    return Database(verifier=verifier, log=log)


def check_database(get: Get, verifier: Verifier) -> Database:
    """Reads a database, and checks every tile and lookup that a client may ask for: all that a receiver can check.

    Raises:
        VerifyError: as `read_database`; or a tile or lookup is not what the records say.
    """
    database = read_database(get, verifier)
    log = database.log
    for tile in tlog.last_tiles(len(log.records)):
        if get(tile.path) != log.tile(tile):
            raise VerifyError(f"{tile.path} of {verifier.name} is damaged", "the tree as it was published")
    for number, (version, record) in enumerate(database.versions.items()):
        frame, said = tlog.framed(number, record), get(_lookup(version))
        if not said.startswith(frame):
            raise VerifyError(f"the lookup of {version} is not what was logged", "the tree as it was published")
        head = Head.parse(verifier.open(said.removeprefix(frame)))
        if not number < head.size <= len(log.records) or log.head(head.size) != head:
            raise VerifyError(f"the lookup of {version} has the head of another log", "do not trust this tree")
    return database


def update_database(catalogue: Catalogue, tree: Path, *, key: NoteSigner) -> Head:
    """Logs every build that is not logged yet, and signs the new tree head. Nothing new: nothing is written.

    The staged tree has its proxy already; the key's name is where the database stands.

    Raises:
        PublishError: a version was logged with other hashes.
        VerifyError: the database that stands there is damaged, or was signed by another key.
    """
    folder = tree / database_folder(key.name)
    before = existing_database(tree, key.verifier)
    log, known, old = before.log, before.versions, len(before.log.records)
    fresh = dict[str, bytes]()
    for build in sorted(catalogue.builds, key=lambda build: (build.version.pep440, build.stamp, build.target.dashed)):
        version = module_version(build)
        record = _record(build, version)
        if known.get(version, record) != record:
            raise PublishError(
                f"{version} was logged with other hashes in {key.name}, and a log cannot be changed",
                "build with another --suffix",
            )
        if version not in known:
            fresh[version] = record
    if fresh or not (folder / "latest").exists():
        _publish(folder, log, old, {version: log.append(record) for version, record in fresh.items()}, key)
    return log.head()


def existing_database(tree: Path, verifier: Verifier) -> Database:
    """The database of a tree, checked whole; an empty one where there is none yet.

    Raises:
        VerifyError: as `check_database`; or a file of it is gone.
    """
    folder = tree / database_folder(verifier.name)
    if not (folder / "latest").exists():
        return Database(verifier=verifier, log=Log())

    def get(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError as error:
            raise VerifyError(f"{path} of {verifier.name} is gone", "the tree as it was published") from error

    return check_database(get, verifier)


def _record(build: Build, version: str) -> bytes:
    """What is logged of a module: the two lines that go.sum would have (x/mod/sumdb/server.go)."""
    whole = zip_hash(build.archive("module", ".zip").path, version)
    alone = go_mod_hash(build.archive("module", ".mod").path.read_bytes())
    return f"{MODULE} {version} {whole}\n{MODULE} {version}/go.mod {alone}\n".encode()


def _lookup(version: str) -> str:
    # Nothing to escape: a stamp has no capital letters (x/mod/module.EscapeVersion).
    return f"lookup/{MODULE}@{version}"


def _publish(folder: Path, log: Log, old: int, fresh: dict[str, int], key: NoteSigner) -> None:
    """Writes tiles, lookups and the head, in that order: what a head speaks of stands before it."""
    for tile in tlog.tiles(old, len(log.records)):
        _once(folder / tile.path, log.tile(tile))
    head = key.sign(log.head().to_text())
    for version, number in fresh.items():
        # A lookup keeps the head of its day: it says that the record is in, and later heads are proven to contain it.
        _once(folder / _lookup(version), tlog.framed(number, log.records[number]) + head)
    files.write(folder / "supported", "")  # that it is there says yes
    files.write(folder / "latest", head)


def _once(path: Path, content: bytes) -> None:
    if not path.exists():
        files.write(path, content)
    elif path.read_bytes() != content:
        raise VerifyError(f"{path.name} stands in the checksum database with other content", "an intact tree")
