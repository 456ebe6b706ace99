"""<pwd.h>, <grp.h>, <netdb.h>, <resolv.h>: the few users, groups, hosts and services that the guest's world has."""

import struct
from collections.abc import Sequence
from ipaddress import ip_address

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import socket as d
from gobuild.emulate.darwin.errno import EINVAL, ERANGE, DarwinError
from gobuild.emulate.darwin.structs import GID, UID
from gobuild.emulate.kernel.threads import Ended, Thread

USERS = {"user": (UID, GID), "root": (0, 0), "daemon": (1, 1), "nobody": (-2, -2)}
GROUPS = {"staff": GID, "wheel": 0, "daemon": 1, "nobody": -2, "everyone": 12, "localaccounts": 61, "admin": 80}
GIDS = (GID, 12, 61, 80)
"""The groups of the guest's user."""

HOSTS = {"localhost": ("127.0.0.1", "::1"), "emulated.local": ("127.0.0.1", "::1")}
SERVICES = {
    # name -> port, kinds of socket
    "echo": 7, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37, "domain": 53, "gopher": 70, "finger": 79,
    "http": 80, "pop3": 110, "ntp": 123, "imap": 143, "snmp": 161, "https": 443, "submission": 587, "imaps": 993,
    "pop3s": 995, "nameserver": 42, "whois": 43, "discard": 9, "tftp": 69, "bootps": 67, "bootpc": 68,
}  # fmt: skip
"""Of /etc/services; all of them for TCP and UDP, as on macOS."""

PASSWD = struct.Struct("<QQIIqQQQQq")
"""pw_name, pw_passwd, pw_uid, pw_gid, pw_change, pw_class, pw_gecos, pw_dir, pw_shell, pw_expire."""
GROUP = struct.Struct("<QQI4xQ")
"""gr_name, gr_passwd, gr_gid, gr_mem."""

SYSCONF = {29: 0x4000, 70: 4096, 71: 4096}
"""_SC_PAGESIZE, _SC_GETGR_R_SIZE_MAX, _SC_GETPW_R_SIZE_MAX."""

GAI_MESSAGES = {
    d.EAI_NONAME: b"nodename nor servname provided, or not known",
    d.EAI_SERVICE: b"servname not supported for ai_socktype",
    d.EAI_FAMILY: b"ai_family not supported",
    d.EAI_OVERFLOW: b"argument buffer overflow",
}
PAGE = 0x4000


@libsystem("long sysconf(int name)")
def sysconf(t: Thread, name: int) -> int:
    if name not in SYSCONF:
        raise DarwinError(EINVAL)
    return SYSCONF[name]


def _texts(t: Thread, buffer: int, size: int, texts: Sequence[bytes]) -> list[int] | None:
    """Puts texts into the caller's buffer, and says where; None where it is too small."""
    if sum(len(each) + 1 for each in texts) > size:
        return None
    places = []
    for each in texts:
        t.memory.write(buffer, each + b"\0")
        places.append(buffer)
        buffer += len(each) + 1
    return places


def _user(t: Thread, name: str | None, pwd: int, buffer: int, size: int, result: int) -> int:
    t.memory.put_u64(result, 0)
    if name is None:
        return 0
    uid, gid = USERS[name]
    home = t.process.plan.env.get("HOME", "/") if uid == UID else "/var/empty"
    at = _texts(t, buffer, size, [name.encode(), b"*", b"", name.capitalize().encode(), home.encode(), b"/bin/sh"])
    if at is None:
        return ERANGE
    t.memory.pack(PASSWD, pwd, at[0], at[1], uid & 0xFFFFFFFF, gid & 0xFFFFFFFF, 0, *at[2:], 0)
    t.memory.put_u64(result, pwd)
    return 0


def _named(table: dict[str, int], number: int) -> str | None:
    return next((name for name, each in table.items() if each & 0xFFFFFFFF == number), None)


@libsystem(
    "int getpwnam_r(const char *name, struct passwd *pwd, char *buffer, size_t bufsize, struct passwd **result)",
    fails="number",
)
def getpwnam_r(t: Thread, name: bytes, pwd: int, buffer: int, size: int, result: int) -> int:
    text = name.decode("latin-1")
    return _user(t, text if text in USERS else None, pwd, buffer, size, result)


