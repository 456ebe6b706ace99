"""Signing away from macOS: by apple-platform-py, rcodesign as a library, in this very process.

A program comes in and is signed in its place. The key goes to the library through a pipe: no file holds it, no command
line and no environment. The library is optional (``gobuild[sign]``) and imported when first needed. What it does not
do: the library's own verdict on a signature is not asked for; it was measured to be no judge.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gobuild.codesign.identity import Identity
from gobuild.codesign.signers.server import APPLE, server
from gobuild.core import files
from gobuild.core.errors import SignError, ToolMissing

PACKAGE = "apple-platform-py"


def library() -> Any:
    """apple-platform-py's module, imported when it is needed.

    Raises:
        ToolMissing: it is not installed.
    """
    try:
        return import_module("apple_platform")
    except ImportError as error:
        raise ToolMissing(f"signing needs {PACKAGE}, which is not installed", "pip install 'gobuild[sign]'") from error


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    module = library()
    try:
        yield
    except module.ApplePlatformError as error:
        raise SignError(f"{path.name} could not be signed: {error}", "see what it says of the certificate") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AdHoc:
    """Signs by nobody: hashes, an identifier, entitlements. The same bytes every time.

    Attributes:
        entitlements: an XML property list, or None.
    """

    entitlements: Path | None = None

    def __post_init__(self) -> None:
        library()

    @property
    def told(self) -> dict[str, str]:
        """See `Signer.told`."""
        return {"by": "ad hoc", "tool": f"{PACKAGE} {version(PACKAGE)}"}

    @property
    def roots(self) -> tuple[bytes, ...]:
        """None: nothing is certified."""
        return ()

    def sign(self, path: Path, identifier: str) -> None:
        """See `Signer.sign`."""
        with _errors(path):
            signed = library().sign_macho_bytes(
                path.read_bytes(),
                binary_identifier=identifier,
                entitlements_xml_file=self.entitlements,
                digests=["sha256"],
            )
        _put(path, signed)

    def finish(self, _paths: Iterable[Path], _scratch: Path, _note: Callable[[str], None]) -> dict[str, str]:
        """Nothing follows."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Signs with a certificate and its key, for the hardened runtime.

    Attributes:
        identity: both.
        entitlements: an XML property list, or None.
        timestamp_url: an RFC 3161 server's; "apple" for Apple's own; empty for no timestamp.
    """

    identity: Identity
    entitlements: Path | None = None
    timestamp_url: str = ""

    def __post_init__(self) -> None:
        library()

    @property
    def told(self) -> dict[str, str]:
        """See `Signer.told`."""
        return {
            "by": self.identity.name,
            "team": self.identity.team,
            "certificate": f"sha256:{self.identity.sha256}",
            "timestamp": server(self.timestamp_url),
            "tool": f"{PACKAGE} {version(PACKAGE)}",
        }

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The chain's own root: whoever signs with it trusts it. Apple's is pinned in verify."""
        return () if self.identity.apple else (self.identity.root,)

    def sign(self, path: Path, identifier: str) -> None:
        """See `Signer.sign`."""
        module = library()
        requirement = path.with_name(f".{path.name}.requirement")
        files.write(requirement, self.identity.requirement(identifier))
        settings = module.PathSettings(
            binary_identifier=identifier,
            code_requirements_file=requirement,
            code_signature_flags=["runtime"],
            digests=["sha256"],
            entitlements_xml_file=self.entitlements,
        )
        try:
            with _errors(path), _readable(self.identity.pem) as pem:
                signed = module.sign_macho_bytes(
                    path.read_bytes(),
                    signer=module.Signer(pem=module.PemKey(files=[pem])),
                    paths={"@main": settings},
                    team_name=self.identity.team or None,
                    timestamp_url=None if self.timestamp_url == APPLE else self.timestamp_url or "none",
                )
        finally:
            files.remove(requirement)
        _put(path, signed)

    def finish(self, _paths: Iterable[Path], _scratch: Path, _note: Callable[[str], None]) -> dict[str, str]:
        """Nothing follows: notarization needs a Mac."""
        return {}


@contextmanager
def _readable(secret: bytes) -> Iterator[str]:
    """A path in this process by which some bytes can be read once, without a file."""
    reader, writer = os.pipe()

    def write() -> None:
        # A reader that gives up early closes its end.
        with os.fdopen(writer, "wb") as pipe:
            try:
                pipe.write(secret)
            except BrokenPipeError:
                return

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
        thread.join()


def _put(path: Path, content: bytes) -> None:
    files.write(path, content)
    path.chmod(0o755)
