"""Writes the folder that starts a linux/arm64 toolchain in a virtual machine without a GPU, on a Mac, by vfkit.

It holds a copy of the archive to share: the machine may write to what is shared, so it is never the file in dist/.
"""

import contextlib
import hashlib
import json
import re
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gobuild.core import archives, files
from gobuild.core.errors import ChecksumMismatch, ConfigError
from gobuild.core.goversion import Target
from gobuild.core.printable import printable
from gobuild.core.render import render
from gobuild.verify import tree

GUEST = Target(goos="linux", goarch="arm64")
"""The framework runs guests of the Mac's own CPU."""

TAG = "toolchain"
"""What the shared folder is called inside."""

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A host's name (RFC 1123)."""

KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [\x20-\x7e]*)?")
"""A line of an OpenSSH public key file."""

LARGEST = 1 << 28
"""Bytes of an archive's VERSION and bin/go; Go's largest so far have 18 MB."""

ARCHIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.tar\.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the machine has. There is no GPU, no display, no keyboard, and without a key no network."""

    disk: str  # the whole path, on the Mac, of a raw disk image with an arm64 Linux and cloud-init
    name: str = "gobuild"
    cpus: int = 2
    memory: int = 2048  # in MiB
    key: str = ""  # a line of an OpenSSH public key file; empty for no network

    def __post_init__(self) -> None:
        disk = PurePosixPath(self.disk)
        if not disk.is_absolute() or ".." in disk.parts or "," in self.disk or printable(self.disk) != self.disk:
            raise ConfigError(f"the disk is {self.disk!r}", "a whole path on the Mac, without commas")
        if not NAME.fullmatch(self.name):
            raise ConfigError(f"{self.name!r} is no host's name", "lower-case letters, digits and hyphens")
        for what, least, most in (("cpus", 1, 64), ("memory", 512, 1 << 20)):
            if not least <= getattr(self, what) <= most:
                raise ConfigError(f"{what} is {getattr(self, what)}", f"a number from {least} to {most}")
        if Path(self.disk).is_file():
            with Path(self.disk).open("rb") as file:
                if file.read(4) == b"QFI\xfb":  # which the framework cannot read
                    raise ConfigError(f"{self.disk} is a qcow2 image", "a raw one: qemu-img convert -O raw")


def read_key(path: Path) -> str:
    """Reads a public key. A message never repeats what stands in the file: it may be the other half."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = path.expanduser().read_bytes()[: 1 << 14].decode("ascii").strip()
        if KEY.fullmatch(text):
            return text
    raise ConfigError(f"{path} cannot be read as an OpenSSH public key of one line", "--ssh-key ~/.ssh/id_ed25519.pub")


def write_folder(machine: Machine, archive: Path, to: Path) -> str:
    """Writes the folder, which must not exist. Returns what the toolchain calls itself."""
    if to.exists():
        raise ConfigError(f"{to} exists", "another --to; the machine's own state may be in it")
    if not archive.is_file() or not ARCHIVE.fullmatch(archive.name):
        raise ConfigError(f"{archive} is no archive of a toolchain", "dist/go1.22.10-….linux-arm64.tar.gz")
    with files.atomic_write(to.absolute()) as folder:
        (folder / "share").mkdir(parents=True)
        copy = folder / "share" / archive.name
        shutil.copyfile(archive, copy)
        digest, beside = files.sha256(copy), archive.with_name(f"{archive.name}.sha256")
        if beside.is_file() and beside.read_text(encoding="utf-8", errors="replace").split()[:1] != [digest]:
            raise ChecksumMismatch(f"{archive} is not what {beside.name} says", "fetch both again")
        stamp = _require_toolchain(copy)
        install = render("vm/install.sh.j2", archive=archive.name, sha256=digest, tag=TAG).rstrip("\n")
        # cloud-init does its work once for an instance: another key or toolchain is another one.
        instance = f"{machine.name}-{hashlib.sha256(f'{digest} {machine.key}'.encode()).hexdigest()[:16]}"
        values: Any = {"machine": machine, "tag": TAG, "stamp": stamp, "install": install, "instance": instance}
        for name in ("run.sh", "user-data", "meta-data"):
            text = render(f"vm/{name}.j2", filters={"shell": shlex.quote, "yaml": json.dumps}, **values)
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "run.sh").chmod(0o755)
    return stamp


def _require_toolchain(archive: Path) -> str:
    """The version in an archive that must be a toolchain for the guest."""
    wanted = ("go/VERSION", "go/bin/go")
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        root = Path(scratch) / "unpacked"
        archives.unpack(archive, root, lambda name: name if name in wanted else None, limit=LARGEST)
        stamp, found = tree.version(root / "go"), tree.identify(root / "go" / "bin" / "go")
    if found != GUEST or not re.fullmatch(r"go1[a-z0-9.-]*", stamp):
        raise ConfigError(f"{archive.name} is for {found or 'no machine of ours'}", f"invoke build --target {GUEST}")
    return stamp
