"""Whom a receiver trusts: a public key comes in, and says of a file and its signature who signed it, or refuses."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gobuild.errors import ChecksumMismatch, CommandError, ConfigError
from gobuild.publish import minisign
from gobuild.publish.signing import gpg_environment
from gobuild.run import Runner

_ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

_NOT_GOOD = {
    "REVKEYSIG": "the key was revoked",
    "EXPKEYSIG": "the key has expired",
    "EXPSIG": "the signature has expired",
    "BADSIG": "the signature is not of these bytes",
    "ERRSIG": "the signature cannot be checked",
}
"""Status words that stand in GOODSIG's place (GnuPG's doc/DETAILS). gpg says VALIDSIG beside the first three of them,
and with a revoked or expired key its exit code is 0: right bytes, by whom they no longer count."""


class Trust(Protocol):
    """Somebody whose signature counts."""

    @property
    def ending(self) -> str:
        """What the signature's name has behind the file's."""

    def check(self, content: bytes, signature: bytes, comment: str) -> str:
        """Who signed.

        Args:
            content: what was signed.
            signature: the signature file.
            comment: what a signature of gobuild's says of the release and the file.

        Raises:
            ChecksumMismatch: nobody who is trusted.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ByMinisign:
    """A key of minisign's."""

    key: minisign.PublicKey
    ending: str = ".minisig"

    def check(self, content: bytes, signature: bytes, comment: str) -> str:
        """See `Trust`."""
        said = minisign.verify(self.key, content, signature.decode(errors="replace"))
        # One made by minisign itself says what its user wanted; one of ours must be of this release and file.
        if said.startswith("release:") and said != comment:
            raise ChecksumMismatch(f"it was signed as {said!a}: files were exchanged", "do not use it")
        return f"minisign key {self.key.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByGnupg:
    """A key of OpenPGP's, checked by gpg with a key ring of its own that has nothing else in it."""

    armored: str
    run: Runner
    ending: str = ".asc"

    def check(self, content: bytes, signature: bytes, comment: str) -> str:  # noqa: ARG002  (gpg signs no comment)
        """See `Trust`."""
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


def trust(key: Path | None, run: Runner) -> Trust:
    """Reads a public key.

    Raises:
        ConfigError: there is none, or it is of no kind that gobuild knows: without a key nothing can be trusted.
    """
    if key is None:
        raise ConfigError(
            "nothing is verified without the publisher's public key",
            "--key minisign.pub, from somewhere else than the tree itself",
        )
    try:
        text = key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the public key {key} cannot be read", "a file such as minisign.pub") from error
    if _ARMOR in text:
        return ByGnupg(armored=text, run=run)
    return ByMinisign(key=minisign.public_key(text))
