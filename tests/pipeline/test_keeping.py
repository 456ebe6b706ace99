"""Finished toolchains in the store: what comes back is what went in, and another build is another key."""

import contextlib
import errno
import importlib.metadata
import os
import shlex
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inside import gobuild
from pipeline.test_pipeline import printed, session

from gobuild import patch, pipeline
from gobuild.core import archives, files, resources
from gobuild.core.console import amount
from gobuild.core.errors import ConfigError, DiskFull, VerifyError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.manifest import Manifest, archive_names, read_manifest, to_json
from gobuild.core.model import (
    Bootstrap,
    Check,
    Outcome,
    PatchedSource,
    Report,
    Source,
    State,
    Toolchain,
    Verdict,
)
from gobuild.core.process import Result
from gobuild.package import manifest
from gobuild.pipeline import delivery
from gobuild.pipeline import toolchain_cache as cached
from gobuild.pipeline.compilation import Compiled, note_rosetta, stored_packages
from gobuild.pipeline.session import Prepared, Run, Session, prepare
from gobuild.pipeline.timing import Clock
from gobuild.pipeline.toolchain_cache import VerifiedToolchain
from gobuild.store import Store, open_store
from gobuild.tasks import show

__all__ = ["session"]


def _finished(prepared: Prepared, folder: Path, builder: str = "make.bash") -> VerifiedToolchain:
    plan, folder = prepared.plan, folder / builder
    folder.mkdir(exist_ok=True)
    source = Source(
        release=plan.release, root=plan.tree, kind="local", location="", digest=prepared.reached.catalog.identity
    )
    bootstrap = Bootstrap(goroot=folder, version=GoVersion.parse("1.22.10"), origin="PyPI", digest="sha256:0")
    toolchain = Toolchain(
        source=PatchedSource(source=source, outcomes=(), stamp=plan.stamp), target=plan.target, host=plan.host,
        profile=plan.profile, bootstrap=bootstrap, environment={"GOOS": "darwin"}, builder=builder,
    )  # fmt: skip
    packed = []
    for name in archive_names(plan.stamp, plan.target):
        (folder / name).write_text(f"{name}, {builder}")
        packed.append(folder / name)
    checks = (
        Check(subject="bin/go", name="format", verdict=Verdict.OK, seen="arm64"),
        Check(subject="probe", name="run", verdict=Verdict.SKIPPED, seen="not here", reason="ours"),
    )
    return VerifiedToolchain(
        toolchain=toolchain, tree="h1:x", report=Report(checks=checks), packed=tuple(packed), pinned=True,
        run={"seconds": {"build": 1.5}},
    )  # fmt: skip


def test_what_comes_back_is_what_went_in(session: Session, tmp_path: Path) -> None:
    prepared, store = prepare(session), Store.open(tmp_path / "store", say=print)
    assert cached.recall(store, prepared, tmp_path / "none") is None
    done = _finished(prepared, tmp_path)
    cached.put(store, prepared, done)
    again = cached.recall(Store.open(tmp_path / "store", say=print), prepared, tmp_path / "back")
    assert again is not None
    assert again.kept
    assert [path.read_bytes() for path in again.packed] == [path.read_bytes() for path in done.packed]
    bootstrap = replace(done.toolchain.bootstrap, goroot=Path("make.bash"))  # which folder it was is nobody's business
    source = replace(done.toolchain.source.source, location=session.settings.source)
    made = replace(done.toolchain, bootstrap=bootstrap, source=replace(done.toolchain.source, source=source))
    assert replace(again, packed=done.packed, kept="") == replace(done, toolchain=made)


