"""launchd jobs: what is written is read back, and run as launchd would."""

import plistlib
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from inside import gobuild
from isolate.test_gowrap import wrapper

from gobuild.core.errors import ConfigError
from gobuild.isolate.launchd import SETTABLE, LaunchdJob, check_program

__all__ = ["wrapper"]

HOSTILE = """a<b>&"'é]]>"""
FACTS: dict[str, Any] = {
    "label": "com.example.service",
    "program": "/usr/local/bin/service",
    "gowrap": "/opt/go/libexec/gowrap",
    "arguments": ("-v", "two words", HOSTILE),
    "allow": ("HOME", "LC_*"),
    "environment": {"GOMAXPROCS": "2", "TEXT": HOSTILE},
    "output": "/var/log/service.log",
    "directory": "/var/empty",
    "keep": "always",
    "throttle": 30,
    "start_limit": 20,
    "ready_file": "/var/run/service.ready",
    "stop_limit": 10,
    "ignore": "HUP,PIPE",
    "more": {"Nice": "-5", "ProcessType": "Interactive", "LowPriorityIO": "true", "Umask": "027", "UserName": "_www"},
}
WANTED = {
    "Label": "com.example.service",
    "ProgramArguments": [
        *("/opt/go/libexec/gowrap", "-stop-limit", "10s", "-env", "HOME", "-env", "LC_*", "-env", "GOMAXPROCS"),
        *("-env", "TEXT", "-ignore", "HUP,PIPE", "-start-limit", "20s", "-ready-file", "/var/run/service.ready", "--"),
        *("/usr/local/bin/service", "-v", "two words", HOSTILE),
    ],
    "EnvironmentVariables": {"GOMAXPROCS": "2", "TEXT": HOSTILE},
    "KeepAlive": True,
    "RunAtLoad": True,
    "ThrottleInterval": 30,
    "ExitTimeOut": 15,
    "StandardOutPath": "/var/log/service.log",
    "StandardErrorPath": "/var/log/service.log",
    "WorkingDirectory": "/var/empty",
    **{"Nice": -5, "ProcessType": "Interactive", "LowPriorityIO": True, "Umask": "027", "UserName": "_www"},
}


def job(**other: object) -> LaunchdJob:
    return LaunchdJob(**(FACTS | other))


