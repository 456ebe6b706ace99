"""Loopback, for the guest's own processes alone: no socket of the host's network is ever made.

A socket of the guest's is one of the host's family AF_UNIX, bound to a name in a folder that only this run knows, is
there for nobody else (0700) and goes with it. An address is such a name, so it holds in all processes of the guest, and
any other address is a network that cannot be reached.
"""

import fcntl
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from gobuild.emulate.darwin.errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED, ENETUNREACH, DarwinError
from gobuild.emulate.darwin.socket import EPHEMERAL_FIRST, EPHEMERAL_LAST, IPPROTO_IPV6, IPV6_V6ONLY, Host

LOOPBACKS = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
ANY = (IPv4Address("0.0.0.0"), IPv6Address("::"))  # noqa: S104 - names of the guest's
PRIVILEGED = 1024

ONLY_6 = "6only"
"""In the name of a socket that is bound to any IPv6 address and wants no IPv4 (IPV6_V6ONLY)."""

BACKLOG = 4096
"""Of the host's socket: a connection that the guest's own backlog would refuse is none that it can make."""


@dataclass(frozen=True, slots=True)
class Address:
    """An end of a connection in the guest's eyes: `host` and `port`, or the guest's path of a Unix socket."""

    protocol: str  # "tcp", "udp" or "unix"
    host: Host | None = None
    port: int = 0
    path: bytes = b""


@dataclass(slots=True, kw_only=True)
class Socket:
    """A socket of the guest's: what stands behind the OpenFile.

    Attributes:
        local, peer: its ends, once they are known.
        lock: holds its port, in all processes that share it.
        options: what setsockopt set, by level and name.
    """

    family: int
    stream: bool
    host: socket.socket
    local: Address | None = None
    peer: Address | None = None
    lock: int = -1
    listening: bool = False
    options: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """As in `Address`."""
        return "unix" if self.family == socket.AF_UNIX else "tcp" if self.stream else "udp"

    @property
    def only_6(self) -> bool:
        """Whether IPV6_V6ONLY is set."""
        return any(self.options.get((IPPROTO_IPV6, IPV6_V6ONLY), b""))

    def close(self) -> None:
        """Lets go of it, in this process."""
        self.host.close()
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


