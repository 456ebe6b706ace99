"""Signing: real programs signed for real, ad hoc and by certificates of our own; codesign's words by a recorder."""

import io
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import signers
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from e2e.plain_macho import stripped
from signers import TEAM
from verify_fixtures import failed, image, judged, view

from gobuild import pipeline
from gobuild.codesign import identity, requirements
from gobuild.codesign import signers as signing
from gobuild.codesign.signers import KeychainSigner, Signer, choose_signer, sign_programs, timestamp_server
from gobuild.codesign.superblob import Signature, parse_signature
from gobuild.core.console import Console
from gobuild.core.errors import BuildError, CommandError, ConfigError, SignError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import Result, run
from gobuild.core.settings import Settings
from gobuild.pipeline.session import Session

LINUX, MAC = Target(goos="linux", goarch="amd64"), Target(goos="darwin", goarch="arm64")
PASSWORD = "correct horse"
ENTITLEMENTS = (
    '<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>'
    "<key>com.apple.security.cs.allow-jit</key><true/></dict></plist>"
)


@pytest.fixture
def p12(tmp_path: Path) -> Path:
    path = tmp_path / "own.p12"
    path.write_bytes(signers.signer().p12(PASSWORD.encode()))
    return path


def chosen(settings: Settings, *, host: Target = LINUX, runner: Any = run, **environ: str) -> Signer:
    found = choose_signer(settings, host=host, run=runner, environ=environ).signer
    assert found
    return found


def by(path: Path, **more: Any) -> Settings:
    return Settings(sign=str(path), sign_password_env="P12", **more)


def signed(data: bytes, how: Signer, folder: Path) -> tuple[bytes, dict[str, str]]:
    path = folder / "hello"
    path.write_bytes(data)
    told = sign_programs({"bin/hello": path}, how, prefix="go-acme", scratch=folder / "scratch", note=Mock())
    assert [each.name for each in folder.iterdir() if each.name.startswith(".")] == []
    return path.read_bytes(), told


def read(data: bytes, roots: tuple[bytes, ...] = ()) -> Signature:
    found = parse_signature(view(data), image(data), roots=roots)
    assert found
    return found


def test_the_linker_s_signature_stays_by_default() -> None:
    assert choose_signer(Settings(), host=LINUX, run=run, environ={}).signer is None


def test_ad_hoc_is_the_same_every_time_and_changes_nothing_else(hello: bytes, tmp_path: Path) -> None:
    how = chosen(Settings(sign="ad-hoc"))
    first, told = signed(hello, how, tmp_path)
    again, _ = signed(hello, how, tmp_path)
    assert first == again
    found = read(first)
    assert (found.problems, found.kind, found.identifier) == ((), "ad hoc", "go-acme.hello")
    assert told["by"] == "ad hoc"
    assert failed(judged(first, tmp_path)) == {}
    assert stripped(first) == stripped(hello)


def test_a_certificate_of_one_s_own(hello: bytes, p12: Path, tmp_path: Path) -> None:
    how = chosen(by(p12), P12=PASSWORD)
    made, told = signed(hello, how, tmp_path)
    found = read(made, how.roots)
    assert found.problems == ()
    assert found.signer
    assert (found.team, found.signer.chain.name) == (TEAM, "Developer ID Application: Test (ABCDE12345)")
    assert found.requirement.startswith('identifier "go-acme.hello" and certificate root = H"')
    assert "ends at no trusted root" in "; ".join(map(str, read(made).problems))
    assert failed(judged(made, tmp_path)).keys() == {"signature"}
    assert told["team"] == TEAM
    assert told["timestamp"] == "none"


