"""Every check that verify makes, by name: what it says, for reports and for whoever writes a policy.

A table, nothing else. A check that is not in it fails a test, so the table is whole; `of` finds what stands behind a
name such as "second opinion: nm".
"""

import difflib
from collections.abc import Mapping

CHECKS: Mapping[str, str] = {
    "format": "The file is a thin 64-bit executable for the target, and can be read to its end",
    "layout": "Load commands, segments and sections lie as the kernel and dyld need them",
    "platform": "LC_BUILD_VERSION names macOS, and the deployment target and SDK of this Go version",
    "install names": "Only libraries that Go's standard library names are loaded, by LC_LOAD_DYLIB, without LC_RPATH",
    "imports": "Every imported symbol comes from the library that has it",
    "symbols": "No symbol of Metal, IOKit, OpenGL, Objective-C or dlopen is imported",
    "symbol table": "Debugging information and local symbols are there, or not, as the profile says",
    "code": "The program begins at Go's entry, and its functions begin as the target's do, not as another machine's",
    "LC_UUID": "The file has a UUID where its Go version or a patch writes one",
    "signature": "The code signature holds: every hash, flag and, for an identity, its certificates",
    "linking": "An ELF file needs no interpreter and no shared library",
    "version": "VERSION and the build information name the toolchain",
    "settings": "The build information holds the settings that the toolchain is built with",
    "build ID": "Go's build ID is there, and its last part is the hash of the file",
    "build paths": "No path of the machine that built it stands in the file",
    "traces": "No name of a GPU library stands anywhere in the file",
    "contents": "In what is packed stands nothing that distpack would not have packed, and no program in src or test",
    "tools": "pkg/tool holds the tools that this Go version ships",
    "bottle": "A Homebrew bottle's links point to files in it, and its receipt can be read",
    "name": "An archive's name says the version and the target that are in it",
    "link": "A symbolic link among programs points to one of them",
    "compile": "The new toolchain compiles a program",
    "run": "A program that the new toolchain compiled runs, and says what it must",
    "refused": "The new toolchain refuses, with the right words, what cannot be built here",
    "second opinion": "Another program reads the same in the file as gobuild does",
    "policy": "What a policy asks for besides gobuild's own checks",
}
"""Names of checks; "second opinion: NAME" and "policy: NAME" are found under their first word."""


def of(name: str) -> str:
    """The entry that a check's name belongs to; empty where there is none."""
    family = name.split(":", 1)[0]
    return name if name in CHECKS else family if family in ("second opinion", "policy") else ""


def says(name: str) -> str:
    """What a check says, one sentence without its full stop."""
    return CHECKS.get(of(name), name)


def nearest(name: str) -> str:
    """The name that was probably meant; empty where none is like it."""
    return next(iter(difflib.get_close_matches(name, CHECKS, 1, 0.5)), "")
