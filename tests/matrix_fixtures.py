"""A toy of Go that goes the whole way from `gobuild build` to dist/ in a second, for tests of what is around a build.

Its make.bash is the toy's of conftest, its distpack twenty lines of Python, its programs shell scripts; verify's checks
of those fail, and a policy that gives its reason lets them.
"""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def distpack(names: Mapping[str, str]) -> str:
    """A distpack in Python that packs these: where they stand in GOROOT, by their names in the archives."""
    return f"""#!{sys.executable}
import gzip, io, os, tarfile, zipfile
from pathlib import Path
root = Path(os.environ["GOROOT"])
stamp, target = (root / "VERSION").read_text().split()[0], os.environ["GOOS"] + "-" + os.environ["GOARCH"]
made, module = root / "pkg/distpack", f"v0.0.1-{{stamp}}.{{target}}"
made.mkdir(parents=True)
paths = {{name: root / place for name, place in {dict(names)}.items()}}
for name in (f"{{stamp}}.{{target}}.tar.gz", f"{{stamp}}.src.tar.gz"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for each, path in paths.items():
            entry = tarfile.TarInfo("go/" + each)
            entry.size, entry.mode = path.stat().st_size, path.stat().st_mode & 0o777
            tar.addfile(entry, path.open("rb"))
    (made / name).write_bytes(gzip.compress(packed.getvalue(), mtime=0))
with zipfile.ZipFile(made / f"{{module}}.zip", "w") as pack:
    for each, path in paths.items():
        pack.writestr(zipfile.ZipInfo(f"golang.org/toolchain@{{module}}/{{each}}"), path.read_bytes())
for end in ("mod", "info"):
    (made / f"{{module}}.{{end}}").write_text("toy")
"""


PACKS = "install -m 755 distpack.py ../pkg/tool/$host/distpack\n"

POLICY = "schema = 1\n" + "".join(
    f'[[rule]]\ncheck = "{name}"\nseverity = "off"\nreason = "a toy has no executables"\n'
    for name in ("tools", "format", "run")
)


def whole(toy_tree: Path, before: str = "") -> Path:
    """Makes conftest's toy tree, in place, one that can be packed; its make.bash begins with `before`, in bash."""
    (toy_tree / "LICENSE").write_text("Copyright 2009 The Go Authors.\n")
    (toy_tree / "src/distpack.py").write_text(distpack({name: name for name in ("LICENSE", "VERSION")}))
    make = toy_tree / "src/make.bash"
    make.write_text(make.read_text().replace("set -e\n", f"set -e\n{before}\n") + PACKS)
    return toy_tree


def words(folder: Path, toy_tree: Path, bootstrap: Path) -> dict[str, str]:
    """The settings under which the toy is built, as variables; the folders are all below `folder`."""
    (folder / "policy.toml").write_text(POLICY)
    said = {
        "source": toy_tree,
        "policy": folder / "policy.toml",
        "bootstrap": bootstrap,
        "series": "none",
        "suffix": "toy.{id}",
        "builder": "make.bash",
        "index_url": "http://127.0.0.1:9/dl/",
        **{name: folder / name for name in ("dist", "work", "cache", "store")},
    }
    return {f"INVOKE_GOBUILD_{name.upper()}": str(value) for name, value in said.items()}


def until(done: Callable[[], object], seconds: float = 60) -> None:
    """Waits for something."""
    give_up = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.1)
