"""minisign's format (https://jedisct1.github.io/minisign/): a key file comes in, signatures go out, or are checked.

Only the prehashed form, "ED", which minisign has made by default since 0.10: Ed25519 over the BLAKE2b-512 of the
file. Ed25519 and scrypt are the package cryptography's. It makes no keys: `minisign -G` does.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gobuild.core.errors import ChecksumMismatch, ConfigError

UNTRUSTED = "untrusted comment: "
TRUSTED = "trusted comment: "

_LARGEST = 4096
"""Bytes of a key or a signature file; minisign's comments have at most 1024 and 8192."""

_MEMORY = 1 << 30
"""Bytes that unlocking a key may take: minisign's own default, libsodium's "sensitive"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """What signatures are checked with.

    Attributes:
        number: eight bytes by which a signature names its key.
        key: the Ed25519 key, 32 bytes.
    """

    number: bytes
    key: bytes

    @property
    def text(self) -> str:
        """As minisign writes it, one line of base64."""
        return base64.b64encode(b"Ed" + self.number + self.key).decode()

    @property
    def name(self) -> str:
        """The key's number as minisign prints it."""
        return self.number[::-1].hex().upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey:
    """What signatures are made with; it never shows itself.

    Attributes:
        number: as in the public key.
        seed: the Ed25519 seed, 32 bytes.
    """

    number: bytes
    seed: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """The key to check with."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PublicKey(number=self.number, key=key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def public_key(text: str) -> PublicKey:
    """Reads a public key: minisign.pub, or its second line alone.

    Raises:
        ConfigError: it is none.
    """
    lines = [line for line in text.strip().splitlines() if not line.startswith(UNTRUSTED)]
    data = _decoded(lines[0] if len(lines) == 1 else "", 42)
    if data is None or data[:2] != b"Ed":
        raise ConfigError("that is no public key of minisign's", "the file that minisign -G wrote: minisign.pub")
    return PublicKey(number=data[2:10], key=data[10:])


def secret_key(path: Path, password: str | None) -> SecretKey:
    """Reads a secret key file, as `minisign -G` writes it, with a password or without one (-W).

    Args:
        path: the file.
        password: what unlocks it; None where there is none.

    Raises:
        ConfigError: no such file, none of minisign's, no password or the wrong one.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(_LARGEST).strip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the secret key {path} cannot be read", "the file that minisign -G wrote") from error
    # sig_alg[2] kdf_alg[2] cksum_alg[2] salt[32] opslimit[8] memlimit[8] then, locked: number[8] key[64] checksum[32]
    data = _decoded(lines[-1] if len(lines) in (1, 2) else "", 158)
    if data is None or data[:2] != b"Ed" or data[4:6] != b"B2" or data[2:4] not in (b"Sc", b"\0\0"):
        raise ConfigError(f"{path} is no secret key of minisign's", "the file that minisign -G wrote: minisign.key")
    locked = data[54:]
    if data[2:4] == b"Sc":
        if password is None:
            raise ConfigError(f"the secret key {path} has a password", "--sign-password-file, or GOBUILD_SIGN_PASSWORD")
        stream = _stream(password, data[6:38], *(int.from_bytes(data[at : at + 8], "little") for at in (38, 46)))
        locked = bytes(one ^ other for one, other in zip(locked, stream, strict=True))
    number, key, checksum = locked[:8], locked[8:72], locked[72:]
    # Without a password (-W) minisign leaves the checksum empty; there the public half tells whether the key is whole.
    expected = hashlib.blake2b(data[:2] + number + key, digest_size=32).digest() if data[2:4] == b"Sc" else bytes(32)
    secret = SecretKey(number=number, seed=key[:32])
    if not hmac.compare_digest(checksum, expected) or secret.public.key != key[32:]:
        raise ConfigError(f"the password does not open {path}, or the file is damaged", "the password it was made with")
    return secret


def _stream(password: str, salt: bytes, operations: int, memory: int) -> bytes:
    """The bytes that lock a key: scrypt, its costs chosen as libsodium's pickparams chooses them.

    Raises:
        ConfigError: the file asks for more than minisign ever does.
    """
    if memory > _MEMORY or operations > 1 << 30:
        raise ConfigError("the secret key asks for more memory than minisign's own do", "a key made by minisign -G")
    operations, block, parallel = max(operations, 32768), 8, 1
    most = operations // (block * 4) if operations < memory // 32 else memory // (block * 128)
    cost = next((power for power in range(1, 63) if 1 << power > most // 2), 62)
    if operations >= memory // 32:
        parallel = max(1, min((operations // 4) // (1 << cost), 0x3FFFFFFF) // block)
    return Scrypt(salt=salt, length=104, n=1 << cost, r=block, p=parallel).derive(password.encode())


def sign(secret: SecretKey, content: bytes, trusted: str) -> str:
    """A signature file.

    Args:
        secret: the key.
        content: what is signed.
        trusted: one line that is signed with it, and that minisign shows.
    """
    key = Ed25519PrivateKey.from_private_bytes(secret.seed)
    signature = key.sign(hashlib.blake2b(content).digest())
    whole = key.sign(signature + trusted.encode())
    first = base64.b64encode(b"ED" + secret.number + signature).decode()
    last = base64.b64encode(whole).decode()
    return f"{UNTRUSTED}signature of minisign key {secret.public.name}\n{first}\n{TRUSTED}{trusted}\n{last}\n"


def verify(public: PublicKey, content: bytes, signature: str) -> str:
    """Checks a signature file.

    Returns:
        The trusted comment.

    Raises:
        ChecksumMismatch: the signature is not of this key and this content, or no signature of minisign's.
    """
    lines = signature.splitlines() if len(signature) <= _LARGEST else []
    first = _decoded(lines[1], 74) if len(lines) == 4 else None
    whole = _decoded(lines[3], 64) if len(lines) == 4 else None
    if first is None or whole is None or not lines[2].startswith(TRUSTED) or first[:2] != b"ED":
        raise ChecksumMismatch("that is no prehashed signature of minisign's", "the .minisig file as it was published")
    if first[2:10] != public.number:
        signer = PublicKey(number=first[2:10], key=b"").name
        raise ChecksumMismatch(f"it was signed with the key {signer}, not with {public.name}", "the publisher's key")
    trusted = lines[2].removeprefix(TRUSTED)
    key = Ed25519PublicKey.from_public_bytes(public.key)
    try:
        key.verify(first[10:], hashlib.blake2b(content).digest())
        key.verify(whole, first[10:] + trusted.encode())
    except InvalidSignature as error:
        raise ChecksumMismatch(
            "the signature is not of these bytes", "do not use them; ask who published them"
        ) from error
    return trusted


def _decoded(text: str, length: int) -> bytes | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == length else None
