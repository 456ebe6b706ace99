"""make.bash, run for a target: a patched source comes in, a toolchain goes out.

It neither fetches nor changes the source, and checks nothing of what was made: `verify` does.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gobuild.build.environment import environment, portable
from gobuild.build.output import explain
from gobuild.core.errors import BuildError, CommandError, ToolMissing
from gobuild.core.model import Bootstrap, PatchedSource, Profile, Target, Toolchain
from gobuild.core.process import Runner

STAGE = re.compile(r"Building (?:Go )?(?P<what>.+?)(?: using .*)?\.?")
"""How cmd/dist announces its stages (cmdbootstrap in src/cmd/dist/build.go)."""

PLAIN = re.compile(r"[A-Za-z0-9_./+@%=:,-]+")
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
    """Runs make.bash to its end.

    Args:
        patched: the source; its root becomes GOROOT.
        target: what to build for.
        host: what this machine is.
        profile: how to build.
        bootstrap: the toolchain to start from.
        log: the file that gets all of the output.
        scratch: a folder of this build's own, for HOME and temporary files.
        run: starts the process.
        note: told each stage that cmd/dist announces.

    Returns:
        The toolchain, in the folder where its source was.

    Raises:
        ToolMissing: there is no bash.
        BuildError: make.bash failed; the message has its last 20 lines and the log's path.
        DiskFull: it failed because there was no room.
    """
    found = shutil.which("bash")
    if not found:
        raise ToolMissing("make.bash needs bash, and there is none on PATH", "install bash")
    bash = Path(found)
    home, temporary = scratch / "home", scratch / "tmp"
    for folder in (home, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    with plain(patched.source.root) as root, plain(bootstrap.goroot) as start, plain(temporary) as tmp:
        variables = environment(
            target, profile=profile, bootstrap=start, bash=bash, home=home.absolute(), temporary=tmp
        )
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
            raise explain("make.bash", log) from error
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


@contextmanager
def plain(folder: Path) -> Iterator[Path]:
    """The folder under a path that make.bash can bear.

    A path with quotes or spaces does not survive `eval $(dist env -p)` in make.bash; such a folder is reached
    by a symbolic link from the system's temporary folder for as long as the build lasts.
    """
    folder = folder.absolute()
    if PLAIN.fullmatch(str(folder)):
        yield folder
        return
    standard = tempfile.gettempdir()
    where = standard if PLAIN.fullmatch(standard) else "/tmp"  # noqa: S108  (mkdtemp makes a folder of our own in it)
    with tempfile.TemporaryDirectory(prefix="gobuild-", dir=where) as place:
        link = Path(place) / "go"
        link.symlink_to(folder, target_is_directory=True)
        yield link
