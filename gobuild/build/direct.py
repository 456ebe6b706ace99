"""The direct builder: what make.bash makes, to the byte, without building the toolchain three times over.

make.bash starts from any Go, and so must build a compiler by which to build the compiler that builds the toolchain.
With upstream's toolchain *of the same release* for this machine at hand one step is enough:

    tools    upstream's own source of compile, link and so on, with the stamp for a version, compiled by upstream's
             toolchain. Files that the series changes in those programs are laid over it; changes of the runtime are
             not, because they decide nothing of what a compiler emits.
    direct   the patched source, compiled and linked for the target by these tools.

The stamp is a variable set by the linker (-X), so the packages of `tools` are compiled once a release and kept; another
stamp costs three links. Nothing is compared here: make.bash stays the authority, and `--builder both` asks it.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from gobuild.build.make import SYSTEM_PATH, build_failure, portable
from gobuild.core import files, goenv
from gobuild.core.errors import BuildError, CommandError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import GENERATED, Bootstrap, PatchedSource, Profile, State, Toolchain
from gobuild.core.process import Runner

VERSION = "1"
"""Of this recipe: another one, another key in the store."""

COMPARED = {
    Target(goos="linux", goarch="amd64"): ("1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27"),
}
"""By the machine it ran on, the lines on which both builders made the same bytes (tests/reports/identity.json)."""

BUILD_SYSTEM = (
    "src/cmd/dist/",
    "src/make.bash",
    "src/all.bash",
    "src/run.bash",
    "src/buildall.bash",
    "src/go.mod",
    "src/vendor/modules.txt",
    "src/cmd/go.mod",
    "src/cmd/vendor/modules.txt",
    "lib/time/",  # cmd/dist makes src/time/tzdata/zzipdata.go of it
)
"""What says how make.bash builds; nothing here would follow a patch of it."""

CODEGEN_INPUTS = (
    "src/cmd/asm/",
    "src/cmd/cgo/",
    "src/cmd/compile/",
    "src/cmd/internal/",
    "src/cmd/link/",
    "src/cmd/preprofile/",
    "src/internal/abi/",
    "src/internal/buildcfg/",
    "src/internal/goexperiment/",
    "src/internal/pkgbits/",
    "src/internal/profile",
    "src/internal/runtime/gc/",  # the sizes of objects, which the compiler knows from Go 1.26 on
)
"""What decides which bytes the compiler, assembler and linker emit. Here upstream's compiler compiles them, where
make.bash compiles them once more by themselves: a patch of these must say that it is the same (direct = true)."""

RUNTIME_ONLY = ("src/runtime/", "src/internal/runtime/")
"""What runs in the tools and decides no byte that they emit, `CODEGEN_INPUTS` aside: upstream's will do."""

UNBUILT = ("src/cmd/dist/README", "src/cmd/dist/test.go", "src/cmd/dist/testjson.go")
"""What of cmd/dist only `dist test` runs: nothing else of it names a word of these files but cmdtest, that command."""

STARTS = re.compile(r"^func init\(", re.MULTILINE)
"""What runs in every command of cmd/dist, whichever file it stands in."""

COMMAND = re.compile(r"src/cmd/([^/]+)/")

VARIANTS = {"GO386": "sse2", "GOAMD64": "v1", "GOARM64": "v8.0", "GOFIPS140": "off"}
"""What cmd/dist sets (xinit in src/cmd/dist/build.go) so that no line of a patched go.env gets into the toolchain."""

PACKER = "distpack"

MODULES_OFF_BEFORE = GoVersion(major=1, minor=24, stage="rc", serial=1)
"""Up to 1.23 make.bash runs the go command with GO111MODULE=off, which shows in the build information."""

TOOLCHAIN = re.compile(r"^(?:var )?\s*toolchain\s*=\s*\[\]string\{([^}]*)\}", re.MULTILINE)
"""The programs that make.bash builds first, in src/cmd/dist/build.go."""


def why_uncompared(host: Target, version: GoVersion) -> str:
    """Why nobody knows that make.bash would make the same on this machine; "" where that is known."""
    if version.line in COMPARED.get(host, ()):
        return ""
    what = f"on Go {version.line}" if host in COMPARED else f"on {host}"
    return f"the two builders were not compared {what}; --builder both compares them"


