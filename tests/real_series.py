"""Real distributors' patch sets, adopted on real Go source; each result compared with git apply's and patch -F0's.

A program, not a test: `python tests/real_series.py SCRATCH GITDIR... [--only=WORD]`, where the git directories are
clones of the projects named below. A version's source is the nearest one that a git directory has a tag of, with all
folders, or that PyPI has a wheel of. It prints a table for tests/reports/series.md: names and counts, nothing of the
patches.
"""

import io
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conftest import _goroot, _wheel

from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.patch import Series, load_folder
from gobuild.patch.workbench.adopt import (
    ADOPTED,
    BY_GIT,
    BY_PATCH,
    LEFT_OUT,
    NO_PATCH,
    AdoptRecord,
    AdoptStep,
    adopt_patches,
)
from gobuild.patch.workbench.import_series import MERGED, PlainSource, import_series
from gobuild.patch.workbench.incoming import Incoming, incoming
from gobuild.patch.workbench.repository import BASE, BRANCH, Commit, Repository

WHEELS = ("1.21.13", "1.22.10", "1.23.2", "1.23.9", "1.24.11", "1.25.5", "1.26.5", "1.26.6", "1.27.0", "1.27.3")
"""Releases that PyPI has a wheel of."""


FORMS = {
    "mails in one file": "mails in one file",
    "a blank line behind what hunk": "blank line behind a hunk",
    "changes nothing": "heads or hunks that change nothing",
    "has no newline": "no newline at the end",
}
"""What a table says of notes that tell a file or a line."""


@dataclass(frozen=True, kw_only=True)
class PatchSet:
    """A branch's patches: those of a folder, or of several that a recipe lists."""

    project: str
    ref: str
    folder: str
    go: str
    recipe: str = ""

    @property
    def title(self) -> str:
        ref = self.ref.rpartition("/")[2]
        folder = self.folder.removeprefix("projects/golang/go/").removesuffix("/patches") if self.ref == "HEAD" else ""
        return f"{self.project.partition('/')[0]} {folder if folder and folder[0].isdigit() else ref}"


def _sets() -> list[PatchSet]:
    found = []

    def add(project: str, folder: str, versions: dict[str, str], ref: str = "refs/heads/{}", recipe: str = "") -> None:
        for branch, go in versions.items():
            names = {"ref": ref.format(branch), "folder": folder.format(branch), "recipe": recipe.format(go)}
            found.append(PatchSet(project=project, go=go, **names))

    fips = ("1.18.10", "1.19.13", "1.20.12", "1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.14", "1.26.7")
    add("golang-fips/go", "patches", {".".join(go.split(".")[:2]): go for go in fips}, "refs/heads/go{}-fips-release")
    add("golang-fips/go", "patches", {"main": "1.27.0"})
    ms = {
        "1.18": "1.18.10",
        "1.19": "1.19.12",
        "1.20": "1.20.14",
        "1.21": "1.21.13",
        "1.22": "1.22.8",
        "1.23": "1.23.2",
    }
    add("microsoft/go", "patches", ms, "refs/heads/microsoft/release-branch.go{}")
    add("microsoft/go", "patches", {"main": "1.24rc1"}, "refs/heads/microsoft/{}")
    eks = {"15": "1.15.15", "16": "1.16.15", "17": "1.17.13", "18": "1.18.10", "19": "1.19.13", "20": "1.20.14"}
    eks |= {"21": "1.21.12", "22": "1.22.5"}
    add("aws/eks-distro-build-tooling", "projects/golang/go/1.{}/patches", eks, "HEAD")
    win7 = {"release-branch.go1.25": "1.25.14", "release-branch.go1.26": "1.26.7", "main": "1.27.0"}
    add("thongtech/go-legacy-win7", "patches", win7)
    add("chimera-linux/cports", "main/go/patches", {"master": "1.27.0"})
    add("microsoft/azurelinux", "SPECS/golang", {"3.0": "1.4rc2"})
    add("burrowers/garble", "internal/linker/patches/go1.26", {"master": "1.26.2"})
    add("buildroot/buildroot", "package/go/go-src", {"master": "1.26.6"})
    add("termux/termux-packages", "packages/golang", {"master": "1.26.5"})
    conda = ("1.18.5", "1.19.9", "1.20.14", "1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.11")
    add("conda-forge/go-feedstock", "recipe/patches", {f"{go.rpartition('.')[0]}.x": go for go in conda})
    add("conda-forge/go-feedstock", "recipe/patches", {"main": "1.26.7"})
    oe = {
        **{"langdale": "1.19.7", "mickledore": "1.20.7", "nanbield": "1.20.12", "scarthgap": "1.22.12"},
        **{
            "styhead": "1.22.12",
            "walnascar": "1.24.6",
            "whinlatter": "1.25.9",
            "wrynose": "1.26.5",
            "master": "1.26.6",
        },
    }
    core, go = "openembedded/openembedded-core", "meta/recipes-devtools/go"
    add(core, go, {"kirkstone": "1.17.13", **oe}, recipe=go + "/go-{}.inc")
    return found


