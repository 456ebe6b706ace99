"""remove-hook: the hook goes wherever it stands, with all that only it needed, and nothing else goes."""

from pathlib import Path

import pytest
from patch_fixtures import (
    CALL,
    HOOK,
    INIT,
    METAL,
    ONCE,
    START,
    TRAMPOLINE,
    copy_parts,
    remove_hook,
    snapshot,
    taint,
    write,
)

from gobuild.core.errors import PatchError
from gobuild.core.model import Outcome, State
from gobuild.core.process import run

MFINAL = f"""package runtime

import (
	"internal/runtime/atomic"
	"unsafe"
)

var fing *g

// This is the goroutine that runs all of the finalizers.
func runfinq() {{
	gp := getg()
	lock(&finlock)
{START}
	run(unsafe.Pointer(gp), atomic.Load(nil))
}}
"""

SYS = """package runtime

import (
	"internal/abi"
	"unsafe"
)

//go:nosplit
func getpid() int32 {
	return libcCall(unsafe.Pointer(abi.FuncPCABI0(getpid_trampoline)), nil)
}
func getpid_trampoline()

//go:cgo_import_dynamic libc_getpid getpid "/usr/lib/libSystem.B.dylib"
"""

ASM = """#include "textflag.h"

TEXT runtime·getpid_trampoline(SB),NOSPLIT,$0
	BL	libc_getpid(SB)
	RET
"""

CLEAN = {"mfinal.go": MFINAL, "sys_darwin.go": SYS, "sys_darwin_arm64.s": ASM}
TAINTED = {
    "mfinal.go": MFINAL.replace(START, START + CALL) + ONCE,
    "sys_darwin.go": SYS + INIT,
    "sys_darwin_arm64.s": ASM + TRAMPOLINE,
}


HELPER = "\nfunc metalHelp() int {\n	return 1\n}\n"
HELPED = INIT.replace("	libcCall(", "	metalHelp()\n	libcCall(")


def runtime(root: Path, files: dict[str, str]) -> Path:
    return write(root, {f"src/runtime/{name}": text for name, text in files.items()})


def removed(folder: Path, files: dict[str, str], manifest: str = HOOK) -> tuple[dict[str, str], Outcome]:
    """A runtime of these files without the hook, and what became of the edit."""
    root = runtime(folder / "go", files)
    outcome = remove_hook(root, folder / "s", manifest)
    return {path.name: path.read_text() for path in (root / "src/runtime").iterdir()}, outcome


def refusal(folder: Path, files: dict[str, str], manifest: str = HOOK) -> PatchError:
    """The error of the edit, and that not a byte was changed."""
    root = runtime(folder / "go", files)
    before = snapshot(root)
    with pytest.raises(PatchError) as caught:
        remove_hook(root, folder / "s", manifest)
    assert snapshot(root) == before
    assert caught.value.hint
    return caught.value


def gofmt_clean(go_wheel: Path, folder: Path, text: str) -> None:
    file = write(folder, {"x.go": text}) / "x.go"
    assert run([go_wheel / "bin/gofmt", "-l", file], env={"HOME": "/nonexistent"}, cwd=go_wheel).output == ""


def test_nothing_to_remove(tmp_path: Path) -> None:
    left, outcome = removed(tmp_path, CLEAN)
    assert (left, outcome.state) == (CLEAN, State.NOTHING_TO_DO)
    assert outcome.evidence.startswith("nothing to remove: this source has no Metal initialisation")
    for word in ("metalInitOnce.Do(initMetal)", "IOKit", "3 files of src/runtime read", "mfinal.go runfinq"):
        assert word in outcome.evidence


def test_the_whole_hook_goes(tmp_path: Path, go_wheel: Path) -> None:
    left, outcome = removed(tmp_path, TAINTED)
    assert (left, outcome.state) == (CLEAN, State.APPLIED)
    assert outcome.files == tuple(f"src/runtime/{name}" for name in sorted(CLEAN))
    for word in (
        "metalInitOnce.Do(initMetal) in runfinq",
        "var metalInitOnce",
        "type metalOnce",
        "method metalOnce.Do",
        "func initMetal",
        "TEXT ·libc_MTLCreateSystemDefaultDevice_trampoline",
        f"the import of MTLCreateSystemDefaultDevice from {METAL}",
    ):
        assert word in outcome.evidence
    for name in ("mfinal.go", "sys_darwin.go"):
        gofmt_clean(go_wheel, tmp_path, left[name])


def test_in_files_of_its_own_which_go_as_well(tmp_path: Path) -> None:
    header = '// Ours.\n\npackage runtime\n\nimport (\n\t"internal/abi"\n\t"internal/runtime/atomic"\n\t"unsafe"\n)\n'
    files = CLEAN | {
        "mfinal.go": TAINTED["mfinal.go"].replace(ONCE, ""),
        "metal_darwin.go": header + ONCE + INIT,
        "metal_darwin_arm64.s": '#include "textflag.h"\n' + TRAMPOLINE,
        "metal_other.go": "//go:build !darwin\n\npackage runtime\n\nvar metalInitOnce metalOnce\n\n"
        "type metalOnce struct{}\n\nfunc (metalOnce) Do(func()) {}\n\nfunc initMetal() {}\n",
    }
    assert removed(tmp_path, files)[0] == CLEAN


