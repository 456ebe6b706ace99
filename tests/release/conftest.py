"""One signed tree for all tests of the receiving side, and a copy of it to change."""

import shutil
from pathlib import Path

import pytest
from publish_toys import STAMP
from receive_fixtures import publish_signed


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One release, every route, signatures and a checksum database; copy what you change."""
    return publish_signed(tmp_path_factory.mktemp("published"), STAMP)


@pytest.fixture
def changed(site: Path, tmp_path: Path) -> Path:
    """A copy of the served tree, beside which its key stands."""
    shutil.copytree(site.resolve(), tmp_path / "site")
    shutil.copy(site.parent / "minisign.pub", tmp_path)
    return tmp_path / "site"