def test_a_build_from_the_store_is_told_in_few_lines(session: Session, tmp_path: Path, toy_tree: Path) -> None:
    given = {name: str(getattr(session.settings, name)) for name in ("go", "source", "series", "suffix", "bootstrap")}
    flags = [word for name, value in given.items() for word in (f"--{name}", value)] + ["--cache", "cache"]
    prepared, store = prepare(session), open_store(session.settings, session.console.warn)
    assert "store    does not have it\n" in gobuild(tmp_path, "plan", *flags).out
    cached.put(store, prepared, _finished(prepared, tmp_path))
    planned = gobuild(tmp_path, "plan", *flags).out.splitlines()
    assert any(line.startswith("  store    has it since 2") for line in planned)
    assert "  builder  make.bash: a source of your own may have another compiler than upstream's" in planned
    assert planned[-1] == f"Next: gobuild build {shlex.join(flags)}"
    done = gobuild(tmp_path, "build", *flags)
    said = done.out.splitlines()
    assert (done.code, len(said + done.err.splitlines()) <= 15) == (0, True), done
    archive = f"dist/{prepared.plan.archive.name}"
    assert said[0] == f"✓ {prepared.plan.stamp} for darwin/arm64, from the store" and said[-1].startswith(
        "Next: gobuild "
    )
    assert f"  {archive}  {amount((tmp_path / archive).stat().st_size)}" in said
    assert any("1 check passed, 1 skipped, 0 failed" in line for line in said)
    shown = gobuild(tmp_path, "build", "--details", *flags).out
    assert files.sha256(tmp_path / archive) in shown and "bin/go" in shown


def test_no_folder_of_this_machine_gets_into_a_store_that_is_shared(session: Session, tmp_path: Path) -> None:
    prepared, shared = prepare(session), tmp_path / "shared"
    store = Store.open(tmp_path / "store", shared=str(shared), say=print)
    done = _finished(prepared, tmp_path)
    source = replace(done.toolchain.source.source, location=session.settings.source)
    made = replace(
        done.toolchain, source=replace(done.toolchain.source, source=source), packer=prepared.plan.tools / "distpack"
    )
    cached.put(store, prepared, replace(done, toolchain=made))
    stored = [path for path in (*shared.rglob("*"), *(tmp_path / "store").rglob("*")) if path.is_file()]
    assert len(stored) > len(done.packed)
    for path in stored:
        assert str(tmp_path).encode() not in path.read_bytes(), path
    other = replace(prepared, plan=replace(prepared.plan, job=tmp_path / "elsewhere/job"))
    again = cached.recall(store, other, tmp_path / "back")
    assert again is not None
    assert again.toolchain.goroot == tmp_path / "elsewhere/job/go"
    assert again.toolchain.packer == tmp_path / "elsewhere/job/host/distpack"
    assert again.toolchain.source.source.location == session.settings.source


def test_a_delivery_tells_of_known_vulnerabilities_and_of_what_its_patches_fix(
    session: Session, tmp_path: Path
) -> None:
    prepared = prepare(session)
    done = _finished(prepared, tmp_path)
    mend = Outcome(
        name="mend", reason="a backport", state=State.APPLIED, evidence="", sha256="", fixes=("GO-2025-3563",)
    )
    made = replace(done.toolchain, source=replace(done.toolchain.source, outcomes=(mend,)))
    store = Store.open(tmp_path / "store", say=print)
    cached.put(store, prepared, replace(done, toolchain=made))
    again = cached.recall(store, prepared, tmp_path / "back")
    assert again
    run = Run(session=session, prepared=prepared, clock=Clock(session.console), store=store)
    built = delivery.publish(run, again)
    told = read_manifest(prepared.plan.manifest, Manifest).vulnerabilities
    assert told
    assert len(told.known) == 66
    assert [(each.id, each.state) for each in told.known if each.patch] == [("GO-2025-3563", "fixed by patch")]
    said = "\n".join(show.exposure(built.vulnerabilities))
    assert "66 known vulnerabilities, 1 fixed by patches, 3 not for darwin/arm64, by gobuild's own table" in said
    assert "1.22.12 has 63; gobuild vulns --go 1.22.10" in said
    assert "Go 1.22 gets no fixes any more" in said


@pytest.mark.parametrize("place", ["dist", "work", "the store"])
def test_a_stamp_that_another_build_has_is_refused_before_any_work(
    session: Session, toy_tree: Path, tmp_path: Path, place: str
) -> None:
    prepared, store = prepare(session), open_store(session.settings, session.console.warn)
    done = _finished(prepared, tmp_path)
    plan = prepared.plan
    if place == "dist":
        document = manifest.outer_manifest(done.toolchain, done.report, (), tree="h1:x", run={})
        files.write(plan.manifest, to_json(document))
    elif place == "work":
        manifest.write_toolchain(done.toolchain, "h1:x", plan.state)
    else:
        cached.put(store, prepared, done)
    cached.refuse_another(store, prepared)  # the same build may be made again
    (toy_tree / "src/new.go").write_text("package new\n")
    with pytest.raises(ConfigError, match=r"another build that calls itself go1\.22\.10-toy") as caught:
        pipeline.build(session)
    assert "--suffix toy.{id}" in caught.value.hint
    assert not plan.tree.exists()
    cached.refuse_another(store, _other(prepared, suffix="toy.{id}"))


