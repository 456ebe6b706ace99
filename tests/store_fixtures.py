"""A toy store: files with bytes of their own, and what a store said."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gobuild.store import Store, StoreEntry, entry_key

KEY = entry_key(of="a toolchain", target="darwin/arm64")
FACTS: Mapping[str, object] = {"stamp": "go1.22.10-acme1", "target": "darwin/arm64"}


@dataclass
class Machine:
    """A machine with a store of its own, and what the store told."""

    root: Path
    shared: str = ""
    said: list[str] = field(default_factory=list)

    def open(self) -> Store:
        """The store as a new process has it."""
        return Store.open(self.root, shared=self.shared, say=self.said.append)

    def put(self, sources: Mapping[str, Path], key: str = KEY, kind: str = "toolchain") -> StoreEntry | None:
        """What a new process gets for files that it puts in."""
        return self.open().put(kind, key, sources, FACTS)

    def get(self, key: str = KEY, kind: str = "toolchain", store: Store | None = None) -> dict[str, bytes] | None:
        """The bytes that a new process finds, by the files' names; a miss leaves nothing behind."""
        with tempfile.TemporaryDirectory() as folder:
            into = Path(folder) / "into"
            entry = (store or self.open()).get(kind, key, into)
            assert into.exists() == bool(entry)
            assert [path.name for path in Path(folder).iterdir()] == (["into"] if entry else [])
            found = {path.name: path.read_bytes() for path in into.iterdir()} if entry else None
            assert not entry or set(found or ()) == set(entry.files)
            return found

    def place(self, name: str, key: str = KEY, kind: str = "toolchain") -> Path:
        """Where a file of an entry stands."""
        return self.root / kind / key / name


def some_files(folder: Path, seed: int = 0, size: int = 1000) -> dict[str, Path]:
    """A program, an archive, and the same archive again under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"go": bytes([seed]) * size, "go.tar.gz": bytes(range(256)) * (size // 256 + seed), "go.zip": b""}
    content["go.zip"] = content["go.tar.gz"]
    for name, data in content.items():
        (folder / name).write_bytes(data)
    (folder / "go").chmod(0o755)
    return {name: folder / name for name in content}


def content(sources: Mapping[str, Path]) -> dict[str, bytes]:
    """What files hold."""
    return {name: path.read_bytes() for name, path in sources.items()}
