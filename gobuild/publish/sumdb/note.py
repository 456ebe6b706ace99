"""Signed notes, and the keys that sign them, in the format of golang.org/x/mod/sumdb/note: Ed25519 alone."""

import base64
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gobuild.core.errors import ConfigError, VerifyError

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+(/[a-z0-9][a-z0-9._-]*)*")
"""A database's name is a host and perhaps a path, `cmd/go/internal/modfetch/sumdb.go`; here it becomes a folder too."""

ED25519 = b"\x01"
"""The algorithm: the first byte of every encoded key."""

TAKEN = ("sum.golang.org", "sum.golang.google.cn")
"""Names for which the go command has a key, or an address, of its own."""


def check_name(name: str) -> str:
    """Returns a name, unless the go command would refuse it or take it for another database."""
    if not NAME.fullmatch(name) or name in TAKEN:
        raise ConfigError(
            f"{name!r} cannot be a checksum database's name",
            "a host of yours and perhaps a path, in lower case: acme.example/sumdb",
        )
    return name


def _key_id(name: str, public: bytes) -> bytes:
    """The four bytes by which a signature says whose it is; as eight hex digits in a key, in a secret one too."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def _encoded(name: str, public: bytes, content: bytes) -> str:
    return f"{name}+{_key_id(name, public).hex()}+{base64.b64encode(ED25519 + content).decode()}"


def _decoded(text: str, what: str) -> tuple[str, bytes]:
    """The name and the 32 bytes of an encoded key. The text is never in a message: it may be a secret."""
    name, _, rest = text.partition("+")
    content = _base64(rest.partition("+")[2])
    if content[:1] != ED25519 or len(content) != 33:
        raise ConfigError(f"{what} is no Ed25519 key of Go's note format", "a key that `invoke keys.new` made")
    return check_name(name), content[1:]


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """The public half of a key, 32 bytes, under the database's name: what GOSUMDB is set to."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Reads "NAME+HASH+KEY".

        Raises:
            ConfigError: it is no such key.
        """
        name, public = _decoded(text.strip(), "the text")
        verifier = cls(name=name, public=public)
        if str(verifier) != text.strip():
            hint = "copy it again, as `invoke keys.new` printed it"
            raise ConfigError(f"the verifier key of {name} is damaged", hint)
        return verifier

    def __str__(self) -> str:
        return _encoded(self.name, self.public, self.public)

    def open(self, message: bytes) -> str:
        """The text of a note that this key has signed.

        Raises:
            VerifyError: it is no note, this key has not signed it, or the signature is wrong.
        """
        text, gap, signatures = message.rpartition(b"\n\n")
        if not gap or not signatures.endswith(b"\n"):
            raise VerifyError(f"the tree head of {self.name} is no signed note", "publish again from an intact tree")
        text += b"\n"
        for line in signatures.decode(errors="replace").splitlines():
            dash, name, encoded = [*line.split(" "), "", ""][:3]
            raw = _base64(encoded)
            if dash == "—" and name == self.name and raw[:4] == _key_id(self.name, self.public):
                try:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(raw[4:], text)
                except InvalidSignature as error:
                    reason = f"a note signed by {self.name} has a wrong signature"
                    raise VerifyError(reason, "do not trust it") from error
                return text.decode()
        raise VerifyError(f"no signature by the key {self}", "the key that this database was begun with")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigner:
    """A whole key, whose secret are 32 bytes. Whoever has it can vouch for any bytes as the database."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls, name: str) -> "NoteSigner":
        """A key that nobody has seen before."""
        return cls(name=check_name(name), seed=os.urandom(32))

    @classmethod
    def parse(cls, text: str) -> "NoteSigner":
        """Reads "PRIVATE+KEY+NAME+HASH+KEY"."""
        prefix = "PRIVATE+KEY+"
        if not text.startswith(prefix):
            raise ConfigError("the file holds no secret key of Go's note format", "a file that `invoke keys.new` made")
        name, seed = _decoded(text.strip().removeprefix(prefix), "what the file holds")
        signer = cls(name=name, seed=seed)
        if signer.secret() != text.strip():
            raise ConfigError(f"the secret key of {name} is damaged", "an intact copy of the file")
        return signer

    @classmethod
    def read_file(cls, path: Path) -> "NoteSigner":
        """Reads the file that `write_file` wrote.

        Raises:
            ConfigError: it cannot be read, or holds no secret key.
        """
        try:
            return cls.parse(path.read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"the key file {path} cannot be read: {why}", "--sumdb-key FILE") from error

    def write_file(self, path: Path) -> None:
        """Writes the key to a file that only its owner can read.

        Raises:
            ConfigError: something stands there: a key that was overwritten could never sign again.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise ConfigError(f"{path} is there already, and a key is never overwritten", "another --to") from error
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(self.secret() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def secret(self) -> str:
        """The key as text. Keep it out of every log."""
        return "PRIVATE+KEY+" + _encoded(self.name, self.verifier.public, self.seed)

    @property
    def verifier(self) -> Verifier:
        """The half that everybody may have."""
        return Verifier(name=self.name, public=self._private.public_key().public_bytes_raw())

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, text: str) -> bytes:
        """A note: the text, which ends with a newline, a blank line, and a line with the signature."""
        signature = _key_id(self.name, self.verifier.public) + self._private.sign(text.encode())
        return f"{text}\n— {self.name} {base64.b64encode(signature).decode()}\n".encode()