@libsystem(
    "int getpwuid_r(uid_t uid, struct passwd *pwd, char *buffer, size_t bufsize, struct passwd **result)",
    fails="number",
)
def getpwuid_r(t: Thread, uid: int, pwd: int, buffer: int, size: int, result: int) -> int:
    return _user(t, _named({name: each for name, (each, _) in USERS.items()}, uid), pwd, buffer, size, result)


def _group(t: Thread, name: str | None, grp: int, buffer: int, size: int, result: int) -> int:
    t.memory.put_u64(result, 0)
    if name is None:
        return 0
    members, buffer, size = buffer, buffer + 8, size - 8
    at = _texts(t, buffer, size, [name.encode(), b"*"])
    if at is None:
        return ERANGE
    t.memory.put_u64(members, 0)
    t.memory.pack(GROUP, grp, at[0], at[1], GROUPS[name] & 0xFFFFFFFF, members)
    t.memory.put_u64(result, grp)
    return 0


@libsystem(
    "int getgrnam_r(const char *name, struct group *grp, char *buffer, size_t bufsize, struct group **result)",
    fails="number",
)
def getgrnam_r(t: Thread, name: bytes, grp: int, buffer: int, size: int, result: int) -> int:
    text = name.decode("latin-1")
    return _group(t, text if text in GROUPS else None, grp, buffer, size, result)


@libsystem(
    "int getgrgid_r(gid_t gid, struct group *grp, char *buffer, size_t bufsize, struct group **result)",
    fails="number",
)
def getgrgid_r(t: Thread, gid: int, grp: int, buffer: int, size: int, result: int) -> int:
    return _group(t, _named(GROUPS, gid), grp, buffer, size, result)


def _hand_out_gids(t: Thread, gids: Sequence[int], at: int, room: int) -> None:
    t.memory.write(at, b"".join((each & 0xFFFFFFFF).to_bytes(4, "little") for each in gids[:room]))


@libsystem("int getgrouplist(const char *name, int basegid, int *groups, int *ngroups)")
def getgrouplist(t: Thread, name: bytes, base: int, groups: int, count: int) -> int:
    """Fails without errno where there is no room; `ngroups` is then what it needs (getgrouplist(3))."""
    own = GIDS if name == b"user" else ()
    gids = [base, *(each for each in own if each != base)]
    room = t.memory.u32(count)
    _hand_out_gids(t, gids, groups, room)
    t.memory.put_u32(count, len(gids))
    return 0 if room >= len(gids) else -1


@libsystem("int getgroups(int gidsetsize, gid_t *grouplist)")
def getgroups(t: Thread, size: int, grouplist: int) -> int:
    if size and size < len(GIDS):
        raise DarwinError(EINVAL)
    if size:
        _hand_out_gids(t, GIDS, grouplist, size)
    return len(GIDS)


# Hosts


def _hosts(node: bytes | None, flags: int) -> list[d.Host]:
    if node is None:
        texts = ("0.0.0.0", "::") if flags & d.AI_PASSIVE else ("127.0.0.1", "::1")  # noqa: S104 - the guest's
        return [ip_address(each) for each in texts]
    text = node.decode("latin-1").rstrip(".").lower()
    try:
        return [ip_address(text)]
    except ValueError:
        return [] if flags & d.AI_NUMERICHOST else [ip_address(each) for each in HOSTS.get(text, ())]


def _port(service: bytes | None) -> int | None:
    if not service:
        return 0
    text = service.decode("latin-1")
    if text.isdigit():
        return int(text) if int(text) < 1 << 16 else None
    return SERVICES.get(text)


