"""Real binaries for the tests of verify, compiled by a real Go, and a linker's signer that can be told to lie."""

import hashlib
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from gobuild.binary import macho
from gobuild.binary.macho_types import MachO
from gobuild.binary.view import View
from gobuild.core import files
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Check, Report, Verdict
from gobuild.core.process import run
from gobuild.verify import expect
from gobuild.verify.checks import FileReport
from gobuild.verify.expect import Expectation
from gobuild.verify.golang import inspect_file

DARWIN = Target(goos="darwin", goarch="arm64")
INTEL = Target(goos="darwin", goarch="amd64")
LINUX = Target(goos="linux", goarch="amd64")
STATIC = "-ldflags=-s -w"
METAL = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"

Signer = Callable[[bytes], bytes]
"""From a file whose headers leave room for it to its signature."""

HELLO = {"main.go": 'package main\n\nfunc main() { println("hello") }\n'}


def asking(symbol: str, library: str) -> dict[str, str]:
    """A program that asks a library for one more symbol, by the directive and trampoline of Go's own runtime."""
    directive = f'//go:cgo_import_dynamic libc_more {symbol} "{library}"'
    return {
        "main.go": f'package main\n\nimport _ "unsafe"\n\n{directive}\n\nfunc more()\n\nfunc main() {{ more() }}\n',
        "more_arm64.s": '#include "textflag.h"\n\nTEXT ·more(SB),NOSPLIT,$0\n\tBL libc_more(SB)\n\tRET\n',
    }


WITH_METAL = asking("MTLCreateSystemDefaultDevice", METAL)


def compiled(
    goroot: Path,
    into: Path,
    target: Target = DARWIN,
    *,
    flags: tuple[str, ...] = ("-trimpath", STATIC),
    source: dict[str, str] | None = None,
    cgo: str = "0",
) -> Path:
    """Compiles a program with a real Go; the compiled standard library is kept for the next run of the tests."""
    folder = into / f"source-{target.dashed}"
    for name, text in {"go.mod": "module hello\n\ngo 1.21\n", **(source or HELLO)}.items():
        files.write(folder / name, text)
    program = into / f"hello-{target.dashed}"
    how = {"GOOS": target.goos, "GOARCH": target.goarch, "CGO_ENABLED": cgo}
    go_build(goroot, into, *flags, "-o", program, ".", cwd=folder, **how)
    return program


def go_build(goroot: Path, home: Path, *words: str | Path, cwd: Path, **variables: str) -> None:
    """Runs `go build` with a home of its own, and the tests' cache."""
    cache = user_cache_path("gobuild-tests", appauthor=False)
    cache.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "GOCACHE": str(cache / "verify-gocache"),
        "GOPATH": str(home / "gopath"),
        "GOENV": "off",
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
    }
    # One compiles the standard library, the other workers find it in the cache.
    with FileLock(cache / "verify-gocache.lock"):
        run([goroot / "bin/go", "build", *words], env=env | variables, cwd=cwd)


def view(data: bytes) -> View:
    """A file's bytes as the readers want them."""
    return View(data=data, size=len(data))


def image(data: bytes) -> MachO:
    """A Mach-O file's headers."""
    return macho.read_macho(view(data))


def expected(target: Target = DARWIN, *, stamp: str = "go1.22.10", uuid: bool = False) -> Expectation:
    """What a program compiled by Go 1.22.10 must be like."""
    release, patches = GoVersion.parse("1.22.10"), frozenset({expect.UUID_PATCH} if uuid else ())
    return expect.for_probe(expect.expectation(release, target, stamp=stamp, patches=patches), cgo="0")


def judged(data: bytes, folder: Path, wanted: Expectation | None = None) -> FileReport:
    """Every check of a file with these bytes."""
    path = folder / "judged"
    path.write_bytes(data)
    return inspect_file(path, subject="judged", program="hello", expected=wanted or expected())


def failed(found: FileReport | Report) -> dict[str, str]:
    """The failed checks: what was seen, by name."""
    return {check.name: check.seen for check in found.checks if check.verdict is Verdict.FAILED}


