"""minisign's keys and signatures (https://jedisct1.github.io/minisign/), by py-minisign: read, made and checked.

Only the prehashed form, which minisign has made by default since 0.10. No keys are made: `minisign -G` does.
"""

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from minisign import Error, ParseError, PublicKey, SecretKey, Signature

from gobuild.core.errors import ChecksumMismatch, ConfigError

_LARGEST = 4096
"""Bytes of a signature file; minisign's comments have at most 1024 and 8192."""


def key_name(key: PublicKey) -> str:
    """The key's number as minisign prints it."""
    return _number(key.to_base64())


def _number(encoded: bytes) -> str:
    return base64.b64decode(encoded)[9:1:-1].hex().upper()


def public_key(text: str) -> PublicKey:
    """Reads a public key: minisign.pub, or its second line alone.

    Raises:
        ConfigError: it is none.
    """
    lines = [line for line in text.strip().splitlines() if not line.startswith("untrusted comment: ")]
    try:
        return PublicKey.from_base64(lines[0] if len(lines) == 1 else "")
    except ParseError as error:
        hint = "the file that minisign -G wrote: minisign.pub"
        raise ConfigError("that is no public key of minisign's", hint) from error


def secret_key(path: Path, password: str | None) -> SecretKey:
    """Reads a secret key file, as `minisign -G` writes it, with a password or without one (-W).

    Raises:
        ConfigError: no such file, none of minisign's, no password or the wrong one.
    """
    hint = "the file that minisign -G wrote: minisign.key"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        secret = SecretKey.from_base64(lines[-1] if len(lines) in (1, 2) else "")
    except OSError as error:
        raise ConfigError(f"the secret key {path} cannot be read: {error.strerror}", hint) from error
    except ParseError as error:
        raise ConfigError(f"{path} is no secret key of minisign's", hint) from error
    if secret.is_encrypted():
        if password is None:
            raise ConfigError(f"the secret key {path} has a password", "--sign-password-file, or GOBUILD_SIGN_PASSWORD")
        try:
            secret.decrypt(password)
        except Error as error:
            wrong = f"the password does not open {path}, or the file is damaged"
            raise ConfigError(f"{wrong}: {error}", "the password it was made with") from error
    # Without a password (-W) minisign leaves the checksum empty: the public half must be the secret one's.
    keys = base64.b64decode(secret.to_base64())[62:126]
    if Ed25519PrivateKey.from_private_bytes(keys[:32]).public_key().public_bytes_raw() != keys[32:]:
        raise ConfigError(f"the secret key {path} is damaged", hint)
    return secret


def sign(secret: SecretKey, content: bytes, comment: str) -> bytes:
    """A signature file. `comment` is one line that is signed as well, and that minisign shows."""
    untrusted = f"signature of minisign key {key_name(secret.get_public_key())}"
    return bytes(secret.sign(content, untrusted_comment=untrusted, trusted_comment=comment)) + b"\n"


def verify(public: PublicKey, content: bytes, signature: bytes) -> str:
    """Checks a signature file; returns its trusted comment.

    Raises:
        ChecksumMismatch: the signature is not of this key and this content, or no signature of minisign's.
    """
    try:
        made = Signature.from_bytes(signature if len(signature) <= _LARGEST else b"")
        if not made.is_prehashed():
            raise ParseError("it is of the older form")
    except ParseError as error:
        hint = "the .minisig file as it was published"
        raise ChecksumMismatch("that is no prehashed signature of minisign's", hint) from error
    signer = _number(bytes(made).splitlines()[1])
    if signer != key_name(public):
        raise ChecksumMismatch(
            f"it was signed with the key {signer}, not with {key_name(public)}", "the publisher's key"
        )
    try:
        public.verify(content, made)
    except Error as error:
        hint = "do not use them; ask who published them"
        raise ChecksumMismatch("the signature is not of these bytes", hint) from error
    return str(made.trusted_comment)
