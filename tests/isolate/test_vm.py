"""The virtual machine's folder: cloud-init's YAML is read back, the scripts run; vfkit itself is only on a Mac."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from inside import gobuild
from publish_toys import as_tar
from ruamel.yaml import YAML

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, ConfigError, UnsafeArchive
from gobuild.isolate.vm import TAG, Machine, read_key, write_folder

DISK = "/Users/me/disks/debian 13's.raw"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx3m4rGm0VfGqT4u0mN2mJt8mYv8QK0Gk0o7b3JX8Qz me@mac: #1"
ELF_ARM64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(100)
STAMP = "go1.22.10-acme1"
GO = f"#!/bin/sh\n# {'x' * 40}\necho go version {STAMP} linux/arm64, GOTOOLCHAIN=$GOTOOLCHAIN\n"


def toolchain(folder: Path, go: bytes = ELF_ARM64, stamp: str = STAMP) -> Path:
    path = folder / f"{STAMP}.linux-arm64.tar.gz"
    path.write_bytes(as_tar({"VERSION": f"{stamp}\n".encode(), "bin/go": go, "bin/gofmt": go}))
    return path


def words(folder: Path, tmp_path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs run.sh with a vfkit that only says how it was called."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin/vfkit").write_text("#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done\n")
    (tmp_path / "bin/vfkit").chmod(0o755)
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    return subprocess.run([folder / "run.sh", *arguments], env=env, capture_output=True, text=True, check=False)


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def test_vfkit_is_asked_for_a_machine_without_a_gpu(tmp_path: Path) -> None:
    disk = tmp_path / "a disk's.raw"
    disk.write_bytes(bytes(512))
    folder = tmp_path / "a machine"
    assert write_folder(Machine(disk=str(disk), cpus=3, memory=4096), toolchain(tmp_path), folder) == STAMP
    done = words(folder, tmp_path)
    assert done.stdout.splitlines() == [
        *("--cpus", "3", "--memory", "4096"),
        *("--bootloader", f"efi,variable-store={folder}/efi-variable-store,create"),
        *("--device", f"virtio-blk,path={disk}"),
        *("--device", f"virtio-fs,sharedDir={folder}/share,mountTag={TAG}"),
        *("--device", "virtio-rng", "--device", "virtio-serial,stdio"),
        *("--cloud-init", f"{folder}/user-data,{folder}/meta-data"),
    ]
    moved = folder.rename(tmp_path / "elsewhere")
    other = tmp_path / "other.raw"
    other.touch()
    assert f"virtio-blk,path={other}\n" in words(moved, tmp_path, str(other)).stdout
    for wrong, said in ((str(tmp_path / "none.raw"), "there is no disk image"), ("disk.raw", "not a whole path")):
        done = words(moved, tmp_path, wrong)
        assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True)
    done = words(moved.rename(tmp_path / "a,b"), tmp_path)
    assert (done.returncode, "no path with a comma" in done.stderr) == (2, True)


def test_only_a_key_brings_a_network(tmp_path: Path) -> None:
    disk = tmp_path / "d.raw"
    disk.touch()
    archive = toolchain(tmp_path)
    write_folder(Machine(disk=str(disk)), archive, tmp_path / "off")
    write_folder(Machine(disk=str(disk), key=KEY), archive, tmp_path / "on")
    assert "virtio-net" not in words(tmp_path / "off", tmp_path).stdout
    assert "virtio-net,nat\n" in words(tmp_path / "on", tmp_path).stdout
    for name in ("off", "on"):
        assert not re.search("gpu|gui|virtio-input|rosetta", (tmp_path / name / "run.sh").read_text().split("exec")[1])
    assert "ssh_authorized_keys" not in yaml(tmp_path / "off/user-data")
    assert yaml(tmp_path / "on/user-data")["ssh_authorized_keys"] == [KEY]
    ids = {yaml(tmp_path / name / "meta-data")["instance-id"] for name in ("off", "on")}
    assert len(ids) == 2


def test_cloud_init_gets_yaml_with_the_scripts_as_they_are(tmp_path: Path) -> None:
    archive = toolchain(tmp_path)
    write_folder(Machine(disk=DISK, name="go-1"), archive, tmp_path / "vm")
    text = (tmp_path / "vm/user-data").read_text()
    assert text.startswith("#cloud-config\n")
    said = yaml(tmp_path / "vm/user-data")
    console, install = said["write_files"]
    assert console["path"] == "/etc/systemd/system/serial-getty@hvc0.service.d/gobuild.conf"
    assert console["content"].startswith("[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root ")
    assert (install["path"], install["permissions"]) == ("/usr/local/sbin/install-go", "0755")
    assert install["content"].startswith("#!/bin/sh\n")
    assert files.sha256(archive) in install["content"]
    assert said["runcmd"][0] == ["/usr/local/sbin/install-go", "/usr/local"]
    assert yaml(tmp_path / "vm/meta-data")["local-hostname"] == "go-1"
    assert files.sha256(tmp_path / "vm/share" / archive.name) == files.sha256(archive)
    assert not (tmp_path / "vm/share" / archive.name).samefile(archive)  # the machine may write to it


def installed(folder: Path, into: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the script that runs inside the machine, with folders of ours in place of the share and the console."""
    script = into.parent / "install-go"
    script.write_text(yaml(folder / "user-data")["write_files"][1]["content"])
    script.chmod(0o755)
    into.mkdir(exist_ok=True)
    env = {"PATH": os.defpath, "GOBUILD_SHARE": str(folder / "share"), "GOBUILD_CONSOLE": str(into.parent / "console")}
    return subprocess.run([script, into], env=env, capture_output=True, text=True, check=False)


