"""`invoke image` without a compiler: toy builds, read by real clients; hostile archives, words and places."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sysconfig
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from inside import gobuild, refusals
from invoke.context import Context
from matrix_fixtures import until
from needs import needs
from patch_fixtures import write
from publish_toys import NEXT, STAMP, TIME, put_build

from gobuild.core.errors import ChecksumMismatch, ConfigError, GobuildError, PackageError, UnsafeArchive
from gobuild.core.goversion import Target
from gobuild.core.model import Artifact
from gobuild.core.process import run
from gobuild.isolate import image
from gobuild.isolate.image import PLATFORMS, Reference, Wanted, dockerfile, layers, oci, parse_label, program
from gobuild.isolate.image.layers import MACHINES, LayerEntry
from gobuild.tasks import isolate as tasks

AMD64, ARM64 = PLATFORMS
THEN = datetime(2024, 11, 27, 20, 27, 20, tzinfo=UTC)


def _written(to: Path, wanted: Wanted) -> tuple[Reference, ...]:
    return image.write_layout(to, wanted, run=run, note=lambda _text: None)


def _elf(goarch: str) -> bytes:
    return b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + MACHINES[goarch].to_bytes(2, "little") + bytes(44)


def _archive(goarch: str = "amd64", *, stamp: str = STAMP, add: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    """A toolchain's archive with almost nothing in it, and, behind that, entries that distpack would not write."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in (("go/VERSION", f"{stamp}\ntime {TIME}\n".encode()), ("go/bin/go", _elf(goarch))):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), 0o755, int(THEN.timestamp())
            tar.addfile(entry, io.BytesIO(content))
        for each in add:
            tar.addfile(each)
    return gzip.compress(packed.getvalue(), mtime=0)


def _entry(name: str, **how: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for key, value in how.items():
        setattr(entry, key, value)
    return entry


def _build(dist: Path, target: Target, *, stamp: str = STAMP, content: bytes = b"") -> None:
    """A finished build whose archive is `_archive`'s, or the content."""
    data = content or _archive(target.goarch, stamp=stamp)

    def edit(told: dict[str, Any]) -> None:
        artifact = told["artifacts"][0]
        (dist / artifact["file"]).write_bytes(data)
        artifact |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}

    put_build(dist, stamp=stamp, target=str(target), edit=edit)


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    for target in PLATFORMS:
        _build(tmp_path / "dist", target)
    return tmp_path / "dist"


def _toolchains(dist: Path, **how: Any) -> Wanted:
    return Wanted(dist=dist, images=("toolchain",), **how)


def _blob(layout: Path, digest: str) -> dict[str, Any]:
    content = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:")
    return dict(json.loads(content))


def _config(layout: Path, digest: str) -> dict[str, Any]:
    return _blob(layout, _blob(layout, digest)["config"]["digest"])


