"""Whom Security trusts: the caller's roots, at the asked time, for the asked name."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gobuild.emulate.libsystem.security import EXPIRED, HOST_NAME_MISMATCH, NOT_TRUSTED, Trust, evaluate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None = None,
    signer: ec.EllipticCurvePrivateKey | None = None,
    hosts: tuple[str, ...] = (),
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = signer or key
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=10))
        .not_valid_after(NOW + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(names, critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    else:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        usage_of_key = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage_of_key, critical=True)
    return builder.sign(authority, hashes.SHA256())


ROOT_KEY, MIDDLE_KEY, LEAF_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
ROOT = certificate("root", ROOT_KEY)
MIDDLE = certificate("middle", MIDDLE_KEY, ROOT, ROOT_KEY)
LEAF = certificate("leaf", LEAF_KEY, MIDDLE, MIDDLE_KEY, ("go.example", "*.wild.example"))
ROOTS = ROOT.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("name", ["go.example", "a.wild.example", None])
def test_trusted(name: str | None) -> None:
    trust = Trust([LEAF, MIDDLE], name, NOW)
    assert evaluate(trust, ROOTS) is None
    assert trust.chain == [LEAF, MIDDLE, ROOT]


@pytest.mark.parametrize(
    ("others", "name", "days", "roots", "code"),
    [
        ([MIDDLE], "go.example", 11, ROOTS, EXPIRED),
        ([MIDDLE], "go.example", -11, ROOTS, EXPIRED),
        ([MIDDLE], "other.example", 0, ROOTS, HOST_NAME_MISMATCH),
        ([MIDDLE], "127.0.0.1", 0, ROOTS, HOST_NAME_MISMATCH),
        ([], "go.example", 0, ROOTS, NOT_TRUSTED),
        ([MIDDLE], "go.example", 0, "", NOT_TRUSTED),
        ([MIDDLE], None, 0, MIDDLE.public_bytes(Encoding.PEM).decode(), None),
    ],
    ids=["expired", "not yet", "another name", "an address", "no link to the root", "no roots", "a nearer root"],
)
def test_not_trusted(others: list[x509.Certificate], name: str | None, days: int, roots: str, code: int | None) -> None:
    failure = evaluate(Trust([LEAF, *others], name, NOW + timedelta(days=days)), roots)
    assert (failure.code if failure else None) == code
