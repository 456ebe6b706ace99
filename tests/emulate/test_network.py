"""Loopback is the guests' own: real connections among them, and no way to the host's network or to another run's."""

import errno
import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from gobuild.emulate.darwin.errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED, ENETUNREACH, DarwinError
from gobuild.emulate.darwin.socket import IPPROTO_IPV6, IPV6_V6ONLY, Host
from gobuild.emulate.kernel.network import Network, Socket

LOCAL, ANY, LOCAL6, ANY6 = IPv4Address("127.0.0.1"), IPv4Address("0.0.0.0"), IPv6Address("::1"), IPv6Address("::")
INET, INET6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def network(folder: int) -> Network:
    return Network(folder)


def listening(network: Network, family: int, address: Host, port: int = 0, *, only_6: bool = False) -> Socket:
    server = network.make(family, stream=True)
    if only_6:
        server.options[IPPROTO_IPV6, IPV6_V6ONLY] = b"\1\0\0\0"
    network.bind(server, address, port)
    network.listen(server)
    return server


def number(caught: pytest.ExceptionInfo[DarwinError]) -> int:
    return caught.value.number


@pytest.mark.parametrize(
    ("family", "bound", "dialled", "peer"),
    [
        (INET, LOCAL, LOCAL, LOCAL),
        (INET, ANY, LOCAL, LOCAL),
        (INET, LOCAL, ANY, LOCAL),
        (INET6, LOCAL6, LOCAL6, LOCAL6),
        (INET6, ANY6, LOCAL6, LOCAL6),
        (INET6, ANY6, LOCAL, ip_address("::ffff:127.0.0.1")),
    ],
)
def test_a_connection(network: Network, family: int, bound: Host, dialled: Host, peer: Host) -> None:
    server = listening(network, family, bound)
    assert server.local
    client = network.make(INET if dialled in (LOCAL, ANY) else INET6, stream=True)
    network.connect(client, dialled, server.local.port)
    accepted = network.accept(server)
    assert accepted.peer and client.local and client.peer and accepted.local
    assert (accepted.peer.host, accepted.peer.port) == (peer, client.local.port)
    assert accepted.local.host == peer
    assert accepted.local.port == client.peer.port == server.local.port
    network.send(client, b"hello")
    assert accepted.host.recv(10) == b"hello"


def test_an_ipv6_socket_may_want_no_ipv4(network: Network) -> None:
    server = listening(network, INET6, ANY6, only_6=True)
    assert server.local
    with pytest.raises(DarwinError) as caught:
        network.connect(network.make(INET, stream=True), LOCAL, server.local.port)
    assert number(caught) == ECONNREFUSED
    network.connect(network.make(INET6, stream=True), LOCAL6, server.local.port)


def test_a_port_is_taken_until_its_last_copy_is_closed(network: Network, folder: int) -> None:
    server = listening(network, INET, LOCAL, 8080)
    copies = os.dup(server.host.fileno()), os.dup(server.lock)  # a fork's
    other = Network(folder)  # of another process of the same guest
    for _ in range(2):
        with pytest.raises(DarwinError) as caught:
            listening(other, INET, LOCAL, 8080)
        assert number(caught) == EADDRINUSE
        server.close()
    for copy in copies:
        os.close(copy)
    listening(other, INET, LOCAL, 8080)


def test_ephemeral_ports_are_the_same_in_every_run(network: Network) -> None:
    ports = [listening(network, INET, host).local for host in (LOCAL, LOCAL, ANY)]
    assert [each.port for each in ports if each] == [49152, 49153, 49154]


@pytest.mark.parametrize("address", ["8.8.8.8", "192.168.0.1", "2001:db8::1", "::ffff:8.8.8.8", "169.254.169.254"])
def test_no_other_host(network: Network, address: str) -> None:
    host = ip_address(address)
    family = INET if host.version == 4 else INET6
    with pytest.raises(DarwinError) as caught:
        network.connect(network.make(family, stream=True), host, 80)
    assert number(caught) == ENETUNREACH
    with pytest.raises(DarwinError) as caught:
        network.send_to(network.make(family, stream=False), b"x", host, 53)
    assert number(caught) == ENETUNREACH
    with pytest.raises(DarwinError) as caught:
        network.bind(network.make(family, stream=True), host, 0)
    assert number(caught) == EADDRNOTAVAIL


def test_a_low_port_of_one_address_is_the_superusers(network: Network) -> None:
    with pytest.raises(DarwinError) as caught:
        listening(network, INET, LOCAL, 80)
    assert number(caught) == EACCES
    listening(network, INET, ANY, 80)


def test_the_host_and_another_run_are_not_there(network: Network, tmp_path: Path) -> None:
    """A server of the host's, and one of another guest's, on ports that this guest tries."""
    (tmp_path / "other").mkdir()
    other = listening(Network(os.open(tmp_path / "other", os.O_PATH)), INET, LOCAL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        for port in (server.getsockname()[1], other.local.port if other.local else 0):
            with pytest.raises(DarwinError) as caught:
                network.connect(network.make(INET, stream=True), LOCAL, port)
            assert number(caught) == ECONNREFUSED
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_socket_file_of_the_hosts_refuses(network: Network, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "host.sock"))
        server.listen()
        with pytest.raises(DarwinError) as caught:
            network.connect_file(
                network.make(socket.AF_UNIX, stream=True), (tmp_path / "host.sock").stat(), b"/tmp/host.sock"
            )  # fmt: skip
        assert number(caught) == ECONNREFUSED


def test_datagrams(network: Network) -> None:
    server, client = network.make(INET, stream=False), network.make(INET, stream=False)
    network.bind(server, LOCAL, 5353)
    assert network.send_to(client, b"question", LOCAL, 5353) == 8
    data, _, _, raw = server.host.recvmsg(100)
    sender = network.address(server, raw)
    assert (data, sender.host, sender.port) == (b"question", LOCAL, client.local.port if client.local else 0)
    assert network.send_to(client, b"to nobody", LOCAL, 9) == 9, "a datagram is lost in silence"


def test_it_blocks_as_a_socket_does(network: Network) -> None:
    server = listening(network, INET, LOCAL)
    with pytest.raises(BlockingIOError) as caught:
        network.accept(server)
    assert caught.value.errno == errno.EAGAIN