@pytest.mark.parametrize("kind", ["pem", "encrypted pem", "ec", "self-signed"])
def test_other_files_with_keys(hello: bytes, tmp_path: Path, kind: str) -> None:
    who = signers.signer()
    if kind == "ec":
        who = signers.developer(signers.authority(), own=signers.key("ec"))
    elif kind == "self-signed":
        usage = ExtendedKeyUsageOID.CODE_SIGNING
        who = signers.issue("Only Me", None, unit=TEAM, usage=usage)
    secret = PASSWORD.encode() if kind == "encrypted pem" else None
    (tmp_path / "own.pem").write_bytes(who.pem(password=secret))
    how = chosen(Settings(sign=str(tmp_path / "own.pem"), sign_password_env="P12" if secret else ""), P12=PASSWORD)
    assert read(signed(hello, how, tmp_path)[0], how.roots).problems == ()


def test_a_timestamp_from_a_server(hello: bytes, p12: Path, tmp_path: Path) -> None:
    with signers.timestamp_server(signers.clock()) as url:
        how = chosen(by(p12, timestamp_url=url), P12=PASSWORD)
        found = read(signed(hello, how, tmp_path)[0], how.roots)
    assert found.problems == ()
    assert found.signer
    assert found.signer.stamped_by == "Test Timestamp Signer"


def test_a_timestamp_server_that_does_not_answer(hello: bytes, p12: Path, tmp_path: Path) -> None:
    how = chosen(by(p12, timestamp_url="http://127.0.0.1:9/"), P12=PASSWORD)
    with pytest.raises(SignError, match="hello could not be signed"):
        signed(hello, how, tmp_path)
    assert (tmp_path / "hello").read_bytes() == hello


def test_entitlements(hello: bytes, p12: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.plist").write_text(ENTITLEMENTS)
    for settings in (
        Settings(sign="ad-hoc", entitlements=str(tmp_path / "asked.plist")),
        by(p12, entitlements=str(tmp_path / "asked.plist")),
    ):
        how = chosen(settings, P12=PASSWORD)
        found = read(signed(hello, how, tmp_path)[0], how.roots)
        assert (found.problems, found.entitlements) == ((), ("com.apple.security.cs.allow-jit",))


def _of_another_key(key: Any) -> bytes:
    return replace(signers.signer(), key=key).pem()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: signers.signer().pem(above=False), "ends at no trusted root, but at CN="),
        (lambda: _of_another_key(signers.key("ec")), "is of the key in it"),
        (lambda: _of_another_key(ed25519.Ed25519PrivateKey.generate()), "holds no RSA or ECDSA key"),
        (lambda: signers.signer().certificate.public_bytes(Encoding.PEM), "it needs a password"),
        (lambda: b"hello", "it needs a password"),
        (None, "No such file"),
    ],
    ids=["a chain with a gap", "another's key", "a key of another kind", "no key", "something else", "not there"],
)
def test_files_that_cannot_sign_are_refused(tmp_path: Path, content: Callable[[], bytes] | None, why: str) -> None:
    path = tmp_path / "own.pem"
    if content:
        path.write_bytes(content())
    with pytest.raises(ConfigError) as caught:
        chosen(Settings(sign=str(path)))
    assert why in str(caught.value)


def test_passwords(p12: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{PASSWORD}\nmore\n")
    assert chosen(Settings(sign=str(p12), sign_password_file=str(tmp_path / "secret"))).facts["team"] == TEAM
    for settings, why in (
        (Settings(sign=str(p12)), "it needs a password"),
        (by(p12), "is not set"),
        (Settings(sign=str(p12), sign_password_file=str(tmp_path / "none")), "cannot read the file with the password"),
    ):
        with pytest.raises(ConfigError, match=why):
            chosen(settings)
    with pytest.raises(ConfigError, match="the password is wrong") as caught:
        chosen(by(p12), P12="battery staple")
    assert "battery" not in str(caught.value)


def test_secrets_show_nowhere(p12: Path, hello: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in what is written to files, not in what is shown, not in this process's environment."""
    how = chosen(by(p12), P12=PASSWORD)
    made, told = signed(hello, how, tmp_path)
    key = identity.load_identity(p12, PASSWORD.encode()).pem.split(b"\n")[2].decode()
    assert isinstance(how, signing.CertificateSigner)
    for shown in (repr(how), repr(how.identity), json.dumps(told), json.dumps(dict(os.environ))):
        assert PASSWORD not in shown
        assert key not in shown
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path != p12]
    assert left == [tmp_path / "hello"]
    assert key.encode() not in made


def test_the_key_passes_through_a_pipe_alone(p12: Path, hello: bytes, tmp_path: Path) -> None:
    secret = b"x" * (1 << 20)
    with signing._pipe(secret) as path:
        assert Path(path).read_bytes() == secret
    with signing._pipe(secret) as path:  # not read to its end: nothing hangs
        assert path.startswith("/dev/fd/")


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_name: str) -> Any:
        raise ImportError

    monkeypatch.setattr(signing, "import_module", gone)
    with pytest.raises(ToolMissing, match=r"gobuild\[sign\]"):
        chosen(Settings(sign="ad-hoc"))


