"""Where a hang stands in a healthy start: real traces of real releases, and reports as Apple's tools write them."""

from collections.abc import Callable
from pathlib import Path

import inside
import pytest
from doctor_macos import case, sample
from doctor_toys import says
from verify_fixtures import DARWIN

from gobuild.core.errors import ConfigError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.doctor import Diagnosis, Grade, place_hangs, save
from gobuild.doctor.examination import TOPICS
from gobuild.doctor.macos import hang, reference, stacks
from gobuild.emulate.timeline import Trace

NOTHING = {"skipped": "not here"}


@pytest.fixture(scope="module")
def start(get_goroot: Callable[[str, Target], Path]) -> Trace:
    return reference.healthy_start(get_goroot("1.22.10", DARWIN) / "bin/go")


def hung(folder: Path, stamp: str = "go1.22.10", **reports: str) -> Diagnosis:
    """What the doctor of a Mac has saved."""
    work = case(folder)
    said = {name: {"code": 0, "text": text} for name, text in reports.items()}
    work.captured.append(
        {"system": "darwin", "pid": 1, "accelerators": NOTHING, "flags": NOTHING, "sample": NOTHING}
        | {"spindump": NOTHING, "dtrace": NOTHING, "environment": "clean"}
        | said
    )
    evidence = {topic.name: NOTHING for topic in TOPICS} | {"macOS hang": hang.collect(work)}
    return Diagnosis(
        subject="go", when="now", host="a Mac", findings=(), evidence=evidence | {"environment": {"stamp": stamp}}
    )


def in_call(trampoline: str, *functions: str) -> str:
    """A sample of Go's main thread below a trampoline of Go's."""
    lines = [
        f"    {'  ' * depth}9 {symbol}  (in {image}) + 8  [0x1]"
        for depth, (symbol, image) in enumerate(
            [
                ("runtime.asmcgocall.abi0", "go"),
                (f"runtime.{trampoline}_trampoline.abi0", "go"),
                *((each, "libsystem_kernel.dylib") for each in functions),
            ],
            1,
        )
    ]
    head = "Process:         go [1]\nCall graph:\n    9 Thread_1   DispatchQueue_1: com.apple.main-thread  (serial)\n"
    return head + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            in_call("osinit_hack", "notify_is_valid_token"),
            "it is 3 calls later than runtime.osinit, in the 1st notify_is_valid_token (by runtime.osinit_hack)",
        ),
        (
            in_call("sysctlbyname", "sysctlbyname", "__sysctlbyname"),
            "it is one of 3, from 31 calls later than runtime.schedinit, in the 1st sysctlbyname "
            "(by runtime.sysctlbynameInt32) to 33 calls later than runtime.schedinit, in the 3rd sysctlbyname",
        ),
        (sample("sample-op.txt"), "in the 1st pthread_cond_wait (by runtime."),
        (sample("sample-metal.txt"), "none of them is MTLCreateSystemDefaultDevice: it makes no such call"),
        (sample("sample-fork.txt"), "none of them is fork"),
        (sample("sample-dyld.txt"), "it has not come to the first one"),
        (f"Process:  vpopcntw [1]\n{sample('sample-branches.txt')}", "in none of them, but in Go's own code"),
    ],
)
def test_a_sample_stands_in_the_healthy_start(text: str, words: str, start: Trace) -> None:
    answer = hang.find_answer({"sample": {"code": 0, "text": text}})
    assert answer
    assert words in reference.place(start, answer)


def test_more_of_gos_frames_say_more(start: Trace) -> None:
    """Of all calls of mmap, that of the first page of the heap."""
    plain = in_call("mmap", "__mmap")
    more = plain.replace("runtime.asmcgocall.abi0", "runtime.(*scavengeIndex).sysInit")
    told = [
        reference.place(start, answer)
        for text in (plain, more)
        if (answer := hang.find_answer({"sample": {"code": 0, "text": text}}))
    ]
    assert told[0].startswith("it is one of ")
    assert told[1].startswith("it is 10 calls later than runtime.schedinit, in the 7th mmap")


def test_a_spindump_stands_there_too(start: Trace) -> None:
    text = stacks.cut_spindump(sample("spindump-op.txt"), 6591)
    answer = hang.find_answer({"spindump": {"code": 0, "text": text}})
    assert answer
    assert "pthread_cond_wait (by runtime." in reference.place(start, answer)


def test_a_bundle_is_judged_with_the_release_at_hand(tmp_path: Path, get_goroot: Callable[[str, Target], Path]) -> None:
    goroot = get_goroot("1.22.10", DARWIN)
    found = hung(tmp_path / "mac", sample=in_call("osinit_hack", "notify_is_valid_token"))
    placed = place_hangs(found, goroot)
    says(placed.findings[-1], Grade.WARN, "held to the healthy start of go1.22.10", "later than runtime.osinit")
    with pytest.raises(ConfigError, match=r"is go1.22.10, and go1.22.9 hung"):
        place_hangs(hung(tmp_path / "mac", "go1.22.9"), goroot)
    with pytest.raises(ConfigError, match="there is no go command"):
        place_hangs(found, tmp_path)
    nothing = Diagnosis(subject="go", when="", host="", findings=(), evidence={})
    assert place_hangs(nothing, goroot) == nothing
    save(Diagnosis(subject="go", when="", host="", findings=(), evidence={**found.evidence, "environment": NOTHING}),
         tmp_path / "e.zip")  # fmt: skip
    done = inside.gobuild(tmp_path, "doctor", "--from", "e.zip", "--reference", str(goroot))
    assert (done.code, "notify_is_valid_token (by runtime.osinit_hack)" in " ".join(done.out.split())) == (20, True)


@pytest.mark.parametrize(("system", "told"), [("darwin", "Linux alone"), ("linux", "not installed")])
def test_without_the_engine(
    monkeypatch: pytest.MonkeyPatch, get_goroot: Callable[[str, Target], Path], system: str, told: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.platform", system)
    with pytest.raises(ToolMissing, match=told):
        reference.healthy_start(get_goroot("1.22.10", DARWIN) / "bin/go")
