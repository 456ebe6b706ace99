"""Signing and notarizing on a Mac, by Apple's own tools: `codesign` with an identity in the keychain, and `notarytool`.

A program comes in and is signed in its place; all of them go to Apple's notary service in one .zip, if that is asked
for. Credentials stay in the keychain: a notarytool profile (``xcrun notarytool store-credentials``) is named, never
opened. Sources: codesign(1), notarytool(1), TN3147. Nothing here was tried on a Mac: the tests look at the words that
the tools would be started with. What it does not do: it staples no ticket, because a plain executable has no place for
one; macOS asks Apple's service when such a program is first run.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gobuild.codesign.signers.server import APPLE, server
from gobuild.core.errors import CommandError, SignError
from gobuild.core.process import Runner

SIGNING, NOTARIZING = 300.0, 3600.0
"""Seconds for one program's signature, with its timestamp; and for the notary service, which mostly needs minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codesign:
    """Signs with an identity in the keychain, for the hardened runtime.

    Attributes:
        identity: its name or SHA-1, as `security find-identity -v -p codesigning` lists it.
        entitlements: an XML property list, or None.
        timestamp_url: an RFC 3161 server's; "apple" for Apple's own; empty for no timestamp.
        profile: the keychain profile to notarize with; empty for no notarization.
        environment: codesign's whole environment.
        run: starts it.
    """

    identity: str
    entitlements: Path | None = None
    timestamp_url: str = ""
    profile: str = ""
    environment: Mapping[str, str]
    run: Runner

    @property
    def told(self) -> dict[str, str]:
        """See `Signer.told`."""
        return {"by": self.identity, "timestamp": server(self.timestamp_url), "tool": "codesign"}

    @property
    def roots(self) -> tuple[bytes, ...]:
        """None: an identity that does not lead to Apple's root needs the setting `trust`."""
        return ()

    def words(self, path: Path, identifier: str) -> list[str | Path]:
        """The arguments of codesign for one program."""
        stamp = {"": "--timestamp=none", APPLE: "--timestamp"}.get(
            self.timestamp_url, f"--timestamp={self.timestamp_url}"
        )
        asked: list[str | Path] = ["--entitlements", self.entitlements] if self.entitlements else []
        return [
            *("codesign", "--force", "--sign", self.identity, "--identifier", identifier),
            *("--options", "runtime", stamp, *asked, path),
        ]

    def sign(self, path: Path, identifier: str) -> None:
        """See `Signer.sign`."""
        try:
            self.run(self.words(path, identifier), env=self.environment, cwd=path.parent, timeout=SIGNING)
        except CommandError as error:
            hint = "security find-identity -v -p codesigning lists the identities; the keychain must be unlocked"
            raise SignError(f"codesign could not sign {path.name}: {error.reason}", hint) from error

    def finish(self, paths: Iterable[Path], scratch: Path, note: Callable[[str], None]) -> dict[str, str]:
        """Sends the programs to Apple's notary service and waits for its answer, if a profile was named."""
        if not self.profile:
            return {}
        note("Apple's notary service")
        pack = scratch / "notarize.zip"
        pack.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
            for index, path in enumerate(paths):
                archive.write(path, f"{index}/{path.name}")
        words: list[str | Path] = ["xcrun", "notarytool", "submit", pack, "--keychain-profile", self.profile, "--wait"]
        try:
            result = self.run(
                [*words, "--output-format", "json", "--no-progress"],
                env=self.environment,
                cwd=scratch,
                timeout=NOTARIZING,
            )
        except CommandError as error:
            hint = f"xcrun notarytool history --keychain-profile {self.profile}"
            raise SignError(f"notarytool failed: {error.reason}", hint) from error
        finally:
            pack.unlink(missing_ok=True)
        return {"notarization": self._accepted(result.output)}

    def _accepted(self, output: str) -> str:
        """The submission's id, if Apple accepted it."""
        try:
            answer = json.loads(output[output.index("{") : output.rindex("}") + 1])
            status, submission = str(answer["status"]), str(answer["id"])
        except (ValueError, LookupError, TypeError) as error:
            raise SignError("notarytool said nothing that can be read", "run the same again") from error
        if status != "Accepted":
            hint = f"xcrun notarytool log {submission} --keychain-profile {self.profile}"
            raise SignError(f"Apple's notary service says {status}", hint)
        return submission
