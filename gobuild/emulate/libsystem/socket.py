"""<sys/socket.h>: sockets of the guest's own loopback, which is emulate/network's."""

import os
import socket as host_socket
import stat as modes
from typing import Any

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import socket as d
from gobuild.emulate.darwin.errno import (
    EADDRINUSE,
    EAFNOSUPPORT,
    EAGAIN,
    EDESTADDRREQ,
    EEXIST,
    EINVAL,
    EISCONN,
    EMSGSIZE,
    ENOENT,
    ENOPROTOOPT,
    ENOTCONN,
    ENOTSOCK,
    EOPNOTSUPP,
    EPROTONOSUPPORT,
    FROM_HOST,
    DarwinError,
)
from gobuild.emulate.descriptors import OpenFile
from gobuild.emulate.libsystem.files import vectors, wait_for
from gobuild.emulate.libsystem.paths import new_place, place
from gobuild.emulate.network import Address, Socket
from gobuild.emulate.threads import Blocking, Thread

FAMILIES = {d.AF_UNIX: host_socket.AF_UNIX, d.AF_INET: host_socket.AF_INET, d.AF_INET6: host_socket.AF_INET6}
PROTOCOLS = {d.SOCK_STREAM: (0, d.IPPROTO_TCP), d.SOCK_DGRAM: (0, d.IPPROTO_UDP)}
DATAGRAM_MAX = 9216
"""net.inet.udp.maxdgram."""

RECEIVE_MAX = 1 << 20
"""Bytes that one call takes; a stream has the others ready for the next."""

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


def _internet(sock: Socket, raw: bytes) -> tuple[d.Host, int]:
    address = d.unpack_address(raw)
    if address is None:
        raise DarwinError(EINVAL)
    host, port = address
    if (host.version == 4) != (sock.family == host_socket.AF_INET):
        raise DarwinError(EAFNOSUPPORT)
    return host, port


def _unix_path(raw: bytes) -> bytes:
    path = raw[2:].partition(b"\0")[0]
    if len(raw) < 2 or raw[1] != d.AF_UNIX:
        raise DarwinError(EAFNOSUPPORT)
    if not path:
        raise DarwinError(ENOENT)
    return path


def _socket_file(t: Thread, path: bytes) -> os.stat_result:
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


def _hand_out(t: Thread, raw: bytes, address: int, length: int) -> None:
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
        t.process.network.bind(sock, *_internet(sock, raw))
        return 0
    path = _unix_path(raw)
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
        path = _unix_path(raw)
        t.process.network.connect_file(sock, _socket_file(t, path), path)
    else:
        t.process.network.connect(sock, *_internet(sock, raw))
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
    _hand_out(t, packed(new.peer, new.family), address, length)
    return number


@libsystem("int getsockname(int socket, struct sockaddr *address, socklen_t *address_len)", noisy=True)
def getsockname(t: Thread, fd: int, address: int, length: int) -> int:
    _, sock = found(t, fd)
    _hand_out(t, packed(sock.local, sock.family), address, length)
    return 0


@libsystem("int getpeername(int socket, struct sockaddr *address, socklen_t *address_len)", noisy=True)
def getpeername(t: Thread, fd: int, address: int, length: int) -> int:
    _, sock = found(t, fd)
    if sock.peer is None:
        raise DarwinError(ENOTCONN)
    _hand_out(t, packed(sock.peer, sock.family), address, length)
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


# Data


def _send(t: Thread, sock: Socket, data: Any, to: bytes) -> int:
    """One attempt to send; BlockingIOError where there is no room."""
    network = t.process.network
    if to and not (sock.stream and sock.peer):
        if sock.stream:
            raise DarwinError(ENOTCONN)
        if sock.peer:
            raise DarwinError(EISCONN)
        if sock.family == host_socket.AF_UNIX:
            return network.send_to_file(sock, data, _socket_file(t, _unix_path(to)))
        return network.send_to(sock, data, *_internet(sock, to))
    if sock.peer is None:
        raise DarwinError(ENOTCONN if sock.stream else EDESTADDRREQ)
    return network.send(sock, data)


def send(t: Thread, file: OpenFile, data: Any, to: bytes = b"", flags: int = 0) -> Blocking:
    """Sends all of it; as much as there is room for where the socket does not block."""
    sock: Socket = file.state
    if not sock.stream and len(data) > DATAGRAM_MAX and sock.family != host_socket.AF_UNIX:
        raise DarwinError(EMSGSIZE)
    done, patient = 0, not (file.flags & 4 or flags & d.MSG_DONTWAIT)
    while True:
        try:
            done += _send(t, sock, data[done:], to)
        except BlockingIOError:
            if done and not patient:
                return done
            if not patient:
                raise DarwinError(EAGAIN) from None
            yield from wait_for(t, file, write=True)
        if done == len(data) or not (sock.stream and patient):
            return done


