"""What a guest gets to see when a user names a program of the host's: the plans for `gobuild emulate` and `go test`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gobuild.binary.macho import read_macho
from gobuild.binary.view import Malformed, opened
from gobuild.core.errors import ConfigError, NotMachO
from gobuild.emulate.plan import Limits, MountPlan, Plan

SCRATCH = "/tmp"  # noqa: S108  (the guest's, which is a folder of its own)
"""Where a guest has its scratch folder, which is also its home."""

ENVIRONMENT = {"HOME": SCRATCH, "TMPDIR": SCRATCH, "PATH": "/usr/bin:/bin", "USER": "gobuild", "LANG": "en_US.UTF-8"}
"""All that a guest's environment holds where nothing is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestOptions:
    """How to run; empty values stand for what `Plan` has by default."""

    scratch: Path
    root: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    macos: int = 15
    seconds: float = Limits().seconds
    trace: Path | None = None

    def plan(self, program: str, words: Sequence[str], mounts: Sequence[MountPlan], cwd: str) -> Plan:
        """The plan of a program that the mounts show as `program`."""
        return Plan(
            program=program,
            argv=(program, *words),
            mounts=tuple(mounts),
            env={**ENVIRONMENT, "PWD": cwd, **self.env},
            cwd=cwd,
            cpus=self.cpus,
            macos=self.macos,
            trace=str(self.trace or ""),
            limits=replace(Limits(), seconds=self.seconds),
        )


def program_plan(path: Path, words: Sequence[str], options: GuestOptions) -> Plan:
    """A program in a root, read-only: the one chosen, or the GOROOT that it is of, or else its own folder."""
    program = _existing(path)
    root = options.root.resolve() if options.root else _goroot(program) or program.parent
    if not root.is_dir():
        raise ConfigError(f"{root} is no folder", "--root with the folder that the program sees as /")
    if not program.is_relative_to(root):
        raise ConfigError(f"{program} is not below {root}", "--root with a folder that the program stands in")
    mounts = MountPlan(at="/", host=str(root)), _scratch(options)
    return options.plan(f"/{program.relative_to(root)}", words, mounts, SCRATCH)


def test_plan(path: Path, words: Sequence[str], options: GuestOptions, *, cwd: Path, skeleton: Path) -> Plan:
    """A test that `go test` has compiled, in its package's folder.

    It sees the module (or the GOROOT) under the host's own name, read-only; its program's folder, where `go test` wants
    its log, writable; and scratch. `skeleton` is an empty folder: the root, in which only the way to these stands.
    """
    program, here = _existing(path), cwd.resolve()
    module = _module(here)
    mounts = [MountPlan(at="/", host=str(skeleton)), _scratch(options)]
    for folder, writable in ((module, False), (program.parent, True)):
        if not folder.is_relative_to(module) or folder == module:
            for place, host in ((Path("/"), skeleton), (Path(SCRATCH), options.scratch)):
                if folder.is_relative_to(place) and folder != place:
                    (host / folder.relative_to(place)).mkdir(parents=True, exist_ok=True)
        mounts.append(MountPlan(at=str(folder), host=str(folder), writable=writable))
    return options.plan(str(program), words, mounts, str(here))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"there is no program {path}", "a darwin/arm64 executable")
    try:
        with opened(path) as view:
            read_macho(view)
    except Malformed as error:
        raise NotMachO(f"{path}: {error}", "a program that GOOS=darwin GOARCH=arm64 go build has made") from error
    return path.resolve()


def _scratch(options: GuestOptions) -> MountPlan:
    return MountPlan(at=SCRATCH, host=str(options.scratch.resolve()), writable=True)


def _goroot(program: Path) -> Path | None:
    """The toolchain that a program is of."""
    return next((folder for folder in program.parents if _is_goroot(folder)), None)


def _is_goroot(folder: Path) -> bool:
    return (folder / "VERSION").is_file() and (folder / "pkg" / "tool").is_dir()


def _module(folder: Path) -> Path:
    """The folder of the module, or of the GOROOT, that a package stands in."""
    return next(_modules(folder), folder)


def _modules(folder: Path) -> Iterator[Path]:
    for each in (folder, *folder.parents):
        if (each / "go.mod").is_file():
            yield next((above for above in each.parents if _is_goroot(above)), each)
