"""patches.shell at a real terminal: what a shell leaves behind becomes a patch, which builds again."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from needs import needs
from patch_fixtures import entry, write

from gobuild.patch import load_folder

EDIT = """#!/bin/sh
set -e
go version
test "$(go env GOROOT)" = "$(dirname "$PWD")"
git --no-pager log --format="is in git: %s" base..HEAD
printf 'package path\\n\\n// Answer is ours.\\nfunc Answer() int { return 42 }\\n' >path/answer.go
go vet path
"""

FIRST = """--- /dev/null
+++ b/src/path/first.go
@@ -0,0 +1 @@
+package path
"""


def at_terminal(folder: Path, answers: str, *words: str, shell: Path) -> tuple[int, str]:
    """Runs gobuild in a folder at a terminal, where a person types ahead; its exit code and the screen."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= {"SHELL": str(shell), "NO_COLOR": "1", "COLUMNS": "200", "GOFLAGS": "-mod=nonsense"}
        os.execv(sys.executable, [sys.executable, "-m", "gobuild", *words])
    os.write(terminal, answers.encode())
    screen = b""
    while True:
        try:
            screen += os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            break
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), screen.decode(errors="replace")


@pytest.mark.slow
def test_from_an_idea_to_a_patch(tmp_path: Path) -> None:
    needs("git")
    ours, shell = tmp_path / "ours", tmp_path / "edit"
    write(ours, {"first.patch": FIRST, "series.toml": entry("first")})
    shell.write_text(EDIT)
    shell.chmod(0o755)
    words = ("patches.shell", "--go=1.22.10", "--source=wheel", "--series=ours")
    code, screen = at_terminal(tmp_path, "Not A Name\nwhy\n", *words, shell=shell)
    assert (code, "is no name of a patch" in screen) == (2, True), screen
    assert "go version go1.22.10" in screen
    assert "is in git: first" in screen
    assert (tmp_path / "ours.shell/src/path/answer.go").exists(), "what was written stays"

    shell.write_text("#!/bin/sh\nexit 3\n")
    code, screen = at_terminal(tmp_path, "\n", *words, shell=shell)
    assert (code, "nothing is written" in screen) == (0, True), screen

    code, screen = at_terminal(tmp_path, "answer\nthe answer was missing\n", *words, shell=shell)
    assert code == 0, screen
    first, made = load_folder(ours).patches
    assert (first.name, made.name, made.reason) == ("first", "answer", "the answer was missing")
    assert "+func Answer() int { return 42 }" in (ours / "answer.patch").read_text()
    assert (ours / "first.patch").read_text() == FIRST
    assert not (tmp_path / "ours.shell").exists()


def test_without_a_terminal_it_says_so(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gobuild", "patches.shell", "--series=ours"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, "a shell needs a terminal" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []
