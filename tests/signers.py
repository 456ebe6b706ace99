"""Signers of the tests' own: a root, an authority and a certificate like Apple's, and a timestamp server that works.

Every key is made anew for a session, nothing of it is secret, and nobody but a test trusts its root.
"""

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from goserver import answering

TEAM = "ABCDE12345"
APPLE = "1.2.840.113635.100.6."
DEVELOPER_ID, AUTHORITY = f"{APPLE}1.13", f"{APPLE}2.6"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key, its certificate, and the certificates above it, the nearest first."""

    key: Key
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.above)

    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def pem(self, *, password: bytes | None = None, above: bool = True) -> bytes:
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        chain = self.chain if above else self.chain[:1]
        return key + b"".join(each.public_bytes(Encoding.PEM) for each in chain)

    def p12(self, password: bytes) -> bytes:
        encryption = BestAvailableEncryption(password)
        return pkcs12.serialize_key_and_certificates(b"test", self.key, self.certificate, self.above, encryption)


def key(kind: str = "rsa") -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def name(common: str, unit: str = "") -> x509.Name:
    parts = [(NameOID.COUNTRY_NAME, "XX"), (NameOID.ORGANIZATION_NAME, "Test"), (NameOID.COMMON_NAME, common)]
    parts += [(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def issue(
    common: str,
    by: Signer | None,
    *,
    unit: str = "",
    own: Key | None = None,
    ca: bool = False,
    path_length: int | None = None,
    usage: x509.ObjectIdentifier | None = None,
    markers: Mapping[str, bool] | None = None,
    days: tuple[int, int] = (-30, 365),
    critical: bool = True,
) -> Signer:
    """Issues a certificate with what is asked for, right or wrong; without `by` it signs itself."""
    own = own or key()
    subject = name(common, unit)
    now = datetime.now(UTC)
    uses = dict.fromkeys(inspect.signature(x509.KeyUsage).parameters, False)
    uses |= {"digital_signature": not ca, "key_cert_sign": ca, "crl_sign": ca}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=critical)
        .add_extension(x509.KeyUsage(**uses), critical=True)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=critical)
    for oid, important in (markers or {}).items():
        null = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00")
        builder = builder.add_extension(null, critical=important)
    made = builder.sign(by.key if by else own, hashes.SHA256())
    return Signer(key=own, certificate=made, above=(by.certificate, *by.above) if by else ())


def developer(by: Signer, *, team: str = TEAM, **how: Any) -> Signer:
    """A certificate like Developer ID Application's."""
    words: dict[str, Any] = {"usage": ExtendedKeyUsageOID.CODE_SIGNING, "markers": {DEVELOPER_ID: True}}
    return issue(f"Developer ID Application: Test ({team})", by, unit=team, **(words | how))


@cache
def root() -> Signer:
    return issue("Test Root CA", None, ca=True)


@cache
def authority() -> Signer:
    return issue("Test Developer ID Certification Authority", root(), ca=True, markers={AUTHORITY: False})


@cache
def signer() -> Signer:
    return developer(authority())


@cache
def clock() -> Signer:
    """Who signs timestamps."""
    above = issue("Test Timestamp Certification Authority", root(), ca=True, markers={f"{APPLE}2.9": False})
    return issue("Test Timestamp Signer", above, usage=ExtendedKeyUsageOID.TIME_STAMPING)


def token(
    imprint: tsp.MessageImprint,
    by: Signer,
    *,
    at: datetime | None = None,
    nonce: int | None = None,
    names: Signer | None = None,
    nameless: bool = False,
    chain: Sequence[x509.Certificate] | None = None,
    more: Mapping[str, Any] | None = None,
    unsigned: Sequence[Any] = (),
) -> cms.ContentInfo:
    """A TimeStampToken, signed with SHA-256; `more` are fields of its TSTInfo."""
    at = (at or datetime.now(UTC)).replace(microsecond=0)
    fields = {"version": "v1", "policy": "1.2.3.4.5.6", "message_imprint": imprint, "serial_number": 7, "gen_time": at}
    fields |= {"accuracy": {"seconds": 1}} | ({"nonce": nonce} if nonce is not None else {}) | dict(more or {})
    info = tsp.TSTInfo(fields).dump()
    digest = algos.DigestAlgorithm({"algorithm": "sha256"})
    named = (names or by).der()
    ess = tsp.SigningCertificate({"certs": [{"cert_hash": hashlib.sha1(named, usedforsecurity=False).digest()}]})
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.sha256(info).digest()]},
            *([] if nameless else [{"type": "1.2.840.113549.1.9.16.2.12", "values": [ess]}]),
        ]
    )
    certificates = [asn1_x509.Certificate.load(each.public_bytes(Encoding.DER)) for each in chain or by.chain]
    assert isinstance(by.key, rsa.RSAPrivateKey)
    signature = by.key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256())
    own = certificates[0]
    return cms.ContentInfo(
        {
            "content_type": "signed_data",
            "content": {
                "version": "v3",
                "digest_algorithms": [digest],
                "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info)},
                "certificates": certificates,
                "signer_infos": [
                    {
                        "version": "v1",
                        "sid": cms.IssuerAndSerialNumber({"issuer": own.issuer, "serial_number": own.serial_number}),
                        "digest_algorithm": digest,
                        "signed_attrs": attributes,
                        "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
                        "signature": signature,
                        **({"unsigned_attrs": unsigned} if unsigned else {}),
                    }
                ],
            },
        }
    )


@contextmanager
def timestamp_server(by: Signer) -> Iterator[str]:
    """An RFC 3161 server on this machine; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = tsp.TimeStampReq.load(self.rfile.read(int(self.headers["Content-Length"])))
            made = token(asked["message_imprint"], by, nonce=asked["nonce"].native)
            answer = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": made}).dump()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_words: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield f"{url}/"
