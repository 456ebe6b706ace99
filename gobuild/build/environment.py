"""make.bash's whole environment, made from nothing.

make.bash and cmd/dist obey some forty variables (the header of src/make.bash lists most). A toolchain must not
depend on which of them a caller happened to set, so none is inherited: golang.org's release pipeline clears about
twenty of them (x/build gorebuild).
"""

from collections.abc import Mapping
from pathlib import Path

from gobuild.core.goversion import Target
from gobuild.core.model import Profile

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
"""Where sed, and for the upstream profile a C compiler, are looked for before the folder of bash itself."""


def environment(
    target: Target,
    *,
    profile: Profile,
    bootstrap: Path,
    bash: Path,
    home: Path,
    temporary: Path,
) -> dict[str, str]:
    """Every variable that make.bash will see.

    The folder of bash, Homebrew's perhaps with a clang in it, comes last on PATH. HOME is an empty folder, so that no
    `go env -w` and no telemetry setting of the user's is read.
    """
    variables = {
        "PATH": ":".join(dict.fromkeys([*SYSTEM_PATH, str(bash.parent)])),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LC_ALL": "C",
        "TZ": "UTC",
        "GOOS": target.goos,
        "GOARCH": target.goarch,
        "GOROOT_BOOTSTRAP": str(bootstrap),
        # The bootstrap toolchain may neither replace itself by a download nor read the user's go/env file,
        # and nothing that make.bash builds is fetched: cmd's dependencies are vendored.
        "GOTOOLCHAIN": "local",
        "GOENV": "off",
        "GOPROXY": "off",
    }
    if profile.cgo is not None:
        variables["CGO_ENABLED"] = profile.cgo
    if profile.ldflags:
        # cmd/dist makes "-ldflags=all=..." of it, which replaces the -w it uses for releases: hence one string.
        variables["GO_LDFLAGS"] = profile.ldflags
    return variables


def portable(variables: Mapping[str, str], places: Mapping[str, Path]) -> dict[str, str]:
    """The same for a manifest: each of this machine's folders written as $NAME, the longest path first."""
    written = dict(variables)
    for name, place in sorted(places.items(), key=lambda item: -len(str(item[1]))):
        written = {key: value.replace(str(place), f"${name}") for key, value in written.items()}
    return written
