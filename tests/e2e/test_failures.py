"""Failures a user can cause, tried for real: one clear message, an exit code, nothing lost, nothing half-written."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from e2e.builds import build, captured, environment, processes_in, program
from needs import needs

from gobuild.core.goversion import Target

pytestmark = pytest.mark.slow

HOST = str(Target.host())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with something in dist/ that must survive whatever happens."""
    (tmp_path / "tasks.py").write_text("from gobuild.tasks import ns\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/precious.tar.gz").write_text("an earlier release")
    return tmp_path


def _nothing_lost(folder: Path) -> None:
    assert [(path.name, path.read_text()) for path in (folder / "dist").iterdir()] == [
        ("precious.tar.gz", "an earlier release")
    ]
    assert not list(folder.glob("build/*/go"))
    assert not list(folder.glob("build/*/tmp"))


def _started(folder: Path, cache: Path) -> "subprocess.Popen[str]":
    """A build by both builders that has come to the middle of the second, make.bash."""
    process = subprocess.Popen(
        [program("invoke"), "build", "--go", "1.22", "--fresh", "--builder", "both"],
        cwd=folder,
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "toolchain1" in line:
            time.sleep(3)  # into the compiling
            return process
    raise AssertionError("".join(seen))


def test_a_second_build_is_refused_and_ctrl_c_ends_the_first(folder: Path, cache: Path) -> None:
    """Other signals, and each builder alone, are tried on a toy tree: tests/pipeline/test_pipeline.py."""
    first = _started(folder, cache)
    try:
        assert [words for words in processes_in(folder) if "/go/" in words], "it should be at work"
        second = build("--go", "1.22", folder=folder, cache=cache)
        assert second.code == 16
        assert "another gobuild is building go1.22.10-gobuild" in second.output
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        output, _ = first.communicate(timeout=120)
    finally:
        first.kill()
    assert first.returncode == 130
    assert "interrupted" in output
    assert "Traceback" not in output
    assert processes_in(folder) == []
    _nothing_lost(folder)
    assert list(folder.glob("build/*/make.log"))


def _series(folder: Path, diff: str) -> Path:
    series = folder / "series"
    series.mkdir()
    (series / "series.toml").write_text(
        '[[patch]]\nname = "breaks"\ngo = ">=1.21"\nkind = "diff"\nfile = "breaks.patch"\nreason = "to see it fail"\n'
    )
    (series / "breaks.patch").write_text(diff)
    return series


BREAKS_THE_COMPILER = """\
--- a/src/cmd/compile/main.go
+++ b/src/cmd/compile/main.go
@@ -1,3 +1,4 @@
+this is no Go
 // Copyright 2015 The Go Authors. All rights reserved.
 // Use of this source code is governed by a BSD-style
 // license that can be found in the LICENSE file.
"""

DOES_NOT_APPLY = """\
--- a/src/runtime/mfinal.go
+++ b/src/runtime/mfinal.go
@@ -1,3 +1,3 @@
-// This line is not in Go's source.
+// This one is not either.
 // Use of this source code is governed by a BSD-style
 // license that can be found in the LICENSE file.
"""


def test_make_bash_failing_half_way_shows_its_last_lines_and_the_log(folder: Path, cache: Path) -> None:
    made = build("--go", "1.22", "--series", str(_series(folder, BREAKS_THE_COMPILER)), folder=folder, cache=cache)
    assert made.code == 7
    (log,) = folder.glob("build/*/make.log")
    assert str(log) in made.output
    lines = log.read_text().splitlines()
    assert any("cmd/compile/main.go:1: expected 'package', found this" in line for line in lines)
    assert "\n".join(lines[-20:]) in made.output
    _nothing_lost(folder)


def test_a_patch_that_does_not_apply_is_named_with_file_and_hunk(folder: Path, cache: Path) -> None:
    series = _series(folder, DOES_NOT_APPLY)
    before = (series / "breaks.patch").read_bytes()
    made = build("--go", "1.22", "--series", str(series), folder=folder, cache=cache)
    assert made.code == 6
    for word in ("breaks", "src/runtime/mfinal.go", "@@ -1,3 +1,3 @@"):
        assert word in made.output
    assert (series / "breaks.patch").read_bytes() == before
    _nothing_lost(folder)


def test_a_bootstrap_that_is_too_old(folder: Path, cache: Path, old_go: Path) -> None:
    made = build("--go", "1.24.11", "--bootstrap", str(old_go), folder=folder, cache=cache)
    assert made.code == 14
    assert "1.21.13" in made.output
    assert "1.22.6" in made.output
    _nothing_lost(folder)


def _namespace(*words: str) -> list[str]:
    found = needs("unshare")
    if subprocess.run([found, *words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody unshare a namespace")
    return [found, *words]


def test_no_network_at_all(folder: Path, tmp_path: Path) -> None:
    variables = environment(tmp_path / "empty", INVOKE_GOBUILD_INDEX_URL="https://go.dev/dl/", PIP_NO_CACHE_DIR="1")
    words = (*_namespace("-rn"), program("invoke"), "build", "--go", "1.22")
    done = captured(*words, cwd=folder, env=variables, ok=False)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "go.dev" in done.stderr
    assert "PyPI" in done.stderr
    assert "Traceback" not in done.stderr
    _nothing_lost(folder)


FULL_DISK = r"""
mount -t tmpfs -o size="$1" tmpfs "$2"
if [ "$3" = later ]; then
    ( until grep -qs toolchain1 "$2"/*/make.log; do sleep 0.2; done
      dd if=/dev/zero of="$2/filler" bs=1M 2>/dev/null ) &
fi
shift 3
"$@"
code=$?
echo LEFT $(ls -A "$GOBUILD_TEST_WORK"/*/)
exit $code
"""


@pytest.mark.parametrize(("size", "when", "says"), [("64m", "now", "needs about"), ("1800m", "later", "no space left")])
def test_a_full_disk(folder: Path, cache: Path, size: str, when: str, says: str) -> None:
    """The work folder is on a tmpfs of this size, which fills up at once or later."""
    work = folder / "small"
    work.mkdir()
    words = (program("invoke"), "build", "--go", "1.22", "--work", str(work), "--fresh", "--builder", "make.bash")
    argv = (*_namespace("-rm"), "bash", "-c", FULL_DISK, "bash", size, str(work), when, *words)
    done = captured(*argv, cwd=folder, env=environment(cache, GOBUILD_TEST_WORK=str(work)), ok=False)
    output = done.stdout + done.stderr
    assert done.returncode == 15, output
    assert says in output
    assert "Traceback" not in output
    _nothing_lost(folder)
    # What the script saw in the job's folder while the small disk was still there.
    left = next(line for line in output.splitlines() if line.startswith("LEFT")).split()[1:]
    assert ".gobuild.lock" in left or when == "now"
    assert set(left) <= {".gobuild.lock", "make.log"}