def test_under_other_names_and_in_the_other_function(tmp_path: Path) -> None:
    def renamed(text: str) -> str:
        for old, new in (("metalInitOnce", "gpuOnce"), ("initMetal", "warmGPU"), ("runfinq", "runFinalizers")):
            text = text.replace(old, new)
        return text

    files = {name: renamed(text) for name, text in TAINTED.items()}
    refusal(tmp_path, files)  # with the usual names, a framework would stay: no silent success
    manifest = HOOK.replace('["metalInitOnce"]', '["metalInitOnce", "gpuOnce"]')
    left, _ = removed(tmp_path, files, manifest.replace('["initMetal"]', '["initMetal", "warmGPU"]'))
    assert left == CLEAN | {"mfinal.go": renamed(MFINAL)}


def test_every_form_of_the_call_goes(tmp_path: Path, go_wheel: Path) -> None:
    forms = (
        CALL + CALL + "	defer metalInitOnce.Do(initMetal)\n	go metalInitOnce.Do(initMetal) // once\n"
        "	if fing != nil {\n		metalInitOnce.Do(initMetal)\n		gosched()\n	}\n"
        "	systemstack(func() { metalInitOnce.Do(initMetal) })\n"
        "	systemstack(func() { gosched(); metalInitOnce.Do(initMetal); gosched() })\n"
    )
    stays = (
        "	if fing != nil {\n		gosched()\n	}\n	systemstack(func() {})\n"
        "	systemstack(func() { gosched(); gosched() })\n"
    )
    left, outcome = removed(tmp_path, TAINTED | {"mfinal.go": TAINTED["mfinal.go"].replace(CALL, forms)})
    assert left["mfinal.go"] == MFINAL.replace(START, START + stays)
    assert "5 x metalInitOnce.Do(initMetal) in runfinq" in outcome.evidence
    gofmt_clean(go_wheel, tmp_path, left["mfinal.go"])


def test_comments_and_strings_are_left_alone(tmp_path: Path) -> None:
    words = (
        '\n// metalInitOnce.Do(initMetal) was here.\nconst gone = "metalInitOnce.Do(initMetal)"\n\n'
        f'/*\n//go:cgo_import_dynamic libc_X X "{METAL}"\n*/\n\n'
        f'const raw = `\n//go:cgo_import_dynamic libc_X X "{METAL}"\n`\n\n'
        f'// Once: //go:cgo_import_dynamic libc_X X "{METAL}"\n'
    )
    asm = ASM + "\n// BL	libc_MTLCreateSystemDefaultDevice(SB)\n"
    files = {**CLEAN, "mfinal.go": MFINAL + words, "sys_darwin_arm64.s": asm}
    assert removed(tmp_path / "clean", files)[1].state == State.NOTHING_TO_DO
    tainted = {**TAINTED, "mfinal.go": TAINTED["mfinal.go"] + words, "sys_darwin_arm64.s": asm + TRAMPOLINE}
    assert removed(tmp_path, tainted)[0] == files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/runtime/other.go", "package runtime\n\nvar x = metalHelp()\n"),
        ("src/os/x.go", "package os\n\n//go:linkname help runtime.metalHelp\nfunc help() int\n"),
        ("src/os/x.s", "TEXT ·x(SB),4,$0\n	JMP	runtime·metalHelp(SB)\n"),
        ("src/cmd/compile/internal/x/x.go", 'package x\n\nvar x = lookup("metalHelp")\n'),
        ("src/runtime/linked.go", "package runtime\n\n//go:linkname metalHelp os.help\n"),
    ],
)
def test_what_something_else_uses_or_asks_for_by_name_stays(tmp_path: Path, name: str, text: str) -> None:
    files = TAINTED | {"sys_darwin.go": SYS + HELPER + HELPED}
    write(tmp_path / "go", {name: text})
    assert removed(tmp_path, files)[0]["sys_darwin.go"] == SYS + HELPER
    assert removed(tmp_path / "alone", files)[0]["sys_darwin.go"] == SYS


def test_a_linkname_goes_with_what_it_names(tmp_path: Path) -> None:
    linked = INIT.replace("//go:nosplit\n", "//go:nosplit\n//go:linkname initMetal\n")
    assert removed(tmp_path, TAINTED | {"sys_darwin.go": SYS + linked})[0] == CLEAN


def test_a_once_that_guards_something_else_too_stays_and_is_reported(tmp_path: Path) -> None:
    other = "package runtime\n\nfunc other() {\n	metalInitOnce.Do(nothing)\n}\n"
    left, outcome = removed(tmp_path, TAINTED | {"other.go": other})
    assert "not removed: metalInitOnce is used by func other (other.go:4)" in outcome.evidence
    assert "var metalInitOnce metalOnce" in left["mfinal.go"]
    assert left["sys_darwin.go"] == SYS


