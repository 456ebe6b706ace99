"""Signatures in minisign's format, held against Debian's minisign in both directions."""

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from minisign import SecretKey
from needs import needs

from gobuild.core.errors import ChecksumMismatch, ConfigError
from gobuild.publish.supply import minisign
from gobuild.publish.supply.signing import MinisignSigner

CONTENT = b"what is signed\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys without a password: key, and other."""
    program, folder = needs("minisign"), tmp_path_factory.mktemp("keys")
    for name in ("key", "other"):
        words = [program, "-G", "-W", "-p", f"{name}.pub", "-s", name]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def secret(keys: Path) -> SecretKey:
    return minisign.secret_key(keys / "key", None)


def _minisign(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([needs("minisign"), *words], cwd=folder, text=True, capture_output=True, check=False)


def test_minisign_accepts_what_we_sign(keys: Path, secret: SecretKey, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    signature = minisign.sign(secret, CONTENT, "release:x\tfile:y")
    assert minisign.sign(secret, CONTENT, "release:x\tfile:y") == signature
    (tmp_path / "file.minisig").write_bytes(signature)
    seen = _minisign(tmp_path, "-V", "-p", str(keys / "key.pub"), "-m", "file")
    assert seen.returncode == 0, seen.stderr
    assert "Trusted comment: release:x\tfile:y" in seen.stdout
    (tmp_path / "file").write_bytes(CONTENT + b" ")
    assert _minisign(tmp_path, "-V", "-p", str(keys / "key.pub"), "-m", "file").returncode != 0


def test_we_accept_what_minisign_signs(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert _minisign(tmp_path, "-S", "-s", str(keys / "key"), "-m", "file", "-t", "hello").returncode == 0
    public = minisign.public_key((keys / "key.pub").read_text())
    signature = (tmp_path / "file.minisig").read_bytes()
    assert minisign.verify(public, CONTENT, signature) == "hello"
    assert minisign.public_key(public.to_base64().decode()) == public


@pytest.mark.slow
def test_a_locked_key_opens_with_its_password_alone(tmp_path: Path) -> None:
    """Slow by design: minisign's own lock takes scrypt seconds and a GiB, so it is opened once."""
    words = [needs("minisign"), "-G", "-p", "locked.pub", "-s", "locked"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, input=b"correct horse\n" * 2)
    secret = minisign.secret_key(tmp_path / "locked", "correct horse")
    assert secret.get_public_key() == minisign.public_key((tmp_path / "locked.pub").read_text())


def test_a_wrong_password_opens_nothing(keys: Path, secret: SecretKey, tmp_path: Path) -> None:
    """minisign's own key, locked once more at a cost that a test can pay: the format writes the cost down."""
    plain = bytearray(base64.b64decode((keys / "key").read_text().splitlines()[1]))
    operations, memory, salt = 32768, 16 << 20, bytes(range(32))
    number, key = plain[54:62], plain[62:126]
    checksum = hashlib.blake2b(bytes(plain[:2] + number + key), digest_size=32).digest()
    stream = hashlib.scrypt(b"correct horse", salt=salt, n=1 << 10, r=8, p=1, dklen=104)
    locked = bytes(one ^ other for one, other in zip(bytes(number) + bytes(key) + checksum, stream, strict=True))
    head = bytes(plain[:2]) + b"Sc" + bytes(plain[4:6]) + salt
    data = head + operations.to_bytes(8, "little") + memory.to_bytes(8, "little") + locked
    (tmp_path / "locked").write_text(f"untrusted comment: x\n{base64.b64encode(data).decode()}\n")
    opened = minisign.secret_key(tmp_path / "locked", "correct horse")
    assert minisign.sign(opened, CONTENT, "x") == minisign.sign(secret, CONTENT, "x")
    with pytest.raises(ConfigError, match="has a password"):
        minisign.secret_key(tmp_path / "locked", None)
    for wrong in ("wrong horse", "", "correct horse "):
        with pytest.raises(ConfigError, match="does not open") as caught:
            minisign.secret_key(tmp_path / "locked", wrong)
        assert not wrong or wrong not in str(caught.value)


def test_a_secret_never_shows_itself(secret: SecretKey) -> None:
    seed = base64.b64decode(secret.to_base64())[62:94]
    for shown in (repr(secret), str(secret), repr(MinisignSigner(secret=secret))):
        assert seed.hex() not in shown and repr(seed) not in shown


@pytest.mark.parametrize(("line", "at"), [(1, 40), (2, 20), (3, 40)])
def test_a_changed_signature_is_refused(secret: SecretKey, line: int, at: int) -> None:
    lines = minisign.sign(secret, CONTENT, "release:x file:y").decode().splitlines()
    old = lines[line][at]
    lines[line] = lines[line][:at] + ("A" if old != "A" else "B") + lines[line][at + 1 :]
    with pytest.raises(ChecksumMismatch, match="not of these bytes"):
        minisign.verify(secret.get_public_key(), CONTENT, "\n".join(lines).encode() + b"\n")


def test_another_content_or_key_is_refused(keys: Path, secret: SecretKey) -> None:
    signature = minisign.sign(secret, CONTENT, "")
    with pytest.raises(ChecksumMismatch, match="not of these bytes"):
        minisign.verify(secret.get_public_key(), CONTENT + b"x", signature)
    other = minisign.public_key((keys / "other.pub").read_text())
    with pytest.raises(ChecksumMismatch, match="it was signed with the key"):
        minisign.verify(other, CONTENT, signature)
    # The key's number alone is nobody's proof.
    data = bytearray(base64.b64decode(other.to_base64()))
    data[2:10] = base64.b64decode(secret.get_public_key().to_base64())[2:10]
    forged = minisign.public_key(base64.b64encode(data).decode())
    with pytest.raises(ChecksumMismatch, match="not of these bytes"):
        minisign.verify(forged, CONTENT, signature)


def test_a_damaged_key_without_a_password_is_refused(keys: Path, tmp_path: Path) -> None:
    data = bytearray(base64.b64decode((keys / "key").read_text().splitlines()[1]))
    data[70] ^= 1
    (tmp_path / "damaged").write_text(base64.b64encode(data).decode() + "\n")
    with pytest.raises(ConfigError, match="is damaged"):
        minisign.secret_key(tmp_path / "damaged", None)


@pytest.mark.parametrize("text", ["", "\n", "untrusted comment: x\n", "RWQ=\n", "a\nb\nc\nd\n", "x" * 5000])
def test_what_is_no_key_or_signature_is_refused(secret: SecretKey, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad").write_text(text)
    with pytest.raises(ConfigError, match="no public key"):
        minisign.public_key(text)
    with pytest.raises(ConfigError, match="no secret key"):
        minisign.secret_key(tmp_path / "bad", None)
    with pytest.raises(ChecksumMismatch, match="no prehashed signature"):
        minisign.verify(secret.get_public_key(), CONTENT, text.encode())