def receive(t: Thread, file: OpenFile, size: int, flags: int) -> Blocking:
    """The next bytes or datagram, from whom, and Darwin's flags for what was cut off."""
    sock: Socket = file.state
    asked = host_socket.MSG_PEEK if flags & d.MSG_PEEK else 0
    if sock.listening or (sock.stream and sock.peer is None):
        raise DarwinError(ENOTCONN)
    while True:
        try:
            data, _, told, raw = sock.host.recvmsg(min(size, RECEIVE_MAX), 0, asked)
            break
        except BlockingIOError:
            if flags & d.MSG_DONTWAIT:
                raise DarwinError(EAGAIN) from None
            yield from wait_for(t, file)
    sender = sock.peer if sock.stream else t.process.network.address(sock, raw)
    return data, sender, d.MSG_TRUNC if told & host_socket.MSG_TRUNC else 0


@libsystem(
    "ssize_t recvfrom(int socket, void *buffer, size_t length, int flags, struct sockaddr *address,"
    " socklen_t *address_len)"
)
def recvfrom(t: Thread, fd: int, buffer: int, length: int, flags: int, address: int, address_len: int) -> Blocking:
    file, sock = found(t, fd)
    t.memory.slice(buffer, length, 2)
    data, sender, _ = yield from receive(t, file, length, flags)
    t.memory.write(buffer, data)
    if not sock.stream:
        _hand_out(t, packed(sender, sock.family), address, address_len)
    elif address_len:
        t.memory.put_u32(address_len, 0)
    return len(data)


@libsystem(
    "ssize_t sendto(int socket, void *buffer, size_t length, int flags, struct sockaddr *dest_addr, socklen_t dest_len)"
)
def sendto(t: Thread, fd: int, buffer: int, length: int, flags: int, dest: int, dest_len: int) -> Blocking:
    file, _ = found(t, fd)
    to = t.memory.read(dest, dest_len) if dest else b""
    return (yield from send(t, file, t.memory.slice(buffer, length), to, flags))


def buffers(t: Thread, iov: int, count: int, protection: int) -> list[memoryview]:
    """What an array of struct iovec names."""
    pairs = vectors(t, iov, count) if count else []
    return [t.memory.slice(base, size, protection) for base, size in pairs if size]


@libsystem("ssize_t recvmsg(int socket, struct msghdr *message, int flags)")
def recvmsg(t: Thread, fd: int, message: int, flags: int) -> Blocking:
    file, sock = found(t, fd)
    name, name_len, iov, count, control, _, _ = t.memory.unpack(d.MSGHDR, message)
    into = buffers(t, iov, count, 2)
    data, sender, told = yield from receive(t, file, sum(map(len, into)), flags)
    rest = data
    for each in into:
        part, rest = rest[: len(each)], rest[len(each) :]
        each[: len(part)] = part
    raw = packed(sender, sock.family) if not sock.stream else b""
    if name:
        t.memory.write(name, raw[:name_len])
    t.memory.pack(d.MSGHDR, message, name, len(raw) if name else 0, iov, count, control, 0, told)
    return len(data)


@libsystem("ssize_t sendmsg(int socket, struct msghdr *message, int flags)")
def sendmsg(t: Thread, fd: int, message: int, flags: int) -> Blocking:
    file, _ = found(t, fd)
    name, name_len, iov, count, _, control_len, _ = t.memory.unpack(d.MSGHDR, message)
    if control_len:
        raise DarwinError(EOPNOTSUPP)  # descriptors (SCM_RIGHTS) are not passed between the guest's processes
    data = b"".join(buffers(t, iov, count, 1))
    return (yield from send(t, file, data, t.memory.read(name, name_len) if name else b"", flags))


@libsystem("int sendfile(int fd, int s, off_t offset, off_t *len, struct sf_hdtr *hdtr, int flags)")
def sendfile(t: Thread, fd: int, s: int, offset: int, length: int, hdtr: int, flags: int) -> Blocking:
    """Tells in `len` how much was sent, even where it fails with EAGAIN."""
    source, (file, sock) = t.process.files.find(fd), found(t, s)
    if source.kind != "file" or hdtr or flags or not sock.stream:
        raise DarwinError(EINVAL)
    wanted, done = t.memory.u64(length), 0
    t.memory.put_u64(length, 0)
    while not wanted or done < wanted:
        data = os.pread(source.host, min(wanted - done if wanted else 1 << 16, 1 << 16), offset + done)
        if not data:
            break
        try:
            sent = yield from send(t, file, data)
        finally:
            t.memory.put_u64(length, done)
        done += sent
        t.memory.put_u64(length, done)
        if sent < len(data):
            raise DarwinError(EAGAIN)
    return 0