@dataclass(kw_only=True)
class Row:
    """What came of a set."""

    title: str
    source: str = ""
    patches: int = 0
    loads: str = ""
    states: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    compared: Counter[str] = field(default_factory=Counter)


class Lab:
    """The git directories, the sources, a workbench for each."""

    def __init__(self, scratch: Path, gits: Sequence[Path]) -> None:
        self.scratch, self.gits = scratch, gits

    def git_dir(self, project: str) -> Path | None:
        name = project.replace("/", "+")
        return next((each for each in self.gits if name in str(each)), None)

    def lay_out(self, one: PatchSet, into: Path) -> list[str]:
        """Writes a set's patches into a folder; their names in order."""
        git = self.git_dir(one.project)
        if not git:
            return []
        found: dict[str, bytes] = {}
        with _archive(git, one.ref, one.folder) as pack:
            for entry in pack:
                path = entry.name.removeprefix(f"{one.folder}/")
                content = pack.extractfile(entry) if entry.isfile() else None
                if content and path.endswith((".patch", ".diff")) and ("/" not in path or one.recipe):
                    found[path] = content.read()
        recipe = _run("git", f"--git-dir={git}", "show", f"{one.ref}:{one.recipe}") if one.recipe else ""
        listed = re.findall(r"file://(\S+\.(?:patch|diff))", recipe)
        named = {name.rpartition("/")[2]: name for name in found}
        ordered = [named[each] for each in listed] or sorted(found)
        made = []
        for number, name in enumerate(ordered):
            plain = name.rpartition("/")[2]
            made.append(f"{number:03}-{plain}" if listed else plain)
            (into / made[-1]).write_bytes(found[name])
        return made

    def source(self, go: str) -> tuple[PlainSource, str]:
        """The nearest version's source: a tag's, which has all folders, or a wheel's."""
        wanted = GoVersion.parse(go)
        tags = {tag: git for git in self.gits for tag in _run("git", f"--git-dir={git}", "tag", "-l", "go1.*").split()}
        tagged = {GoVersion.parse(tag): tag for tag in tags if re.fullmatch(r"go1\.\d+(\.\d+|rc\d)?", tag)}

        def far(each: GoVersion) -> tuple[bool, int, bool]:
            return each.line != wanted.line, abs((each.patch or 0) - (wanted.patch or 0)), each not in tagged

        nearest = min({*tagged, *map(GoVersion.parse, WHEELS)}, key=far)
        if tag := tagged.get(nearest):
            root = self.scratch / "sources" / tag
            if not root.exists():
                # A snapshot lacks files of 4 MiB and more.
                with _archive(tags[tag], tag, ".", ":(exclude,glob)**/*.syso") as pack:
                    pack.extractall(root.with_suffix(".part"), filter="data")
                root.with_suffix(".part").rename(root)
            return PlainSource(version=nearest, root=root), f"tag {nearest}"
        return PlainSource(version=nearest, root=_goroot(_wheel(str(nearest), Target.host()))), f"wheel {nearest}"

    def workbench(self, plain: PlainSource) -> Path:
        """The workbench of a source, as it was before any patch."""
        folder = self.scratch / "benches" / plain.root.name
        if not folder.exists():
            none = Series(folder=Path("none"), patches=())
            import_series(none, plain, folder, target=Target.host(), profile="static")
        repository = Repository.at(folder)
        repository.git("checkout", "--quiet", "--force", BRANCH)
        repository.git("reset", "--quiet", "--hard", f"refs/tags/{BASE}")
        AdoptRecord(head=repository.git_text("rev-parse", "HEAD")).save(folder)
        return folder


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout


