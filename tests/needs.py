"""What a test cannot do without, and a machine may not have."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def needs(*programs: str) -> str:
    """The path of the first of these programs that is there. Where none is, the test is skipped, and says why."""
    for program in programs:
        if found := shutil.which(program):
            return found
    pytest.skip(f"there is no {' or '.join(programs)} on PATH")


def needs_llvm(name: str) -> str:
    """One of LLVM's programs, which distributions number: llvm-nm-14."""
    return needs(name, *(f"{name}-{version}" for version in range(14, 22)))


@contextmanager
def small_disk(at: Path, *options: str) -> Iterator[None]:
    """A disk of its own in a new folder, as mount's options say: "-o", "size=18m"."""
    needs("mount")
    at.mkdir()
    words = ["mount", "-t", "tmpfs", *options, "tmpfs", str(at)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)