def test_a_directive_that_something_else_uses_is_an_error(tmp_path: Path) -> None:
    call = "libcCall(unsafe.Pointer(abi.FuncPCABI0(libc_MTLCreateSystemDefaultDevice_trampoline)), nil)"
    more = f"\nfunc device() {{\n	{call}\n}}\n"
    start = "package runtime\n\nfunc schedinit() {\n	device()\n}\n"
    error = refusal(tmp_path, TAINTED | {"sys_darwin.go": SYS + INIT + more, "proc.go": start})
    for word in (METAL, "src/runtime/sys_darwin.go", "device is used by func schedinit (proc.go:4)"):
        assert word in error.reason


@pytest.mark.parametrize("name", ["init", "Device"])
def test_what_is_used_without_being_named_stays(tmp_path: Path, name: str) -> None:
    more = f"\nfunc {name}() {{\n	initMetal()\n}}\n"
    error = refusal(tmp_path, TAINTED | {"sys_darwin.go": SYS + INIT + more})
    assert f"initMetal is used by func {name} (sys_darwin.go:" in error.reason


def test_what_is_left_of_a_hook_whose_call_is_gone(tmp_path: Path) -> None:
    var, bare = "package runtime\n\nvar a int\n", f'\n//go:cgo_import_dynamic _ _ "{METAL}"\n'
    left, outcome = removed(tmp_path, TAINTED | {"mfinal.go": MFINAL, "os_darwin.go": var + bare})
    assert (left, outcome.state) == (CLEAN | {"os_darwin.go": var}, State.APPLIED)


def test_directives_in_a_row_lose_only_the_denied_one(tmp_path: Path) -> None:
    libsystem = '//go:cgo_import_dynamic libc_kill kill "/usr/lib/libSystem.B.dylib"\n'
    iokit = '//go:cgo_import_dynamic libc_IO IO "/System/Library/Frameworks/IOKit.framework/Versions/A/IOKit"\n'
    left, _ = removed(tmp_path, CLEAN | {"sys_darwin.go": SYS + iokit + libsystem})
    assert left["sys_darwin.go"] == SYS + libsystem


def test_a_hook_in_a_function_that_is_not_named_is_an_error(tmp_path: Path) -> None:
    proc = "package runtime\n\nfunc main() {\n" + CALL + "}\n"
    files = TAINTED | {"mfinal.go": MFINAL + ONCE, "proc.go": proc}
    assert "initMetal is used by func main (proc.go:4)" in refusal(tmp_path, files).reason
    left, _ = removed(tmp_path, files, HOOK.replace('"runfinq", ', '"runfinq", "main", '))
    assert left["proc.go"] == "package runtime\n\nfunc main() {\n}\n"


def test_a_hook_without_a_framework_that_is_not_understood_is_an_error(tmp_path: Path) -> None:
    odd = MFINAL.replace(START, START + "	metalInitOnce.Do(func() { initMetal() })\n") + ONCE
    error = refusal(tmp_path, CLEAN | {"mfinal.go": odd + "\nfunc initMetal() {}\n"})
    assert "src/runtime/mfinal.go:" in error.reason
    assert "nothing was removed" in error.reason


def test_the_anchor_must_be_there(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"proc.go": "package runtime\n\n// runfinq is gone.\nfunc main() {}\n"})
    assert "no function runfinq or runFinalizers in src/runtime" in error.reason
    (tmp_path / "no/go").mkdir(parents=True)
    assert "no Go package at src/runtime" in refusal(tmp_path / "no", {}).reason


def test_groups_stay_as_gofmt_has_them(tmp_path: Path, go_wheel: Path) -> None:
    once = "var metalInitOnce metalOnce"
    group = "var (\n	a             int\n	metalInitOnce metalOnce\n	bcd           *g\n)"
    text = TAINTED["mfinal.go"].replace("// metalInitOnce guards initMetal.\n", "").replace(once, group)
    gofmt_clean(go_wheel, tmp_path, text)
    left, _ = removed(tmp_path, TAINTED | {"mfinal.go": text})
    assert left["mfinal.go"] == MFINAL + "\nvar (\n	a   int\n	bcd *g\n)\n"


def test_letters_beyond_ascii_move_nothing(tmp_path: Path) -> None:
    text = "// Ünïcödé · 世界 🎉\n"
    left, _ = removed(tmp_path, {name: text + content for name, content in TAINTED.items()})
    assert left == {name: text + content for name, content in CLEAN.items()}


def test_a_real_runtime_is_as_before_when_the_hook_is_put_in_and_taken_out(tmp_path: Path, go_wheel: Path) -> None:
    root = copy_parts(go_wheel, tmp_path / "go", "src/runtime", "src/cmd/compile", "VERSION")
    before = snapshot(root / "src")
    taint(root)
    assert snapshot(root / "src") != before
    outcome = remove_hook(root, tmp_path / "s")
    assert snapshot(root / "src") == before
    assert len(outcome.files) == 3
