"""Signing and notarizing on a Mac, by Apple's own `codesign` and `notarytool`; credentials stay in the keychain.

No ticket is stapled: a plain executable has no place for one. Sources: codesign(1), notarytool(1), TN3147. Nothing here
was tried on a Mac: the tests look at the words that the tools would be started with.
"""

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gobuild.codesign.signers.signer import APPLE, Note, Signer, timestamp_server
from gobuild.core.errors import CommandError, SignError
from gobuild.core.process import Runner

SIGNING, NOTARIZING = 300.0, 3600.0
"""Seconds for one program's signature, with its timestamp; and for the notary service, which mostly needs minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeychainSigner(Signer):
    """Signs with an identity in the keychain, for the hardened runtime.

    Attributes:
        identity: its name or SHA-1, as `security find-identity -v -p codesigning` lists it.
        profile: the keychain profile to notarize with (`notarytool store-credentials`); empty for no notarization.
    """

    identity: str
    entitlements: Path | None = None
    timestamp_url: str = ""
    profile: str = ""
    environment: Mapping[str, str]
    run: Runner

    @property
    def facts(self) -> dict[str, str]:
        """See `Signer.facts`."""
        return {"by": self.identity, "timestamp": timestamp_server(self.timestamp_url), "tool": "codesign"}

    def sign(self, path: Path, identifier: str) -> None:
        """See `Signer.sign`."""
        stamp = {"": "--timestamp=none", APPLE: "--timestamp"}
        words: list[str | Path] = [
            *("codesign", "--force", "--sign", self.identity, "--identifier", identifier),
            *("--options", "runtime", stamp.get(self.timestamp_url, f"--timestamp={self.timestamp_url}")),
            *(("--entitlements", self.entitlements) if self.entitlements else ()),
        ]
        try:
            self.run([*words, path], env=self.environment, cwd=path.parent, timeout=SIGNING)
        except CommandError as error:
            hint = "security find-identity -v -p codesigning lists the identities; the keychain must be unlocked"
            raise SignError(f"codesign could not sign {path.name}: {error.reason}", hint) from error

    def finish(self, paths: Iterable[Path], scratch: Path, note: Note) -> dict[str, str]:
        """Sends the programs to Apple's notary service, in one .zip, and waits for its answer."""
        if not self.profile:
            return {}
        note("Apple's notary service")
        scratch.mkdir(parents=True, exist_ok=True)
        pack = scratch / "notarize.zip"
        with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
            for index, path in enumerate(paths):
                archive.write(path, f"{index}/{path.name}")
        words: list[str | Path] = ["xcrun", "notarytool", "submit", pack, "--keychain-profile", self.profile, "--wait"]
        words += ["--output-format", "json", "--no-progress"]
        try:
            output = self.run(words, env=self.environment, cwd=scratch, timeout=NOTARIZING).output
            answer = json.loads(output[output.index("{") : output.rindex("}") + 1])
            status, submission = str(answer["status"]), str(answer["id"])
        except CommandError as error:
            hint = f"xcrun notarytool history --keychain-profile {self.profile}"
            raise SignError(f"notarytool failed: {error.reason}", hint) from error
        except (ValueError, LookupError, TypeError) as error:
            raise SignError("notarytool said nothing that can be read", "run the same again") from error
        finally:
            pack.unlink(missing_ok=True)
        if status != "Accepted":
            hint = f"xcrun notarytool log {submission} --keychain-profile {self.profile}"
            raise SignError(f"Apple's notary service says {status}", hint)
        return {"notarization": submission}
