"""Whether a chain of certificates is trusted, as Security would say; loaded when a guest first asks for it."""

from datetime import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

EXPIRED, HOST_NAME_MISMATCH, NOT_TRUSTED = -67818, -67602, -67843
"""<Security/SecBase.h>: errSecCertificateExpired and so on."""


class Untrusted(Exception):
    """What is wrong, as errSec's number and a sentence."""

    def __init__(self, code: int, description: str) -> None:
        self.code, self.description = code, description
        super().__init__(code, description)


def is_certificate(content: bytes) -> bool:
    """Whether these bytes are a certificate in DER."""
    try:
        x509.load_der_x509_certificate(content)
    except ValueError:
        return False
    return True


def chain_to_root(certificates: list[bytes], name: str | None, time: datetime, roots: str) -> list[bytes]:
    """The chain from the leaf, the first one, to one of the roots (PEM); raises Untrusted for what is wrong first."""
    leaf, *others = (x509.load_der_x509_certificate(each) for each in certificates)
    own = _own_names(leaf)
    if not leaf.not_valid_before_utc <= time <= leaf.not_valid_after_utc:
        raise Untrusted(EXPIRED, "certificate is expired, or not valid yet")
    if not own or not roots:
        raise Untrusted(NOT_TRUSTED, "certificate is not trusted")
    store = Store(x509.load_pem_x509_certificates(roots.encode()))
    chain: list[x509.Certificate] = []
    try:
        for each in (own[0], name and _subject(name)):
            if each:
                verifier = PolicyBuilder().store(store).time(time).build_server_verifier(each)
                chain = verifier.verify(leaf, others)
    except VerificationError as error:
        if not chain:
            raise Untrusted(NOT_TRUSTED, f"certificate is not trusted: {error}") from error
        raise Untrusted(HOST_NAME_MISMATCH, f"certificate is not for {name}") from error
    return [each.public_bytes(Encoding.DER) for each in chain]


def _subject(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name)


def _own_names(leaf: x509.Certificate) -> list[x509.DNSName | x509.IPAddress]:
    """The names that a certificate is for; a name with a wildcard stands for one that it covers."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    texts = [*map(str, names.get_values_for_type(x509.IPAddress)), *names.get_values_for_type(x509.DNSName)]
    return [_subject(text.replace("*", "any")) for text in texts]
