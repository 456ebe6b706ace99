"""Who signs: a key of the user's comes in by the path of its file, detached signatures go out.

Two kinds: minisign's format, made in-process, and GnuPG, where it is installed. No secret is in an argv, in a child's
environment or in what is printed: a password comes from a file or from the environment, and gpg asks its own agent.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gobuild.errors import ConfigError
from gobuild.publish import minisign
from gobuild.run import Runner

PASSWORD = "GOBUILD_SIGN_PASSWORD"  # noqa: S105  (the variable's name)


class Signer(Protocol):
    """Makes a detached signature of a file."""

    @property
    def ending(self) -> str:
        """What the signature's name has behind the file's: ".minisig"."""

    def sign(self, path: Path, comment: str) -> bytes:
        """The signature of a file's bytes. `comment` is one line that may be signed with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minisign:
    """Signs with a key of minisign's. The same bytes and comment have the same signature."""

    secret: minisign.SecretKey
    ending: str = ".minisig"

    def sign(self, path: Path, comment: str) -> bytes:
        """See `Signer`."""
        return minisign.sign(self.secret, path.read_bytes(), comment).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gnupg:
    """Signs with gpg's key of a user. gpg writes the time into a signature, so no two are the same."""

    user: str
    run: Runner
    ending: str = ".asc"

    def sign(self, path: Path, comment: str) -> bytes:  # noqa: ARG002  (gpg signs no comment)
        """See `Signer`."""
        to = path.with_name(f".{path.name}.asc.part")
        words = ["gpg", "--batch", "--yes", "--armor", "--detach-sign", "--output", str(to), "--local-user", self.user]
        try:
            self.run([*words, "--", str(path)], env=gpg_environment(), cwd=path.parent)
            return to.read_bytes()
        finally:
            to.unlink(missing_ok=True)


def gpg_environment(home: Path | None = None) -> dict[str, str]:
    """All that gpg is given of the user's environment: where its keys are, and how it may ask for a password."""
    kept = ("PATH", "HOME", "GNUPGHOME", "GPG_TTY", "XDG_RUNTIME_DIR")
    found = {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C.UTF-8"}
    return found | ({"GNUPGHOME": str(home)} if home else {})


def signer(
    key: Path | None, password_file: Path | None, gpg_user: str, *, run: Runner, variable: Callable[[str], str | None]
) -> Signer | None:
    """Chooses who signs.

    Args:
        key: a secret key file of minisign's.
        password_file: the file whose first line unlocks it; else the variable `PASSWORD` does.
        gpg_user: a key of gpg's, by any name that gpg knows.
        run: starts gpg.
        variable: looks up the environment.

    Returns:
        None where no key was named.

    Raises:
        ConfigError: two kinds of key, or one that cannot be used.
    """
    if key and gpg_user:
        raise ConfigError("--sign-key and --gpg-user were both given", "one of them")
    if gpg_user:
        if gpg_user.startswith("-"):
            raise ConfigError(f"{gpg_user!r} is no key of gpg's", "a key's fingerprint, or an address")
        return Gnupg(user=gpg_user, run=run)
    if not key:
        return None
    password = variable(PASSWORD)
    if password_file:
        try:
            password = password_file.read_text(encoding="utf-8").splitlines()[0]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise ConfigError(f"no password can be read from {password_file}", "a file with one line") from error
    return Minisign(secret=minisign.secret_key(key, password))
