"""CoreFoundation and Security, as far as crypto/x509 (crypto/x509/internal/macos) needs them.

An object is a number that the guest hands back; what it is, stands in the process's `objects`.
"""

from gobuild.emulate.abi import libsystem
from gobuild.emulate.threads import Thread


@libsystem(
    "CFStringRef CFStringCreateWithBytes(CFAllocatorRef alloc, uint8_t *bytes, long numBytes, uint32_t encoding,"
    " bool isExternalRepresentation)"
)
def cf_string_create_with_bytes(t: Thread, alloc: int, data: int, count: int, encoding: int, external: int) -> int:
    return t.process.new_object(t.memory.read(data, count))


@libsystem("void CFRelease(CFTypeRef cf)")
def cf_release(t: Thread, cf: int) -> None:
    t.process.objects.pop(cf, None)
