"""What is typed at the `gobuild` program: help for every task, and one message for whatever is mistyped."""

import copy
import random
import re
import shlex
from pathlib import Path

import pytest
from inside import gobuild
from invoke.parser import Parser, ParserContext

from gobuild.cli import CORE, program
from gobuild.core.settings import GROUPS
from gobuild.tasks import HEADINGS, ns
from gobuild.tasks.words import CONFIGURATION

TASKS = sorted(ns.task_names)
SEED = 20
README = Path(__file__).resolve().parents[2] / "README.md"
CODES = {0, *(int(code) for code in re.findall(r"\| (\d+) \|", README.read_text(encoding="utf-8")))}


def _example(task: str) -> str:
    lines = (ns[task].__doc__ or "").splitlines()
    (found,) = [line.strip() for line in lines if line.strip().startswith("Example: ")]
    return found.removeprefix("Example: ")


def _contexts() -> list[ParserContext]:
    return copy.deepcopy(ns).to_contexts()  # invoke takes the help out of a task when it is asked for them


def _context(task: str) -> ParserContext:
    return next(each for each in _contexts() if each.name == task)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_shows_its_own_flags_their_defaults_and_an_example(task: str, tmp_path: Path) -> None:
    done = gobuild(tmp_path, task, "--help")
    assert (done.code, done.err) == (0, "") and done.out.startswith(f"Usage: gobuild {task}")
    # The flag's place does not matter, nor what else the task needs.
    assert gobuild(tmp_path, f"--help={task}") == done == gobuild(tmp_path, task, "--offline", "x", "-h")
    context = _context(task)
    flags = [
        word for word in done.out.replace("[=", " ").replace("=", " ").replace(",", " ").split() if word[:2] == "--"
    ]
    own = [f"--{str(each.name).strip('_').replace('_', '-')}" for each in context.args.values() if not each.positional]
    shown = {line.split()[0].partition("=")[0].rstrip(",") for line in done.out.splitlines() if line.startswith("  --")}
    assert shown == {each for each in own if not (each.startswith("--no-") and f"--{each[5:]}" in own)}
    assert set(own) <= set(flags)
    assert f"Example\n  {_example(task)}\n" in done.out


@pytest.mark.parametrize("task", TASKS)
def test_an_example_can_be_typed_as_it_stands(task: str) -> None:
    name, *words = shlex.split(_example(task))
    (found,) = Parser(contexts=_contexts(), initial=program.initial_context).parse_argv(words)[1:]
    assert (name, ns[str(found.name)]) == ("gobuild", ns[task])


def test_every_task_stands_under_a_heading_in_one_line(tmp_path: Path) -> None:
    shown = gobuild(tmp_path, "--list").out
    assert [title for title in HEADINGS if f"{title}\n" in shown] == list(HEADINGS)
    narrow = gobuild(tmp_path, "--list", columns="80").out
    lines = [line.split() for line in narrow.splitlines() if line.startswith("  ")]
    assert sorted(line[0] for line in lines) == sorted(next(iter(ns.task_names[each]), each) for each in TASKS)
    assert "Others" not in shown


def test_every_setting_has_a_group() -> None:
    assert sorted(key for keys in GROUPS.values() for key in keys) == sorted(CONFIGURATION["gobuild"])


MISTYPED = [
    ("bild", "there is no task 'bild'", "did you mean build?"),
    ("verify_release x", "there is no task 'verify_release'", "did you mean verify-release?"),
    ("patchs.status", "there is no task 'patchs.status'", "did you mean patches.status?"),
    ("ptches", "there is no task 'ptches'", "did you mean patches?"),
    ("--list ptches", "there is no task 'ptches'", "did you mean patches?"),
    ("--help vrify", "there is no task 'vrify'", "did you mean verify?"),
    ("vrify --help", "there is no task 'vrify'", "did you mean verify?"),
    ("help", "there is no task 'help'", "did you mean --help?"),
    ("patches", "patches is a group of tasks", "one of patches.status, "),
    ("build --gp 1.22", "build has no flag --gp", "did you mean --go?"),
    ("plan --no-offlin", "plan has no flag --no-offlin", "did you mean --no-offline?"),
    ("store.list --notarize x", "store.list has no flag --notarize", "gobuild store.list --help"),
    ("--go 1.22 plan", "the flag --go stands before a task", "gobuild TASK --go"),
    ("--dry build", "there is no flag --dry", "gobuild --help"),
    ("plan 1.22", "plan takes no plain word '1.22'", "--go 1.22"),
    ("plan go1.22.10", "plan takes no plain word 'go1.22.10'", "--go go1.22.10"),
    ("build linux/amd64", "build takes no plain word 'linux/amd64'", "--target linux/amd64"),
    ("build traget", "build takes no plain word 'traget'", "did you mean --target?"),
    ("verify a b", "verify takes no plain word 'b'", "gobuild verify --help"),
    ("plan --go", "--go needs a value", "which Go: "),
    ("--config", "--config needs a value", "a file of settings"),
    ("verify", "verify needs a path", "gobuild verify PATH: a GOROOT"),
    ("patches.new", "patches.new needs a name", "gobuild patches.new NAME: what the patch"),
    ("tap.check", "tap.check needs a path", "gobuild tap.check PATH: the tap"),
    ("matrix --jobs two", "'two' is not a number", "a whole number"),
    ("--list-format flt --list", "no list format 'flt'", "did you mean flat?"),
    ("--print-completion-script bsh", 'completion for shell "bsh"', "gobuild --help"),
    ("--config gone.yaml plan", "there is no configuration gone.yaml", "--config FILE.yaml"),
    ("--config x.txt plan", "a configuration of another kind", "--config FILE.yaml"),
]