def _other(prepared: Prepared, **words: Any) -> Prepared:
    return replace(prepared, settings=replace(prepared.settings, **words))


def test_the_key_changes_with_what_decides_bytes_or_the_report_and_with_nothing_else(tmp_path: Path) -> None:
    package, templates, quiet = tmp_path / "gobuild", tmp_path / "templates", shutil.ignore_patterns("__pycache__")
    shutil.copytree(resources.PACKAGE, package, ignore=quiet)
    shutil.copytree(resources.folder("templates"), templates, ignore=quiet)
    first = cached.fingerprint(package, templates)
    names = (
        *(f"gobuild/{name}/__init__.py" for name in cached.DECIDING if name != "data"),
        "gobuild/data/darwin_exports.json",
        "gobuild/verify/probes/hello.go.txt",
        "gobuild/data/go_release_sha256.json",
        "templates/gowrap/main.go",
    )
    for name in names:
        path = tmp_path / name
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        assert cached.fingerprint(package, templates) != first, name
        path.write_bytes(before)
    assert cached.fingerprint(package, templates) == first
    for name in (
        "gobuild/doctor/bundle.py",
        "gobuild/publish/site/__init__.py",
        "gobuild/resolve.py",
        "gobuild/vulns/x.json",
    ):
        (tmp_path / name).write_text("# another\n")
    (templates / "site.html.j2").write_text("another")
    assert cached.fingerprint(package, templates) == first


def test_every_folder_is_in_the_key_or_known_to_decide_nothing() -> None:
    folders = {path.parent.name for path in resources.PACKAGE.glob("*/__init__.py")}
    known = {"acceptance", "audit", "doctor", "isolate", "matrix", "publish", "release", "tasks", "vulns"}
    assert folders - set(cached.DECIDING) == known


