"""CoreFoundation and Security, as far as crypto/x509 (crypto/x509/internal/macos) needs them.

An object is a number that the guest hands back; what it is, stands in the process's `objects`. Who is trusted, the plan
says: the guest's world has no keychain.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from gobuild.emulate.abi import libsystem
from gobuild.emulate.kernel.threads import Ended, Thread
from gobuild.emulate.machine.memory import READ, WRITE

SIGTRAP = 5
UTF8 = 0x08000100
EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
"""Of CFDate."""

PARAM = -50
"""errSecParam."""


@dataclass(slots=True, eq=False)
class Data:
    """A CFData: `address` is where its bytes stand in the guest's memory, once it has asked for them."""

    content: bytes
    address: int = 0


@dataclass(frozen=True, slots=True)
class Certificate:
    """A SecCertificate, in DER."""

    content: bytes


@dataclass(slots=True, eq=False)
class Policy:
    """A SecPolicy for TLS servers: `name` is whom the guest wants to reach, if anybody."""

    name: str | None


@dataclass(slots=True, eq=False)
class Trust:
    """A SecTrust: the leaf, those that came with it, and the chain once it is evaluated."""

    certificates: list[Certificate]
    name: str | None
    time: datetime
    chain: list[Certificate] = field(default_factory=list)


def taken(t: Thread, ref: int, kind: type[Any]) -> Any:
    """An object of a type; what is none ends the process, as CoreFoundation does."""
    what = t.process.objects.get(ref)
    if not isinstance(what, kind):
        raise Ended(SIGTRAP, "signal", f"{ref:#x} is no {kind.__name__}: CoreFoundation traps")
    return what


# CoreFoundation


@libsystem("void CFRelease(CFTypeRef cf)")
def cf_release(t: Thread, cf: int) -> None:
    what = taken(t, cf, object)
    del t.process.objects[cf]
    if isinstance(what, Data) and what.address:
        t.memory.unmap(what.address, max(len(what.content), 1))


@libsystem("CFDataRef CFDataCreate(CFAllocatorRef allocator, uint8_t *bytes, long length)")
def cf_data_create(t: Thread, allocator: int, data: int, length: int) -> int:
    return t.process.new_object(Data(t.memory.read(data, length)))


@libsystem("long CFDataGetLength(CFDataRef theData)")
def cf_data_get_length(t: Thread, data: int) -> int:
    return len(taken(t, data, Data).content)


@libsystem("uint8_t *CFDataGetBytePtr(CFDataRef theData)")
def cf_data_get_byte_ptr(t: Thread, data: int) -> int:
    what = taken(t, data, Data)
    if not what.address:
        what.address = t.memory.map(0, max(len(what.content), 1), READ | WRITE)
        t.memory.write(what.address, what.content)
        t.memory.protect(what.address, max(len(what.content), 1), READ)
    return int(what.address)


@libsystem(
    "CFStringRef CFStringCreateWithBytes(CFAllocatorRef alloc, uint8_t *bytes, long numBytes, uint32_t encoding,"
    " bool isExternalRepresentation)"
)
def cf_string_create_with_bytes(t: Thread, alloc: int, data: int, count: int, encoding: int, external: int) -> int:
    try:
        return t.process.new_object(t.memory.read(data, count).decode()) if encoding == UTF8 else 0
    except UnicodeDecodeError:
        return 0


@libsystem(
    "CFDataRef CFStringCreateExternalRepresentation(CFAllocatorRef alloc, CFStringRef theString, uint32_t encoding,"
    " uint8_t lossByte)"
)
def cf_string_create_external_representation(t: Thread, alloc: int, text: int, encoding: int, loss: int) -> int:
    return t.process.new_object(Data(taken(t, text, str).encode())) if encoding == UTF8 else 0


@libsystem("CFMutableArrayRef CFArrayCreateMutable(CFAllocatorRef allocator, long capacity, void *callBacks)")
def cf_array_create_mutable(t: Thread, allocator: int, capacity: int, callbacks: int) -> int:
    return t.process.new_object([])


@libsystem("void CFArrayAppendValue(CFMutableArrayRef theArray, void *value)")
def cf_array_append_value(t: Thread, array: int, value: int) -> None:
    taken(t, array, list).append(value)


@libsystem("long CFArrayGetCount(CFArrayRef theArray)")
def cf_array_get_count(t: Thread, array: int) -> int:
    return len(taken(t, array, list))


