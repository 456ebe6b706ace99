"""<sys/socket.h>: sockets of the guest's own loopback, which is emulate/network's; addresses, connections, options."""

import os
import socket as host_socket
import stat as modes

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import socket as d
from gobuild.emulate.darwin.errno import (
    EADDRINUSE,
    EAFNOSUPPORT,
    EDESTADDRREQ,
    EEXIST,
    EINVAL,
    EISCONN,
    ENOENT,
    ENOPROTOOPT,
    ENOTCONN,
    ENOTSOCK,
    EOPNOTSUPP,
    EPROTONOSUPPORT,
    FROM_HOST,
    DarwinError,
)
from gobuild.emulate.kernel.descriptors import OpenFile
from gobuild.emulate.kernel.network import Address, Socket
from gobuild.emulate.kernel.threads import Blocking, Thread
from gobuild.emulate.libsystem.files import wait_for
from gobuild.emulate.libsystem.paths import new_place, place

FAMILIES = {d.AF_UNIX: host_socket.AF_UNIX, d.AF_INET: host_socket.AF_INET, d.AF_INET6: host_socket.AF_INET6}
PROTOCOLS = {d.SOCK_STREAM: (0, d.IPPROTO_TCP), d.SOCK_DGRAM: (0, d.IPPROTO_UDP)}

DEFAULTS = {
    d.SO_REUSEADDR: 0, d.SO_KEEPALIVE: 0, d.SO_BROADCAST: 0, d.SO_REUSEPORT: 0, d.SO_NOSIGPIPE: 0,
    d.SO_SNDBUF: 146988, d.SO_RCVBUF: 408300,
}  # fmt: skip
"""Of SOL_SOCKET, with a socket's first values: net.inet.tcp.sendspace and recvspace as a connected one tells them."""

LEVELS = (d.IPPROTO_IP, d.IPPROTO_TCP, d.IPPROTO_UDP, d.IPPROTO_IPV6)


def found(t: Thread, fd: int) -> tuple[OpenFile, Socket]:
    """The socket of a descriptor."""
    file = t.process.files.find(fd)
    if file.kind != "socket":
        raise DarwinError(ENOTSOCK)
    return file, file.state


def _add(t: Thread, sock: Socket) -> int:
    file = OpenFile(kind="socket", host=sock.host.fileno(), flags=2, state=sock, release=sock.close)
    return t.process.files.add(file)


@libsystem("int socket(int domain, int type, int protocol)")
def socket(t: Thread, domain: int, kind: int, protocol: int) -> int:
    if domain not in FAMILIES:
        raise DarwinError(EAFNOSUPPORT)
    if kind not in PROTOCOLS or protocol not in PROTOCOLS[kind]:
        raise DarwinError(EPROTONOSUPPORT)
    return _add(t, t.process.network.make(FAMILIES[domain], stream=kind == d.SOCK_STREAM))


@libsystem("int socketpair(int domain, int type, int protocol, int *socket_vector)")
def socketpair(t: Thread, domain: int, kind: int, protocol: int, vector: int) -> int:
    if domain != d.AF_UNIX:
        raise DarwinError(EOPNOTSUPP if domain in FAMILIES else EAFNOSUPPORT)
    if kind not in PROTOCOLS or protocol:
        raise DarwinError(EPROTONOSUPPORT)
    pair = host_socket.socketpair(
        host_socket.AF_UNIX, host_socket.SOCK_STREAM if kind == d.SOCK_STREAM else host_socket.SOCK_DGRAM
    )
    for index, each in enumerate(pair):
        each.setblocking(False)
        unnamed = Address("unix")
        sock = Socket(
            family=host_socket.AF_UNIX, stream=kind == d.SOCK_STREAM, host=each, local=unnamed, peer=unnamed
        )  # fmt: skip
        t.memory.put_u32(vector + 4 * index, _add(t, sock))
    return 0


# Addresses


def internet_address(sock: Socket, raw: bytes) -> tuple[d.Host, int]:
    """Host and port of a sockaddr_in or sockaddr_in6, whichever the socket's family has."""
    address = d.unpack_address(raw)
    if address is None:
        raise DarwinError(EINVAL)
    host, port = address
    if (host.version == 4) != (sock.family == host_socket.AF_INET):
        raise DarwinError(EAFNOSUPPORT)
    return host, port


def unix_path(raw: bytes) -> bytes:
    """The path of a sockaddr_un."""
    path = raw[2:].partition(b"\0")[0]
    if len(raw) < 2 or raw[1] != d.AF_UNIX:
        raise DarwinError(EAFNOSUPPORT)
    if not path:
        raise DarwinError(ENOENT)
    return path


def socket_file(t: Thread, path: bytes) -> os.stat_result:
    """The status of the file that a Unix socket is bound to; ENOTSOCK where it is another."""
    with place(t, path) as there:
        status = there.stat()
    if not modes.S_ISSOCK(status.st_mode):
        raise DarwinError(ENOTSOCK)
    return status


def packed(address: Address | None, family: int) -> bytes:
    """A sockaddr, "any" for none."""
    if family == host_socket.AF_UNIX:
        return d.pack_unix_address(address.path if address else b"")
    if address is None or address.host is None:
        size = d.SOCKADDR_IN.size if family == host_socket.AF_INET else d.SOCKADDR_IN6.size
        return bytes((size, d.AF_INET if family == host_socket.AF_INET else d.AF_INET6)).ljust(size, b"\0")
    return d.pack_address(address.host, address.port)


