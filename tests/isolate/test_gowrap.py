"""gowrap for real: environment, every signal, exit codes, limits, orphans, a terminal; and the darwin/arm64 build."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from inside import gobuild
from matrix_fixtures import until
from platformdirs import user_cache_path

from gobuild.core.errors import ConfigError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.model import Verdict
from gobuild.core.process import Result, run
from gobuild.isolate.programs import build_gowrap
from gobuild.verify import verify_path

MAC = Target(goos="darwin", goarch="arm64")

RECORDER = """
import os, signal, sys, time
def note(number, frame):
    os.write(1, b"%d\\n" % number)
for number in map(int, sys.argv[1].split(",")):
    signal.signal(number, note)
os.write(1, b"ready\\n")
while True:
    time.sleep(60)
"""
"""Writes the number of every signal it gets."""

KEPT = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG, signal.SIGPROF}
"""What gowrap says that it does not hand on."""

CATCHABLE = [*(n for n in range(1, 32) if n not in KEPT), 35, 40, 50, 63, 64]


def gowrap_built(goroot: Path, target: Target, into: Path) -> Path:
    """gowrap, compiled with the compiled standard library that the tests keep between runs."""
    cache = user_cache_path("gobuild-tests", appauthor=False, ensure_exists=True)

    def cached(*words: object, env: dict[str, str], **more: object) -> Result:
        return run(*words, env=env | {"GOCACHE": str(cache / "verify-gocache")}, **more)  # type: ignore[arg-type]

    with FileLock(cache / "verify-gocache.lock"):
        build_gowrap(goroot, target, into / "gowrap", scratch=into / "scratch", run=cached)  # type: ignore[arg-type]
    return into / "gowrap"


@pytest.fixture(scope="session")
def wrapper(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gowrap_built(go_wheel, Target.host(), tmp_path_factory.mktemp("gowrap"))


def wrapped(wrapper: Path, *words: str, **more: object) -> "subprocess.CompletedProcess[str]":
    settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": 20} | more
    return subprocess.run([wrapper, *words], check=False, **settings)  # type: ignore[call-overload,no-any-return]


def python(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", *words)


def test_the_environment_is_what_was_allowed_and_nothing_else(wrapper: Path) -> None:
    own = {
        "HOME": "/h",
        "LC_ALL": "C",
        "LC_TIME": "de",
        "LCX": "no",
        "DYLD_INSERT_LIBRARIES": "/x",
        "A": "old",
        "E": "",
    }
    show = "import os; os.write(1, b''.join(sorted(k + b'=' + v + b';' for k, v in os.environb.items())))"
    words = ["-env", "HOME", "-env", "LC_*", "-env", "A=new", "-env", "B=x=y z", "-env", "E", "-env", "ABSENT"]
    done = wrapped(wrapper, *words, "--", *python(show), env=own)
    assert done.stdout == "A=new;B=x=y z;E=;HOME=/h;LC_ALL=C;LC_TIME=de;"
    assert wrapped(wrapper, "/usr/bin/env", env=own).stdout == ""
    everything = wrapped(wrapper, "-env", "*", "/usr/bin/env", env=own).stdout
    assert sorted(everything.splitlines()) == sorted(f"{name}={value}" for name, value in own.items())


def test_a_command_is_looked_for_on_the_path_it_will_have(wrapper: Path, tmp_path: Path) -> None:
    program = tmp_path / "only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert wrapped(wrapper, "-env", f"PATH={tmp_path}", "only-here").stdout == "found\n"
    assert wrapped(wrapper, "only-here").returncode == 127


def test_every_exit_code_comes_through(wrapper: Path) -> None:
    loop = f'for code in $(seq 0 255); do "{wrapper}" /bin/sh -c "exit $code"; [ $? = $code ] || echo "$code: $?"; done'
    done = subprocess.run(["/bin/sh", "-c", loop], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("words", [(), ("-start-limit", "20s")])
def test_it_dies_by_the_signal_that_its_command_died_of(wrapper: Path, words: tuple[str, ...], tmp_path: Path) -> None:
    for number in sorted({*range(1, 32), 35, 64} - {17, 18, 19, 20, 21, 22, 23, 28}):
        kill = f"import os; os.kill(os.getpid(), {number})"
        reset = f"import signal; {number} in (9, 19) or signal.signal({number}, 0); "
        done = wrapped(wrapper, *words, *python(reset + kill), cwd=tmp_path)
        assert done.returncode == -number, number
    assert not [path for path in tmp_path.iterdir() if "core" in path.name]


def test_every_signal_that_go_can_catch_is_handed_on(wrapper: Path) -> None:
    numbers = ",".join(map(str, CATCHABLE))
    with subprocess.Popen([wrapper, *python(RECORDER, numbers)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        for number in CATCHABLE:
            process.send_signal(number)
            assert process.stdout.readline() == f"{number}\n"
        process.stdout.close()
        process.kill()


def test_ignored_and_swallowed_signals_do_not_arrive(wrapper: Path) -> None:
    words = ["-ignore", "HUP,SIGUSR1,64,TTIN", "-forward", "TERM,10,USR2"]
    quiet = "import os, signal, time; os.write(1, (' '.join(str(int(n)) for n in range(1, 65) if n not in (32, 33) and "
    quiet += "signal.getsignal(n) is signal.SIG_IGN) + '\\n').encode()); "
    recorder = quiet + RECORDER.replace("import os, signal, sys, time", "import sys")
    numbers = "2,12,15"
    with subprocess.Popen([wrapper, *words, *python(recorder, numbers)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        # Python itself ignores PIPE and XFSZ when it starts.
        assert process.stdout.readline() == "1 10 13 21 25 64\n"
        assert process.stdout.readline() == "ready\n"
        for number in (1, 10, 64, 2, 3, 15, 12):
            process.send_signal(number)
            time.sleep(0.02)
        assert [process.stdout.readline(), process.stdout.readline()] == ["15\n", "12\n"]
        assert process.poll() is None
        process.kill()


def test_what_nohup_ignores_stays_ignored_and_a_blocked_signal_blocked(wrapper: Path) -> None:
    def before() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})

    done = wrapped(wrapper, "/bin/grep", "^Sig[BI]", "/proc/self/status", preexec_fn=before)
    masks = {line.split()[0]: int(line.split()[1], 16) for line in done.stdout.splitlines()}
    assert masks["SigBlk:"] == 1 << signal.SIGUSR2 - 1
    assert masks["SigIgn:"] == sum(1 << each - 1 for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU))


def test_the_command_has_the_callers_limits_files_and_input(wrapper: Path) -> None:
    command = f'"{wrapper}" /bin/sh -c "ulimit -n; cat; ls /proc/self/fd"'
    shell = f"ulimit -n 77; exec 5</dev/null; echo in | {command}"
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["77", "in", "0", "1", "2", "3", "5"]  # 3 is ls' own


@pytest.mark.parametrize(
    ("name", "content", "mode", "code"),
    [
        ("no/such", None, 0, 127),
        ("plain", b"#!/bin/sh\n", 0o644, 126),
        ("no-interpreter", b"#!/no/such/interpreter\n", 0o755, 127),
        ("no-format", b"\0\1\2\3", 0o755, 126),
    ],
)
def test_what_cannot_be_run_has_the_shells_exit_codes(
    wrapper: Path, tmp_path: Path, name: str, content: bytes | None, mode: int, code: int
) -> None:
    program = tmp_path / name
    if content is not None:
        program.write_bytes(content)
        program.chmod(mode)
    done = wrapped(wrapper, str(program))
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert done.stderr.startswith(f"gowrap: {program}: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no command given"),
        (("-env", "=x", "true"), "neither NAME"),
        (("-env", "A*=b", "true"), "neither NAME"),
        (("-ignore", "KILL", "true"), "signal KILL can be neither"),
        (("-ignore", "HUP,", "true"), 'no signal ""'),
        (("-forward", "URG", "true"), "signal URG can be neither"),
        (("-forward", "TTIN", "true"), "own terminal"),
        (("-forward", "65", "true"), 'no signal "65"'),
        (("-start-limit", "-1s", "true"), "negative"),
        (("-start-limit", "10", "true"), "invalid value"),
        (("-ready-file", "x", "true"), "means nothing"),
        (("-nonsense", "true"), "not defined"),
    ],
)
def test_words_that_cannot_be_used_are_refused_before_anything_runs(
    wrapper: Path, words: tuple[str, ...], said: str
) -> None:
    done = wrapped(wrapper, *words)
    assert (done.returncode, said in done.stderr) == (125, True)


def group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_command_that_does_not_get_ready_ends_with_its_whole_group(wrapper: Path, tmp_path: Path) -> None:
    script = f'echo $$ > {tmp_path}/pid; trap "" QUIT; sleep 300 & sleep 300'
    began = time.monotonic()
    done = wrapped(wrapper, "-env", "PATH", "-start-limit", "300ms", "/bin/sh", "-c", script)
    assert (done.returncode, done.stderr) == (124, "gowrap: /bin/sh was not ready within 300ms\n")
    assert 1 < time.monotonic() - began < 10  # SIGQUIT was trapped: SIGKILL came a second later
    until(lambda: not group_lives(int((tmp_path / "pid").read_text())))


def test_a_go_program_that_hangs_tells_where(wrapper: Path, go_wheel: Path) -> None:
    """gofmt waits for its input, and is told to quit."""
    with subprocess.Popen(["/bin/sleep", "300"], stdout=subprocess.PIPE) as silence:
        done = wrapped(wrapper, "-start-limit", "300ms", str(go_wheel / "bin/gofmt"), stdin=silence.stdout)
        silence.kill()
    assert done.returncode == 124
    assert "SIGQUIT: quit" in done.stderr
    assert re.search(r"^goroutine \d+ .*\[syscall", done.stderr, re.MULTILINE)
    assert done.stderr.endswith("was not ready within 300ms\n")


def test_output_or_a_file_or_the_end_is_readiness(wrapper: Path, tmp_path: Path) -> None:
    late = "sleep 0.6; echo b >&2; exit 3"
    done = wrapped(wrapper, "-env", "PATH", "-start-limit", "400ms", "/bin/sh", "-c", f"printf a; {late}")
    assert (done.returncode, done.stdout, done.stderr) == (3, "a", "b\n")
    ready = tmp_path / "ready"
    ready.write_text("of another run")
    words = ["-env", "PATH", "-start-limit", "400ms", "-ready-file", str(ready), "/bin/sh", "-c"]
    assert wrapped(wrapper, *words, f"echo out; {late}").returncode == 124  # output is not what was asked for
    assert wrapped(wrapper, *words, f"sleep 0.1; : > {ready}; {late}").returncode == 3
    assert wrapped(wrapper, "-start-limit", "400ms", "/bin/false").returncode == 1


def test_all_that_a_command_wrote_comes_through(wrapper: Path) -> None:
    """More than a pipe holds, at the last moment, to a slow reader; and somebody else keeps the pipe open."""
    write = "import os, sys; os.fork() or (__import__('time').sleep(3), os._exit(0)); "
    write += "[os.write(1, b'x' * 60000) for _ in range(5)]; os.write(2, b'y' * 60000)"
    words: list[str | Path] = [wrapper, "-start-limit", "5s", *python(write)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        time.sleep(0.5)
        assert (len(process.stdout.read()), len(process.stderr.read())) == (300_000, 60_000)
        assert process.wait() == 0


def test_the_stop_limit_ends_what_will_not(wrapper: Path, tmp_path: Path) -> None:
    stubborn = f'trap "" TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done'
    words: list[str | Path] = [wrapper, "-env", "PATH", "-stop-limit", "300ms", "/bin/sh", "-c", stubborn]
    with subprocess.Popen(words) as process:
        until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
        process.send_signal(signal.SIGWINCH)
        time.sleep(0.5)
        assert process.poll() is None  # only a signal that asks to end starts the limit
        process.terminate()
        assert process.wait(10) == -signal.SIGKILL
    left = f"echo $$ > {tmp_path}/pid; sleep 300 & exit 5"
    done = wrapped(wrapper, "-env", "PATH", "-stop-limit", "9s", "/bin/sh", "-c", left, capture_output=False)
    assert done.returncode == 5
    until(lambda: not group_lives(int((tmp_path / "pid").read_text())))


def states(*which: str) -> list[str]:
    found = subprocess.run(["ps", "-o", "stat=", *which], capture_output=True, text=True, check=False)
    return [each[0] for each in found.stdout.split()]


def test_orphans_are_reaped_and_the_command_dies_with_a_killed_gowrap(wrapper: Path) -> None:
    orphans = "import os, time\nfor _ in range(20):\n    if not os.fork():\n"
    orphans += "        os.fork() or time.sleep(0.6)\n        os._exit(0)\n    os.wait()\n"
    orphans += "print(os.getpid(), flush=True)\ntime.sleep(300)"
    with subprocess.Popen([wrapper, *python(orphans)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        command = process.stdout.readline().strip()
        assert len(states("--ppid", str(process.pid))) == 21  # it has adopted them
        until(lambda: len(states("--ppid", str(process.pid))) == 1)  # the command is left, and no zombie
        assert states("--ppid", str(process.pid))[0] in "SR"
        process.kill()
        until(lambda: states("-p", command) in ([], ["Z"]))


def test_as_a_containers_first_process(wrapper: Path) -> None:
    """There no signal that nobody catches can end it: the exit code is the shell's."""
    words = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        words = ["unshare", "--pid", "--fork"]
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody make a PID namespace")
    done = subprocess.run([*words, wrapper, "/bin/sh", "-c", "kill -TERM $$"], capture_output=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert subprocess.run([*words, wrapper, "/bin/sh", "-c", "exit 9"], check=False).returncode == 9


class Terminal:
    """A shell with job control on a terminal of its own, as a person has it."""

    def __init__(self) -> None:
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ |= {"PS1": "", "PS2": "", "TERM": "dumb"}
            os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.seen = ""
        self.ask("stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; echo be''gin\n", "begin")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def ask(self, text: str, wanted: str) -> str:
        """Types a text, and reads until the other comes; what came before that."""
        self.type(text)
        end = time.monotonic() + 10
        while wanted not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 4096).decode(errors="replace")
        before, _, self.seen = self.seen.partition(wanted)
        return before

    def close(self) -> None:
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def test_on_a_terminal_it_is_as_if_it_were_not_there(wrapper: Path, tmp_path: Path) -> None:
    script = tmp_path / "command.py"
    script.write_text(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'interrupt\\n'))\n"
        "print('up', flush=True)\n"
        "for line in sys.stdin:\n    print('got', line, end='', flush=True)\n"
        "    if line.strip() == 'end': sys.exit(7)\n"
    )
    with contextlib.closing(Terminal()) as shell:
        shell.ask(f"{wrapper} {sys.executable} -S {script}\n", "up")
        shell.ask("\x03", "interrupt")
        assert "interrupt" not in shell.ask("one\n", "got one")  # once: not from the terminal and from gowrap
        shell.ask("\x1a", "Stopped")
        shell.ask("echo shell again; fg\n", "shell again")
        time.sleep(0.3)
        shell.ask("two\n", "got two")
        shell.ask("end\n", "got end")
        shell.ask("echo code $?; cat <<< terminal-is-back\n", "code 7")
        shell.ask("", "terminal-is-back")
        shell.ask(f"{wrapper} {sys.executable} -S {script} &\n", "up")
        shell.type("\n")
        time.sleep(0.3)
        shell.ask("\n", "Stopped")  # it reads from a terminal that it has not
        shell.type("fg\n")
        time.sleep(0.3)
        shell.ask("end\n", "got end")


