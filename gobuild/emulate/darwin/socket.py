"""Darwin's numbers and structs of sockets, kqueue and name lookups.

Sources: <sys/socket.h>, <netinet/in.h>, <sys/un.h>, <sys/event.h>, <netdb.h>;
Go says the same in src/syscall/zerrors_darwin_arm64.go and ztypes_darwin_arm64.go.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 30
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW = 1, 2, 3
IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6 = 0, 6, 17, 41
SOL_SOCKET, SOMAXCONN = 0xFFFF, 128
SO_ACCEPTCONN, SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_LINGER = 0x2, 0x4, 0x8, 0x20, 0x80
SO_REUSEPORT, SO_SNDBUF, SO_RCVBUF, SO_ERROR, SO_TYPE, SO_NOSIGPIPE = 0x200, 0x1001, 0x1002, 0x1007, 0x1008, 0x1022
IPV6_V6ONLY = 27
MSG_PEEK, MSG_TRUNC, MSG_CTRUNC, MSG_DONTWAIT = 0x2, 0x10, 0x20, 0x80

EPHEMERAL_FIRST, EPHEMERAL_LAST = 49152, 65535
"""net.inet.ip.portrange.first and last."""

SOCKADDR_IN = struct.Struct(">BBH4s8x")
SOCKADDR_IN6 = struct.Struct(">BBHI16sI")
MSGHDR = struct.Struct("<QI4xQi4xQIi")
"""msg_name, msg_namelen, msg_iov, msg_iovlen, msg_control, msg_controllen, msg_flags."""
IOVEC = struct.Struct("<QQ")
LINGER = struct.Struct("<ii")
ADDRINFO = struct.Struct("<iiiiI4xQQQ")

KEVENT = struct.Struct("<QhHIqQ")
"""ident, filter, flags, fflags, data, udata."""
EVFILT_READ, EVFILT_WRITE, EVFILT_TIMER, EVFILT_USER = -1, -2, -7, -10
EV_ADD, EV_DELETE, EV_ENABLE, EV_DISABLE, EV_ONESHOT, EV_CLEAR = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
EV_RECEIPT, EV_DISPATCH, EV_ERROR, EV_EOF = 0x40, 0x80, 0x4000, 0x8000
NOTE_TRIGGER, NOTE_FFLAGSMASK, NOTE_FFCTRLMASK = 0x1000000, 0xFFFFFF, 0xC0000000
NOTE_FFAND, NOTE_FFOR, NOTE_FFCOPY = 0x40000000, 0x80000000, 0xC0000000
NOTE_SECONDS, NOTE_USECONDS, NOTE_NSECONDS, NOTE_ABSOLUTE = 0x1, 0x2, 0x4, 0x8

EAI_NONAME, EAI_SERVICE, EAI_FAMILY, EAI_OVERFLOW = 8, 9, 5, 14
AI_CANONNAME, AI_PASSIVE, AI_NUMERICHOST = 0x2, 0x1, 0x4
NI_NAMEREQD = 4

Host = IPv4Address | IPv6Address


def pack_address(host: Host, port: int) -> bytes:
    """A sockaddr_in or sockaddr_in6."""
    if isinstance(host, IPv4Address):
        return SOCKADDR_IN.pack(SOCKADDR_IN.size, AF_INET, port, host.packed)
    return SOCKADDR_IN6.pack(SOCKADDR_IN6.size, AF_INET6, port, 0, host.packed, 0)


def unpack_address(raw: bytes) -> tuple[Host, int] | None:
    """Host and port of such a struct; None for another family, or one that is too short."""
    family = raw[1] if len(raw) > 1 else AF_UNSPEC
    if family == AF_INET and len(raw) >= SOCKADDR_IN.size:
        _, _, port, packed = SOCKADDR_IN.unpack_from(raw)
        return IPv4Address(packed), port
    if family == AF_INET6 and len(raw) >= SOCKADDR_IN6.size:
        _, _, port, _, packed, _ = SOCKADDR_IN6.unpack_from(raw)
        return IPv6Address(packed), port
    return None


def pack_unix_address(path: bytes) -> bytes:
    """A sockaddr_un, as long as its path; macOS gives two bytes' path less for one that has no name."""
    return bytes((2 + len(path) + bool(path), AF_UNIX)) + path + b"\0" * bool(path)
