"""Writes container images of finished builds, without a daemon: an OCI image layout.

The toolchain image is the archive of dist/ as a layer, above a layer with the few files that Go looks for. The test
image is one static program that the toolchain compiled.
"""

import hashlib
import re
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import archives, files
from gobuild.core.errors import ConfigError, PackageError
from gobuild.core.goversion import Target
from gobuild.core.process import Runner
from gobuild.isolate.image import layers, oci, program
from gobuild.isolate.image.layers import LayerEntry
from gobuild.isolate.image.oci import Layer, Layout, OciImage, Reference, parse_label
from gobuild.isolate.image.wanted import IMAGES, PATH, PLATFORMS, TEST, USER, Wanted, choose_builds, make_labels
from gobuild.publish.builds import Build

__all__ = ["IMAGES", "PLATFORMS", "Reference", "Wanted", "parse_label", "write_layout"]

ROOM = 700 << 20
"""Bytes that a layout and its making need; measured for 1.22.10: 500 MB."""

SYSTEM = (
    *(LayerEntry(name=name) for name in ("dev", "proc", "sys", "etc")),
    LayerEntry(name="etc/passwd", content=b"root:x:0:0:root:/root:/sbin/nologin\n"),
    LayerEntry(name="etc/group", content=b"root:x:0:\n"),
    LayerEntry(name="etc/nsswitch.conf", content=b"hosts: files dns\n"),
    LayerEntry(name="root", mode=0o700),
    LayerEntry(name="tmp", mode=0o1777),
    LayerEntry(name="usr"),
    LayerEntry(name="usr/local"),
    LayerEntry(name="usr/local/go", mode=0o777, link="../../go"),
)
"""What stands below a toolchain: Go's archive unpacks to /go, and people look for it in /usr/local/go. The go command
needs /dev/null and /proc/self/exe, which whoever runs a container mounts."""

PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def write_layout(to: Path, wanted: Wanted, *, run: Runner, note: Callable[[str], None]) -> tuple[Reference, ...]:
    """Writes an image layout. One of ours that stands there is replaced when the new one is whole."""
    to = to.expanduser().absolute()
    oci.require_replaceable(to)
    roots = _roots(wanted.certificates)
    chosen = choose_builds(wanted, needed=wanted.images)
    files.require_room(to, ROOM, "an image layout")
    with files.atomic_write(to) as temporary, tempfile.TemporaryDirectory(prefix="gobuild-", dir=to.parent) as scratch:
        temporary.mkdir()
        maker = _Maker(Layout(temporary), wanted, chosen, roots, Path(scratch), run, note)
        return maker.layout.finish(
            {name: maker.tests() if name == TEST else maker.toolchains() for name in wanted.images}
        )


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the images of one layout."""

    layout: Layout
    wanted: Wanted
    chosen: Mapping[Target, Build]
    roots: bytes
    scratch: Path
    run: Runner
    note: Callable[[str], None]

    def toolchains(self) -> list[OciImage]:
        """The toolchain's images: the archives of dist, above what Go looks for."""
        targets = self.wanted.platforms or tuple(each for each in PLATFORMS if each in self.chosen)
        return [self._toolchain(self.chosen[each]) for each in targets]

    def _toolchain(self, build: Build) -> OciImage:
        self.note(f"toolchain for {build.target}: its archive")
        archive, copy = build.archive("toolchain"), self.scratch / "archive"
        diff_id, size, created = layers.adopt(archive, copy, stamp=build.stamp, target=build.target)
        system, packed = layers.make_tar([*SYSTEM, *_certificates(self.roots)], created), self.scratch / "system"
        packed.write_bytes(layers.gzip_stored(system))
        return OciImage(
            target=build.target,
            created=created,
            layers=(self._layer(packed, "the system", system), self._add(copy, archive.path.name, diff_id, size)),
            config={"Env": [PATH, "HOME=/root"], "WorkingDir": "/root", "Cmd": ["/usr/local/go/bin/go", "version"]},
            labels=make_labels("Go toolchain", build.stamp, created, self.chosen.values(), self.wanted.labels),
        )

    def _layer(self, packed: Path, says: str, tar: bytes) -> Layer:
        return self._add(packed, says, f"sha256:{hashlib.sha256(tar).hexdigest()}", len(tar))

    def _add(self, packed: Path, says: str, diff_id: str, size: int) -> Layer:
        descriptor = self.layout.add_file(packed, oci.TAR_GZIP)
        return Layer(descriptor=descriptor, diff_id=diff_id, size=size, says=f"gobuild: {says}")

    def tests(self) -> list[OciImage]:
        """The test program's images."""
        self.note("a toolchain that runs here")
        goroot = self.wanted.goroot or self._goroot()
        compiler = program.find_compiler(goroot, scratch=self.scratch, run=self.run)
        stamp = next((each.stamp for each in self.chosen.values()), self.wanted.stamp)
        if stamp not in ("", compiler.stamp):
            raise PackageError(f"{goroot} is {compiler.stamp}, not {stamp}", "the GOROOT of the same build")
        return [self._test(compiler, target) for target in self.wanted.platforms or PLATFORMS]

    def _goroot(self) -> Path:
        host = Target.host()
        if host not in self.chosen:
            raise PackageError(
                f"{self.wanted.dist} has no such toolchain for {host}, to compile the test program",
                "--goroot with the GOROOT in the work folder, or --image toolchain",
            )
        layers.take(self.chosen[host].archive("toolchain"), self.scratch / "archive")
        archives.unpack(self.scratch / "archive", self.scratch / "toolchain")
        return self.scratch / "toolchain/go"

    def _test(self, compiler: program.Compiler, target: Target) -> OciImage:
        self.note(f"test image for {target}: its program")
        created, tar = layers.time_in(compiler.version), self.scratch / "test.tar"
        entry = LayerEntry(name=program.NAME, mode=0o755, content=compiler.program(target).read_bytes())
        above = [LayerEntry(name="etc"), *_certificates(self.roots)] if self.roots else []
        content = layers.make_tar([*above, entry], created)
        tar.write_bytes(content)
        return OciImage(
            target=target,
            created=created,
            layers=(self._layer(compiler.compress(tar), program.NAME, content),),
            config={"Entrypoint": [f"/{program.NAME}"], "Env": self.wanted.debug, "User": USER},
            labels=make_labels("Go test program", compiler.stamp, created, self.chosen.values(), self.wanted.labels),
        )


def _certificates(roots: bytes) -> list[LayerEntry]:
    """Where Go's crypto/x509 looks first on Linux (src/crypto/x509/root_linux.go)."""
    file = LayerEntry(name="etc/ssl/certs/ca-certificates.crt", content=roots)
    return [LayerEntry(name="etc/ssl"), LayerEntry(name="etc/ssl/certs"), file] if roots else []


def _roots(path: Path | None) -> bytes:
    """The certificates of a PEM file and nothing else of it: a key that stands there too goes into no image.

    OpenSSL reads them, as systems' collections hold old ones that gobuild's own, strict reader refuses.
    """
    if path is None:
        return b""
    try:
        text = path.expanduser().read_text(encoding="utf-8", errors="replace")
        found = [ssl.PEM_cert_to_DER_cert(each) for each in PEM.findall(text)]
        # An empty text is refused as well (ValueError).
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=b"".join(found))
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.filename and error.strerror) or "it holds no certificates in PEM"
        raise ConfigError(f"no TLS roots in {path}: {reason}", "a PEM file of CERTIFICATE blocks") from error
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode()
