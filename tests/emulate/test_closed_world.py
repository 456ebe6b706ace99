"""A hostile program sees nothing of the host but its folder, its scratch folder and its environment."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from emulate_fixtures import run_guest
from verify_fixtures import DARWIN, LINUX, compiled

from gobuild.core.goversion import Target

SOURCE = """package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
)

func read(path string) error { _, err := os.ReadFile(path); return err }

func write(path string) error { return os.WriteFile(path, []byte("broken"), 0o666) }

func link(target, path string, then func(string) error) error {
	if err := os.Symlink(target, path); err != nil {
		return fmt.Errorf("no link: %w", err)
	}
	return then(path)
}

func dial(network, address string) error {
	c, err := net.Dial(network, address)
	if err == nil {
		_, err = c.Write([]byte("hello, host"))
	}
	return err
}

func main() {
	host, server := os.Args[1], os.Args[2]
	attempts := []struct {
		name string
		err  error
	}{
		{"read /../secret", read("/../secret")},
		{"read by a link of the host's, relative", read("/up")},
		{"read by a link of the host's, absolute", read("/out")},
		{"read by its own link, relative", link("../secret", "/tmp/a", read)},
		{"read by its own link, absolute", link(host+"/secret", "/tmp/b", read)},
		{"write by its own link, relative", link("../secret", "/tmp/c", write)},
		{"write by its own link, absolute", link(host+"/secret", "/tmp/d", write)},
		{"write by a link to the root", link("/", "/tmp/e", func(path string) error { return write(path + "/new") })},
		{"write /new", write("/new")},
		{"write /tmp/../inside", write("/tmp/../inside")},
		{"link /inside", os.Link("/inside", "/tmp/hard")},
		{"chmod /inside", os.Chmod("/inside", 0)},
		{"remove /inside", os.Remove("/inside")},
		{"truncate /inside", os.Truncate("/inside", 0)},
		{"mkdir /folder", os.Mkdir("/folder", 0o777)},
		{"rename out of scratch", func() error { write("/tmp/f"); return os.Rename("/tmp/f", "/f") }()},
		{"open a FIFO of the host's", read("/fifo")},
		{"dial the host's port", dial("tcp", server)},
		{"dial another host", dial("tcp", "192.0.2.1:80")},
		{"dial another host, IPv6", dial("tcp", "[2001:db8::1]:80")},
		{"send to a name server", dial("udp", "8.8.8.8:53")},
		{"dial a socket file of the host's", dial("unix", "/host.sock")},
		{"look a name up", func() error { _, err := net.LookupHost("go.dev"); return err }()},
		{"start a script", exec.Command("/script").Run()},
		{"start a host's program", exec.Command("/true").Run()},
		{"chroot", syscall.Chroot("/tmp")},
	}
	for _, each := range attempts {
		var number syscall.Errno
		var dns *net.DNSError
		switch {
		case each.err == nil:
			fmt.Printf("%s: IT WORKED\\n", each.name)
		case errors.As(each.err, &dns) && dns.IsNotFound:
			fmt.Printf("%s: no such host\\n", each.name)
		case errors.As(each.err, &number):
			fmt.Printf("%s: %v\\n", each.name, number)
		default:
			fmt.Printf("%s: %v\\n", each.name, each.err)
		}
	}
	fmt.Println(len(os.Environ()), "variables")
}
"""

MISSING, READ_ONLY, REFUSED = "no such file or directory", "read-only file system", "connection refused"
UNREACHABLE, NO_DEVICE, NO_FORMAT = "network is unreachable", "device not configured", "exec format error"
EXPECTED = [
    *[MISSING] * 5, READ_ONLY, MISSING, *[READ_ONLY] * 9, NO_DEVICE, REFUSED, *[UNREACHABLE] * 3, REFUSED,
    "no such host", NO_FORMAT, NO_FORMAT, "operation not permitted",
]  # fmt: skip


@pytest.fixture
def guest_root(tmp_path: Path, get_goroot: Callable[[str, Target], Path]) -> Path:
    """A root with all that a hostile program could wish for; a secret stands beside it."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("outside")
    (root / "inside").write_text("inside")
    (root / "up").symlink_to("../secret")
    (root / "out").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "fifo")
    (root / "script").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (root / "script").chmod(0o755)
    shutil.copy(shutil.which("true") or "", root / "true")
    program = compiled(get_goroot("1.22.10", LINUX), tmp_path, DARWIN, source={"main.go": SOURCE})
    program.rename(root / "hostile")
    return root


def test_no_way_out(guest_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch, temporary = tmp_path / "scratch", tmp_path / "temporary"
    for folder in (scratch, temporary):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = {path.name: path.lstat() for path in guest_root.iterdir()}
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(guest_root / "host.sock"))
        local.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        outcome = run_guest(guest_root, "/hostile", str(tmp_path), address, scratch=scratch)
        for each in (server, local):
            each.settimeout(0.1)
            with pytest.raises(TimeoutError):
                each.accept()
    *lines, variables = outcome.stdout.decode().splitlines()
    assert (outcome.code, outcome.verdicts, outcome.stderr) == (0, (), b"")
    assert [line.partition(": ")[2] for line in lines] == EXPECTED, "\n".join(lines)
    assert variables == "3 variables"
    assert (tmp_path / "secret").read_text() == "outside"
    assert not (tmp_path / "started").exists()
    (guest_root / "host.sock").unlink()
    after = {path.name: path.lstat() for path in guest_root.iterdir()}
    assert {name: (at.st_mode, at.st_size, at.st_mtime) for name, at in after.items()} == {
        name: (at.st_mode, at.st_size, at.st_mtime) for name, at in before.items()
    }
    assert list(temporary.iterdir()) == [], "nothing is left of the run"