def test_apple_s_designated_requirement_is_apple_s(darwin_wheel: Path) -> None:
    """For a certificate under Apple's root it is, byte for byte, the one in Google's binaries."""
    data = (darwin_wheel / "bin/gofmt").read_bytes()
    signer = read(data).signer
    assert signer
    ours = requirements.designated_requirement("org.golang.gofmt", signer.chain)
    assert data.count(ours) == 1
    place = image(data).signature
    assert place
    at = data.index(ours) - 20
    assert struct.unpack_from(">5I", data, at) == (0xFADE0C01, 20 + len(ours), 1, 3, 20)


# --- on a Mac: what the tools would be started with. Nothing of it was tried on one. ---------------------------------


def answering(output: str = "") -> Mock:
    """A runner that starts nothing."""
    return Mock(return_value=Result(argv=(), code=0, output=output))


def words(call: Any) -> list[str]:
    return [str(each) for each in call.args[0]]


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A PATH with programs of Apple's names that are never started."""
    for name in ("codesign", "xcrun"):
        path = tmp_path / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    return str(tmp_path / "tools")


NAME = "Developer ID Application: Acme (ABCDE12345)"


def test_codesign_s_words(tmp_path: Path, tools: str) -> None:
    (tmp_path / "asked.plist").write_text(ENTITLEMENTS)
    asked = str(tmp_path / "asked.plist")
    for more, expected in (
        ({}, ["--timestamp=none"]),
        ({"timestamp_url": "apple"}, ["--timestamp"]),
        ({"timestamp_url": "https://tsa.example/"}, ["--timestamp=https://tsa.example/"]),
        ({"entitlements": asked}, ["--timestamp=none", "--entitlements", asked]),
    ):
        runner = answering()
        settings = Settings.of({"sign": f"identity:{NAME}", **more})
        signed(b"program", chosen(settings, host=MAC, runner=runner, PATH=tools, HOME="/h", SECRET="s"), tmp_path)
        start = ["codesign", "--force", "--sign", NAME, "--identifier", "go-acme.hello", "--options", "runtime"]
        (call,) = runner.call_args_list
        assert words(call) == [*start, *expected, str(tmp_path / "hello")]
        assert call.kwargs["env"] == {"PATH": tools, "HOME": "/h"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"id": "2f-1", "status": "Accepted", "message": "Processing complete"}', ""),
        ('{"id": "2f-1", "status": "Invalid", "message": "Processing complete"}', "notary service says Invalid"),
        ("Error: HTTP status code: 401", "said nothing that can be read"),
    ],
)
def test_notarization(tmp_path: Path, tools: str, answer: str, says: str) -> None:
    runner = answering(answer)
    settings = Settings(sign=f"identity:{NAME}", timestamp_url="apple", notarize="acme-profile")
    how = chosen(settings, host=MAC, PATH=tools, runner=runner)
    if says:
        with pytest.raises(SignError, match=says):
            signed(b"program", how, tmp_path)
    else:
        assert signed(b"program", how, tmp_path)[1]["notarization"] == "2f-1"
    pack = tmp_path / "scratch/notarize.zip"
    start = ["xcrun", "notarytool", "submit", str(pack), "--keychain-profile", "acme-profile", "--wait"]
    assert words(runner.call_args_list[1]) == [*start, "--output-format", "json", "--no-progress"]
    assert not pack.exists()