def hand_out(t: Thread, raw: bytes, address: int, length: int) -> None:
    """Copies a sockaddr out, as much as there is room for; its length is the whole one."""
    if address and length:
        room = t.memory.u32(length)
        t.memory.write(address, raw[:room])
        t.memory.put_u32(length, len(raw))


@libsystem("int bind(int socket, struct sockaddr *address, socklen_t address_len)", noisy=True)
def bind(t: Thread, fd: int, address: int, length: int) -> int:
    _, sock = found(t, fd)
    raw = t.memory.read(address, length)
    if sock.local:
        raise DarwinError(EINVAL)
    if sock.family != host_socket.AF_UNIX:
        t.process.network.bind(sock, *internet_address(sock, raw))
        return 0
    path = unix_path(raw)
    try:
        with new_place(t, path) as there:
            mode = modes.S_IFSOCK | (0o777 & ~t.process.umask)
            os.mknod(there.name, mode, dir_fd=there.folder)
            t.process.network.bind_file(sock, there.stat(), path)
    except DarwinError as error:
        raise DarwinError(EADDRINUSE if error.number == EEXIST else error.number) from None
    return 0


@libsystem("int connect(int socket, struct sockaddr *address, socklen_t address_len)", noisy=True)
def connect(t: Thread, fd: int, address: int, length: int) -> int:
    _, sock = found(t, fd)
    raw = t.memory.read(address, length)
    if sock.stream and sock.peer:
        raise DarwinError(EISCONN)
    if sock.listening:
        raise DarwinError(EOPNOTSUPP)
    if sock.family == host_socket.AF_UNIX:
        path = unix_path(raw)
        t.process.network.connect_file(sock, socket_file(t, path), path)
    else:
        t.process.network.connect(sock, *internet_address(sock, raw))
    return 0


@libsystem("int listen(int socket, int backlog)", noisy=True)
def listen(t: Thread, fd: int, backlog: int) -> int:
    _, sock = found(t, fd)
    if not sock.stream:
        raise DarwinError(EOPNOTSUPP)
    if sock.local is None:
        raise DarwinError(EDESTADDRREQ)
    t.process.network.listen(sock)
    return 0


@libsystem("int accept(int socket, struct sockaddr *address, socklen_t *address_len)")
def accept(t: Thread, fd: int, address: int, length: int) -> Blocking:
    file, sock = found(t, fd)
    if not sock.listening:
        raise DarwinError(EINVAL)
    while True:
        try:
            new = t.process.network.accept(sock)
            break
        except BlockingIOError:
            yield from wait_for(t, file)
    number = _add(t, new)
    t.process.files.find(number).flags |= file.flags & 4  # BSD's inherits O_NONBLOCK
    hand_out(t, packed(new.peer, new.family), address, length)
    return number


@libsystem("int getsockname(int socket, struct sockaddr *address, socklen_t *address_len)", noisy=True)
def getsockname(t: Thread, fd: int, address: int, length: int) -> int:
    _, sock = found(t, fd)
    hand_out(t, packed(sock.local, sock.family), address, length)
    return 0


@libsystem("int getpeername(int socket, struct sockaddr *address, socklen_t *address_len)", noisy=True)
def getpeername(t: Thread, fd: int, address: int, length: int) -> int:
    _, sock = found(t, fd)
    if sock.peer is None:
        raise DarwinError(ENOTCONN)
    hand_out(t, packed(sock.peer, sock.family), address, length)
    return 0


@libsystem("int shutdown(int socket, int how)", noisy=True)
def shutdown(t: Thread, fd: int, how: int) -> int:
    _, sock = found(t, fd)
    if not 0 <= how <= 2:
        raise DarwinError(EINVAL)
    if sock.peer is None:
        raise DarwinError(ENOTCONN)
    sock.host.shutdown(how)
    return 0


# Options


@libsystem(
    "int getsockopt(int socket, int level, int option_name, void *option_value, socklen_t *option_len)", noisy=True
)
def getsockopt(t: Thread, fd: int, level: int, name: int, value: int, length: int) -> int:
    _, sock = found(t, fd)
    answer = sock.options.get((level, name)) or _option(sock, level, name).to_bytes(4, "little", signed=True)
    room = t.memory.u32(length)
    t.memory.write(value, answer[:room])
    t.memory.put_u32(length, min(room, len(answer)))
    return 0


def _option(sock: Socket, level: int, name: int) -> int:
    if level != d.SOL_SOCKET:
        if level in LEVELS:
            return 0
    elif name == d.SO_TYPE:
        return d.SOCK_STREAM if sock.stream else d.SOCK_DGRAM
    elif name == d.SO_ERROR:
        error = sock.host.getsockopt(host_socket.SOL_SOCKET, host_socket.SO_ERROR)
        return FROM_HOST.get(error, error)
    elif name == d.SO_ACCEPTCONN:
        return int(sock.listening)
    elif name in DEFAULTS:
        return DEFAULTS[name]
    raise DarwinError(ENOPROTOOPT)


@libsystem(
    "int setsockopt(int socket, int level, int option_name, void *option_value, socklen_t option_len)", noisy=True
)
def setsockopt(t: Thread, fd: int, level: int, name: int, value: int, length: int) -> int:
    _, sock = found(t, fd)
    known = level in LEVELS or (level == d.SOL_SOCKET and (name in DEFAULTS or name == d.SO_LINGER))
    if not known:
        raise DarwinError(ENOPROTOOPT)
    if not 4 <= length <= 256:
        raise DarwinError(EINVAL)
    sock.options[level, name] = t.memory.read(value, length)
    return 0