def _found(node: bytes | None, service: bytes | None, hints: tuple[int, ...]) -> list[tuple[int, int, d.Host, int]]:
    """Kind, protocol, host and port of each answer."""
    flags, family, kind, protocol = hints
    port = _port(service)
    if port is None:
        return []
    kinds = [(d.SOCK_STREAM, d.IPPROTO_TCP), (d.SOCK_DGRAM, d.IPPROTO_UDP)]
    kinds = [each for each in kinds if kind in (0, each[0]) and protocol in (0, each[1])]
    versions = {d.AF_UNSPEC: (4, 6), d.AF_INET: (4,), d.AF_INET6: (6,)}.get(family, ())
    return [(*each, host, port) for host in _hosts(node, flags) if host.version in versions for each in kinds]


@libsystem(
    "int getaddrinfo(const char *hostname, const char *servname, struct addrinfo *hints, struct addrinfo **res)",
    fails="number",
)
def getaddrinfo(t: Thread, node: bytes | None, service: bytes | None, hints: int, res: int) -> int:
    """By the tables here alone: nobody is asked."""
    asked = t.memory.unpack(struct.Struct("<iiii"), hints) if hints else (0, 0, 0, 0)
    answers = _found(node, service, asked)
    if not answers:
        return d.EAI_NONAME
    page = t.memory.map(0, PAGE, 3)
    t.process.objects[page] = "addrinfo"
    name = page + PAGE - 1024
    t.memory.write(name, (node or b"")[:1000] + b"\0")
    canonical = name if asked[0] & d.AI_CANONNAME and node else 0
    for index, (kind, protocol, host, port) in enumerate(answers):
        at, following = page + 128 * index, page + 128 * (index + 1)
        raw = d.pack_address(host, port)
        t.memory.write(at + d.ADDRINFO.size, raw)
        t.memory.pack(
            d.ADDRINFO, at, 0, raw[1], kind, protocol, len(raw), 0 if index else canonical, at + d.ADDRINFO.size,
            following if index + 1 < len(answers) else 0,
        )  # fmt: skip
    t.memory.put_u64(res, page)
    return 0


@libsystem("void freeaddrinfo(struct addrinfo *ai)")
def freeaddrinfo(t: Thread, ai: int) -> None:
    if t.process.objects.pop(ai, None) != "addrinfo":
        raise Ended(6, "signal", f"freeaddrinfo of {ai:#x}, which getaddrinfo did not give")
    t.memory.unmap(ai, PAGE)


@libsystem("const char *gai_strerror(int ecode)")
def gai_strerror(t: Thread, code: int) -> int:
    for address, what in t.process.objects.items():
        if what == ("gai_strerror", code):
            return address
    page = t.memory.map(0, PAGE, 3)
    t.process.objects[page] = ("gai_strerror", code)
    t.memory.write(page, GAI_MESSAGES.get(code, b"Unknown error") + b"\0")
    return page


@libsystem(
    "int getnameinfo(struct sockaddr *sa, socklen_t salen, char *host, socklen_t hostlen, char *serv,"
    " socklen_t servlen, int flags)",
    fails="number",
)
def getnameinfo(
    t: Thread, sa: int, salen: int, host: int, hostlen: int, serv: int, servlen: int, flags: int
) -> int:  # fmt: skip
    address = d.unpack_address(t.memory.read(sa, salen))
    if address is None:
        return d.EAI_FAMILY
    plain, port = address
    name = "localhost" if plain.is_loopback else None
    if name is None and flags & d.NI_NAMEREQD:
        return d.EAI_NONAME
    for text, at, room in ((name or str(plain), host, hostlen), (str(port), serv, servlen)):
        if at and room:
            if len(text) >= room:
                return d.EAI_OVERFLOW
            t.memory.write(at, text.encode() + b"\0")
    return 0


@libsystem("int res_9_ninit(res_9_state *statep)")
def res_9_ninit(t: Thread, state: int) -> int:
    return 0


@libsystem("void res_9_nclose(res_9_state *statep)")
def res_9_nclose(t: Thread, state: int) -> None:
    return None


@libsystem(
    "int res_9_nsearch(res_9_state *statep, const char *dname, int class, int type, uint8_t *answer, int anslen)"
)  # fmt: skip
def res_9_nsearch(t: Thread, state: int, name: bytes, klass: int, kind: int, answer: int, room: int) -> int:
    """No name server answers: h_errno is TRY_AGAIN, and the result -1."""
    return -1
