"""What the tests of the workbench share: a toy tree, a series for it, and git as a user runs it."""

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from needs import needs
from patch_fixtures import HOOK, MAC, entry, write

from gobuild.core.goversion import GoVersion
from gobuild.patch import Series, load_folder
from gobuild.patch.diff.file_diff import blob_name
from gobuild.patch.workbench.export import Export, export_series
from gobuild.patch.workbench.import_series import Imported, PlainSource, import_series

USER = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    **{"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_EDITOR": "true"},
    **{f"GIT_{who}_{what}": "u@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
"""A user's environment, with a name and without settings."""

PROSE = """From: Ada Lovelace <ada@example.org>
Subject: [PATCH] {subject}

{body}
---
 {path} | 2 +-
 1 file changed, 1 insertion(+), 1 deletion(-)

"""

NUMBERS = "".join(f"line {number}\n" for number in range(1, 41))

RUNTIME = """package runtime

var metalInitOnce metalOnce

type metalOnce struct{}

func (*metalOnce) Do(f func()) { f() }

func initMetal() {}

func runfinq() {
	metalInitOnce.Do(initMetal)
}
"""


def git(root: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Git as a user runs it, in the folder; its failure is the test's."""
    done = subprocess.run(
        [needs("git"), *words], cwd=root, env={**USER, **(env or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.rstrip("\n")


def git_patch(folder: Path, before: Mapping[str, bytes], after: Mapping[str, bytes], *words: str) -> bytes:
    """What git format-patch writes for a change."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    for state in (before, after):
        for path in folder.iterdir():
            if path.name != ".git":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write(folder, dict(state.items()))
        commit(folder, "One change\n\nand why.", "--allow-empty")
    return (folder / git(folder, "format-patch", "-1", *words)).read_bytes()


def commit(root: Path, message: str = "", *words: str) -> None:
    """Commits all that was changed; without a message, into the commit before."""
    git(root, "add", "--all")
    how = ("--message", message) if message else ("--amend", "--no-edit")
    git(root, "commit", "--quiet", *how, *words)


def tree(root: Path, version: str = "1.22.10", files: Mapping[str, str] | None = None) -> PlainSource:
    """A version's source: two texts of forty lines, and a runtime without a hook."""
    content = {
        "VERSION": f"go{version}\ntime 2024-11-27T20:27:20Z\n",
        ".gitignore": "/VERSION\n*.env\n",
        ".gitattributes": "* text eol=crlf ident diff=none -diff export-ignore\n",
        "go.env": "GOTOOLCHAIN=auto\r\n$Id$\n",
        "src/one.txt": NUMBERS,
        "src/two.txt": NUMBERS,
        "src/runtime/mfinal.go": "package runtime\n\nfunc runfinq() {\n}\n",
        **(files or {}),
    }
    write(root, content)
    (root / "src/run me.sh").write_text("#!/bin/sh\n")
    (root / "src/run me.sh").chmod(0o755)
    return PlainSource(version=GoVersion.parse(version), root=root)


def diff(path: str, old: str, new: str, context: int = 3) -> str:
    """One file's part of a diff, as git writes it: the contents' names, and the line above a hunk behind its @@."""
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}", n=context)

    def headed(match: re.Match[str]) -> str:
        above = [line for line in old.splitlines()[: int(match[1]) - 1] if re.match(r"[A-Za-z_$]", line)]
        return f"{match[0]} {above[-1]}" if above else match[0]

    names = "..".join(blob_name(text.encode())[:12] for text in (old, new))
    text = re.sub(r"^@@ -(\d+)[^@]* @@$", headed, "".join(lines), flags=re.MULTILINE)
    return f"diff --git a/{path} b/{path}\nindex {names} 100644\n{text}"


def changed(*numbers: int, text: str = NUMBERS) -> str:
    """The forty lines with some of them changed."""
    for number in numbers:
        assert f"line {number}\n" in text
        text = text.replace(f"line {number}\n", f"patched {number}\n")
    return text


def prose(subject: str, path: str, body: str = "Because.\nFixes\n#68678 as well.") -> str:
    return PROSE.format(subject=subject, path=path, body=body)


def series(folder: Path, diffs: Mapping[str, str], more: str = "") -> Series:
    """A series of diffs, in their order, and whatever else its series.toml shall say."""
    text = "# our series, with a comment\n"
    for name, content in diffs.items():
        text += "\n" + entry(name)
        write(folder, {f"{name}.patch": content})
    return load_folder(write(folder, {"series.toml": text + more}))


def two(folder: Path, more: str = HOOK) -> Series:
    """A series of two diffs in the form that patches have here, and a structural edit."""
    return series(
        folder,
        {
            "first": prose("one: change line 5", "src/one.txt") + diff("src/one.txt", NUMBERS, changed(5)),
            "second": prose("two: change line 20", "src/two.txt") + diff("src/two.txt", NUMBERS, changed(20)),
        },
        more,
    )


def bench(plain: PlainSource, patches: Series, folder: Path, known: PlainSource | None = None) -> Imported:
    needs("git")
    return import_series(patches, plain, folder, target=MAC, profile="static", known=known)


def export(folder: Path, patches: Series) -> Export:
    """An export, compared with the series as it is on the disk now."""
    return export_series(folder, load_folder(patches.folder))