def why_not_direct(patched: PatchedSource, proven: Iterable[str], upstream: Path) -> str:
    """Why a series cannot be built directly; empty where it can.

    `proven` are the names of patches that say of themselves (`direct = true`) that they may be; `upstream` is the
    GOROOT of upstream's toolchain.
    """
    allowed, root = set(proven), patched.source.root
    for outcome in patched.outcomes:
        if outcome.state is not State.APPLIED:
            continue
        for name in outcome.files:
            if reason := why_not_by_names(outcome.name, [name], proven=outcome.name in allowed):
                return reason
            if name in UNBUILT and (root / name).exists() and STARTS.search((root / name).read_text(encoding="utf-8")):
                return _recipe(outcome.name, name)
            command = COMMAND.match(name)
            if command and _programs(root, command[0]) != _programs(upstream, command[0]):
                return f"the patch {outcome.name} adds or removes the program {command[0].removeprefix('src/')[:-1]}"
    return ""


def why_not_by_names(patch: str, names: Iterable[str], *, proven: bool) -> str:
    """Why a patch of files of these names cannot be built directly, as far as names tell; empty where it may be."""
    for name in names:
        if name.startswith(BUILD_SYSTEM) and name not in UNBUILT and not is_test(name):
            return _recipe(patch, name)
        if name.startswith(CODEGEN_INPUTS) and not is_test(name) and not proven:
            return f"the patch {patch} changes {name}, and does not say direct = true"
    return ""


def _recipe(patch: str, name: str) -> str:
    return f"the patch {patch} changes {name}, which is make.bash's own recipe"


def overlay(patched: PatchedSource) -> tuple[str, ...]:
    """The files of a series that the host's tools must be built with, relative to GOROOT, sorted."""
    changed = {name for outcome in patched.outcomes if outcome.state is State.APPLIED for name in outcome.files}
    ours = sorted(name for name in changed if name.startswith("src/") and not is_test(name))
    # The other packages of the library may need what the same series does to the runtime; programs do not.
    whole = any(not name.startswith(("src/cmd/", *RUNTIME_ONLY)) for name in ours)
    return tuple(name for name in ours if whole or name.startswith(CODEGEN_INPUTS) or not name.startswith(RUNTIME_ONLY))


def build_tools(
    patched: PatchedSource,
    upstream: Bootstrap,
    *,
    host: Target,
    into: Path,
    cache: Path,
    log: Path,
    scratch: Path,
    run: Runner,
    note: Callable[[str], None],
) -> None:
    """Builds the host's tools, which carry the stamp: compile, link and so on, the go command, and distpack.

    Of the source, what `overlay` names is used. The cache is Go's build cache, empty or as an earlier call for this
    release left it. Raises as `make`.
    """
    into.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    root, start = patched.source.root.absolute(), upstream.goroot.absolute()
    over = scratch.absolute() / "overlay.json"
    replaced = {str(start / name): str(root / name) if (root / name).exists() else "" for name in overlay(patched)}
    files.write(over, json.dumps({"Replace": replaced}))
    variables = go_environment(patched, host, goroot=start, cache=cache, scratch=scratch)
    # What the linker would take from its own version: the tools', and the go command's, which salts its build IDs.
    names = ("internal/buildcfg.Version", "runtime.buildVersion")
    stamped = " ".join(f"-X={name}={patched.stamp}" for name in names)
    common = ["-trimpath", "-pgo=off", f"-overlay={over}", "-gcflags=all=-dwarf=false", f"-ldflags=-s -w {stamped}"]
    note(f"tools for {host}")
    build: list[str | Path] = [start / "bin" / "go", "build", *common, "-o"]
    _go([*build, f"{into.absolute()}/", *first_programs(start), f"cmd/{PACKER}"], variables, log, run)
    # As cmd/dist's own go_bootstrap: without the network, which these builds have no use for.
    _go([*build, into.absolute() / "go_bootstrap", "-tags=cmd_go_bootstrap", "cmd/go"], variables, log, run)


