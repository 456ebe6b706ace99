"""What the tests of adopting share: one change in every form that people hand patches out in, all made here."""

import base64
import functools
import quopri
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from needs import needs
from patch_fixtures import MAC, write
from workbench_fixtures import NUMBERS, changed, diff, git_patch, prose, tree

from gobuild.patch import Series
from gobuild.patch.workbench.adopt import Adopted, adopt_patches
from gobuild.patch.workbench.import_series import PlainSource
from gobuild.patch.workbench.incoming import incoming

ONE, TWO = "src/one.txt", "src/two.txt"
GO = "package one\n\nfunc a() {\n\tx := 1\n\tif x > 0 {\n\t\tx++\n\t}\n\n\ty := 2\n\t_, _ = x, y\n}\n\nfunc b() {\n}\n"
BLOB = bytes(range(256)) * 8
FROM = "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
PLAIN = diff(ONE, NUMBERS, changed(20))
SECOND = diff(TWO, NUMBERS, changed(9))
GO_DIFF = diff("src/one.go", GO, GO.replace("y := 2", "y := 3"))


def mail(subject: str, body: str, *, path: str = ONE) -> str:
    """A mail as git format-patch writes it, with a date and a signature."""
    head = prose(subject, path).replace("\nSubject:", "\nDate: Tue, 3 Mar 2026 10:00:00 +0100\nSubject:", 1)
    return f"{FROM}{head}{body}-- \n2.39.5\n\n"


def _encoded(text: str, how: str) -> bytes:
    """A mail whose body a mail program has encoded."""
    head, _, body = text.partition("\n\n")
    lines = base64.encodebytes(body.encode()) if how == "base64" else quopri.encodestring(body.encode())
    told = f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {how}\n\n"
    return f"{head.partition(chr(10))[2]}\n{told}".encode() + lines


def _unprefixed(text: str, old: str = "", new: str = "") -> str:
    """A diff whose paths begin otherwise than with a/ and b/."""
    lines = [line for line in text.splitlines(True) if not line.startswith(("diff --git", "index "))]
    return "".join(lines).replace("--- a/", f"--- {old}").replace("+++ b/", f"+++ {new}")


