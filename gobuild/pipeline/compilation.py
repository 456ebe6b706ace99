"""fetch, patch, build: what a prepared build begins with, by whichever builder will do.

A `Prepared` comes in, a toolchain in the work folder goes out, and with `--builder both` its twin. make.bash is the
authority; the direct builder makes the same bytes in less than half the time where upstream's toolchain of the same
release is to be had, and where it is not used one line says why.
"""

from dataclasses import dataclass
from pathlib import Path

from gobuild import build, fetch, patch
from gobuild.build import direct
from gobuild.core import files
from gobuild.core.console import Stage
from gobuild.core.errors import ConfigError, ToolMissing, UnsafeArchive
from gobuild.core.model import Bootstrap, PatchedSource, Source, Toolchain
from gobuild.package import manifest
from gobuild.pipeline.session import Prepared, Session
from gobuild.pipeline.timing import Clock
from gobuild.store import Store, key


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What came of fetch, patch and build.

    Attributes:
        toolchain: the toolchain.
        tree: the dirhash of its source before it was patched.
        twin: the same, by the other builder; None unless both were asked for.
    """

    toolchain: Toolchain
    tree: str
    twin: Toolchain | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """A build under way: fetch, patch and build, each a method, in `make`'s order.

    Attributes:
        session: what was asked for.
        prepared: what was resolved.
        clock: times the stages.
        store: where the direct builder's packages are looked for, and kept.
    """

    session: Session
    prepared: Prepared
    clock: Clock
    store: Store

    def make(self) -> Compiled:
        """All three.

        Raises:
            ConfigError: the direct builder was asked for by name, and cannot do this.
            GobuildError: as the stages do.
        """
        both, plan = self.session.settings.builder == "both", self.prepared.plan
        self.note_rosetta()
        with self.clock.stage("fetch") as at:
            # First the toolchain to start from: one that will not do is refused before anything is laid out.
            upstream = self._upstream(at)
            bootstrap = self._bootstrap(at) if both or not upstream else upstream
            at.note(f"the source of {plan.release.version.tag}, from {plan.release.origin}")
            sources = [self.prepared.reached.source(plan.release, root) for root in plan.trees]
            fetch.require(bootstrap, sources[0])
            tree = files.dirhash(sources[0].root)
        with self.clock.stage("patch") as at:
            patched = [self._patch(source, tree) for source in sources]
            for outcome in patched[0].outcomes:
                at.note(f"{outcome.name}: {outcome.state}, {outcome.evidence}")
            if upstream and not self._fit(patched[0], upstream):
                upstream = None
        with self.clock.stage("build") as at:
            if not upstream:
                return Compiled(toolchain=self._by_make(patched[0], bootstrap, at), tree=tree)
            made = self._directly(patched[-1], upstream, at)
            if not both:
                return Compiled(toolchain=made, tree=tree)
            return Compiled(toolchain=self._by_make(patched[0], bootstrap, at), tree=tree, twin=made)

    def note_rosetta(self) -> None:
        """Says it where an x86-64 Python on Apple Silicon makes this machine look like another."""
        if str(self.prepared.plan.host) != "darwin/amd64":
            return
        words = ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"]
        try:
            said = self.session.run(words, env={}, cwd=Path("/"), check=False)
        except ToolMissing:
            return
        if said.output.strip() == "1":
            self.session.console.warn(
                "this Python is x86-64 and Rosetta translates it: the host is taken for darwin/amd64, and all runs"
                " slower than by an arm64 Python"
            )

    def _upstream(self, at: Stage) -> Bootstrap | None:
        """Upstream's toolchain for the direct builder; None where make.bash is to build."""
        settings, plan = self.session.settings, self.prepared.plan
        if settings.builder == "make.bash":
            return None
        reason = ""
        if self.prepared.reached.catalog.identity not in ("", "wheel"):
            reason = "a source of your own may have another compiler than upstream's"
        elif settings.builder == "auto" and settings.bootstrap:
            reason = "--bootstrap says what to start from"
        elif settings.builder == "auto":
            reason = direct.uncompared(plan.host, plan.release.version)
        if not reason:
            at.note(f"upstream's Go {plan.release.version} for {plan.host}")
            found = fetch.same(
                settings, plan.release, host=plan.host, reached=self.prepared.reached, run=self.session.run,
                console=self.session.console,
            )  # fmt: skip
            if found:
                return found
            reason = f"upstream's Go {plan.release.version} for {plan.host} is not to be had"
        self._without(reason)
        return None

    def _fit(self, patched: PatchedSource, upstream: Bootstrap) -> bool:
        """Whether the series lets itself be built directly."""
        marked = [each.name for each in self.prepared.patches if each.direct]
        if reason := direct.refusal(patched, marked, upstream.goroot):
            self._without(reason)
        return not reason

    def _without(self, reason: str) -> None:
        """Goes on with make.bash, and says why; refuses where the direct builder was asked for by name."""
        if self.session.settings.builder != "auto":
            raise ConfigError(f"this cannot be built directly: {reason}", "--builder make.bash")
        self.session.console.say(f"built by make.bash: {reason}")

    def _bootstrap(self, at: Stage) -> Bootstrap:
        plan = self.prepared.plan
        at.note(f"a bootstrap toolchain for {plan.host}")
        return fetch.bootstrap(
            self.session.settings,
            plan.release,
            host=plan.host,
            reached=self.prepared.reached,
            run=self.session.run,
            console=self.session.console,
        )

    def _patch(self, source: Source, tree: str) -> PatchedSource:
        """The series applied, and gobuild.json put into the tree.

        Without a suffix nothing in a toolchain is ours, and so neither is that file.
        """
        plan = self.prepared.plan
        patched = patch.patch(source, self.prepared.patches, stamp=plan.stamp, absent=self.prepared.absent)
        if patched.stamp != plan.release.version.tag:
            document = manifest.inner(patched, plan.profile, tree=tree)
            files.write(source.root / manifest.NAME, manifest.text(document))
        return patched

    def _by_make(self, patched: PatchedSource, bootstrap: Bootstrap, at: Stage) -> Toolchain:
        plan = self.prepared.plan
        return build.make(
            patched,
            plan.target,
            host=plan.host,
            profile=plan.profile,
            bootstrap=bootstrap,
            log=plan.log,
            scratch=plan.scratch,
            run=self.clock.timed("make.bash", self.session.run),
            note=at.note,
        )

    def _directly(self, patched: PatchedSource, upstream: Bootstrap, at: Stage) -> Toolchain:
        plan = self.prepared.plan
        return direct.direct(
            patched,
            plan.target,
            host=plan.host,
            profile=plan.profile,
            upstream=upstream,
            tools=self._tools(patched, upstream, at),
            log=plan.log,
            scratch=plan.scratch / "direct",
            run=self.clock.timed("direct", self.session.run),
            note=at.note,
        )

    def _tools(self, patched: PatchedSource, upstream: Bootstrap, at: Stage) -> Path:
        """The host's tools, linked anew; the packages they are made of come from the store, or go there."""
        plan, cache = self.prepared.plan, self.prepared.plan.scratch / "packages"
        over = {
            name: files.sha256(path) if path.exists() else ""
            for name in direct.overlay(patched)
            for path in (patched.source.root / name,)
        }
        of = key(recipe=direct.VERSION, host=str(plan.host), upstream=upstream.digest, overlay=over)
        # Jobs of one release at once: the first compiles them, the others wait and take them from the store.
        lock = self.session.settings.cache.absolute() / f".tools-{of[:16]}.lock"
        with files.exclusive_lock(lock, f"building {plan.host}'s tools of Go {upstream.version}", waiting=at.note):
            kept = self._packages(of, cache)
            direct.tools(
                patched,
                upstream,
                host=plan.host,
                into=plan.tools,
                cache=cache,
                log=plan.log,
                scratch=plan.scratch / "direct",
                run=self.clock.timed("direct tools", self.session.run),
                note=at.note,
            )
            if not kept:
                facts = {"go": str(upstream.version), "host": str(plan.host), "overlay": sorted(over)}
                self.store.put("tools", of, {"packages": cache}, facts)
        files.remove(cache)
        return plan.tools

    def _packages(self, of: str, cache: Path) -> bool:
        """Puts the packages that the store has in place; tells whether it has any that can be used."""
        kept = self.store.get("tools", of)
        if not kept or "packages" not in kept.files:
            return False
        try:
            self.store.place(kept, "packages", cache)
        except UnsafeArchive as error:
            self.store.say(f"the store's tools {of[:12]} cannot be used: {error.reason}")
            return False
        return True