def test_the_toolchain_image_of_two_platforms(dist: Path, tmp_path: Path) -> None:
    made = {each.name: each for each in _written(tmp_path / "layout", _toolchains(dist))}
    assert list(made) == ["toolchain", "toolchain-amd64", "toolchain-arm64"]
    index = _blob(tmp_path / "layout", made["toolchain"].digest)
    assert [each["platform"] for each in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    manifest = _blob(tmp_path / "layout", made["toolchain-arm64"].digest)
    told = json.loads((dist / f"{STAMP}.linux-arm64.gobuild.json").read_text())
    # The archive is the layer: its digest is the manifest's and the .sha256's.
    assert manifest["layers"][1]["digest"] == f"sha256:{told['artifacts'][0]['sha256']}"
    config = _blob(tmp_path / "layout", manifest["config"]["digest"])
    unpacked = gzip.decompress((dist / f"{STAMP}.linux-arm64.tar.gz").read_bytes())
    assert config["rootfs"]["diff_ids"][1] == f"sha256:{hashlib.sha256(unpacked).hexdigest()}"
    assert (config["created"], config["architecture"]) == (TIME, "arm64")
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == STAMP
    assert made["toolchain"].packed == made["toolchain-amd64"].packed + made["toolchain-arm64"].packed
    every = {path.name for path in (tmp_path / "layout/blobs/sha256").iterdir()}
    assert len(every) == 1 + 2 + 2 + 2 + 1  # an index; of each platform manifest, configuration, archive; the system


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def test_a_registry_keeps_the_digests(dist: Path, tmp_path: Path) -> None:
    """A client compresses what is not compressed when it pushes; there is nothing of that here."""
    skopeo, registry, umoci = needs("skopeo"), needs("docker-registry"), needs("umoci")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    made = _written(tmp_path / "layout", _toolchains(dist))
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    # JSON is YAML.
    settings = {"version": 0.1, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}
    (tmp_path / "config.yml").write_text(json.dumps(settings))
    place = f"docker://127.0.0.1:{port}/go:x"
    with (tmp_path / "log").open("w") as log:
        served = subprocess.Popen([registry, "serve", tmp_path / "config.yml"], stdout=log, stderr=log)
    try:
        until(lambda: _answers(port))
        words = [skopeo, "--insecure-policy", "copy", "--all", "--dest-tls-verify=false"]
        done = subprocess.run(
            [*words, f"oci:{tmp_path / 'layout'}:toolchain", place], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
        for arch in ("amd64", "arm64"):
            words = [skopeo, "inspect", "--tls-verify=false", "--override-arch", arch, "--override-os", "linux", place]
            told = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
            assert (told["Architecture"], told["Created"], told["Digest"]) == (arch, TIME, made[0].digest)
    finally:
        served.terminate()
        served.wait()
    for name in ("toolchain-amd64", "toolchain-arm64"):
        words = [umoci, "unpack", "--rootless", "--image", f"{tmp_path / 'layout'}:{name}", str(tmp_path / name)]
        subprocess.run(words, check=True, capture_output=True)
        root = tmp_path / name / "rootfs"
        assert (root / "go/VERSION").read_text().startswith(STAMP)
        assert os.readlink(root / "usr/local/go") == "../../go"
        assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_the_task(dist: Path, tmp_path: Path) -> None:
    words = ("--image", "toolchain", "--label", "com.example.team=a", "--label", "com.example.mail=b")
    odd = "a [/b] 'c'"  # rich would read a tag
    done = gobuild(tmp_path, "image", "--to", odd, *words)
    assert done.code == 0 and f"\n  {odd}\n" in done.out, done
    (tmp_path / odd).rename(tmp_path / "layout")
    index = json.loads((tmp_path / "layout/index.json").read_text())
    named = {each["annotations"][oci.REF]: each["digest"] for each in index["manifests"]}
    assert list(named) == ["toolchain", "toolchain-amd64", "toolchain-arm64"]
    assert all(digest in done.out for digest in named.values())
    labels = _config(tmp_path / "layout", named["toolchain-arm64"])["config"]["Labels"]
    assert (labels["com.example.team"], labels["com.example.mail"]) == ("a", "b")
    done = gobuild(tmp_path, "image", "--dockerfile", "context", "--platform", "linux/arm64")
    assert (done.code, (tmp_path / "context/Dockerfile").is_file()) == (0, True), done


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({}, "where to"),
        ({"to": "a", "dockerfile": "b"}, "where to"),
        ({"to": "a", "certificates": ""}, "--certificates is an empty word"),
        ({"to": "a", "goroot": " "}, "--goroot is an empty word"),
        ({"dockerfile": "a", "certificates": "x.pem"}, "a Dockerfile is of both images"),
        ({"dockerfile": "a", "image": "test"}, "a Dockerfile is of both images"),
        ({"to": "a", "platform": "linux"}, "no target"),
        ({"to": "a", "dist": "nowhere"}, "there is no folder nowhere\n  try: --dist"),
    ],
)
def test_words_that_would_do_nothing(
    words: dict[str, str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=reason), refusals():
        tasks.image(Context(), **words)
    assert not list(tmp_path.iterdir())


def test_the_same_digests_on_another_machine(dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _written(tmp_path / "one", _toolchains(dist))
    shutil.copytree(dist, tmp_path / "else where")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    time.tzset()
    before = os.umask(0o077)
    try:
        second = _written(tmp_path / "two", _toolchains(tmp_path / "else where"))
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert first == second
    assert (tmp_path / "one/index.json").read_bytes() == (tmp_path / "two/index.json").read_bytes()


def test_the_layout_of_the_test_image(dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the compiler, which tests/e2e/test_image.py has: the program and its compression are toys here."""
    texts = {"VERSION": f"{STAMP}\ntime {TIME}\n", "bin/go": f"#!/bin/sh\necho go version {STAMP} toy\n"}
    goroot = write(tmp_path / "goroot", texts)
    (goroot / "bin/go").chmod(0o755)

    def compiled(self: program.Compiler, target: Target) -> Path:
        path = self.scratch / "program"
        path.write_bytes(b"a program for " + str(target).encode())
        return path

    def compressed(_self: program.Compiler, path: Path) -> Path:
        packed = path.with_suffix(".gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        return packed

    monkeypatch.setattr(program.Compiler, "program", compiled)
    monkeypatch.setattr(program.Compiler, "compress", compressed)
    # With a serial number that RFC 5280 forbids, as some in Debian's own collection have.
    roots = tmp_path / "roots.pem"
    words = [needs("openssl"), "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x", "-set_serial", "0"]
    words += ["-keyout", str(roots), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run(words, check=True, capture_output=True)
    secret = roots.read_text()
    certificate = (tmp_path / "certificate.pem").read_text()
    roots.write_text(secret + certificate)
    layout = tmp_path / "layout"
    wanted = Wanted(dist=dist, images=("test",), goroot=goroot, platforms=(ARM64,), certificates=roots)
    _, plain = _written(layout, wanted)
    config = _config(layout, plain.digest)
    assert (config["config"]["Env"], config["config"]["User"]) == ([], "65532:65532")
    layer = _blob(layout, plain.digest)["layers"][0]["digest"]
    with tarfile.open(layout / "blobs" / layer.replace(":", "/")) as tar:
        assert tar.getnames() == ["etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt", "testimage"]
        assert {(each.uid, each.gid, each.uname, each.mtime) for each in tar} == {(0, 0, "", int(THEN.timestamp()))}
        held = tar.extractfile("etc/ssl/certs/ca-certificates.crt")
        # The private key beside it in the file goes into no image.
        assert held and held.read().decode() == certificate
    # An older layout of ours is replaced.
    quiet = Wanted(dist=dist, images=("test",), goroot=goroot, platforms=(ARM64,), preemption=False)
    _, without = _written(layout, quiet)
    assert _config(layout, without.digest)["config"]["Env"] == ["GODEBUG=asyncpreemptoff=1"]
    with pytest.raises(PackageError, match=r"is go1\.22\.10-acme1\.p1, not go9"):
        _written(layout, Wanted(dist=dist, stamp="go9", images=("test",), goroot=goroot))
    (goroot / "VERSION").write_text("go1.22.10\n")
    with pytest.raises(PackageError, match=r"VERSION says go1\.22\.10, and bin/go says go version go1\.22\.10-acme1"):
        _written(layout, quiet)
    assert _config(layout, without.digest)


HOSTILE = {
    "outside": (_entry("etc/passwd"), "below go/"),
    "upwards": (_entry("go/../etc/passwd"), "below go/"),
    "absolute": (_entry("/go/x"), "below go/"),
    "another way to write it": (_entry("go//x"), "below go/"),
    "link": (_entry("go/x", type=tarfile.SYMTYPE, linkname="/etc"), "neither a file nor a folder"),
    "hard link": (_entry("go/x", type=tarfile.LNKTYPE, linkname="go/VERSION"), "neither a file nor a folder"),
    "device": (_entry("go/x", type=tarfile.CHRTYPE, devmajor=1), "neither a file nor a folder"),
    "pipe": (_entry("go/x", type=tarfile.FIFOTYPE), "neither a file nor a folder"),
    "whiteout": (_entry("go/.wh.bin"), "whiteout"),
    "opaque": (_entry("go/bin/.wh..wh..opq"), "whiteout"),
    "set-user-ID": (_entry("go/x", mode=0o4755), "rights or an owner"),
    "owner": (_entry("go/x", uid=1000), "rights or an owner"),
    "capability": (_entry("go/x", pax_headers={"SCHILY.xattr.security.capability": "x"}), "extended attributes"),
    "twice": (_entry("go/VERSION"), "twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_no_layer(name: str, tmp_path: Path) -> None:
    entry, reason = HOSTILE[name]
    _build(tmp_path / "dist", AMD64, content=_archive(add=(entry,)))
    with pytest.raises(UnsafeArchive, match=reason):
        _written(tmp_path / "layout", _toolchains(tmp_path / "dist"))
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]


def _adopt(data: bytes, folder: Path, sha256: str = "") -> None:
    path, sha256 = folder / "x.tar.gz", sha256 or hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    archive = Artifact(path=path, kind="toolchain", sha256=sha256, size=len(data))
    layers.adopt(archive, folder / "copy", stamp=STAMP, target=AMD64)


def test_a_damaged_archive_is_no_layer(tmp_path: Path) -> None:
    whole = _archive()
    cases: list[tuple[bytes, type[GobuildError], str]] = [
        (whole[:-9], UnsafeArchive, "no whole archive"),
        (whole + gzip.compress(b"more"), UnsafeArchive, "goes on behind its end"),
        (b"not gzip", UnsafeArchive, "no whole archive"),
        (gzip.compress(b"\xff" + gzip.decompress(whole)[1:]), UnsafeArchive, "no whole archive"),
        (gzip.compress(b""), UnsafeArchive, "no whole archive"),
        (_archive("arm64"), PackageError, "no bin/go for linux/amd64"),
        (_archive(stamp=NEXT), PackageError, f"not of {STAMP}"),
        (gzip.compress(gzip.decompress(whole).replace(b"2024-11-27T", b"2024-13-27T")), PackageError, "no time"),
    ]
    for data, kind, reason in cases:
        with pytest.raises(kind, match=reason):
            _adopt(data, tmp_path)
    with pytest.raises(ChecksumMismatch):
        _adopt(whole, tmp_path, sha256="0" * 64)
    # Go's own test/fixedbugs/issue27836.dir has a name that Go's archive/tar and Python's write as a PAX record.
    odd = _archive(add=(_entry("go/test/fixedbugs/issue27836.dir/Äfoo.go"),))
    assert b"path=go/test/" in gzip.decompress(odd)
    _adopt(odd, tmp_path)
    assert (tmp_path / "copy").read_bytes() == odd


def test_certificates_that_are_none(dist: Path, tmp_path: Path) -> None:
    block = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    for number, text in enumerate(("", "x", block.format(""), block.format("!"), block.format("AAAA"))):
        path = tmp_path / f"{number}.pem"
        path.write_text(text)
        with pytest.raises(ConfigError, match="holds no certificates"):
            _written(tmp_path / "layout", _toolchains(dist, certificates=path))
    with pytest.raises(ConfigError, match="No such file"):
        _written(tmp_path / "layout", _toolchains(dist, certificates=tmp_path / "none"))


def test_an_archive_may_not_unpack_to_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MOST", 2)
    with pytest.raises(UnsafeArchive, match="there are more than 2"):
        _adopt(_archive(add=(_entry("go/x"),)), tmp_path)
    monkeypatch.setattr(layers, "LARGEST", 4096)
    with pytest.raises(UnsafeArchive, match="more than the 4096 bytes"):
        _adopt(_archive(), tmp_path)


def test_a_version_without_a_time_is_of_1970() -> None:
    assert layers.time_in("go1.22\n").timestamp() == 0
    assert layers.time_in(f"go1.22\ntime {TIME}\n") == THEN


def test_a_tar_is_the_same_everywhere() -> None:
    entries = [
        LayerEntry(name="a", mode=0o1777),
        LayerEntry(name="l", mode=0o777, link="a"),
        LayerEntry(name="f", mode=0o600, content=b"x" * 700),
    ]
    # Written down: a Python whose tarfile writes other bytes would change every digest. 3.9 to 3.13 write these.
    digest = "52da7163ab62480818c6a38b73ceabaea71157aa447c6cb45dfe5ad49362dda2"
    assert hashlib.sha256(layers.make_tar(entries, THEN)).hexdigest() == digest


def test_stored_gzip_is_gzip() -> None:
    for size in (0, 1, 0xFFFE, 0xFFFF, 0x10000, 200_000):
        content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert gzip.decompress(layers.gzip_stored(content)) == content


def test_what_stands_there_is_not_replaced(dist: Path, tmp_path: Path) -> None:
    foreign = write(tmp_path / "foreign", {"index.json": '{"annotations": {}}', "oci-layout": ""})
    (foreign / "blobs").mkdir()
    ours = tmp_path / "ours"
    _written(ours, _toolchains(dist))
    (ours / "note").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("foreign", "ours", "file", "link", "dist"):
        with pytest.raises(ConfigError, match="is not replaced"):
            _written(tmp_path / name, _toolchains(dist))
    (foreign / "index.json").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="is not replaced"):
        oci.require_replaceable(foreign)
    assert (ours / "note").exists()


def test_which_build(dist: Path, tmp_path: Path) -> None:
    def refused(wanted: Wanted, reason: str) -> None:
        with pytest.raises(GobuildError, match=reason):
            _written(tmp_path / "layout", wanted)

    (dist / f"{STAMP}.linux-arm64.gobuild.json").unlink()
    made = _written(tmp_path / "one", _toolchains(dist))
    assert [each.platforms for each in made] == [("linux/amd64",), ("linux/amd64",)]
    refused(_toolchains(dist, platforms=(ARM64,)), f"has no {STAMP} for linux/arm64")
    refused(_toolchains(dist, stamp="go1.99"), "no build go1.99")
    _build(dist, AMD64, stamp=NEXT)
    refused(_toolchains(dist), f"builds of {STAMP}, {NEXT}")
    _written(tmp_path / "two", _toolchains(dist, stamp=NEXT))
    put_build(tmp_path / "darwin", target="darwin/arm64")
    refused(_toolchains(tmp_path / "darwin"), "for linux/amd64 and linux/arm64")
    refused(Wanted(dist=tmp_path / "darwin", images=("test",)), "no such toolchain for")
    refused(Wanted(dist=dist, images=("test",), goroot=tmp_path), "is no GOROOT")
    refused(_toolchains(tmp_path / "nowhere"), "no folder")
    (dist / f"{NEXT}.linux-amd64.tar.gz").unlink()
    refused(_toolchains(dist, stamp=NEXT), "there is no ")
    assert not (tmp_path / "layout").exists()


def test_words_that_cannot_be_used() -> None:
    assert parse_label("com.example.team=a = b") == ("com.example.team", "a = b")
    assert parse_label("org.opencontainers.image.source=https://x.example/y")[1] == "https://x.example/y"
    for text in ("team", "=x", "Team=x", "a..b=x", "a b=x", "-a=x", "a\n=x", "a=\x1b[31m", "a=\u202ex", "a=x\ny"):
        with pytest.raises(ConfigError):
            parse_label(text)
    for key in ("org.opencontainers.image.version", "org.opencontainers.image.ref.name", "invalid.gobuild.layout"):
        with pytest.raises(ConfigError, match="not yours"):
            parse_label(f"{key}=x")
    with pytest.raises(ConfigError) as caught:
        parse_label("org.opencontainers.image.source=https://me:secret@x.example/y")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="no image 'tests'"):
        Wanted(dist=Path(), images=("tests",))
    with pytest.raises(ConfigError, match="no images for darwin/arm64"):
        Wanted(dist=Path(), platforms=(Target(goos="darwin", goarch="arm64"),))


ODD = r"""a "quoted" $HOME ${x:-y} \n 'b' `id` #c"""


def test_the_dockerfile(dist: Path, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    wanted = Wanted(dist=dist, labels=dict([parse_label(f"com.example.note={ODD}")]))
    dockerfile.write_context(folder, wanted)
    text = (folder / "Dockerfile").read_text()
    for target in PLATFORMS:
        told = json.loads((dist / f"{STAMP}.{target.dashed}.gobuild.json").read_text())
        assert f'ARG SHA256_{target.goarch.upper()}="{told["artifacts"][0]["sha256"]}"' in text
    assert r'''LABEL "com.example.note"="a \"quoted\" \$HOME \${x:-y} \\n 'b' `id` #c"''' in text
    assert "asyncpreemptoff" not in text
    assert {path.name for path in (folder / "testimage").rglob("*")} == {"main.go", "go.mod"}
    linter = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([linter, "--no-color", folder / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert text.count("hadolint ignore") == 1  # DL3022 knows no named contexts
    # The linter does see what is wrong.
    (tmp_path / "bad").write_text(text.replace("FROM scratch AS test", "FORM scratch AS test"))
    assert subprocess.run([linter, tmp_path / "bad"], capture_output=True, check=False).returncode
    dockerfile.write_context(folder, Wanted(dist=dist, preemption=False, platforms=(AMD64,)))
    text = (folder / "Dockerfile").read_text()
    assert "ENV GODEBUG=asyncpreemptoff=1\n" in text and "ARM64" not in text
    (folder / "mine").touch()
    with pytest.raises(ConfigError, match="is not replaced"):
        dockerfile.write_context(folder, wanted)


def test_its_shell_checks_the_archive(dist: Path, tmp_path: Path) -> None:
    """The RUN of the first stage by a real shell, with its folders below another root."""
    dockerfile.write_context(tmp_path / "context", Wanted(dist=dist))
    text = (tmp_path / "context/Dockerfile").read_text()
    script = text.split("\nRUN ", 1)[1].split("\n\n", 1)[0]
    for architecture, spoil, code in (("amd64", b"", 0), ("arm64", b"x", 1), ("s390x", b"", 1)):
        root = tmp_path / architecture
        root.mkdir()
        content = (dist / f"{STAMP}.linux-arm64.tar.gz") if spoil else (dist / f"{STAMP}.linux-amd64.tar.gz")
        (root / "archive.tar.gz").write_bytes(content.read_bytes() + spoil)
        sums = dict(re.findall(r'^ARG (SHA256_\w+)="(\w+)"$', text, re.MULTILINE))
        done = subprocess.run(
            ["sh", "-c", script.replace("/archive", f"{root}/archive").replace("/image", f"{root}/image")],
            env={"PATH": os.defpath, "TARGETARCH": architecture} | sums,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, (root / "image/go/VERSION").exists()) == (code, code == 0), done.stderr


def test_the_go_sources_are_formatted(go_wheel: Path) -> None:
    source = Path(__file__).parents[2] / "templates/testimage"
    done = subprocess.run([go_wheel / "bin/gofmt", "-l", source], capture_output=True, text=True, check=True)
    assert done.stdout == ""