@libsystem("void *CFArrayGetValueAtIndex(CFArrayRef theArray, long idx)")
def cf_array_get_value_at_index(t: Thread, array: int, index: int) -> int:
    values = taken(t, array, list)
    if not 0 <= index < len(values):
        raise Ended(SIGTRAP, "signal", f"an array of {len(values)} has no element {index}: CoreFoundation traps")
    return int(values[index])


@libsystem("CFDateRef CFDateCreate(CFAllocatorRef allocator, double at)")
def cf_date_create(t: Thread, allocator: int, at: float) -> int:
    return t.process.new_object(EPOCH + timedelta(seconds=at))


@libsystem("CFStringRef CFErrorCopyDescription(CFErrorRef err)")
def cf_error_copy_description(t: Thread, error: int) -> int:
    return t.process.new_object(taken(t, error, _trust().Untrusted).description)


@libsystem("long CFErrorGetCode(CFErrorRef err)")
def cf_error_get_code(t: Thread, error: int) -> int:
    return int(taken(t, error, _trust().Untrusted).code)


# Security


@libsystem("SecCertificateRef SecCertificateCreateWithData(CFAllocatorRef allocator, CFDataRef data)")
def sec_certificate_create_with_data(t: Thread, allocator: int, data: int) -> int:
    content = taken(t, data, Data).content
    return t.process.new_object(Certificate(content)) if _trust().is_certificate(content) else 0


def _trust() -> Any:
    """The module that knows X.509, whose library takes longer to load than a whole `go version`."""
    return import_module("gobuild.emulate.trust")


@libsystem("CFDataRef SecCertificateCopyData(SecCertificateRef certificate)")
def sec_certificate_copy_data(t: Thread, certificate: int) -> int:
    return t.process.new_object(Data(taken(t, certificate, Certificate).content))


@libsystem("SecPolicyRef SecPolicyCreateSSL(bool server, CFStringRef hostname)")
def sec_policy_create_ssl(t: Thread, server: int, hostname: int) -> int:
    return t.process.new_object(Policy(taken(t, hostname, str) if hostname else None))


@libsystem("int SecTrustCreateWithCertificates(CFTypeRef certificates, CFTypeRef policies, SecTrustRef *trust)")
def sec_trust_create_with_certificates(t: Thread, certificates: int, policies: int, trust: int) -> int:
    chain = [taken(t, each, Certificate) for each in taken(t, certificates, list)]
    names = [taken(t, each, Policy).name for each in taken(t, policies, list)]
    if not chain:
        return PARAM
    now = datetime.fromtimestamp(t.process.plan.epoch + t.process.scheduler.now / 10**9, UTC)
    name = next((each for each in names if each), None)
    t.memory.put_u64(trust, t.process.new_object(Trust(chain, name, now)))
    return 0


@libsystem("int SecTrustSetVerifyDate(SecTrustRef trust, CFDateRef verifyDate)")
def sec_trust_set_verify_date(t: Thread, trust: int, date: int) -> int:
    taken(t, trust, Trust).time = taken(t, date, datetime)
    return 0


@libsystem("bool SecTrustEvaluateWithError(SecTrustRef trust, CFErrorRef *error)")
def sec_trust_evaluate_with_error(t: Thread, trust: int, error: int) -> bool:
    what = taken(t, trust, Trust)
    certificates = [each.content for each in what.certificates]
    try:
        chain = _trust().chain_to_root(certificates, what.name, what.time, t.process.plan.roots)
    except _trust().Untrusted as failure:
        if error:
            t.memory.put_u64(error, t.process.new_object(failure))
        return False
    what.chain = [Certificate(each) for each in chain]
    return True


@libsystem("long SecTrustGetCertificateCount(SecTrustRef trust)")
def sec_trust_get_certificate_count(t: Thread, trust: int) -> int:
    return len(taken(t, trust, Trust).chain)


@libsystem("SecCertificateRef SecTrustGetCertificateAtIndex(SecTrustRef trust, long ix)")
def sec_trust_get_certificate_at_index(t: Thread, trust: int, index: int) -> int:
    chain = taken(t, trust, Trust).chain
    return t.process.new_object(chain[index]) if 0 <= index < len(chain) else 0


@libsystem("CFArrayRef SecTrustCopyCertificateChain(SecTrustRef trust)")
def sec_trust_copy_certificate_chain(t: Thread, trust: int) -> int:
    chain = taken(t, trust, Trust).chain
    return t.process.new_object([t.process.new_object(each) for each in chain]) if chain else 0