def test_codesign_failing(tmp_path: Path, tools: str) -> None:
    runner = Mock(side_effect=CommandError("codesign: exit code 1"))
    how = chosen(Settings(sign=f"identity:{NAME}"), host=MAC, PATH=tools, runner=runner)
    with pytest.raises(SignError, match="codesign could not sign hello"):
        signed(b"program", how, tmp_path)


def test_what_needs_a_mac_is_refused_elsewhere(tools: str) -> None:
    with pytest.raises(ConfigError, match="on a Mac only"):
        chosen(Settings(sign=f"identity:{NAME}"), host=LINUX, PATH=tools)
    with pytest.raises(ToolMissing, match="codesign"):
        chosen(Settings(sign=f"identity:{NAME}"), host=MAC, PATH="/nonexistent")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"sign": "adhoc"}, "one of linker, ad-hoc, FILE.p12"),
        ({"sign": "identity:"}, "names no identity"),
        ({"sign": "ad-hoc", "target": "linux/amd64"}, "programs for linux/amd64 are not signed"),
        ({"sign": "ad-hoc", "timestamp_url": "apple"}, "timestamp_url means nothing"),
        ({"sign": "ad-hoc", "sign_password_env": "X"}, "sign_password_env means nothing"),
        ({"sign": "a.p12", "notarize": "x"}, "notarize means nothing"),
        ({"entitlements": "x.plist"}, "entitlements means nothing"),
        ({"sign": "a.p12", "sign_password_env": "A", "sign_password_file": "b"}, "two places"),
        ({"sign": "a.p12", "sign_password_env": "hunter-2"}, "is no variable's name"),
        ({"sign": "a.p12", "timestamp_url": "tsa.example"}, "no URL"),
        ({"sign": "a.p12", "timestamp_url": "https://me:hunter@tsa.example/"}, "timestamp_url holds credentials"),
        ({"sign": "a.p12", "timestamp_url": "https://hunter@tsa.example/"}, "timestamp_url holds credentials"),
        ({"base_url": "https://me:hunter@dist.example/"}, "base_url holds credentials"),
        ({"sign": "identity:x", "notarize": "x"}, "only what has a timestamp"),
    ],
)
def test_settings_that_cannot_be(asked: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.of(asked)
    assert says in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_of_a_timestamp_server_the_manifest_names_scheme_and_host() -> None:
    told = {url: timestamp_server(url) for url in ("", "apple", "https://tsa.example:8443/account/k3y?token=k3y")}
    assert list(told.values()) == ["none", "apple", "https://tsa.example:8443"]
    by_codesign = KeychainSigner(identity=NAME, timestamp_url="https://tsa.example/k3y", environment={}, run=run)
    assert by_codesign.facts["timestamp"] == "https://tsa.example"


def test_the_password_reaches_no_child(
    toy_tree: Path, bootstrap: Path, p12: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """make.bash sees neither the variable nor what it holds; and a wrong one is refused before any work."""
    (toy_tree / "src/make.bash").write_text("env; ps -ef 2>/dev/null; exit 2\n")
    monkeypatch.setenv("P12", PASSWORD)
    places = {"dist": tmp_path / "dist", "work": tmp_path / "work", "cache": tmp_path / "cache"}
    toy = {"go": "1.22.10", "source": str(toy_tree), "series": "none", "suffix": "toy", "bootstrap": str(bootstrap)}
    session = Session(settings=by(p12, **toy, **places), console=Console(stream=io.StringIO()))
    with pytest.raises(BuildError):
        pipeline.build(session)
    log = (tmp_path / "work/go1.22.10-toy.darwin-arm64/make.log").read_text()
    assert "GOROOT_BOOTSTRAP" in log
    assert PASSWORD not in log
    assert "P12" not in log
    monkeypatch.setenv("P12", "wrong")
    with pytest.raises(ConfigError, match="the password is wrong"):
        pipeline.build(session)
    assert not places["dist"].exists() or not list(places["dist"].glob("go*"))
