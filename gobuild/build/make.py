"""make.bash, run for a target; what it made is not checked here."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gobuild.core.errors import BuildError, CommandError, DiskFull, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.model import Bootstrap, PatchedSource, Profile, Toolchain
from gobuild.core.process import Runner

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
"""Where sed, and for the upstream profile a C compiler, are looked for before the folder of bash itself."""

STAGE = re.compile(r"Building (?:Go )?(?P<what>.+?)(?: using .*)?\.?")
"""How cmd/dist announces its stages (cmdbootstrap in src/cmd/dist/build.go)."""

SHELL_SAFE = re.compile(r"[A-Za-z0-9_./+@%=:,-]+")
"""What a folder's path may hold so that make.bash, which passes it through a shell's eval, gets it back as it was."""


def make(
    patched: PatchedSource,
    target: Target,
    *,
    host: Target,
    profile: Profile,
    bootstrap: Bootstrap,
    log: Path,
    scratch: Path,
    run: Runner,
    note: Callable[[str], None],
) -> Toolchain:
    """Runs make.bash to its end in the source's folder, which becomes GOROOT.

    All of its output goes to `log`; `note` is told each stage that cmd/dist announces. HOME and temporary files are in
    `scratch`, a folder of this build's own.

    Raises:
        BuildError: make.bash failed, or (DiskFull) had no room; the message has its last 20 lines and the log's path.
    """
    found = shutil.which("bash")
    if not found:
        raise ToolMissing("make.bash needs bash, and there is none on PATH", "install bash")
    bash = Path(found)
    home, temporary = scratch / "home", scratch / "tmp"
    for folder in (home, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    with (
        shell_safe_path(patched.source.root) as root,
        shell_safe_path(bootstrap.goroot) as start,
        shell_safe_path(temporary) as tmp,
    ):
        variables = environment(
            target, profile=profile, bootstrap=start, bash=bash, home=home.absolute(), temporary=tmp
        )
        variables = patched.environment | variables
        places = {"GOROOT_BOOTSTRAP": start, "GOROOT": root, "HOME": home.absolute(), "TMPDIR": tmp}
        try:
            run(
                [bash, "make.bash"],
                # bash keeps the name by which it came to its folder only if PWD says so.
                env=variables | {"PWD": str(root / "src")},
                cwd=root / "src",
                log=log,
                on_line=lambda line: note(match["what"]) if (match := STAGE.fullmatch(line)) else None,
            )
        except CommandError as error:
            raise build_failure("make.bash", log) from error
    toolchain = Toolchain(
        source=patched,
        target=target,
        host=host,
        profile=profile,
        bootstrap=bootstrap,
        environment=portable(variables, places),
    )
    if not (toolchain.bin / "go").is_file():
        raise BuildError(f"make.bash ended well but made no {toolchain.bin / 'go'}", f"read {log}")
    return toolchain


def environment(
    target: Target, *, profile: Profile, bootstrap: Path, bash: Path, home: Path, temporary: Path
) -> dict[str, str]:
    """make.bash's whole environment, made from nothing.

    make.bash and cmd/dist obey some forty variables (the header of src/make.bash lists most). A toolchain must not
    depend on which of them a caller happened to set, so none is inherited: golang.org's release pipeline clears about
    twenty of them (x/build gorebuild). The folder of bash, Homebrew's perhaps with a clang in it, comes last on PATH.
    HOME is an empty folder, so that no `go env -w` and no telemetry setting of the user's is read.
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


@contextmanager
def shell_safe_path(folder: Path) -> Iterator[Path]:
    """The folder under a path that make.bash can bear.

    A path with quotes or spaces does not survive `eval $(dist env -p)` in make.bash; such a folder is reached
    by a symbolic link from the system's temporary folder for as long as the build lasts.
    """
    folder = folder.absolute()
    if SHELL_SAFE.fullmatch(str(folder)):
        yield folder
        return
    standard = tempfile.gettempdir()
    where = standard if SHELL_SAFE.fullmatch(standard) else "/tmp"  # noqa: S108  (mkdtemp makes a folder of our own in it)
    with tempfile.TemporaryDirectory(prefix="gobuild-", dir=where) as place:
        link = Path(place) / "go"
        link.symlink_to(folder, target_is_directory=True)
        yield link


def build_failure(builder: str, log: Path) -> BuildError | DiskFull:
    """The error for a builder, "make.bash", that failed with this log."""
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]) if log.exists() else ""
    if "no space left on device" in tail.lower() or "disk quota exceeded" in tail.lower():
        return DiskFull(f"{builder} found no space left on the device:\n{tail}", "free some room, or give --work")
    return BuildError(f"{builder} failed; its last lines were:\n{tail}", f"read the whole log: {log}")
