"""Who signs programs that the linker signed ad hoc: apple-platform-py on any machine, or Apple's `codesign` on a Mac.

What was made is not checked here; verify does that. Sources for the Mac: codesign(1), notarytool(1), TN3147; nothing of
it was tried on one, the tests look at the words that the tools would be started with.
"""

import json
import os
import shutil
import tempfile
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA256

from gobuild.codesign.certificates import load_roots, to_der
from gobuild.codesign.identity import SigningIdentity, load_identity, read_password
from gobuild.codesign.requirements import designated_requirement
from gobuild.core import files
from gobuild.core.errors import CommandError, ConfigError, SignError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import Runner
from gobuild.core.settings import Settings

LINKER, AD_HOC, IDENTITY = "linker", "ad-hoc", "identity:"

APPLE = "apple"
"""The word for Apple's own timestamp server."""

PACKAGE = "apple-platform-py"

SIGNING, NOTARIZING = 300.0, 3600.0
"""Seconds for one program's signature, with its timestamp; and for the notary service, which mostly needs minutes."""

Note = Callable[[str], None]


class Signer(ABC):
    """Signs programs."""

    __slots__ = ()

    @property
    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What the manifest says of it: `by`, `tool`, and more. Never a secret."""

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The certificates (DER) that verify must trust besides Apple's, for what this one signs."""
        return ()

    @abstractmethod
    def sign(self, path: Path, identifier: str) -> None:
        """Signs a program in its place; raises SignError."""

    def finish(self, _paths: Iterable[Path], _scratch: Path, _note: Note) -> dict[str, str]:
        """Notarizes what is signed, where that was asked for; returns more for the manifest."""
        return {}


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
        module = _library()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeychainSigner(Signer):
    """Signs with an identity in the keychain, for the hardened runtime."""

    identity: str  # its name or SHA-1, as `security find-identity -v -p codesigning` lists it
    entitlements: Path | None = None
    timestamp_url: str = ""
    # The keychain profile to notarize with (`notarytool store-credentials`); empty for no notarization
    profile: str = ""
    environment: Mapping[str, str]
    run: Runner

    @property
    def facts(self) -> dict[str, str]:
        """See `Signer.facts`."""
        return {"by": self.identity, "timestamp": timestamp_server(self.timestamp_url), "tool": "codesign"}

    def sign(self, path: Path, identifier: str) -> None:
        """See `Signer.sign`."""
        stamp = {"": "--timestamp=none", APPLE: "--timestamp"}
        words: list[str | Path] = [
            *("codesign", "--force", "--sign", self.identity, "--identifier", identifier),
            *("--options", "runtime", stamp.get(self.timestamp_url, f"--timestamp={self.timestamp_url}")),
            *(("--entitlements", self.entitlements) if self.entitlements else ()),
        ]
        try:
            self.run([*words, path], env=self.environment, cwd=path.parent, timeout=SIGNING)
        except CommandError as error:
            hint = "security find-identity -v -p codesigning lists the identities; the keychain must be unlocked"
            raise SignError(f"codesign could not sign {path.name}: {error.reason}", hint) from error

    def finish(self, paths: Iterable[Path], scratch: Path, note: Note) -> dict[str, str]:
        """Sends the programs to Apple's notary service, in one .zip, and waits for its answer."""
        if not self.profile:
            return {}
        note("Apple's notary service")
        scratch.mkdir(parents=True, exist_ok=True)
        pack = scratch / "notarize.zip"
        with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
            for index, path in enumerate(paths):
                archive.write(path, f"{index}/{path.name}")
        words: list[str | Path] = ["xcrun", "notarytool", "submit", pack, "--keychain-profile", self.profile, "--wait"]
        words += ["--output-format", "json", "--no-progress"]
        try:
            output = self.run(words, env=self.environment, cwd=scratch, timeout=NOTARIZING).output
            answer = json.loads(output[output.index("{") : output.rindex("}") + 1])
            status, submission = str(answer["status"]), str(answer["id"])
        except CommandError as error:
            hint = f"xcrun notarytool history --keychain-profile {self.profile}"
            raise SignError(f"notarytool failed: {error.reason}", hint) from error
        except (ValueError, LookupError, TypeError) as error:
            raise SignError("notarytool said nothing that can be read", "run the same again") from error
        finally:
            pack.unlink(missing_ok=True)
        if status != "Accepted":
            hint = f"xcrun notarytool log {submission} --keychain-profile {self.profile}"
            raise SignError(f"Apple's notary service says {status}", hint)
        return {"notarization": submission}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Who signs, None where the linker's own signatures stay; and the roots (DER) trusted besides Apple's."""

    signer: Signer | None
    roots: tuple[bytes, ...]


def choose_signer(
    settings: Settings, *, run: Runner, host: Target | None = None, environ: Mapping[str, str] = os.environ
) -> Signing:
    """Finds out who signs, and opens what is needed for it, before any work begins.

    Raises:
        ConfigError: it cannot be used, or not on this machine.
        ToolMissing: what it needs is not installed.
    """
    signer = _signer(settings, run, host or Target.host(), environ)
    trusted = load_roots(Path(settings.trust).expanduser()) if settings.trust else ()
    return Signing(signer=signer, roots=(*trusted, *(signer.roots if signer else ())))


def _signer(settings: Settings, run: Runner, host: Target, environ: Mapping[str, str]) -> Signer | None:
    if settings.sign == LINKER:
        return None
    entitlements = Path(settings.entitlements).expanduser().absolute() if settings.entitlements else None
    if entitlements and not entitlements.is_file():
        raise ConfigError(f"there is no {entitlements}", "--entitlements FILE, an XML property list")
    if settings.sign.startswith(IDENTITY):
        if host.goos != "darwin":
            hint = "--sign FILE.p12, with the certificate and its key"
            raise ConfigError("an identity in the keychain can sign on a Mac only", hint)
        path = environ.get("PATH", os.defpath)
        for tool in ("codesign", *(("xcrun",) if settings.notarize else ())):
            if shutil.which(tool, path=path) is None:
                raise ToolMissing(f"there is no {tool} on PATH", "xcode-select --install")
        return KeychainSigner(
            identity=settings.sign.removeprefix(IDENTITY),
            entitlements=entitlements,
            timestamp_url=settings.timestamp_url,
            profile=settings.notarize,
            environment={"PATH": path, "HOME": environ.get("HOME", "/")},
            run=run,
        )
    _library()
    if settings.sign == AD_HOC:
        return AdHocSigner(entitlements=entitlements)
    password = read_password(settings.sign_password_env, settings.sign_password_file, environ)
    return CertificateSigner(
        identity=load_identity(Path(settings.sign), password),
        entitlements=entitlements,
        timestamp_url=settings.timestamp_url,
    )


def sign_programs(
    programs: Mapping[str, Path], by: Signer, *, prefix: str, scratch: Path, note: Note
) -> dict[str, str]:
    """Signs programs, named below GOROOT, in their places, by identifiers like "go-acme.compile".

    Returns:
        What the manifest says of it.

    Raises:
        SignError: one could not be signed, or notarized.
    """
    for name, path in programs.items():
        note(name)
        by.sign(path, f"{prefix}.{path.name}")
    return by.facts | by.finish(programs.values(), scratch, note)


def _library() -> Any:
    """apple-platform-py's module (``gobuild[sign]``); raises ToolMissing where it is not installed."""
    try:
        return import_module("apple_platform")
    except ImportError as error:
        raise ToolMissing(f"signing needs {PACKAGE}, which is not installed", "pip install 'gobuild[sign]'") from error


def _sign_in_place(path: Path, **how: Any) -> None:
    module = _library()
    try:
        signed = module.sign_macho_bytes(path.read_bytes(), **how)
    except module.ApplePlatformError as error:
        raise SignError(f"{path.name} could not be signed: {error}", "see what it says of the certificate") from error
    files.write(path, signed)
    path.chmod(0o755)


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


def timestamp_server(url: str) -> str:
    """Scheme and host of a URL, for its path and query may hold an account's key; `APPLE` and "none" as they are."""
    if url in ("", APPLE):
        return url or "none"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
