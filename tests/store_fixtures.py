"""A toy store: files with bytes of their own, and what a store said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gobuild.store import Entry, Store, key

KEY = key(of="a toolchain", target="darwin/arm64")
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


def some_files(folder: Path, seed: int = 0, size: int = 1000) -> dict[str, Path]:
    """A program, an archive, and the same archive again under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"bin/go": bytes([seed]) * size, "go.tar.gz": bytes(range(256)) * (size // 256 + seed), "go.zip": b""}
    content["go.zip"] = content["go.tar.gz"]
    made = {}
    for name, data in content.items():
        made[name] = folder / name.replace("/", "-")
        made[name].write_bytes(data)
    made["bin/go"].chmod(0o755)
    return made


def content(store: Store, entry: Entry, to: Path) -> dict[str, bytes]:
    """What an entry's files hold, once they are placed."""
    for name in entry.files:
        store.place(entry, name, to / name)
    return {name: (to / name).read_bytes() for name in entry.files}


def blobs(root: Path) -> list[Path]:
    """The blobs' files of a store."""
    return sorted(root.glob("blobs/sha256/*/*"))
