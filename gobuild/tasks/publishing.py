"""The tasks of both ends of a published tree (`publish`, `verify-release`), and of its checksum database's key."""

import os
import sys
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from gobuild.core.console import Console
from gobuild.core.errors import ConfigError
from gobuild.core.process import run
from gobuild.tasks import show
from gobuild.tasks.words import HELP, HELP_DEPRECATE, HELP_DETAILS, HELP_DROP, flagged, path_of, settings_of, targets


@flagged()
def publish(  # noqa: PLR0913, PLR0917  (one for each flag)
    context: Context,
    to: Annotated[str, "where the tree is served from; a symbolic link to its newest generation"] = "",
    from_: Annotated[list[str] | None, "a folder of finished builds; may be given again (default: dist)"] = None,
    base_url: Annotated[str | None, "where the tree will be served"] = None,
    name: Annotated[str | None, HELP["name"]] = None,
    sign_key: Annotated[str, "a secret key file of minisign's; its password in GOBUILD_SIGN_PASSWORD"] = "",
    sign_password_file: Annotated[str, "a file whose first line is that key's password"] = "",
    gpg_user: Annotated[str, "sign with this key of gpg's instead"] = "",
    resign: Annotated[bool, "sign every release anew with it: a new key takes an old one's place"] = False,
    signed_by: Annotated[str, "a public key whose signatures in the tree count as well: an older key of yours"] = "",
    sign_unsigned: Annotated[
        list[str] | None, "an unsigned release, to be signed as it stands; may be given again"
    ] = None,
    sumdb_key: Annotated[str, "the checksum database's key file, as keys.new made it"] = "",
    author: Annotated[str, "who commits to the tap: NAME <MAIL>"] = "",
    drop: Annotated[str, HELP_DROP] = "",
    deprecate: Annotated[bool, HELP_DEPRECATE] = False,
    no_bottles: Annotated[bool, "make no Homebrew bottles: the formulae install from the archives"] = False,
    details: Annotated[bool, HELP_DETAILS] = False,
) -> None:
    """Adds finished builds to a site of static files.

    The site has a Homebrew tap, a GOTOOLCHAIN proxy, a download index, pages, and signed attestations.

    Example: gobuild publish --to site --base-url https://go.acme.example --name go-acme
    """
    from gobuild.publish import homebrew, site
    from gobuild.publish.builds import ENDING
    from gobuild.publish.sumdb.note import NoteSigner
    from gobuild.publish.supply.signing import PASSWORD, choose_signer
    from gobuild.release import load_trust

    # Taken away before any child is started: each would have it in its environment, git's and gpg's helpers as well.
    password = os.environ.pop(PASSWORD, None)
    settings = settings_of(context, {"base_url": base_url, "name": name})
    if not to:
        raise ConfigError("publish needs a place", "--to DIR")
    left = targets(drop)
    console = Console(details=details)
    # What was not named need not have anything: then pages and parts are written anew.
    standard = [settings.dist] if any(settings.dist.glob(f"*{ENDING}")) else []
    sources = [Path(each).expanduser() for each in from_ or ()] or standard
    with console.stage("publish") as at:
        site.refuse_strange_site(Path(to))
        signing = site.SiteSigning(
            signer=choose_signer(path_of(sign_key), path_of(sign_password_file), gpg_user, run=run, password=password),
            resign=resign,
            signed_by=(load_trust(path_of(signed_by), run),) if signed_by else (),
            named=tuple(sign_unsigned or ()),
        )
        made = site.publish(
            sources,
            Path(to),
            name=settings.name,
            base_url=settings.base_url,
            signing=signing,
            sumdb_key=NoteSigner.read_file(Path(sumdb_key).expanduser()) if sumdb_key else None,
            tap=homebrew.TapOptions(
                author=author or homebrew.AUTHOR, bottles=not no_bottles, drop=left, deprecate=deprecate
            ),
            note=at.note,
        )
    show.published(console, made)


@flagged()
def verify_release(
    _context: Context,
    where: Annotated[str, "the tree's folder or URL"],
    key: Annotated[str, "the publisher's public key, minisign's or OpenPGP's, from elsewhere than the tree"] = "",
    sumdb: Annotated[str, "the checksum database's public key: NAME+HASH+KEY"] = "",
    stamp: Annotated[list[str] | None, "a release to check; may be given again (default: all)"] = None,
    signed_only: Annotated[bool, "check what is signed, not what publishing writes anew: tap, indexes"] = False,
    json: Annotated[bool, "print the report as JSON"] = False,
    details: Annotated[bool, HELP_DETAILS] = False,
) -> None:
    """Checks a published site, from its signature down.

    Example: gobuild verify-release https://go.acme.example --key minisign.pub
    """
    from gobuild import release

    console = Console(stream=sys.stderr if json else sys.stdout, details=details)
    with console.stage("verify") as at:
        report = release.verify_release(
            where,
            key=path_of(key),
            sumdb=sumdb,
            stamps=stamp or (),
            signed_only=signed_only,
            run=run,
            note=at.note,
        )
    if json:
        show.as_json(report, where)
    else:
        show.each(console, report)
    release.require_pass(report)
    if not json:
        signed = f"signed by {key}" if key else "no key was given"
        more = () if details else ("--details shows every check",)
        console.verdict(f"{where}: {show.counts(report)}; {signed}", *more)


@flagged(name="new")
def new_key(
    _context: Context,
    to: Annotated[str, "the file for the secret key; there must be none yet"] = "",
    name: Annotated[str, "the checksum database's name: a host of yours and perhaps a path, acme.example/sumdb"] = "",
) -> None:
    """Makes a key for a checksum database of your toolchains.

    Shows the public half.

    Example: gobuild keys.new --to sumdb.key --name acme.example/sumdb
    """
    from gobuild.publish.sumdb.note import NoteSigner

    if not to or not name:
        raise ConfigError("a new key needs a file and a name", "--to FILE --name acme.example/sumdb")
    signer, path = NoteSigner.new(name), Path(to).expanduser()
    signer.write_file(path)
    console = Console()
    console.say(str(signer.verifier))
    console.verdict(
        "the key is made. Keep its secret half private, and a copy of it: without it the database cannot be extended",
        str(path),
        then=f"gobuild publish --sumdb-key {path}",
    )


@flagged(name="show")
def show_key(_context: Context, key: Annotated[str, "the file that keys.new made"] = "") -> None:
    """Shows the public half of a key, for GOSUMDB.

    Example: gobuild keys.show --key sumdb.key
    """
    from gobuild.publish.sumdb.note import NoteSigner

    if not key:
        raise ConfigError("which key?", "--key FILE")
    Console().say(str(NoteSigner.read_file(Path(key).expanduser()).verifier))