def build_directly(
    patched: PatchedSource,
    target: Target,
    *,
    host: Target,
    profile: Profile,
    upstream: Bootstrap,
    tools: Path,
    log: Path,
    scratch: Path,
    run: Runner,
    note: Callable[[str], None],
) -> Toolchain:
    """Builds the toolchain by the host's tools, which `build_tools` has made, in the source's folder, now GOROOT.

    In a cross build bin/ and pkg/tool/HOST hold the host's tools, the go command among them, as after make.bash.
    Raises as `make`.
    """
    root = patched.source.root.absolute()
    host_tools = root / "pkg" / "tool" / host.underscored
    shutil.copytree(tools, host_tools, dirs_exist_ok=True, ignore=shutil.ignore_patterns(PACKER))
    for header in (upstream.goroot / "pkg" / "include").iterdir():
        files.write(root / "pkg" / "include" / header.name, (root / "src" / "runtime" / header.name).read_bytes())
    generate_files(patched, upstream.goroot, profile)
    cache = scratch / "cache"
    variables = go_environment(patched, target, goroot=root, cache=cache, scratch=scratch)
    # As cmd/dist's toolenv() has it for a release.
    variables["GOFLAGS"] = "-trimpath -ldflags=-w -gcflags=cmd/...=-dwarf=false"
    flags = [f"-ldflags=all={profile.ldflags}"] if profile.ldflags else []
    note(f"packages and commands for {target}")
    driver = host_tools / "go_bootstrap"
    _go([driver, "install", *flags, *_shipped(upstream.goroot, host)], variables, log, run)
    driver.replace(root / "bin" / "go") if target != host else driver.unlink()
    files.remove(cache)
    toolchain = Toolchain(
        source=patched,
        target=target,
        host=host,
        profile=profile,
        bootstrap=upstream,
        environment=portable(variables, {"GOROOT": root, "SCRATCH": scratch.absolute()}),
        builder="direct",
        packer=tools.absolute() / PACKER,
    )
    if not (toolchain.bin / "go").is_file():
        raise BuildError(f"the direct build ended well but made no {toolchain.bin / 'go'}", f"read {log}")
    return toolchain


def go_environment(
    patched: PatchedSource, target: Target, *, goroot: Path, cache: Path, scratch: Path
) -> dict[str, str]:
    """The go command's whole environment: closed, cmd/dist's words, and a folder outside of any module to run in."""
    home, temporary = scratch.absolute() / "home", scratch.absolute() / "tmp"
    for folder in (home, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    variables = (
        patched.environment
        | goenv.closed(scratch, goroot=goroot, target=target)
        | {
            "PATH": ":".join(SYSTEM_PATH),
            "HOME": str(home),
            "PWD": str(home),
            "TZ": "UTC",
            "GOCACHE": str(cache.absolute()),
            **VARIANTS,
        }
    )
    if patched.source.release.version < MODULES_OFF_BEFORE:
        variables["GO111MODULE"] = "off"
    return variables


def _go(argv: list[str | Path], variables: dict[str, str], log: Path, run: Runner) -> None:
    try:
        run(argv, env=variables, cwd=Path(variables["HOME"]), log=log)
    except CommandError as error:
        raise build_failure("the direct build", log) from error


def first_programs(goroot: Path) -> list[str]:
    """What make.bash builds first, as the source itself lists it: "cmd/asm" and so on."""
    found = TOOLCHAIN.search((goroot / "src/cmd/dist/build.go").read_text(encoding="utf-8"))
    if not found:
        raise BuildError("src/cmd/dist/build.go lists no toolchain", "--builder make.bash")
    return re.findall(r'"([^"]+)"', found[1])


def _shipped(goroot: Path, host: Target) -> list[str]:
    """The programs that upstream ships: what stands in its toolchain. distpack takes no others."""
    tools = sorted(path.name for path in (goroot / "pkg" / "tool" / host.underscored).iterdir())
    return [f"cmd/{name.removesuffix('.exe')}" for name in ("go", "gofmt", *tools)]


def generate_files(patched: PatchedSource, upstream: Path, profile: Profile) -> None:
    """Writes what cmd/dist would write: upstream's own files, but for the version and the default of cgo."""
    for name in sorted(GENERATED):
        if not (upstream / name).is_file():
            continue
        text = (upstream / name).read_text(encoding="utf-8")
        if name.endswith("buildcfg/zbootstrap.go"):
            text = _replaced(text, r"^(const version = )`[^`]*`$", rf"\g<1>`{patched.stamp}`", name)
        if name.endswith("go/build/zcgo.go") or "DefaultCGO_ENABLED" in text:
            text = _replaced(text, r'^(const [Dd]efaultCGO_ENABLED = )"[01]?"$', rf'\g<1>"{profile.cgo or ""}"', name)
        files.write(patched.source.root / name, text)


def _replaced(text: str, line: str, by: str, name: str) -> str:
    """Raises BuildError where the line is not there exactly once."""
    changed, times = re.subn(line, by, text, flags=re.MULTILINE)
    if times != 1:
        raise BuildError(f"{name} of upstream's toolchain is not as it is known", "--builder make.bash")
    return changed


def _programs(root: Path, folder: str) -> bool:
    """Whether there is Go source in a folder of src/cmd."""
    return any(not is_test(path.name) for path in (root / folder).glob("*.go"))


def is_test(name: str) -> bool:
    """Whether only tests read a file of the source."""
    return name.endswith("_test.go") or "/testdata/" in name