def test_the_rest_of_a_pipeline_keeps_the_terminal(wrapper: Path, tmp_path: Path) -> None:
    """As `gowrap service | less` needs it; a command that reads from the terminal has it as soon as it does."""
    reader = tmp_path / "reader"
    reader.write_text("read line </dev/tty\necho got $line\n")
    with contextlib.closing(Terminal()) as shell:
        shell.type(f"{wrapper} /bin/sleep 300 | sh {reader}\n")
        time.sleep(0.5)
        shell.ask("one\n", "got one")
        shell.type("\x03\n")
        shell.ask("echo code ${PIPESTATUS[0]}\n", "code 130")
        shell.type(f"{wrapper} /bin/sh {reader} | cat; echo a''gain\n")
        time.sleep(0.5)
        shell.ask("two\n", "got two")
        shell.ask("", "again")


def test_for_the_mac_it_verifies_and_is_the_same_from_anywhere(go_wheel: Path, tmp_path: Path) -> None:
    made = gowrap_built(go_wheel, MAC, tmp_path / "one")
    report = verify_path(made, run=run, scratch=tmp_path / "verify", target=MAC)
    assert not report.failed
    assert any(check.name == "signature" and check.verdict is Verdict.OK for check in report.checks)
    assert made.read_bytes() == gowrap_built(go_wheel, MAC, tmp_path / "another folder").read_bytes()


def test_a_folder_without_a_go_that_runs_is_refused(go_wheel: Path, darwin_wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no go command"):
        build_gowrap(tmp_path, MAC, tmp_path / "x", scratch=tmp_path / "s", run=run)
    with tempfile.TemporaryDirectory() as scratch, pytest.raises(ToolMissing, match="--goroot with a toolchain for"):
        build_gowrap(darwin_wheel, MAC, tmp_path / "x", scratch=Path(scratch), run=run)
    assert gobuild(tmp_path, "gowrap").code == 2
    assert gobuild(tmp_path, "gowrap", "--goroot", ".", "--target", "plan9/arm64").code == 2
    assert gobuild(tmp_path, "gowrap", "--goroot", str(go_wheel), "--to", ".").code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_oldest_and_the_newest_go_build_it(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    made = gowrap_built(get_goroot("1.21.13", Target.host()), Target.host(), tmp_path / "old")
    assert wrapped(made, "-env", "A=b", "/usr/bin/env").stdout == "A=b\n"
    made = gowrap_built(get_goroot("1.27.3", Target.host()), MAC, tmp_path / "new")
    assert not verify_path(made, run=run, scratch=tmp_path / "verify", target=MAC).failed
