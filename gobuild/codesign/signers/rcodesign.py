"""Signing on any machine: by apple-platform-py, rcodesign as a library, in this very process."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256

from gobuild.codesign.certificates import to_der
from gobuild.codesign.identity import SigningIdentity
from gobuild.codesign.requirements import designated_requirement
from gobuild.codesign.signers.signer import APPLE, Signer, timestamp_server
from gobuild.core import files
from gobuild.core.errors import SignError, ToolMissing

PACKAGE = "apple-platform-py"


def library() -> Any:
    """apple-platform-py's module (``gobuild[sign]``); raises ToolMissing where it is not installed."""
    try:
        return import_module("apple_platform")
    except ImportError as error:
        raise ToolMissing(f"signing needs {PACKAGE}, which is not installed", "pip install 'gobuild[sign]'") from error


def _sign_in_place(path: Path, **how: Any) -> None:
    module = library()
    try:
        signed = module.sign_macho_bytes(path.read_bytes(), **how)
    except module.ApplePlatformError as error:
        raise SignError(f"{path.name} could not be signed: {error}", "see what it says of the certificate") from error
    files.write(path, signed)
    path.chmod(0o755)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdHocSigner(Signer):
    """Signs by nobody: the same bytes every time."""

    entitlements: Path | None = None

    @property
    def facts(self) -> dict[str, str]:
        """See `Signer.facts`."""
        return {"by": "ad hoc", "tool": f"{PACKAGE} {version(PACKAGE)}"}

    def sign(self, path: Path, identifier: str) -> None:
        """See `Signer.sign`."""
        _sign_in_place(path, binary_identifier=identifier, entitlements_xml_file=self.entitlements, digests=["sha256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSigner(Signer):
    """Signs with a certificate and its key, for the hardened runtime."""

    identity: SigningIdentity
    entitlements: Path | None = None
    timestamp_url: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """See `Signer.facts`."""
        return {
            "by": self.identity.chain.name,
            "team": self.identity.chain.team,
            "certificate": f"sha256:{self.identity.chain.leaf.fingerprint(SHA256()).hex()}",
            "timestamp": timestamp_server(self.timestamp_url),
            "tool": f"{PACKAGE} {version(PACKAGE)}",
        }

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The chain's own root: whoever signs with it trusts it."""
        return () if self.identity.chain.pinned else (to_der(self.identity.chain.root),)

    def sign(self, path: Path, identifier: str) -> None:
        """See `Signer.sign`."""
        module = library()
        with tempfile.NamedTemporaryFile() as requirement, _pipe(self.identity.pem) as pem:
            requirement.write(designated_requirement(identifier, self.identity.chain))
            requirement.flush()
            settings = module.PathSettings(
                binary_identifier=identifier,
                code_requirements_file=requirement.name,
                code_signature_flags=["runtime"],
                digests=["sha256"],
                entitlements_xml_file=self.entitlements,
            )
            _sign_in_place(
                path,
                signer=module.Signer(pem=module.PemKey(files=[pem])),
                paths={"@main": settings},
                team_name=self.identity.chain.team or None,
                timestamp_url=None if self.timestamp_url == APPLE else self.timestamp_url or "none",
            )


@contextmanager
def _pipe(secret: bytes) -> Iterator[str]:
    """A path in this process by which a secret can be read once: no file, command line or environment holds it."""
    reader, writer = os.pipe()

    def feed() -> None:
        # A reader that gives up early closes its end.
        with os.fdopen(writer, "wb") as pipe, suppress(BrokenPipeError):
            pipe.write(secret)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
        thread.join()
