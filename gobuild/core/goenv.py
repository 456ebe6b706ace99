"""The go command's whole environment, of which nothing is inherited: what it makes must not depend on who called it."""

import os
from pathlib import Path

from gobuild.core.goversion import Target


def closed(folder: Path, *, goroot: Path, target: Target | None = None, cgo: str | None = "0") -> dict[str, str]:
    """A closed environment (`go help environment`), which writes nowhere but below one folder.

    Args:
        folder: a folder for HOME, caches and temporary files; ``tmp`` in it is the caller's to make. The go command
            ignores a go.mod in TMPDIR itself, so a module may stand in the folder.
        goroot: GOROOT.
        target: what is compiled for; None where that is the go command's own machine.
        cgo: CGO_ENABLED; None leaves it to the toolchain's own default.
    """
    here = folder.absolute()
    return {
        "PATH": os.defpath,
        "HOME": str(here),
        "TMPDIR": str(here / "tmp"),
        "LC_ALL": "C",
        "GOROOT": str(goroot.absolute()),
        "GOPATH": str(here / "gopath"),
        "GOCACHE": str(here / "gocache"),
        "GOENV": "off",
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOTELEMETRY": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        **({"GOOS": target.goos, "GOARCH": target.goarch} if target else {}),
        **({"CGO_ENABLED": cgo} if cgo else {}),
    }