def named(found: FileReport | Report, name: str) -> Check:
    """The one check of that name."""
    (check,) = (check for check in found.checks if check.name == name)
    return check


def by_subject(report: Report) -> set[tuple[str, str]]:
    """The failed checks, each with its file."""
    return {(check.subject, check.name) for check in report.failed}


def archive(root: Path, path: Path, prefix: str, *, names: Iterable[str] = ()) -> Path:
    """An archive of a tree, or of some of it, as Go's own: a tarball, or a module's zip, which records no modes."""
    paths = [root / name for name in names] or sorted(each for each in root.rglob("*") if each.is_file())
    if path.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(path, "w") as pack:
            for each in paths:
                pack.writestr(f"{prefix}/{each.relative_to(root)}", each.read_bytes())
    else:
        with tarfile.open(path, "w") as tar:
            for each in paths:
                tar.add(each, f"{prefix}/{each.relative_to(root)}")
    return path


def put(data: bytes, offset: int, form: str, *values: int | bytes) -> bytes:
    """The same bytes with some written over."""
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


def command(data: bytes, name: str, segment: str = "") -> int:
    """The offset of a load command; of a segment's, by its name."""
    part = image(data).segment(segment)
    return part.command if part else image(data).places[name]


def directory(
    data: bytes,
    *,
    limit: int | None = None,
    page: int = 12,
    flags: int = 0x20002,
    algorithm: str = "sha256",
    identifier: bytes = b"a.out",
    team: bytes = b"",
    special: tuple[bytes, ...] = (),
    claimed_page: int | None = None,
) -> bytes:
    """A CodeDirectory as src/cmd/internal/codesign writes it, with every lie that is asked for."""
    headers = image(data)
    place, text = headers.signature, headers.segment("__TEXT")
    assert place and text
    limit = place.offset if limit is None else limit
    size = 1 << page
    hashes = [hashlib.new(algorithm, data[at : min(at + size, limit)]).digest() for at in range(0, limit, size)]
    width = hashlib.new(algorithm).digest_size
    texts = identifier + b"\0" + (team + b"\0" if team else b"")
    first = 88 + len(texts)
    body = texts + b"".join(special) + b"".join(hashes)
    fields = struct.pack(
        ">9I4B4I4Q",
        0xFADE0C02,
        88 + len(body),
        0x20400,
        flags,
        first + len(special) * width,
        88,
        len(special),
        len(hashes),
        limit,
        width,
        {"sha1": 1, "sha256": 2, "sha384": 4}[algorithm],
        0,
        page if claimed_page is None else claimed_page,
        *(0, 0, 88 + len(identifier) + 1 if team else 0, 0),
        *(0, text.fileoff, text.filesize, 1),
    )
    return fields + body


def superblob(*blobs: tuple[int, bytes]) -> bytes:
    """A SuperBlob of (slot, blob)."""
    at = 12 + 8 * len(blobs)
    index = b""
    for slot, blob in blobs:
        index += struct.pack(">II", slot, at)
        at += len(blob)
    return struct.pack(">3I", 0xFADE0CC0, at, len(blobs)) + index + b"".join(blob for _slot, blob in blobs)


def room(data: bytes, size: int) -> bytes:
    """Makes the headers say that the signature has this many bytes, and cuts the file where it begins.

    The headers are under the page hashes: make room first, then sign.
    """
    headers = image(data)
    place, last = headers.signature, headers.segment("__LINKEDIT")
    assert place and last
    linkedit = place.offset + size - last.fileoff
    data = put(put(data, last.command + 32, "<Q", linkedit), last.command + 48, "<Q", linkedit)
    return put(data, command(data, "LC_CODE_SIGNATURE") + 12, "<I", size)[: place.offset]


def resigned(data: bytes, sign: Signer | None = None) -> bytes:
    """Signs a changed file anew, as Go's linker would, or as `sign` does."""
    sign = sign or (lambda content: superblob((0, directory(content))))
    size = len(sign(data))
    content = room(data + bytes(size), size)
    return content + sign(content + bytes(size))
