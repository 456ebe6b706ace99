"""<sys/socket.h>: what sockets send and receive."""

import os
import socket as host_socket
from typing import Any

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import socket as d
from gobuild.emulate.darwin.errno import (
    EAGAIN,
    EDESTADDRREQ,
    EINVAL,
    EISCONN,
    EMSGSIZE,
    ENOTCONN,
    EOPNOTSUPP,
    DarwinError,
)
from gobuild.emulate.kernel.descriptors import OpenFile
from gobuild.emulate.kernel.network import Socket
from gobuild.emulate.kernel.threads import Blocking, Thread
from gobuild.emulate.libsystem.files import vectors, wait_for
from gobuild.emulate.libsystem.sockets.socket import found, hand_out, internet_address, packed, socket_file, unix_path

DATAGRAM_MAX = 9216
"""net.inet.udp.maxdgram."""

RECEIVE_MAX = 1 << 20
"""Bytes that one call takes; a stream has the others ready for the next."""


def _send(t: Thread, sock: Socket, data: Any, to: bytes) -> int:
    """One attempt to send; BlockingIOError where there is no room."""
    network = t.process.network
    if to and not (sock.stream and sock.peer):
        if sock.stream:
            raise DarwinError(ENOTCONN)
        if sock.peer:
            raise DarwinError(EISCONN)
        if sock.family == host_socket.AF_UNIX:
            return network.send_to_file(sock, data, socket_file(t, unix_path(to)))
        return network.send_to(sock, data, *internet_address(sock, to))
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
        hand_out(t, packed(sender, sock.family), address, address_len)
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
