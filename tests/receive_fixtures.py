"""A signed tree as its publisher makes it, and what somebody says who received it."""

from pathlib import Path

from publish_toys import STAMP, published, put_build, secret_key, write_public_key

from gobuild.core.model import Report
from gobuild.core.process import run
from gobuild.publish.sumdb.note import NoteSigner
from gobuild.publish.supply.signing import MinisignSigner
from gobuild.release import verify_release

PUBLISHER = MinisignSigner(secret=secret_key(b"12345678", bytes(range(32))))
DATABASE = NoteSigner(name="acme.example/sumdb", seed=bytes(32))
BASE = "https://go.acme.example"
RELEASE = f"releases/{STAMP}"


def publish_signed(folder: Path, *stamps: str, database: NoteSigner | None = DATABASE) -> Path:
    """Adds releases to the site in a folder, beside which its public key stands."""
    for stamp in stamps:
        put_build(folder / "dist", stamp=stamp)
    published(folder / "site", folder / "dist", signer=PUBLISHER, key=database, base_url=BASE)
    write_public_key(PUBLISHER, folder / "minisign.pub")
    return folder / "site"


def received(
    where: Path | str, *stamps: str, key: Path | None = None, sumdb: str = "", signed_only: bool = False
) -> Report:
    """What `verify-release` reports; the key is the one beside the folder, where none is named."""
    key = key or Path(where).parent / "minisign.pub"
    return verify_release(
        str(where), key=key, sumdb=sumdb, stamps=stamps, signed_only=signed_only, run=run, note=lambda _: None
    )
