"""Whom a receiver trusts: the publisher's public key, from a file."""

from pathlib import Path

from gobuild.core.errors import ConfigError
from gobuild.core.process import Runner
from gobuild.publish.supply import minisign
from gobuild.publish.supply.signing import GnupgTrust, MinisignTrust, Trust

_ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def load_trust(key: Path | None, run: Runner) -> Trust:
    """Reads a public key of minisign's or OpenPGP's kind.

    Raises:
        ConfigError: there is none, or it is of no kind that gobuild knows: without a key nothing can be trusted.
    """
    if key is None:
        raise ConfigError(
            "nothing is verified without the publisher's public key",
            "--key minisign.pub, from somewhere else than the tree itself",
        )
    try:
        text = key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the public key {key} cannot be read", "a file such as minisign.pub") from error
    return GnupgTrust(armored=text, run=run) if _ARMOR in text else MinisignTrust(key=minisign.public_key(text))
