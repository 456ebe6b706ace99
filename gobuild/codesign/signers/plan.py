"""Which signer: words come in, a `Signer` goes out, or a refusal before any work begins."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from gobuild.codesign import identity
from gobuild.codesign.signers.keychain import Codesign
from gobuild.codesign.signers.rcodesign import AdHoc, Certificate
from gobuild.core.errors import ConfigError, ToolMissing
from gobuild.core.model import Target
from gobuild.core.process import Runner
from gobuild.core.settings import Settings

LINKER, AD_HOC, IDENTITY = "linker", "ad-hoc", "identity:"

Note = Callable[[str], None]


class Signer(Protocol):
    """Signs programs, one after the other."""

    @property
    def told(self) -> dict[str, str]:
        """What the manifest says of it: `by`, `tool`, and more where there is more. Never a secret."""

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The certificates (DER) that verify must trust besides Apple's, for what this one signs."""

    def sign(self, path: Path, identifier: str) -> None:
        """Signs a program in its place.

        Raises:
            SignError: it could not be signed.
        """

    def finish(self, paths: Iterable[Path], scratch: Path, note: Note) -> dict[str, str]:
        """What follows when all are signed: notarization, where it was asked for. Returns more for the manifest."""


def signer(settings: Settings, *, host: Target, run: Runner, environ: Mapping[str, str], path: str) -> Signer | None:
    """Finds out who signs, and whether that can work here.

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
    entitlements = _entitlements(settings)
    if settings.sign == AD_HOC:
        return AdHoc(entitlements=entitlements)
    if settings.sign.startswith(IDENTITY):
        if host.goos != "darwin":
            raise ConfigError(
                "an identity in the keychain can sign on a Mac only",
                "--sign FILE.p12, with the certificate and its key",
            )
        for tool in ("codesign", *(("xcrun",) if settings.notarize else ())):
            if shutil.which(tool, path=path) is None:
                raise ToolMissing(f"there is no {tool} on PATH", "xcode-select --install")
        return Codesign(
            identity=settings.sign.removeprefix(IDENTITY),
            entitlements=entitlements,
            timestamp_url=settings.timestamp_url,
            profile=settings.notarize,
            environment={"PATH": path, "HOME": environ.get("HOME", "/")},
            run=run,
        )
    secret = identity.password(settings.sign_password_env, settings.sign_password_file, environ)
    return Certificate(
        identity=identity.load(Path(settings.sign).expanduser(), secret),
        entitlements=entitlements,
        timestamp_url=settings.timestamp_url,
    )


def _entitlements(settings: Settings) -> Path | None:
    if not settings.entitlements:
        return None
    path = Path(settings.entitlements).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"there is no {path}", "--entitlements FILE, an XML property list")
    return path


def copies(programs: Mapping[str, Path], by: Signer, *, prefix: str, scratch: Path, note: Note) -> dict[str, str]:
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
    return by.told | by.finish(programs.values(), scratch, note)
