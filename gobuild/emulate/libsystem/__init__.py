"""The functions that darwin/arm64 Go programs import, a module for each group of C headers.

Each is registered by its C prototype (`abi.libsystem`) and gets the calling thread first. It returns its result,
raises `DarwinError` for errno, or is a generator that yields a `Wait` where it may block.
"""

from gobuild.emulate.libsystem import (  # noqa: F401 - each registers its functions
    directories,
    fcntl,
    files,
    kqueue,
    memory,
    names,
    paths,
    process,
    pthread,
    security,
    signals,
    system,
    time,
)
from gobuild.emulate.libsystem.sockets import messages, socket  # noqa: F401
