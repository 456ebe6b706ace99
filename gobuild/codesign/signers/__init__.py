"""Who signs programs that the linker signed ad hoc: apple-platform-py on any machine, or Apple's `codesign` on a Mac.

What was made is not checked here; verify does that.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from gobuild.codesign import identity
from gobuild.codesign.signers import rcodesign
from gobuild.codesign.signers.keychain import KeychainSigner
from gobuild.codesign.signers.rcodesign import AdHocSigner, CertificateSigner
from gobuild.codesign.signers.signer import Note, Signer
from gobuild.core.errors import ConfigError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import Runner
from gobuild.core.settings import Settings

__all__ = ["Signer", "choose_signer", "sign_programs"]

LINKER, AD_HOC, IDENTITY = "linker", "ad-hoc", "identity:"


def choose_signer(settings: Settings, *, host: Target, run: Runner, environ: Mapping[str, str]) -> Signer | None:
    """Finds out who signs, and whether that can work here; None where the linker's own signature stays.

    Raises:
        ConfigError: it cannot be used, or not for this target, or not on this machine.
        ToolMissing: what it needs is not installed.
    """
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
