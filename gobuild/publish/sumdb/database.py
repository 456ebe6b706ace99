"""The files of the checksum database, under proxy/sumdb/NAME/: signed head, tiles, lookups, as the go command asks.

What was once logged stays: the log is appended to, heads that clients have seen remain provable, and a toolchain's
hash never changes (https://go.dev/design/25530-sumdb).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PublishError, VerifyError
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.paths import MODULE, PROXY, module_version
from gobuild.publish.proxy import zip_hash
from gobuild.publish.sumdb import tlog
from gobuild.publish.sumdb.note import NoteSigner, Verifier
from gobuild.publish.sumdb.tlog import Head, Log

Get = Callable[[str], bytes]
"""Reads a file of the database by its path there, such as "tile/8/0/000.p/2"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database whose signature and hashes were found right."""

    log: Log

    @property
    def versions(self) -> dict[str, bytes]:
        """The record of each version of golang.org/toolchain."""
        return {record.split(b" ", 2)[1].decode(): record for record in self.log.records}

    def h1(self, version: str) -> str | None:
        """The "h1:" of a version's zip; None where it was never logged."""
        record = self.versions.get(version)
        return record.decode().splitlines()[0].split(" ")[2] if record else None


def database_folder(name: str) -> Path:
    """Where a database stands, relative to the tree."""
    return PROXY / "sumdb" / name


def database_names(tree: Path) -> tuple[str, ...]:
    """The databases that a tree has: a tree that has one must go on with it."""
    root = tree / PROXY / "sumdb"
    return tuple(sorted(path.parent.relative_to(root).as_posix() for path in root.glob("**/latest")))


def check_database(get: Get, verifier: Verifier) -> Database:
    """Reads a database, and checks all that a client may ask for: the signed head, records, tiles and lookups.

    Raises:
        VerifyError: a signature, a record, a tile or a lookup is not what it should be.
    """
    published = "the tree as it was published"
    head = Head.parse(verifier.open(get("latest")))
    tiles = {tile: get(tile.path) for tile in tlog.last_tiles(head.size)}
    records = [tlog.unframed(text, tile.number * tlog.WIDTH) for tile, text in tiles.items() if tile.level < 0]
    try:
        log = Log([record for each in records for record in each])
    except ValueError as error:
        raise VerifyError(f"a record of {verifier.name} is damaged", published) from error
    if log.head() != head:
        raise VerifyError(f"the records of {verifier.name} are not those that its tree head is over", published)
    for tile, text in tiles.items():
        if text != log.tile(tile):
            raise VerifyError(f"{tile.path} of {verifier.name} is damaged", published)
    database = Database(log=log)
    for number, (version, record) in enumerate(database.versions.items()):
        frame, said = tlog.framed(number, record), get(_lookup(version))
        if not said.startswith(frame):
            raise VerifyError(f"the lookup of {version} is not what was logged", published)
        seen = Head.parse(verifier.open(said.removeprefix(frame)))
        if not number < seen.size <= len(log.records) or log.head(seen.size) != seen:
            raise VerifyError(f"the lookup of {version} has the head of another log", "do not trust this tree")
    return database


def update_database(catalogue: Catalogue, tree: Path, *, key: NoteSigner) -> Head:
    """Logs every build that is not logged yet and stands in the proxy, and signs the new tree head, if there is any.

    Raises:
        PublishError: a version was logged with other hashes.
        VerifyError: the database that stands there is damaged, or was signed by another key.
    """
    folder = tree / database_folder(key.name)
    before = existing_database(tree, key.verifier)
    log, known, old = before.log, before.versions, len(before.log.records)
    fresh = dict[str, bytes]()
    for build in catalogue.oldest_first:
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
    """The database of a tree, checked by `check_database`; an empty one where there is none yet."""
    folder = tree / database_folder(verifier.name)
    if not (folder / "latest").exists():
        return Database(log=Log())

    def get(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError as error:
            raise VerifyError(f"{path} of {verifier.name} is gone", "the tree as it was published") from error

    return check_database(get, verifier)


def _record(build: Build, version: str) -> bytes:
    """What is logged of a module: the two lines that go.sum would have (x/mod/sumdb/server.go)."""
    whole = zip_hash(build.archive("module", ".zip").path, version)
    alone = files.hash1([("go.mod", files.sha256(build.archive("module", ".mod").path))])
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