def test_the_toolchain_is_checked_then_installed_in_place_of_the_old_one(tmp_path: Path) -> None:
    write_folder(Machine(disk=DISK), toolchain(tmp_path), tmp_path / "vm")
    share, local = tmp_path / "vm/share", tmp_path / "local"
    (local / "go").mkdir(parents=True)
    (local / "go/stale").touch()
    # One that runs here takes the place of the arm64 one, and its digest with it.
    running = toolchain(tmp_path, go=GO.encode())
    user_data = tmp_path / "vm/user-data"
    old = files.sha256(share / running.name)
    (share / running.name).write_bytes(running.read_bytes())
    done = installed(tmp_path / "vm", local)
    assert done.returncode != 0
    assert (tmp_path / "console").read_text() == "the toolchain was not installed\n"
    assert [path.name for path in (local / "go").iterdir()] == ["stale"]
    user_data.write_text(user_data.read_text().replace(old, files.sha256(running)))
    done = installed(tmp_path / "vm", local)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "console").read_text() == f"go version {STAMP} linux/arm64, GOTOOLCHAIN=local\n"
    assert sorted(path.name for path in (local / "go").iterdir()) == ["VERSION", "bin"]
    assert not (local / "go.tar.gz").exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"disk": "debian.raw"}, "the disk is"),
        ({"disk": "/a,b.raw"}, "the disk is"),
        ({"disk": "/a/../b.raw"}, "the disk is"),
        ({"disk": "/a\n.raw"}, "the disk is"),
        ({"name": "Go"}, "is no host's name"),
        ({"name": "a\nb"}, "is no host's name"),
        ({"cpus": 0}, "cpus is 0"),
        ({"memory": 256}, "memory is 256"),
    ],
)
def test_what_cannot_be_a_machine_is_refused(other: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "d.img").write_bytes(b"QFI\xfb" + bytes(100))
    for facts, words in ((other, said), ({"disk": str(tmp_path / "d.img")}, "is a qcow2 image")):
        with pytest.raises(ConfigError, match=words):
            Machine(**({"disk": DISK} | facts))


def test_a_private_key_is_refused_and_never_shown(tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    for text in ("", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", f"{KEY}\nssh-ed25519 AAAA"):
        key.write_text(text)
        with pytest.raises(ConfigError, match="cannot be read") as refused:
            read_key(key)
        assert "c2Vj" not in str(refused.value)
    key.write_text(f"{KEY}\n")
    assert read_key(key) == KEY
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "none")


def test_an_archive_that_cannot_run_there_is_refused(tmp_path: Path) -> None:
    machine, to = Machine(disk=DISK), tmp_path / "vm"
    for go, stamp, said in (
        (GO.encode(), STAMP, "is for no machine of ours"),
        (ELF_ARM64.replace(b"\xb7", b"\x3e"), STAMP, "is for linux/amd64"),
        (ELF_ARM64, "$(reboot)", "is for linux/arm64"),
    ):
        with pytest.raises(ConfigError, match=said):
            write_folder(machine, toolchain(tmp_path, go, stamp), to)
    archive = toolchain(tmp_path)
    beside = tmp_path / f"{archive.name}.sha256"
    beside.write_text(f"{'0' * 64}  {archive.name}\n")
    with pytest.raises(ChecksumMismatch, match="is not what"):
        write_folder(machine, archive, to)
    beside.unlink()
    archive.write_bytes(archive.read_bytes()[:100])
    with pytest.raises(UnsafeArchive, match="no whole archive"):
        write_folder(machine, archive, to)
    assert not to.exists()
    assert not list(tmp_path.glob(".vm*"))
    to.mkdir()
    with pytest.raises(ConfigError, match="exists"):
        write_folder(machine, toolchain(tmp_path), to)
    with pytest.raises(ConfigError, match="is no archive"):
        write_folder(machine, tmp_path / "none.tar.gz", tmp_path / "new")


def test_the_task(tmp_path: Path) -> None:
    archive = toolchain(tmp_path)
    (tmp_path / "key.pub").write_text(KEY)
    words = ["vm", "--archive", archive.name, "--disk", DISK, "--to", "machine", "--ssh-key", "key.pub"]
    done = gobuild(tmp_path, *words, "--memory", "1024")
    assert done.code == 0, done.err
    assert f"✓ a machine for {STAMP}\n  machine\n" in done.out
    assert "--memory 1024" in (tmp_path / "machine/run.sh").read_text()
    assert gobuild(tmp_path, *words).code == 2
    assert gobuild(tmp_path, *words[:-2], "--cpus", "two").code == 2
    assert gobuild(tmp_path, *(f"/{'a' * 300}" if word == DISK else word for word in words)).code == 17