class Network:
    """The names in a folder, which is held open."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._next = EPHEMERAL_FIRST

    def path(self, name: str) -> str:
        """What the host's bind and connect are given."""
        return f"/proc/self/fd/{self._folder}/{name}"

    def make(self, family: int, *, stream: bool) -> Socket:
        """A socket without an address."""
        host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        host.setblocking(False)
        return Socket(family=family, stream=stream, host=host)

    # Addresses of the internet families

    def bind(self, sock: Socket, host: Host, port: int) -> None:
        """Gives a socket an address of this machine's; port 0 for the next free one."""
        if _plain(host) not in LOOPBACKS + ANY:
            raise DarwinError(EADDRNOTAVAIL)
        if 0 < port < PRIVILEGED and host not in ANY:
            raise DarwinError(EACCES)
        protocol = sock.protocol + ONLY_6 * (sock.only_6 and host == ANY[1])
        if port:
            lock = self._reserve(protocol, _plain(host), port)
        else:
            port, lock = self._ephemeral(protocol, _plain(host))
        if lock is None:
            raise DarwinError(EADDRINUSE)
        name = _name(protocol, host, port)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._folder)  # its owner is gone, for its lock is free
        sock.host.bind(self.path(name))
        sock.lock = lock
        sock.local = Address(sock.protocol, host, port)

    def _reserve(self, protocol: str, host: Host, port: int) -> int | None:
        """The lock of an address; all copies of it must be closed before it is free again. None where it is taken."""
        name = f"{_name(protocol, host, port)}.lock"
        lock = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _ephemeral(self, protocol: str, host: Host) -> tuple[int, int | None]:
        for _ in range(EPHEMERAL_FIRST, EPHEMERAL_LAST):
            port = self._next
            self._next = port + 1 if port < EPHEMERAL_LAST else EPHEMERAL_FIRST
            locks = {each: self._reserve(protocol, each, port) for each in {*LOOPBACKS, *ANY, host}}
            free = None not in locks.values()
            for each, lock in locks.items():
                if lock is not None and (each != host or not free):
                    os.close(lock)
            if free:
                return port, locks[host]
        return 0, None

    def connect(self, sock: Socket, host: Host, port: int) -> None:
        """Connects to a socket that another of the guest's has bound there.

        Raises:
            DarwinError: ENETUNREACH for whatever is not this machine; ECONNREFUSED where nobody listens.
        """
        if not (_plain(host).is_loopback or host in ANY):
            raise DarwinError(ENETUNREACH)
        if sock.local is None:
            self.bind(sock, _seen_by(sock, LOOPBACKS[_plain(host).version == 6]), 0)
        for name in _names(sock.protocol, host, port):
            try:
                sock.host.connect(self.path(name))
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                continue
            break
        else:
            if sock.stream:
                raise DarwinError(ECONNREFUSED)
        sock.peer = Address(sock.protocol, _loopback(host), port)

    def listen(self, sock: Socket) -> None:
        """Lets others connect to it."""
        sock.host.listen(BACKLOG)
        sock.listening = True

    def send(self, sock: Socket, data: memoryview | bytes) -> int:
        """Sends to the peer; a datagram is refused where there is none any more."""
        try:
            return sock.host.send(data)
        except OSError as error:
            if sock.stream or isinstance(error, BlockingIOError):
                raise
            raise DarwinError(ECONNREFUSED) from None

    def send_to(self, sock: Socket, data: memoryview | bytes, host: Host, port: int) -> int:
        """Sends a datagram, which is lost where nobody receives it."""
        if not (_plain(host).is_loopback or host in ANY):
            raise DarwinError(ENETUNREACH)
        if sock.local is None:
            self.bind(sock, ANY[sock.family == socket.AF_INET6], 0)
        for name in _names(sock.protocol, host, port):
            with suppress(FileNotFoundError, ConnectionRefusedError, BlockingIOError, PermissionError):
                return sock.host.sendto(data, self.path(name))
        return len(data)

    # Addresses that are files

    def bind_file(self, sock: Socket, found: os.stat_result, path: bytes) -> None:
        """Makes a socket the one behind a file, which the guest has just made."""
        name = _file_name(found)
        for each in (name, f"{name}.path"):
            with suppress(FileNotFoundError):
                os.unlink(each, dir_fd=self._folder)
        with os.fdopen(os.open(f"{name}.path", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=self._folder), "wb") as file:
            file.write(path)
        sock.host.bind(self.path(name))
        sock.local = Address("unix", path=path)

    def connect_file(self, sock: Socket, found: os.stat_result, path: bytes) -> None:
        """Connects to the socket behind a file; one that no guest has made, the host's own, refuses."""
        try:
            sock.host.connect(self.path(_file_name(found)))
        except FileNotFoundError:
            raise DarwinError(ECONNREFUSED) from None
        sock.peer = Address("unix", path=path)

    def send_to_file(self, sock: Socket, data: memoryview | bytes, found: os.stat_result) -> int:
        """Sends a datagram to the socket behind a file."""
        try:
            return sock.host.sendto(data, self.path(_file_name(found)))
        except FileNotFoundError:
            raise DarwinError(ECONNREFUSED) from None

    # What the host says of an end

    def address(self, sock: Socket, raw: object) -> Address:
        """The guest's address of a host's name, as accept, recvfrom and getpeername tell it."""
        name = os.fsdecode(raw).rpartition("/")[2] if isinstance(raw, str | bytes) else ""
        protocol, _, rest = name.partition("-")
        if protocol == "unix":
            with os.fdopen(os.open(f"{name}.path", os.O_RDONLY, dir_fd=self._folder), "rb") as file:
                return Address("unix", path=file.read())
        if not rest:
            return Address("unix" if sock.family == socket.AF_UNIX else sock.protocol)
        host, _, port = rest.rpartition("-")
        return Address(protocol, _seen_by(sock, _loopback(ip_address(host))), int(port))

    def accept(self, sock: Socket) -> Socket:
        """The next connection; BlockingIOError where there is none."""
        host, raw = sock.host.accept()
        host.setblocking(False)
        peer = self.address(sock, raw)
        local = sock.local
        if local and local.host and peer.host and local.host in ANY:
            local = Address(local.protocol, peer.host, local.port)
        return Socket(family=sock.family, stream=sock.stream, host=host, local=local, peer=peer)


def _plain(host: Host) -> Host:
    """An IPv4 address that is written as an IPv6 one, as what it is."""
    return (isinstance(host, IPv6Address) and host.ipv4_mapped) or host


def _loopback(host: Host) -> Host:
    """A peer's address is never "any"."""
    return LOOPBACKS[ANY.index(host)] if host in ANY else host


def _seen_by(sock: Socket, host: Host) -> Host:
    """An IPv4 peer of an IPv6 socket has a mapped address."""
    if sock.family != socket.AF_INET and isinstance(host, IPv4Address):
        return IPv6Address(f"::ffff:{host}")
    return host


def _name(protocol: str, host: Host, port: int) -> str:
    return f"{protocol}-{_plain(host)}-{port}"


def _names(protocol: str, host: Host, port: int) -> list[str]:
    """Who may answer there: the very address, or a socket bound to any."""
    plain = _loopback(_plain(host))
    wild = ANY if plain.version == 4 else ANY[1:]
    names = [_name(protocol, each, port) for each in (plain, *wild)]
    return names if plain.version == 4 else [*names, _name(protocol + ONLY_6, ANY[1], port)]


def _file_name(found: os.stat_result) -> str:
    return f"unix-{found.st_dev}-{found.st_ino}"