@pytest.mark.parametrize("library", cached.LIBRARIES)
def test_another_version_of_a_library_that_edits_or_reads_is_another_key(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, installed = cached.code_fingerprint.__wrapped__(), importlib.metadata.version
    monkeypatch.setattr(cached, "installed", lambda name: "0" if name == library else installed(name))
    assert cached.code_fingerprint.__wrapped__() != first


def test_who_names_a_builder_gets_its_work(session: Session, tmp_path: Path) -> None:
    prepared, store = prepare(session), Store.open(tmp_path / "store", say=print)
    cached.put(store, prepared, _finished(prepared, tmp_path, "make.bash"))
    found = {
        builder: cached.recall(store, _other(prepared, builder=builder), tmp_path / f"b-{builder}")
        for builder in ("auto", "make.bash", "direct", "both")
    }
    assert [name for name, each in found.items() if each] == ["auto", "make.bash"]


def test_who_says_what_to_start_from_does_not_get_what_was_built_directly(session: Session, tmp_path: Path) -> None:
    prepared, store = prepare(session), Store.open(tmp_path / "store", say=print)
    cached.put(store, prepared, _finished(prepared, tmp_path, "direct"))
    assert cached.recall(store, prepared, tmp_path / "named") is None
    # The key has the toolchain named in it, so a settings without one must ask under its own.
    free = _other(prepared, bootstrap="")
    cached.put(store, free, _finished(prepared, tmp_path, "direct"))
    assert cached.recall(store, free, tmp_path / "free")


def test_what_is_damaged_is_dropped_and_told(session: Session, tmp_path: Path) -> None:
    prepared, said = prepare(session), list[str]()
    done = _finished(prepared, tmp_path)
    cached.put(Store.open(tmp_path / "store", say=said.append), prepared, done)
    victim = next((tmp_path / "store/toolchain").glob("*/*.tar.gz"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    store = Store.open(tmp_path / "store", say=said.append)
    assert cached.recall(store, prepared, tmp_path / "back") is None
    assert "damaged" in said[0]
    cached.put(store, prepared, done)
    assert cached.recall(store, prepared, tmp_path / "back")


@pytest.mark.parametrize("facts", [None, {}, {"state": {}}, {"state": [], "checks": 1, "pinned": 0, "run": 0}])
def test_an_entry_that_somebody_else_wrote_or_that_tells_of_another_toolchain_is_none(
    session: Session, tmp_path: Path, facts: dict[str, object] | None
) -> None:
    prepared, said = prepare(session), list[str]()
    store, done = Store.open(tmp_path / "store", say=said.append), _finished(prepared, tmp_path)
    key = cached.keys(prepared)["make.bash"]
    if facts is None:
        other = replace(done.toolchain, target=Target.parse("linux/arm64"))
        cached.put(store, prepared, replace(done, toolchain=other))
    else:
        store.put(cached.KIND, key, {path.name: path for path in done.packed}, facts)
    assert cached.recall(store, prepared, tmp_path / "back") is None
    assert said[0].startswith(f"the store's toolchain {key[:12]} cannot be used: ")
    assert facts is not None or said[0].endswith("it is another toolchain")


@pytest.mark.parametrize(
    "other", [{"suffix": "toy2"}, {"target": "linux/amd64"}, {"profile": "upstream"}, {"go": "1.22.10"}]
)
def test_another_build_is_another_key(session: Session, other: dict[str, str]) -> None:
    changed = replace(session, settings=replace(session.settings, **other))  # type: ignore[arg-type]
    first = cached.keys(prepare(session))
    again = cached.keys(prepare(changed))
    assert (first == again) == (changed.settings == session.settings)
    assert first["direct"] != first["make.bash"]


def test_another_source_and_another_policy_are_other_keys(session: Session, toy_tree: Path, tmp_path: Path) -> None:
    first = cached.keys(prepare(session))
    policy = tmp_path / "policy.toml"
    policy.write_text("")
    assert cached.keys(_other(prepare(session), policy=str(policy))) == first
    policy.write_text("# ours\n")
    assert cached.keys(_other(prepare(session), policy=str(policy))) != first
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(tmp_path))
        assert cached.keys(_other(prepare(session), policy="~/policy.toml")) != first
    (toy_tree / "src/new.go").write_text("package new\n")
    assert cached.keys(prepare(session)) != first


def test_another_gobuild_another_start_and_a_patch_that_may_no_longer_be_built_directly_are_other_keys(
    session: Session, bootstrap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(session)
    first = cached.keys(prepared)
    assert cached.keys(_other(prepared, bootstrap="")) != first
    assert cached.keys(_other(prepared, bootstrap=str(bootstrap))) == first
    mine = patch.load_series("stock").patches[0]
    marked, unmarked = (replace(prepared, patches=(replace(mine, direct=each),)) for each in (True, False))
    assert cached.keys(marked) != cached.keys(unmarked)
    # A commit without another version number.
    monkeypatch.setattr(cached, "code_fingerprint", lambda: "h1:other")
    assert cached.keys(prepared) != first


def test_nothing_is_left_in_the_work_folder_by_a_store_that_has_no_room_to_answer(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, store = prepare(session), open_store(session.settings, session.console.warn)
    cached.put(store, prepared, _finished(prepared, tmp_path))
    clone, copied = files.clone, list[Path]()

    def second_fails(source: Path, at: Path) -> None:
        if copied:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        clone(source, at)
        copied.append(at)

    monkeypatch.setattr(files, "clone", second_fails)
    monkeypatch.setattr(pipeline, "ROOM", 1 << 60)
    with pytest.raises(DiskFull):
        pipeline.build(session)
    assert copied and not prepared.plan.scratch.exists() and not list(session.settings.dist.glob("go*"))


def _run(session: Session, prepared: Prepared, folder: Path, say: Callable[[str], None] = print) -> Run:
    store = Store.open(folder / "store", say=say)
    return Run(session=session, prepared=prepared, clock=Clock(session.console), store=store)


@pytest.mark.parametrize(
    ("host", "answer", "said"),
    [("darwin/amd64", "1", 1), ("darwin/amd64", "0", 0), ("darwin/amd64", "", 0), ("darwin/arm64", "1", 0)],
)
def test_a_python_that_rosetta_translates_is_noticed(
    session: Session, tmp_path: Path, host: str, answer: str, said: int
) -> None:
    def sysctl(argv: Sequence[str | Path], **_more: object) -> Result:
        assert argv == ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"]
        return Result(argv=("sysctl",), code=0 if answer else 1, output=f"{answer}\n")

    prepared = prepare(session)
    prepared = replace(prepared, plan=replace(prepared.plan, host=Target.parse(host)))
    note_rosetta(_run(replace(session, run=sysctl), prepared, tmp_path))
    assert printed(session).count("an arm64 Python") == said


@pytest.mark.parametrize("builder", ["direct", "both"])
def test_a_source_of_ones_own_is_not_built_directly(session: Session, builder: str) -> None:
    asked = replace(session, settings=replace(session.settings, builder=builder))
    with pytest.raises(ConfigError, match=r"source of your own.*\n.*--builder make\.bash"):
        pipeline.build(asked)
    assert not list(session.settings.work.glob("*/go"))


def test_and_by_default_make_bash_builds_it_and_one_line_says_why(session: Session, toy_tree: Path) -> None:
    (toy_tree / "src/make.bash").write_text("exit 1\n")
    with pytest.raises(Exception, match=r"make\.bash failed"):
        pipeline.build(session)
    assert printed(session).count("built by make.bash: a source of your own") == 1


@pytest.mark.parametrize(("name", "said"), [("packages.tar", "leaves its folder"), ("other", "")])
def test_packages_that_somebody_else_wrote_are_compiled_anew(
    session: Session, tmp_path: Path, name: str, said: str
) -> None:
    told, of = list[str](), "a" * 64
    with tarfile.open(tmp_path / "evil", "w") as tar:
        tar.addfile(tarfile.TarInfo("../escaped"))
    run = _run(session, prepare(session), tmp_path, told.append)
    run.store.put("tools", of, {name: tmp_path / "evil"}, {})
    assert not stored_packages(run, of, tmp_path / "packages")
    assert not (tmp_path / "packages").exists() and not (tmp_path / "escaped").exists()
    assert said in "".join(told) and bool(said) == bool(told)


def test_packages_that_were_kept_are_not_compiled_again(session: Session, tmp_path: Path) -> None:
    run, of, cache = _run(session, prepare(session), tmp_path), "a" * 64, tmp_path / "scratch/packages"
    assert not stored_packages(run, of, cache)
    files.write(tmp_path / "compiled/00/x-d", "object")
    archives.pack(tmp_path / "compiled", tmp_path / "packages.tar")
    run.store.put("tools", of, {"packages.tar": tmp_path / "packages.tar"}, {})
    assert stored_packages(run, of, cache)
    assert files.dirhash(cache) == files.dirhash(tmp_path / "compiled")
    assert [path.name for path in cache.parent.iterdir()] == ["packages"]


@pytest.mark.parametrize("same", [True, False])
def test_of_two_that_are_the_same_one_tree_is_kept_and_of_two_that_differ_both(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    plan = replace(prepare(session).plan, builder="both")
    report = Report(checks=(Check(subject="go", name="format", verdict=Verdict.OK, seen="arm64"),))
    made = []
    for number, root in enumerate(plan.trees):
        for name in ("go.env", "bin/darwin_arm64/go", "pkg/tool/darwin_arm64/asm"):
            files.write(root / name, "GOTOOLCHAIN=local\n")
        files.write(root / "pkg/distpack/go.zip", "same" if same else str(number))
        toolchain = _finished(prepare(session), tmp_path).toolchain
        source = replace(toolchain.source, source=replace(toolchain.source.source, root=root))
        made.append(replace(toolchain, source=source))
    monkeypatch.setattr("gobuild.verify.verify", lambda *_words, **_more: report)
    monkeypatch.setattr(
        "gobuild.package.distpack", lambda toolchain, **_more: (toolchain.goroot / "pkg/distpack/go.zip",)
    )
    run = _run(session, replace(prepare(session), plan=plan), tmp_path)
    both = Compiled(toolchain=made[0], tree="h1:x", twin=made[1])
    with pytest.raises(VerifyError, match=r"differ in 1 files: go\.zip") if not same else contextlib.nullcontext():
        delivery.verify_and_package(run, both)
    assert [path.exists() for path in (*plan.trees, plan.job / "direct")] == [True, not same, not same]
    assert ("both builders made the same bytes" in printed(session)) is same
