"""Programs for Node in the tests' own cache: a folder with a package.json comes in, an installed one goes out."""

import shutil
import subprocess
from pathlib import Path

from filelock import FileLock
from needs import needs
from platformdirs import user_cache_path

from gobuild.core import files


def installed(data: Path) -> Path:
    """A copy of the folder with its packages beside it, installed by npm the first time; no script of theirs is run."""
    npm = needs("npm")
    needs("node")
    digest = files.dirhash(data)[3:15].replace("/", "_").replace("+", "_")
    folder = user_cache_path("gobuild-tests", appauthor=False) / f"{data.name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with files.atomic_write(folder) as temporary:
                shutil.copytree(data, temporary)
                words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--silent"]
                subprocess.run([npm, *words], cwd=temporary, check=True, timeout=300)
    return folder