def test_every_fact_is_read_back() -> None:
    assert plistlib.loads(job().plist()) == WANTED
    assert job(keep="never").properties()["KeepAlive"] is False
    # A word sets no key that is decided here, nor one that would undo what gowrap does.
    assert SETTABLE.keys() & {*WANTED, "Program", "AbandonProcessGroup", "EnableGlobbing"} == FACTS["more"].keys()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"label": "service"}, "is no label"),
        ({"label": "com.example/../x"}, "is no label"),
        ({"program": ""}, "program is ''"),
        ({"program": "~/service"}, "program is"),
        ({"gowrap": "/opt/../gowrap"}, "gowrap is"),
        ({"output": "service.log"}, "output is"),
        ({"output": "/var/log/"}, "output is"),
        ({"arguments": ("a\0b",)}, "no property list can carry"),
        ({"environment": {"A": "\x1b[0m"}}, "no property list can carry"),
        ({"environment": {"DYLD_INSERT_LIBRARIES": "/x"}}, "cannot be set"),
        ({"environment": {"a-b": "/x"}}, "cannot be set"),
        ({"allow": ("*",)}, "allows no variable"),
        ({"allow": ("D*",)}, "allows no variable"),
        ({"allow": ("DYLD_*",)}, "allows no variable"),
        ({"allow": ("DYLD_LIBRARY_PATH",)}, "allows no variable"),
        ({"allow": ("A*B",)}, "allows no variable"),
        ({"ignore": "HUP, PIPE"}, "names no signals"),
        ({"keep": "sometimes"}, "keep is 'sometimes'"),
        ({"throttle": 0}, "throttle is 0"),
        ({"stop_limit": 0}, "stop_limit is 0"),
        ({"start_limit": 4000}, "start_limit is 4000"),
        ({"start_limit": 0}, "a ready file means nothing"),
        ({"more": {"KeepAlive": "true"}}, "'KeepAlive' is no key"),
        ({"more": {"UserName": "a\0b"}}, "no property list can carry"),
        ({"more": {"Nise": "5"}}, "did you mean Nice"),
        ({"more": {"Nice": "five"}}, "Nice is 'five'"),
        ({"more": {"Nice": "50"}}, "Nice is '50'"),
        ({"more": {"ProcessType": "Fast"}}, "ProcessType is 'Fast'"),
        ({"more": {"LowPriorityIO": "yes"}}, "LowPriorityIO is 'yes'"),
        ({"more": {"Sockets": "x"}}, "'Sockets' is no key"),
    ],
)
def test_what_launchd_could_not_use_is_refused(other: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        job(**other).plist()


def test_a_program_that_is_here_is_looked_at(tmp_path: Path, darwin_wheel: Path, go_wheel: Path) -> None:
    assert "is not on this machine" in check_program("/no/such/program")
    with pytest.raises(ConfigError, match="is no program"):
        check_program(str(darwin_wheel / "VERSION"))
    with pytest.raises(ConfigError, match="is a program for linux"):
        check_program(str(go_wheel / "bin/go"))
    program = tmp_path / "folder" / "go"
    program.parent.mkdir()
    program.write_bytes((darwin_wheel / "bin/gofmt").read_bytes()[:4096])
    program.chmod(0o755)
    assert check_program(str(program)) == ""
    program.chmod(0o757)
    with pytest.raises(ConfigError, match=f"anybody may write to {program}, and so replace"):
        check_program(str(program))
    program.chmod(0o755)
    program.parent.chmod(0o777)
    with pytest.raises(ConfigError, match=f"anybody may write to {program.parent}, and so replace"):
        check_program(str(program))


def test_the_words_of_a_job_are_words_that_gowrap_takes(wrapper: Path, tmp_path: Path) -> None:
    """What launchd would do, on Linux: the plist's words, its environment, and what launchctl setenv has added."""
    show = job(
        gowrap=str(wrapper), program="/usr/bin/env", arguments=(), ready_file=str(tmp_path / "ready")
    ).properties()
    inherited = {"HOME": "/h", "LC_ALL": "C", "PATH": "/bin", "METAL_DEVICE_WRAPPER_TYPE": "1", "GOEXPERIMENT": "nogpu"}
    words, added = show["ProgramArguments"], show["EnvironmentVariables"]
    done = subprocess.run(words, env=inherited | added, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == sorted(["HOME=/h", "LC_ALL=C", "GOMAXPROCS=2", f"TEXT={HOSTILE}"])


def test_the_task(tmp_path: Path) -> None:
    words = ["launchd", "--label", "com.example.a", "--program", "/a", "--gowrap", "/g", "--env", "A=b=c"]
    words += ["--env", "HOME", "--argument", "x", "--argument", "y", "--set", "Nice=3"]
    done = gobuild(tmp_path, *words)
    assert done.code == 0, done.err
    assert "/g is not on this machine" in done.out
    path = tmp_path / "com.example.a.plist"
    assert plistlib.loads(path.read_bytes()) == {
        "Label": "com.example.a",
        "ProgramArguments": ["/g", "-stop-limit", "15s", "-env", "HOME", "-env", "A", "--", "/a", "x", "y"],
        "EnvironmentVariables": {"A": "b=c"},
        "KeepAlive": {"SuccessfulExit": False},
        **{"RunAtLoad": True, "ThrottleInterval": 10, "ExitTimeOut": 20, "Nice": 3},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    for wrong in (["--set", "Nice"], ["--throttle", "x"], ["--keep", "x"]):
        assert gobuild(tmp_path, *words, *wrong).code == 2
    assert gobuild(tmp_path, "launchd", "--label", "com.example.b").code == 2
    assert gobuild(tmp_path, *(f"/{'a' * 300}" if word == "/a" else word for word in words)).code == 17
