"""Who signs programs that the linker signed ad hoc: apple-platform-py on any machine, or Apple's `codesign` on a Mac.

What was made is not checked here; verify does that.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gobuild.codesign import certificates, identity
from gobuild.codesign.signers import rcodesign
from gobuild.codesign.signers.keychain import KeychainSigner
from gobuild.codesign.signers.rcodesign import AdHocSigner, CertificateSigner
from gobuild.codesign.signers.signer import Note, Signer
from gobuild.core.errors import ConfigError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import Runner
from gobuild.core.settings import Settings

__all__ = ["Signer", "Signing", "choose_signer", "sign_programs"]

LINKER, AD_HOC, IDENTITY = "linker", "ad-hoc", "identity:"


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
    trusted = certificates.load_roots(Path(settings.trust).expanduser()) if settings.trust else ()
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
    rcodesign.library()
    if settings.sign == AD_HOC:
        return AdHocSigner(entitlements=entitlements)
    password = identity.read_password(settings.sign_password_env, settings.sign_password_file, environ)
    return CertificateSigner(
        identity=identity.load_identity(Path(settings.sign), password),
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
