"""Darwin's error numbers, and how a Linux host's are told in them: <sys/errno.h> (xnu, bsd/sys/errno.h)."""

import errno as host

EPERM, ENOENT, ESRCH, EINTR, EIO, ENXIO, E2BIG, ENOEXEC, EBADF, ECHILD = range(1, 11)
EDEADLK, ENOMEM, EACCES, EFAULT, ENOTBLK, EBUSY, EEXIST, EXDEV, ENODEV, ENOTDIR = range(11, 21)
EISDIR, EINVAL, ENFILE, EMFILE, ENOTTY, ETXTBSY, EFBIG, ENOSPC, ESPIPE, EROFS = range(21, 31)
EMLINK, EPIPE, EDOM, ERANGE, EAGAIN, EINPROGRESS, EALREADY, ENOTSOCK, EDESTADDRREQ, EMSGSIZE = range(31, 41)
EPROTOTYPE, ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, ENOTSUP = range(41, 46)
EPFNOSUPPORT, EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ENETDOWN, ENETUNREACH, ENETRESET = range(46, 53)
ECONNABORTED, ECONNRESET, ENOBUFS, EISCONN, ENOTCONN, ESHUTDOWN, ETOOMANYREFS, ETIMEDOUT = range(53, 61)
ECONNREFUSED, ELOOP, ENAMETOOLONG, EHOSTDOWN, EHOSTUNREACH, ENOTEMPTY, EPROCLIM, EUSERS = range(61, 69)
EDQUOT, ESTALE = 69, 70
ENOLCK, ENOSYS, EOVERFLOW, ECANCELED, EILSEQ, ENOATTR, EPROTO, EOPNOTSUPP = 77, 78, 84, 89, 92, 93, 100, 102

NAMES = {number: name for name, number in globals().copy().items() if name[0] == "E" and isinstance(number, int)}

FROM_HOST = {
    getattr(host, name): number for number, name in NAMES.items() if hasattr(host, name) and name != "EOPNOTSUPP"
} | {host.ENODATA: ENOATTR}
"""Linux has one number for ENOTSUP and EOPNOTSUPP; Darwin says ENOTSUP of files."""


class DarwinError(Exception):
    """A call fails with this number in errno."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(NAMES.get(number, str(number)))
