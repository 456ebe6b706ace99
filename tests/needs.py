"""What a test cannot do without, and a machine may not have."""

import shutil

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
