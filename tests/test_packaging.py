"""The wheel has all that an installed gobuild needs, and nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from e2e.builds import captured

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gobuild's own wheel, built by pip as a user's pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)]
    subprocess.run([sys.executable, *words], check=True)
    return next(folder.glob("gobuild-*.whl"))


def test_the_wheel_holds_exactly_what_the_checkout_has(wheel: Path) -> None:
    ours = [
        path.relative_to(CHECKOUT).as_posix()
        for folder in ("gobuild", "patches", "templates")
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    wanted = {name if name.startswith("gobuild/") else f"gobuild/_data/{name}" for name in ours}
    with zipfile.ZipFile(wheel) as pack:
        names = {name for name in pack.namelist() if ".dist-info/" not in name}
    assert names == wanted
    assert {"gobuild/py.typed", "gobuild/data/LICENSE", "gobuild/_data/patches/series.toml"} <= names


def test_it_works_away_from_the_checkout(wheel: Path, toy_tree: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as pack:
        pack.extractall(tmp_path / "site")

    def python(*words: str | Path) -> str:
        env = dict(os.environ) | {"PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "160"}
        return captured(sys.executable, *words, cwd=tmp_path, env=env).stdout

    planned = python("-m", "gobuild", "plan", "--go", "1.22.10", "--source", toy_tree)
    assert (
        "mfinal-metal-init, runtime-gpu-guard, link-uuid, scanner-version, goenv-local; stamped go1.22.10-gobuild.p"
        in planned
    )
    where = python("-c", "import gobuild.core.resources as r; print(r.folder('patches'))")
    assert where.strip() == str(tmp_path / "site/gobuild/_data/patches")
