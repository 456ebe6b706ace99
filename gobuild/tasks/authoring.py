"""The tasks of whoever writes a patch: `patches.shell`, in which it is written, and `patches.test`."""

import sys
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from gobuild.core.console import Console, counted
from gobuild.core.errors import AcceptanceError, ConfigError, first_few
from gobuild.core.goversion import Target
from gobuild.tasks import show
from gobuild.tasks.words import SOURCE, settings_of, split_words, with_settings


@with_settings(*SOURCE, name="test", help={"target": "this machine's, on which the tests run"})
def test_patches(
    context: Context,
    *,
    only: Annotated[str, "the patches to test, by name, several with commas between them; by default all"] = "",
    own: Annotated[bool, "only the patches' own tests, not those of the packages that they touch"] = False,
    json: Annotated[bool, "print what was found as JSON"] = False,
    **words: object,
) -> None:
    """Runs the tests of patches, before and after.

    A patch's own test must fail without it and pass with it; the packages that it touches must pass their tests.

    Example: gobuild patches.test --go 1.22.10 --series ours --only bigger-stacks
    """
    from gobuild.acceptance import TestRow, accept_patches
    from gobuild.pipeline.session import Session

    host = Target.host()
    settings = settings_of(context, words | {"target": words.get("target") or str(host)})
    if settings.for_target != host:
        raise ConfigError(f"tests for {settings.target} do not run on {host}", f"--target {host}, or without --target")
    console = Console(stream=sys.stderr) if json else Console()

    def told(row: TestRow) -> None:
        if row.output and row.verdict.bad:
            console.say(f"{', '.join(row.patches)}: {row.test}: {row.verdict.value}", style="red")
            console.say(row.output)

    found = accept_patches(
        Session(settings=settings, console=console), split_words(only), packages=not own, on_row=told
    )
    if json:
        show.document(found.to_json())
    else:
        show.acceptance(console, found)
    if found.bad:
        lines = first_few(f"{', '.join(row.patches)}: {row.test}: {row.verdict.value}" for row in found.bad)
        raise AcceptanceError(
            "\n  ".join([f"{counted(len(found.bad), 'test')} on Go {found.version} not as wanted:", *lines]),
            "what each wrote stands above; --only NAME runs one patch's tests alone",
        )
    if not json:
        untested = f"; without a test: {', '.join(found.untested)}" if found.untested else ""
        console.verdict(f"Go {found.version}: {counted(len(found.rows), 'test')} as wanted{untested}")


@with_settings(*SOURCE, name="shell", help={"series": "the folder of the patch series, yours; it is made if missing"})
def open_shell(
    context: Context,
    *,
    to: Annotated[str, "the folder of the GOROOT, to be kept; by default SERIES.shell, until all is written"] = "",
    **words: object,
) -> None:
    """Opens a shell in a patched GOROOT, to be edited.

    What was changed there becomes a patch of the series when the shell ends.

    Example: gobuild patches.shell --go 1.22.10 --series ours
    """
    from gobuild.acceptance import shell
    from gobuild.pipeline.session import Session

    settings, console = settings_of(context, words), Console()
    if not sys.stdin.isatty():
        raise ConfigError("a shell needs a terminal", "patches.import --to DIR, and patches.export --from DIR")
    if settings.series in ("stock", "none"):
        raise ConfigError("a shell needs a series of yours to write to", "--series DIR")
    begun = shell.begin(Session(settings=settings, console=console), Path(to).expanduser() if to else None)
    console.say(f"{begun.folder}: Go {begun.version} with the series, a commit a patch; its go command comes first")
    console.say("edit; go test PACKAGE; go install cmd/PROGRAM builds one of its own programs anew; exit ends it")
    begun.run()
    if left := begun.uncommitted():
        console.say(f"changed, and in no commit: {', '.join(first_few(left))}")
        name = input("name of the patch, lower-case words with hyphens (nothing: leave it there): ").strip()
        if not name:
            console.warn(f"nothing is written; the same words again open {begun.folder} once more")
            return
        begun.commit(name, input("why it exists, in a line: ").strip())
    exported = begun.export()
    show.exported(console, exported, add=True)
    if not to:
        begun.remove()
    tested = f"gobuild patches.test --go {begun.version} --series {settings.series}"
    console.verdict(f"the series {exported.series.folder} is as the shell left it", then=tested)
