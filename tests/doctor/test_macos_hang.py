"""A hang on macOS: what sample, spindump and dtrace report is read and joined. Samples: tests/data/doctor."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doctor_macos import HANGS, MISSING, Recorded, Said, by_name, case, sample
from doctor_toys import says

from gobuild.doctor.macos import hang, ioreg, stacks, tools
from gobuild.doctor.macos.answer import Answer, find_hang, foreign_libraries
from gobuild.doctor.macos.stacks import Stacks, read_dtrace, read_sample, read_spindump
from gobuild.doctor.model import Grade

Captured = Callable[..., tuple[dict[str, Any], Recorded]]


def answered(*seen: Stacks, traced: bool = False) -> Answer:
    found = find_hang(seen, traced=traced)
    assert found
    return found


def test_sample_says_who_what_and_where() -> None:
    read = read_sample(sample("sample-images.txt"))
    assert (read.process, read.code) == ("tillandsias-tray", "ARM64")
    (thread,) = read.threads
    assert (thread.tid, thread.name, thread.main, thread.count) == (2155218, "Thread_2155218", True, 1571)
    path = [("start", "dyld", 0), ("???", "tillandsias-tray", 1), ("kevent", "libsystem_kernel.dylib", 2)]
    assert [(each.symbol, each.image, each.depth) for each in thread.path] == path
    assert len(read.images) == 4
    assert (read.images[0][1], read.images[1][0]) == ("5B424D44-FED2-3361-8D75-41795DA0FEF6", "/usr/lib/dyld")


def test_libraries_that_go_never_loads_are_named(captured: Captured) -> None:
    assert foreign_libraries([read_sample(sample("sample-images.txt"))]) == ()
    text = sample("sample-images.txt") + (
        "       0x190000000 -        0x190001fff  com.apple.Metal (1 - 1) <5B424D44-FED2-3361-8D75-41795DA0FEF6> "
        "/System/Library/Frameworks/Metal.framework/Versions/A/Metal\n"
        "       0x10a000000 -        0x10a001fff +inject.dylib (0) <> /opt/with blank/inject.dylib\n"
    )
    part, _ = captured({"sample": text})
    told = "A/Metal (LC_UUID 5B424D44-FED2-3361-8D75-41795DA0FEF6); /opt/with blank/inject.dylib (LC_UUID none)"
    says(by_name(hang.diagnose(part))["hang: libraries"], Grade.WARN, told)


def test_sample_takes_the_heavier_branch() -> None:
    first, second = read_sample(sample("sample-branches.txt")).threads
    assert [each.symbol for each in first.path] == ["???", "main.popcnt"]
    frames = [("_sigtramp", 2, 2), ("_sigtramp", 1, 2), ("runtime.sigtramp", 1, 3)]
    assert [(each.symbol, each.count, each.depth) for each in first.frames][4:7] == frames
    (skips,) = read_sample("Call graph:\n    3 Thread_1\n          3 a  (in x)\n              3 b  (in x)\n").threads
    assert [(each.symbol, each.depth) for each in skips.path] == [("a", 0), ("b", 1)]
    assert [each.symbol for each in second.path][-3:] == ["runtime.asmcgocall", "runtime.usleep_trampoline", "usleep"]


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        (
            "sample-op.txt",
            "parked",
            "Thread_1760964 (main) was in __psynch_cvwait in 2464 of 2464 samples; called by Go's "
            "runtime.pthread_cond_wait_trampoline.abi0, runtime.asmcgocall.abi0: the thread waits for another thread",
        ),
        (
            "sample-gohai.txt",
            "parked",
            "Thread_4973621 (main) ran runtime.mach_semaphore_wait in 2787 of 2787 samples; called by Go's "
            "runtime.mach_semaphore_wait, runtime.semasleep1: the thread waits for another thread",
        ),
        (
            "sample-fork.txt",
            "fork",
            "Thread_8683228 (main) was in nw_settings_child_has_forked() in 2280 of 2280 samples; below Network "
            "(Apple's networking); called by Go's runtime.syscall, runtime.asmcgocall.abi0",
        ),
        (
            "sample-dyld.txt",
            "loader",
            "Thread_12537027: Main Thread (main) was in _dyld_start in 890 of 890 samples; before any of Go's code ran",
        ),
        (
            "sample-metal.txt",
            "framework",
            "Thread_251553 was in mach_msg2_trap in 871 of 871 samples; below Metal and IOKit (a driver, the GPU); "
            "called by Go's runtime.asmcgocall.abi0, runtime.runfinq, runtime.mstart.abi0",
        ),
        (
            "sample-branches.txt",
            "runs",
            "Thread_355890 (main) ran main.popcnt in 2816 of 2819 samples; called by Go's main.popcnt",
        ),
    ],
)
def test_one_sentence_says_where_it_hangs(name: str, kind: str, sentence: str) -> None:
    text = sample(name)
    if name == "sample-branches.txt":  # its head is not in the report: without it main.popcnt belongs to nobody
        text = f"Process:         vpopcntw [1]\n{text}"
    found = answered(read_sample(text))
    assert (found.kind, found.sentence) == (kind, sentence)
    assert found.advice


def test_spindump_has_the_kernels_frames() -> None:
    text = stacks.cut_spindump(sample("spindump-op.txt"), 6591)
    assert "secret_frame_of_another" not in text  # nobody else's stacks are kept
    assert "macOS 14.2.1" in text
    assert stacks.cut_spindump(sample("spindump-op.txt"), 6592) == ""
    read = read_spindump(text)
    assert (read.process, read.code) == ("op", "arm64")
    assert [(each.tid, each.count) for each in read.threads] == [(0x3D79D, 1001), (0x3D7A0, 1001)]
    path = read.threads[0].path
    assert [(each.symbol, each.image, each.kernel) for each in path] == [
        ("runtime.asmcgocall.abi0", "op", False),
        ("<patched truncated backtrace>", "", False),
        ("runtime.pthread_cond_wait_trampoline.abi0", "op", False),
        ("__psynch_cvwait", "libsystem_kernel.dylib", False),
        ("psynch_cvcontinue", "com.apple.kec.pthread", True),
    ]
    assert [uuid for _, uuid in read.images] == ["1550BC6D-AE60-3A21-BDAF-714E7FA11E39"]
    found = answered(read)
    assert (found.kind, found.kernel, found.trap) == ("parked", ("psynch_cvcontinue",), "__psynch_cvwait")


def test_spindump_in_timeline_format() -> None:
    first, second = read_spindump(sample("spindump-kernel.txt")).threads
    assert [each.depth for each in first.frames] == [0, 1, 2, 3, 4, 5]
    assert all(each.kernel and each.count == 9 for each in first.frames)
    assert first.frames[-1].symbol == "machine_switch_context"
    assert (second.frames[1].symbol, second.frames[1].image) == ("???", "")


def test_dtrace_counts_what_a_thread_entered(captured: Captured) -> None:
    text = sample("dtrace-hang.txt")
    (thread,) = read_dtrace(text).threads
    assert (thread.tid, thread.count) == (251553, 2)
    assert [(each.symbol, each.image) for each in thread.path] == [
        ("0x104d6a02d", ""),
        ("kevent64", "libsystem_kernel.dylib"),
    ]
    first = read_dtrace(text.partition("gobuild 251553 syscall")[0]).threads[0].path
    assert [each.symbol for each in first][-3:] == ["IOConnectCallScalarMethod", "io_connect_method", "mach_msg_trap"]
    assert (first[0].symbol, first[0].image) == ("0x2", "usbmuxd")
    assert stacks.dtrace_told_all(text)
    assert not stacks.dtrace_told_all(text.replace("gobuild end", ""))
    assert not stacks.dtrace_told_all("gobuild 1 syscall:read\n" * stacks.ENTRIES + text)
    # A thread that it did not see entered nothing, where it told all.
    assert answered(read_sample(sample("sample-op.txt")), traced=True).entered == 0
    assert answered(read_sample(sample("sample-op.txt"))).entered is None
    part, _ = captured({"dtrace": "\ngobuild end\n"}, root=True, capture=True)
    findings = by_name(hang.diagnose(part))
    assert ("and entered 0 traps" in findings["hang"].seen, "hang: dtrace" in findings) == (True, False)


def test_the_three_are_joined_by_the_threads_number() -> None:
    seen = [read_sample(sample("sample-metal.txt")), read_dtrace(sample("dtrace-hang.txt"))]
    spindump = sample("spindump-op.txt").replace("0x3d79d", hex(251553)).replace("op [6591]", "go [4711]")
    seen.append(read_spindump(stacks.cut_spindump(spindump, 4711)))
    found = answered(*seen, traced=True)
    assert found.thread == "Thread_251553"
    assert found.tools == ("dtrace", "sample", "spindump")
    assert found.kernel == ("psynch_cvcontinue",)
    assert found.entered == 2
    assert "mfinal-metal-init" in found.advice
    assert found.sentence.endswith("and entered 2 traps and system calls of those that dtrace saw")


def test_the_systems_own_threads_are_not_the_answer() -> None:
    worker = (
        "    2464 Thread_1760999\n"
        "      2464 start_wqthread  (in libsystem_pthread.dylib) + 8  [0x18983106c]\n"
        "        2464 _dispatch_worker_thread2  (in libdispatch.dylib) + 8  [0x18983106c]\n"
        "          2464 __workq_kernreturn  (in libsystem_kernel.dylib) + 8  [0x18983106c]\n"
    )
    found = answered(read_sample(sample("sample-op.txt") + worker))
    assert (found.thread, found.kind) == ("Thread_1760964 (main)", "parked")


SAYS: dict[str, Said] = {
    "ps": "20004006\n",
    "sample": sample("sample-metal.txt"),
    "spindump": sample("spindump-op.txt").replace("op [6591]", "go [4711]").replace("2.24.0/op", "bin/go"),
    "dtrace": sample("dtrace-hang.txt"),
    "ioreg": sample("ioreg-during.plist"),
}


@pytest.fixture
def captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Captured:
    """Looks at a hang: what was collected, and which tools were asked."""

    def look(says: Mapping[str, Said] = {}, *, root: bool = False, capture: bool = False) -> Any:
        monkeypatch.setattr("os.geteuid", lambda: 0 if root else 501)
        run = Recorded({**SAYS, **says})
        work = case(tmp_path, capture=capture, start=run)
        if capture:
            before = replace(work, start=Recorded({"ioreg": sample("ioreg-m1pro.plist")}))
            work.evidence[ioreg.TOPIC] = ioreg.snapshot(before)
        work.captured.append(hang.capture(4711, work))
        return hang.collect(work), run

    return look


def test_a_capture_as_root(tmp_path: Path, captured: Captured) -> None:
    part, run = captured(root=True, capture=True)
    assert {Path(words[0]).name for words in run.asked} == {"ps", "sample", "spindump", "dtrace", "ioreg"}
    assert all(limit and limit <= 40 for limit in run.limits)
    assert "secret_frame_of_another" not in str(part)
    assert not list(tmp_path.glob("report*"))  # which has everybody's stacks
    structured = json.loads(json.dumps(part))["captures"][0]["answer"]
    assert (structured["kind"], structured["frameworks"], structured["entered"]) == ("framework", ["Metal", "IOKit"], 2)
    findings = by_name(hang.diagnose(part))
    says(findings["hang"], Grade.FAIL, "below Metal and IOKit")
    assert findings["hang: GPU"].grade is Grade.FAIL
    differences = ("busy count 0 -> 1", "Device Utilization % 2 -> 34", "opened by — -> pid 4711, go")
    says(findings["hang: accelerators"], Grade.OK, *differences)
    assert "WindowServer" not in str(part)  # who else uses the GPU is nobody's business
    assert set(findings) == {"hang", "hang: GPU", "hang: accelerators"}


def test_what_needs_root_or_a_flag_says_so(tmp_path: Path, captured: Captured) -> None:
    for root, capture, names, limit, reason in (
        (False, True, {"ps", "sample", "ioreg"}, 20, "needs root"),
        (True, False, {"ps", "sample"}, 4, "--capture"),
    ):
        part, run = captured(root=root, capture=capture)
        assert {Path(words[0]).name for words in run.asked} == names
        assert max(run.limits) <= limit
        findings = by_name(hang.diagnose(part))
        for name in ("hang: dtrace", "hang: spindump"):
            says(findings[name], Grade.SKIPPED, reason)
        words = next(each for each in run.asked if each[0].endswith("sample"))
        assert Path(words[words.index("-file") + 1]).parent == tmp_path  # else it leaves its report in /tmp


def test_only_the_first_hang_is_captured_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    work = case(tmp_path, capture=True, start=Recorded(SAYS))
    work.captured.append(hang.capture(4711, work))
    second = hang.capture(4712, work)
    assert "only the first hang" in second["spindump"]["skipped"]
    assert "text" in second["sample"]


@pytest.mark.parametrize(
    ("tool", "said", "reason"),
    [
        ("sample", MISSING, "cannot run it"),
        ("sample", HANGS, "did not end within 4 s"),
        ("sample", "sample cannot examine process 4711 (go) because you do not have ...", "cannot examine"),
        ("sample", "", "it said nothing"),
        ("dtrace", "dtrace: failed to initialize dtrace: DTrace requires additional privileges", "dtrace needs root"),
        ("dtrace", "dtrace: failed to execute x: DTrace cannot instrument translated processes", "Rosetta"),
        ("dtrace", "dtrace cannot control executables signed with restricted entitlements", "SIP"),
    ],
)
def test_a_tool_that_tells_nothing_is_skipped_with_its_reason(
    captured: Captured, tool: str, said: Said, reason: str
) -> None:
    part, _ = captured({tool: said}, root=True, capture=True)
    says(by_name(hang.diagnose(part))[f"hang: {tool}"], Grade.SKIPPED, reason)


@pytest.mark.parametrize("flags", ["20024006\n", "sample"])
def test_a_translated_process_is_told(captured: Captured, flags: str) -> None:
    says = {"ps": flags}
    if flags == "sample":
        says |= {"ps": "", "sample": sample("sample-metal.txt").replace("ARM64", "X86-64 (Translated)")}
    part, _ = captured(says)
    assert by_name(hang.diagnose(part))["hang: Rosetta"].grade is Grade.WARN


@pytest.mark.parametrize(
    "line",
    [
        "    + 1 a  (in b) + 1  [0x1]\n",
        "    1 Thread_1\n",
        "+ ! : | " * 200 + "1 a\n",
        "    + " + "9" * 9 + " " * 3 + "\n",
        "  1 a (b + 1) [0x1] 1-9\n",
        " *1  " + "(" * 500 + "\n",
        "  Thread 0x1 " + "1 samples " * 50 + "\n",
        "gobuild 1 syscall:a\n `+0x\n",
        "0x1 - 0x2 +" + "<" * 400 + ">\n",
    ],
)
def test_a_long_hostile_text_takes_no_long(line: str) -> None:
    head = {"    +": "Call graph:\n    1 Thread_1\n", "  1 a": "Process: a [1]\n  Thread 0x1\n"}.get(line[:5], "")
    text = (head + line * (tools.LIMIT // len(line)))[: tools.LIMIT]
    began = time.process_time()
    for read in (read_sample, read_spindump, read_dtrace):
        find_hang([read(text)])
    assert time.process_time() - began < 8  # CPU seconds; about two where it is slowest


def test_deep_trees_and_escapes(captured: Captured) -> None:
    deep = "".join(f"    {'  ' * min(depth, 900)}1 f\x1b[31m{depth}  (in x)\n" for depth in range(1000))
    text = f"Process: x [1]\nCall graph:\n    1 Thread_1\n{deep}"
    part, _ = captured({"sample": text})
    finding = by_name(hang.diagnose(part))["hang"]
    assert "\x1b" not in finding.seen
    assert len(finding.seen) < 3000
