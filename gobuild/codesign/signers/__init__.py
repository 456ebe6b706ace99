"""Signs programs that the linker signed ad hoc: who signs them, and the loop over them.

Ad hoc and by a certificate, apple-platform-py (rcodesign as a library) signs on any machine; by an identity in the
keychain, Apple's `codesign` does on a Mac. With "linker", the default, Go's linker has signed. No archive is known
here, and what was made is not checked; verify does both.
"""

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


def choose_signer(
    settings: Settings, *, host: Target, run: Runner, environ: Mapping[str, str], path: str
) -> Signer | None:
    """Finds out who signs, and whether that can work here, before any work begins.

    Args:
        settings: what was asked for.
        host: this machine.
        run: starts codesign and notarytool.
        environ: this process's environment, for the password alone.
        path: where programs are looked for.

    Returns:
        The signer; None where the linker's own signature stays.

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
            raise ConfigError(
                "an identity in the keychain can sign on a Mac only",
                "--sign FILE.p12, with the certificate and its key",
            )
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
    """Signs programs in their places, which are copies of our own.

    Args:
        programs: where each stands, by its name below GOROOT.
        by: who signs.
        prefix: what their identifiers begin with: "go-acme" makes "go-acme.compile".
        scratch: a folder for what is in between.
        note: told what is being done.

    Returns:
        What the manifest says of it.

    Raises:
        SignError: one could not be signed, or notarized.
    """
    for name, path in programs.items():
        note(name)
        by.sign(path, f"{prefix}.{path.name}")
    return by.facts | by.finish(programs.values(), scratch, note)