def _archive(git: Path, *words: str) -> tarfile.TarFile:
    done = subprocess.run(["git", f"--git-dir={git}", "archive", *words], capture_output=True, check=True)
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def measure(lab: Lab, one: PatchSet) -> Row | None:
    """Loads a set as a series, adopts it, and compares what came out."""
    row = Row(title=one.title)
    with tempfile.TemporaryDirectory(dir=lab.scratch) as place:
        names = lab.lay_out(one, Path(place))
        if not names:
            return None
        try:
            load_folder(Path(place))
            row.loads = "yes"
        except PatchError as error:
            row.loads = "no"
            print(f"  loads not: {error.reason.splitlines()[0][:200]}", file=sys.stderr)
        plain, row.source = lab.source(one.go)
        folder = lab.workbench(plain)
        found = incoming([Path(place) / name for name in names])
        row.patches = len(names)
        none = Series(folder=Path("none"), patches=())
        done = adopt_patches(found, plain, none, folder, target=Target.host(), profile="static", skip=True)
        repository = Repository.at(folder)
        commits = iter(repository.commits_above_base())
        for each, step in zip(found, done.steps, strict=True):
            row.states[step.state] += 1
            for form in step.forms:
                row.forms[next((said for words, said in FORMS.items() if words in form), form)] += 1
            if step.state in (ADOPTED, BY_GIT, BY_PATCH, MERGED):
                commit = next(commits)
                if step.state != MERGED:
                    compare(row, repository, commit, each, step)
            elif step.state == LEFT_OUT:
                row.left.append(f"{step.label}: {step.evidence.splitlines()[0]}")
    return row


def compare(row: Row, repository: Repository, commit: Commit, one: Incoming, step: AdoptStep) -> None:
    """A commit against what git apply and patch -F0 make of its parent's files by the patch as it came."""
    changes = repository.changes(commit)
    said = " ".join(step.forms)
    strip = re.search(r"-p(\d)", said)
    level = strip[1] if strip else str(one.strip if one.strip is not None else 1)
    below = "src" if "below src/" in said else ""
    for name, words in (
        ("git", ["git", "apply", "--whitespace=nowarn", f"-p{level}", *([f"--directory={below}"] if below else [])]),
        ("patch", ["patch", "-F0", "-N", "-f", "-s", f"-p{level}", *([f"--directory={below}"] if below else [])]),
    ):
        with tempfile.TemporaryDirectory(prefix="series-") as place:
            root = Path(place)
            (root / below).mkdir(exist_ok=True)
            for path, change in changes.items():
                before = repository.blob(change.before)
                if before is not None:
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    (root / path).write_bytes(before)
                    (root / path).chmod(0o755 if change.executable else 0o644)
            env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "GIT_CEILING_DIRECTORIES": str(root.parent)}
            env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
            done = subprocess.run(words, input=one.content, cwd=root, env=env, capture_output=True, check=False)
            if done.returncode:
                row.compared[f"refused by {name}"] += 1
                continue
            different = [
                path
                for path, change in changes.items()
                if _at(root / path) != (repository.blob(change.after), change.executable)
            ]
            different += [path for path in _files(root) if path not in changes and not path.endswith(".orig")]
            row.compared[f"different from {name}" if different else f"equal to {name}"] += 1
            if different:
                print(f"  DIFFERENT from {name}: {row.title} {step.label}: {different}", file=sys.stderr)


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _at(path: Path) -> tuple[bytes | None, bool]:
    """A file's content and executable bit."""
    if not path.is_file():
        return None, False
    return path.read_bytes(), bool(path.stat().st_mode & 0o100)


def _files(root: Path) -> Iterator[str]:
    yield from (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def main(words: Sequence[str]) -> None:
    """Prints a row for each set."""
    only = [word for word in words if word.startswith("--only=")]
    scratch, *gits = (Path(word) for word in words if word not in only)
    scratch.mkdir(parents=True, exist_ok=True)
    lab = Lab(scratch, gits)
    total: Counter[str] = Counter()
    heads = ("set", "source", "patches", "loads", "adopted", "changed in form", "left out")
    print("|", *(f"{head} |" for head in (*heads, "equal to git's", "to patch's", "different")))
    print("|", *["--- |"] * 10)
    for one in _sets():
        if only and only[0].removeprefix("--only=") not in one.title:
            continue
        began = time.monotonic()
        row = measure(lab, one)
        if row is None:
            print(f"{one.title}: not fetched", file=sys.stderr)
            continue
        total["sets"] += 1
        total["load"] += row.loads == "yes"
        whole = not row.states[LEFT_OUT]
        total["adopted whole"] += whole
        total["load or adopted whole"] += whole or row.loads == "yes"
        total += row.compared
        total.update({f"patch {state}": count for state, count in row.states.items()})
        different = sum(count for key, count in row.compared.items() if key.startswith("different"))
        states = Counter({state: count for state, count in row.states.items() if state not in (LEFT_OUT, NO_PATCH)})
        cells = (row.title, row.source, row.patches, row.loads, _said(states), _said(row.forms), row.states[LEFT_OUT])
        equal = (row.compared["equal to git"], row.compared["equal to patch"])
        print("|", *(f"{cell} |" for cell in (*cells, *equal, different)), flush=True)
        for line in row.left:
            print(f"  left out: {line[:300]}", file=sys.stderr)
        print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(dict(total))


if __name__ == "__main__":
    main(sys.argv[1:])
