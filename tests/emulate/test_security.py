"""Whom Security trusts: the caller's roots, at the asked time, for the asked name."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from verify_fixtures import DARWIN, LINUX, compiled

from gobuild.core.goversion import Target
from gobuild.emulate.plan import MountPlan, Plan
from gobuild.emulate.run import run
from gobuild.emulate.trust import EXPIRED, HOST_NAME_MISMATCH, NOT_TRUSTED, Untrusted, chain_to_root

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


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


ROOT_KEY, MIDDLE_KEY, LEAF_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
ROOT = certificate("root", ROOT_KEY)
MIDDLE = certificate("middle", MIDDLE_KEY, ROOT, ROOT_KEY)
LEAF = certificate("leaf", LEAF_KEY, MIDDLE, MIDDLE_KEY, ("go.example", "*.wild.example"))
ROOTS = ROOT.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("name", ["go.example", "a.wild.example", None])
def test_trusted(name: str | None) -> None:
    assert chain_to_root([der(LEAF), der(MIDDLE)], name, NOW, ROOTS) == [der(LEAF), der(MIDDLE), der(ROOT)]


@pytest.mark.parametrize(
    ("others", "name", "days", "roots", "code"),
    [
        ([MIDDLE], "go.example", 11, ROOTS, EXPIRED),
        ([MIDDLE], "go.example", -11, ROOTS, EXPIRED),
        ([MIDDLE], "other.example", 0, ROOTS, HOST_NAME_MISMATCH),
        ([MIDDLE], "127.0.0.1", 0, ROOTS, HOST_NAME_MISMATCH),
        ([], "go.example", 0, ROOTS, NOT_TRUSTED),
        ([MIDDLE], "go.example", 0, "", NOT_TRUSTED),
    ],
    ids=["expired", "not yet", "another name", "an address", "no link to the root", "no roots"],
)
def test_not_trusted(others: list[x509.Certificate], name: str, days: int, roots: str, code: int) -> None:
    with pytest.raises(Untrusted) as caught:
        chain_to_root([der(each) for each in (LEAF, *others)], name, NOW + timedelta(days=days), roots)
    assert caught.value.code == code


PROGRAM = """package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

func load(path string) *x509.Certificate {
	der, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return certificate
}

func main() {
	middle := x509.NewCertPool()
	middle.AddCert(load("/middle"))
	now := load("/leaf").NotBefore.Add(10 * 24 * time.Hour)
	for _, name := range []string{"go.example", "other.example"} {
		options := x509.VerifyOptions{DNSName: name, Intermediates: middle, CurrentTime: now}
		chains, err := load("/leaf").Verify(options)
		fmt.Println(len(chains), err)
		for _, certificate := range chains {
			fmt.Println(certificate[len(certificate)-1].Subject)
		}
	}
	_, err := load("/leaf").Verify(x509.VerifyOptions{Intermediates: middle, CurrentTime: now.Add(99 * 24 * time.Hour)})
	fmt.Printf("%T\\n", err)
}
"""


def test_a_guest_asks_security(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    """Go's own crypto/x509 for darwin, without roots of its own, goes through CoreFoundation and Security."""
    program = compiled(get_goroot("1.22.10", LINUX), tmp_path, DARWIN, source={"main.go": PROGRAM})
    for name, each in (("leaf", LEAF), ("middle", MIDDLE)):
        (tmp_path / name).write_bytes(der(each))
    mounts = (MountPlan(at="/", host=str(tmp_path)),)
    outcome = run(Plan(program=f"/{program.name}", argv=("verify",), mounts=mounts, roots=ROOTS))
    assert (outcome.code, outcome.verdicts, outcome.stderr) == (0, (), b"")
    assert outcome.stdout.decode().splitlines() == [
        "1 <nil>",
        "CN=root",
        "0 x509: certificate is valid for go.example, *.wild.example, not other.example",
        "x509.CertificateInvalidError",
    ]