@functools.cache
def _by_git(change: str, *words: str) -> bytes:
    """What git format-patch writes of a change: {"old": "new"} names, or contents."""
    before = {ONE: NUMBERS.encode(), "src/blob.bin": BLOB}
    after = {
        "rename": {"src/1.txt": changed(20).encode(), "src/blob.bin": BLOB},
        "copy": {**before, "src/1.txt": NUMBERS.encode()},
        "binary": {**before, "src/blob.bin": BLOB[::-1]},
    }[change]
    with tempfile.TemporaryDirectory() as place:
        return git_patch(Path(place) / "made", before, after, *words)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A form of a change: what is told of it; and the tool with the words that take its one file, if any does."""

    form: str = "as it stands"
    tool: str = "git apply -p1"


NEW = "--- /dev/null\n+++ b/runtime/new.go\n@@ -0,0 +1 @@\n+package runtime\n"
PATCH = "patch -F0 -p1"
SHAPES: Mapping[str, Shape] = {
    "git format-patch": Shape(),
    "a diff without words": Shape(),
    "-p0 paths": Shape(form="-p0", tool="git apply -p0"),
    "-p2 paths": Shape(form="-p2", tool="git apply -p2"),
    "mnemonic prefixes": Shape(),
    "src/-rooted paths": Shape(form="below src/", tool="git apply -p1 --directory=src"),
    "-p0 below src/": Shape(form="-p0 below src/", tool="git apply -p0 --directory=src"),
    "a new file below src/": Shape(form="below src/", tool="git apply -p1 --directory=src"),
    "blanks of context lost": Shape(form="blanks of context restored", tool=PATCH),
    "wrong counts": Shape(form="counts mended", tool="git apply -p1 --recount"),
    "CRLF line ends": Shape(form="line ends CRLF", tool=PATCH),
    "no last line end": Shape(form="line 27 has no newline, behind all that the hunks count"),
    "a mailbox": Shape(form="3 mails in one file"),
    "a mail in Base64": Shape(form="mail decoded", tool=""),
    "a quoted-printable mail": Shape(form="mail decoded", tool=""),
    "quilt's list": Shape(tool=""),
    "two diffs of one file": Shape(form="several diffs of one file"),
    "a rename with a change": Shape(form="renames as delete and add"),
    "a copy": Shape(form="copies as added files"),
    "a binary file": Shape(form="binary"),
}


def shapes_table() -> str:
    """The table of tests/reports/series.md: every shape, what is told of it, and the tool whose result is the same."""
    rows = [f"| {name} | {one.form} | {f'`{one.tool}`' if one.tool else ''} |" for name, one in SHAPES.items()]
    return "\n".join(["| form | what is told | the same as by |", "| --- | --- | --- |", *rows]) + "\n"


def files_of(name: str) -> Mapping[str, str | bytes]:
    """The files in which a shape is handed out."""
    cover = mail("[PATCH 0/2] cover", "").replace("---\n", "")
    two = mail("[PATCH 2/2] two: change", SECOND, path=TWO)
    several: Mapping[str, Mapping[str, str | bytes]] = {
        "a mailbox": {"s.mbox": cover + mail("[PATCH 1/2] one: change", PLAIN) + two},
        "quilt's list": {"series": "z.patch -p0\na.patch # why\n", "a.patch": SECOND, "z.patch": _unprefixed(PLAIN)},
    }
    single: Mapping[str, str | bytes] = {
        "git format-patch": mail("one: change", PLAIN),
        "a diff without words": PLAIN,
        "-p0 paths": _unprefixed(PLAIN),
        "-p2 paths": _unprefixed(PLAIN, "a/go/", "b/go/"),
        "mnemonic prefixes": _unprefixed(PLAIN, "i/", "w/"),
        "src/-rooted paths": PLAIN.replace("src/", ""),
        "-p0 below src/": _unprefixed(PLAIN.replace("src/", "")),
        "a new file below src/": NEW,
        "blanks of context lost": GO_DIFF.replace("\n \t", "\n\t"),
        "wrong counts": PLAIN.replace(",7 +17,7 @@", ",6 +17,9 @@"),
        "CRLF line ends": PLAIN.replace("\n", "\r\n"),
        "no last line end": mail("one: change", PLAIN).rstrip("\n"),
        "a mail in Base64": _encoded(mail("one: change", PLAIN), "base64"),
        "a quoted-printable mail": _encoded(mail("one: größer", GO_DIFF), "quoted-printable"),
        "two diffs of one file": PLAIN + diff(ONE, changed(20), changed(20, 30)),
    }
    if name in several:
        return several[name]
    if name in single:
        return {"x.patch": single[name]}
    by_git = {"a rename with a change": ("rename", "-M"), "a copy": ("copy", "-C", "--find-copies-harder")}
    return {"x.patch": _by_git(*by_git.get(name, ("binary", "--binary")))}


def source(place: Path) -> PlainSource:
    """The toy tree with a Go file and a binary one."""
    plain = tree(place, files={"src/one.go": GO})
    write(place, {"src/blob.bin": BLOB})
    return plain


def adopt(place: Path, plain: PlainSource, *names: str, series: Series | None = None, skip: bool = False) -> Adopted:
    """Adopts what stands in a folder into a workbench beside it."""
    needs("git")
    series = series or Series(folder=Path("none"), patches=())
    boxes = sorted(path.relative_to(place).as_posix() for path in (place / "in").glob("*.mbox"))
    found = incoming([place / name for name in names or boxes or ("in",)])
    return adopt_patches(found, plain, series, place / "bench", target=MAC, profile="static", skip=skip)


def by_tool(root: Path, name: str) -> None:
    """Applies a shape by git apply or patch -F0, in place; where neither takes its form, by what it says."""
    if not SHAPES[name].tool:
        go = {"src/one.go": GO.replace("y := 2", "y := 3")}
        write(root, go if "quoted" in name else {ONE: changed(20), **({TWO: changed(9)} if "list" in name else {})})
        return
    program, *words = SHAPES[name].tool.split()
    ((_, content),) = files_of(name).items()
    given = content if isinstance(content, bytes) else content.encode()
    subprocess.run([needs(program), *words], input=given, cwd=root, check=True, capture_output=True)
