"""A whole toolchain signed after it was packed: ad hoc through the pipeline's own step, and by a certificate."""

import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import signers
from e2e.builds import Build
from e2e.plain_macho import stripped

from gobuild.codesign.signers import choose_signer
from gobuild.core.errors import VerifyError
from gobuild.core.goversion import Target
from gobuild.core.model import Verdict
from gobuild.core.process import run
from gobuild.core.settings import Settings
from gobuild.pipeline.resign import Resigned, resign
from gobuild.verify import require, verify_path

pytestmark = pytest.mark.slow

TARGET = Target(goos="darwin", goarch="arm64")


def _signed(settings: Settings, archives: tuple[Path, ...], scratch: Path) -> Resigned:
    signing = choose_signer(settings, run=run)
    return resign(archives, signing, target=TARGET, prefix="go-acme", scratch=scratch, run=run, note=lambda _text: None)


def _contents(path: Path) -> dict[str, tuple[int, float, bytes]]:
    """Mode, time and content of each file, by its name below the top folder."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as pack:
            return {
                info.filename.partition("@")[2].partition("/")[2]: (info.external_attr, 0.0, pack.read(info))
                for info in pack.infolist()
            }
    with tarfile.open(path) as tar:
        return {
            member.name.partition("/")[2]: (member.mode, member.mtime, _read(tar.extractfile, member))
            for member in tar
            if member.isreg()
        }


def _read(extract: Callable[..., object], member: tarfile.TarInfo) -> bytes:
    content = extract(member)
    assert hasattr(content, "read")
    return bytes(content.read())


def test_ad_hoc_nothing_but_the_programs_changes(darwin: Build, tmp_path: Path) -> None:
    archives = (darwin.one("go*.darwin-arm64.tar.gz"), darwin.one("go*.src.tar.gz"), darwin.one("v0.0.1-*.zip"))
    done = _signed(Settings(sign="ad-hoc"), archives, tmp_path / "signed")
    assert [path.name for path in done.archives] == [path.name for path in archives]
    assert done.archives[1] == archives[1]
    kinds = {each.seen.split(",")[0] for each in done.report.checks if each.name == "signature"}
    assert kinds == {"ad hoc"}
    for before, after in ((archives[0], done.archives[0]), (archives[2], done.archives[2])):
        old, new = _contents(before), _contents(after)
        assert list(old) == list(new)
        changed = {name for name in old if old[name] != new[name]}
        assert len(changed) == 19
        assert {name.partition("/")[0] for name in changed} == {"bin", "pkg"}
        for name in changed:
            assert old[name][:2] == new[name][:2]
            assert stripped(old[name][2]) == stripped(new[name][2])


def test_by_a_certificate_that_is_trusted_if_asked(
    darwin: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = darwin.one("go*.darwin-arm64.tar.gz")
    before = sha256(archive.read_bytes()).hexdigest()
    (tmp_path / "own.p12").write_bytes(signers.signer().p12(b"correct horse"))
    monkeypatch.setenv("P12", "correct horse")
    settings = Settings(sign=str(tmp_path / "own.p12"), sign_password_env="P12")
    done = _signed(settings, (archive,), tmp_path / "signed")
    signatures = [each for each in done.report.checks if each.name == "signature"]
    assert len(signatures) == 19
    assert all("Developer ID Application: Test (ABCDE12345)" in each.seen for each in signatures)
    assert done.told["certificate"] == f"sha256:{sha256(signers.signer().der()).hexdigest()}"
    assert "correct horse" not in str(done.told)
    # Without its root, which nobody but the test trusts, every program is refused, for that alone.
    report = verify_path(done.archives[0], run=run, scratch=tmp_path / "verify", target=TARGET)
    assert {each.name for each in report.checks if each.verdict is Verdict.FAILED} == {"signature"}
    with pytest.raises(VerifyError, match="ends at no trusted root"):
        require(report)
    assert sha256(archive.read_bytes()).hexdigest() == before
