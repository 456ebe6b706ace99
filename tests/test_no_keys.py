"""What is in the repository is public: no file of it may hold a private key, not even one of the tests'."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:-]")


def _tracked() -> list[Path]:
    """The files that git has, or would take."""
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no git repository, or no git: nothing tells which files are tracked")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_no_file_holds_a_private_key() -> None:
    found = [path for path in _tracked() if path.is_file()]
    assert ROOT / "pyproject.toml" in found
    assert [path for path in found if KEY.search(path.read_bytes())] == []


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_each_kind_would_be_found(kind: str) -> None:
    assert KEY.search(f"-----BEGIN {kind}PRIVATE KEY-----\nMIIEvQ".encode())
    assert not KEY.search(f"-----BEGIN {kind}PUBLIC KEY-----\nMIIEvQ".encode())