@pytest.mark.parametrize(("words", "said", "hint"), MISTYPED, ids=[words for words, _, _ in MISTYPED])
def test_a_mistyped_word_is_an_error_with_a_suggestion(words: str, said: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    done = gobuild(tmp_path, *words.split())
    assert (done.code, done.out) == (2, "")
    reason, try_, *rest = done.err.splitlines()
    assert reason.startswith(f"error: {said}") and try_.startswith("  try: ") and hint in try_ and not rest, done.err


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("INVOKE_GOBUILD_TARGT", "did you mean INVOKE_GOBUILD_TARGET?"),
        ("GOBUILD_TARGET", "did you mean INVOKE_GOBUILD_TARGET?"),
        ("GOBUILD_OFLINE", "did you mean INVOKE_GOBUILD_OFFLINE?"),
        ("GOBUILD_SIGN_PASWORD", "did you mean GOBUILD_SIGN_PASSWORD?"),
        ("GOBUILD_TRACE", ""),  # what a patched toolchain knows
        ("GOBUILD_FLAGS", ""),  # what many Makefiles have
    ],
)
@pytest.mark.parametrize("words", ["clean", "keys.show --key gone"])
def test_a_mistyped_variable(name: str, hint: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    done = gobuild(tmp_path, *words.split())
    assert (f"the variable {name} is no setting" in done.err and hint in done.err) is bool(hint), done.err
    assert done.code == 2 or not hint


@pytest.mark.parametrize(
    ("name", "text", "said", "hint"),
    [
        ("gobuild.yaml", 'go: "1.22"\n', "gobuild.yaml: go is a setting, and stands beside gobuild:", "below gobuild:"),
        ("gobuild.yaml", "gobiuld:\n  go: '1.22'\n", "unknown key 'gobiuld'", "did you mean gobuild?"),
        ("gobuild.yaml", "gobuild:\n  taget: x\n", "unknown setting 'taget'", "did you mean target?"),
        ("gobuild.yaml", "gobuild:\n  go: '1.22'\n\ttarget: x\n", "gobuild.yaml:3 cannot be read: ", "no tabs"),
        ("gobuild.yaml", "gobuild: {\n\n", "gobuild.yaml:3 cannot be read: ", "no tabs"),
        ("gobuild.json", '{"gobuild": {"go" "1.22"}}', "gobuild.json cannot be read: ", "below gobuild:"),
        # Read as written: neither is 1.3.
        ("gobuild.yaml", "gobuild:\n  name: 1.30\n", "'1.30' cannot be", ""),
        ("gobuild.json", '{"gobuild": {"name": 1.30}}', "'1.30' cannot be", ""),
        ("gobuild.yaml", "gobuild:\n  suffix: 010\n  offline: true\n  target: x/y\n", "no target 'x/y'", "one of"),
    ],
)
def test_a_configuration_is_read_as_written_or_refused(
    name: str, text: str, said: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    done = gobuild(tmp_path, "patches.status", "--source", "wheel", "--offline", "--cache", "cache")
    assert done.code in (2, 3, 4) and "Traceback" not in done.err
    assert said in done.err and hint in done.err, done.err


def _mistyped(chance: random.Random) -> list[str]:
    """A command line with a slip in it: a word cut, doubled, swapped, of another task, or with a wrong value."""
    task = chance.choice(TASKS)
    context = _context(task)
    words = [task]
    for flag in chance.sample(sorted(context.flags), min(len(context.flags), chance.randrange(4))):
        values = ("x", "", "1.22", "linux/amd64", "--", "-1", "é", "a b", "\x1b[31m", "🦫" * 40)
        words += [flag, chance.choice(values)][: chance.choice((1, 2, 2))]
    words[chance.randrange(1 + len(words)) : 0] = chance.sample(
        (*HEADINGS, *(f"--{each}" for each in CORE if each != "debug"), "-x", "-", "--=", "=", "-fh", "--help=x"),
        chance.randrange(2),
    )
    at = chance.randrange(len(words))
    word = words[at]
    cut = chance.randrange(len(word) + 1)
    slips = (
        word[:cut] + word[cut + 1 :],
        word[:cut] + word[cut:][::-1],
        word + word,
        word.upper(),
        f"-{word}",
        f"{word}=",
    )
    words[at] = chance.choice(slips)
    return words


def test_no_slip_ends_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hundred command lines, in this process: any exception but an exit fails the test.

    What a slip leaves whole is run, by a machine that has nothing: no program, no home, no network.
    """
    for name, word in (("PATH", str(tmp_path)), ("HOME", str(tmp_path)), ("INVOKE_GOBUILD_OFFLINE", "1")):
        monkeypatch.setenv(name, word)
    monkeypatch.setenv("INVOKE_GOBUILD_CACHE", str(tmp_path / "cache"))
    chance = random.Random(SEED)
    refused = 0
    for _ in range(300):
        words = _mistyped(chance)
        done = gobuild(tmp_path, *words)
        assert done.code in CODES, (words, done)
        assert done.code == 0 or "error: " in done.err, (words, done)
        assert "Traceback" not in done.out + done.err and "\x1b" not in done.err, (words, done)
        refused += done.code == 2
    assert refused > 200
