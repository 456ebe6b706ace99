"""Who signs releases, and whose signatures count: minisign's format, made in-process, and GnuPG, where it is installed.

No secret is in an argv, in a child's environment or in what is printed: a password comes from a file or from the
environment, and gpg asks its own agent.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from minisign import PublicKey, SecretKey

from gobuild.core.errors import ChecksumMismatch, CommandError, ConfigError
from gobuild.core.process import Runner
from gobuild.publish.supply import minisign

PASSWORD = "GOBUILD_SIGN_PASSWORD"  # noqa: S105  (the variable's name)

_NOT_GOOD = {
    "REVKEYSIG": "the key was revoked",
    "EXPKEYSIG": "the key has expired",
    "EXPSIG": "the signature has expired",
    "BADSIG": "the signature is not of these bytes",
    "ERRSIG": "the signature cannot be checked",
}
"""Status words that stand in GOODSIG's place (GnuPG's doc/DETAILS). gpg says VALIDSIG beside the first three of them,
and with a revoked or expired key its exit code is 0: right bytes, by whom they no longer count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinisignTrust:
    """Trust in what a key of minisign's has signed. A signature's name has `ending` behind the file's."""

    key: PublicKey
    ending: str = ".minisig"

    def check(self, content: bytes, signature: bytes, comment: str) -> str:
        """Who signed. A signature of gobuild's must carry the comment, which names release and file.

        Raises:
            ChecksumMismatch: nobody who is trusted.
        """
        said = minisign.verify(self.key, content, signature)
        # One made by minisign itself says what its user wanted; one of ours must be of this release and file.
        if said.startswith("release:") and said != comment:
            raise ChecksumMismatch(f"it was signed as {said!a}: files were exchanged", "do not use it")
        return f"minisign key {minisign.key_name(self.key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinisignSigner:
    """Signs with a key of minisign's. The same bytes and comment have the same signature."""

    secret: SecretKey
    ending: str = ".minisig"

    def trust(self) -> MinisignTrust:
        """The public half: what was signed with this key before is known by it."""
        return MinisignTrust(key=self.secret.get_public_key())

    def sign(self, path: Path, comment: str) -> bytes:
        """The signature of a file's bytes. `comment` is one line that is signed with it."""
        return minisign.sign(self.secret, path.read_bytes(), comment)


@dataclass(frozen=True, slots=True, kw_only=True)
class GnupgTrust:
    """Trust in what a key of OpenPGP's has signed, checked by gpg with a key ring that has nothing else in it."""

    armored: str
    run: Runner
    ending: str = ".asc"

    def check(self, content: bytes, signature: bytes, comment: str) -> str:  # noqa: ARG002  (gpg signs no comment)
        """As `MinisignTrust.check`."""
        with tempfile.TemporaryDirectory(prefix="gobuild-gpg-") as folder:
            home = Path(folder)
            for name, data in (("key", self.armored.encode()), ("file", content), ("file.asc", signature)):
                (home / name).write_bytes(data)
            environment = gpg_environment(home)
            try:
                self.run(["gpg", "--batch", "--no-autostart", "--import", "key"], env=environment, cwd=home)
                words = ["gpg", "--batch", "--no-autostart", "--status-fd", "1", "--verify", "file.asc", "file"]
                # Its exit code alone does not tell: a key that was revoked gives 0.
                said = self.run(words, env=environment, cwd=home, check=False)
            except CommandError as error:
                raise ChecksumMismatch("gpg does not take the key", "the publisher's key and files") from error
        status = [line.split()[1:] for line in said.output.splitlines() if line.startswith("[GNUPG:] ")]
        told = {line[0] for line in status if line}
        for word, reason in _NOT_GOOD.items():
            if word in told:
                raise ChecksumMismatch(f"gpg says {word}: {reason}", "ask the publisher, elsewhere than here")
        keys = [line[1] for line in status if line[:1] == ["VALIDSIG"]]
        if said.code != 0 or "GOODSIG" not in told or not keys:
            raise ChecksumMismatch("gpg does not accept the signature", "the publisher's key and files")
        return f"gpg key {keys[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GnupgSigner:
    """Signs with gpg's key of a user. gpg writes the time into a signature: no two are the same."""

    user: str
    run: Runner
    ending: str = ".asc"

    def trust(self) -> GnupgTrust:
        """As `MinisignSigner.trust`."""
        words = ["gpg", "--batch", "--armor", "--export", "--", self.user]
        exported = self.run(words, env=gpg_environment(), cwd=Path.cwd()).output
        if "-----BEGIN" not in exported:
            raise ConfigError(f"gpg has no public key {self.user!a}", "a key that gpg --list-keys shows")
        return GnupgTrust(armored=exported[exported.index("-----BEGIN") :], run=self.run)

    def sign(self, path: Path, comment: str) -> bytes:  # noqa: ARG002  (gpg signs no comment)
        """As `MinisignSigner.sign`."""
        to = path.with_name(f".{path.name}.asc.part")
        words = ["gpg", "--batch", "--yes", "--armor", "--detach-sign", "--output", str(to), "--local-user", self.user]
        try:
            self.run([*words, "--", str(path)], env=gpg_environment(), cwd=path.parent)
            return to.read_bytes()
        finally:
            to.unlink(missing_ok=True)


Trust = MinisignTrust | GnupgTrust
ReleaseSigner = MinisignSigner | GnupgSigner


def gpg_environment(home: Path | None = None) -> dict[str, str]:
    """All that gpg is given of the user's environment: where its keys are, and how it may ask for a password."""
    kept = ("PATH", "HOME", "GNUPGHOME", "GPG_TTY", "XDG_RUNTIME_DIR")
    found = {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C.UTF-8"}
    return found | ({"GNUPGHOME": str(home)} if home else {})


def choose_signer(
    key: Path | None, password_file: Path | None, gpg_user: str, *, run: Runner, password: str | None
) -> ReleaseSigner | None:
    """Who signs: a secret key file of minisign's, or a key that gpg knows by that name; None where no key was named.

    The first line of `password_file` unlocks the former, else `password` does.

    Raises:
        ConfigError: two kinds of key, or one that cannot be used.
    """
    if key and gpg_user:
        raise ConfigError("--sign-key and --gpg-user were both given", "one of them")
    if gpg_user.startswith("-"):
        raise ConfigError(f"{gpg_user!r} is no key of gpg's", "a key's fingerprint, or an address")
    if gpg_user:
        return GnupgSigner(user=gpg_user, run=run)
    if not key:
        return None
    if password_file:
        try:
            password = password_file.read_text(encoding="utf-8").splitlines()[0]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise ConfigError(f"no password can be read from {password_file}", "a file with one line") from error
    return MinisignSigner(secret=minisign.secret_key(key, password))
