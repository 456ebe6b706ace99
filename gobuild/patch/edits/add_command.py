"""add-command: gives a toolchain one more program of its own, which `go tool NAME` runs.

The source goes to src/cmd/NAME, where make.bash builds it with all other programs and distpack packs it into pkg/tool,
up to Go 1.24 by itself; from 1.25 on, cmd/dist and cmd/distpack each have a list of the tools that ship, and the name
is added there.
"""

import hashlib
import json
import re
from dataclasses import dataclass

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.tree import Tree, TreeChange

LISTS = (
    (
        "src/cmd/dist/build.go",
        re.compile(r"\btoolsToInstall = slices\.Concat\((?P<own>[^()\n]*)\)"),
        ', []string{"cmd/NAME"}',
    ),
    ("src/cmd/distpack/pack.go", re.compile(r'\bcase (?P<own>"asm", [^:\n]*"vet"[^:\n]*):'), ', "NAME"'),
)
"""Where the tools that ship are listed, how the list is written in 1.25 to 1.27, and what to put at its end."""

MARKED = re.compile(r"toolsToInstall|toolsIncludedInDistpack")
"""What those files hold where they have such a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCommand:
    """An operation on a tree: adds a program of this name, made of these Go files."""

    name: str
    sources: tuple[tuple[str, bytes], ...]

    @property
    def folder(self) -> str:
        """Where its source goes, relative to GOROOT."""
        return f"src/cmd/{self.name}"

    @property
    def content(self) -> bytes:
        """What the patch's digest is made of."""
        digests = {name: hashlib.sha256(text).hexdigest() for name, text in self.sources}
        lists = [(path, pattern.pattern, end) for path, pattern, end in LISTS]
        return json.dumps({"add-command": self.name, "sources": digests, "lists": lists}, sort_keys=True).encode()

    def apply(self, tree: Tree) -> TreeChange:
        """Notes the program and its place in the lists in a tree, where no other is of that name."""
        wanted = {f"{self.folder}/{name}": text for name, text in self.sources}
        if other := [path for path in tree.list_files(self.folder) if path not in wanted]:
            raise PatchError(f"{self.folder} is there already, with {other[0]}", "look whose it is")
        for path, pattern, end in LISTS:
            if text := self._listed(tree, path, pattern, end):
                wanted[path] = text
        changed = sorted(path for path, text in wanted.items() if tree.read_file(path) != text)
        for path in changed:
            if path.startswith(f"{self.folder}/") and tree.read_file(path) is not None:
                raise PatchError(f"{path} is there already, and is another", "look whose it is")
            tree.write_file(path, wanted[path])
        if not changed:
            return TreeChange(state=State.ALREADY_UPSTREAM, evidence=f"{self.folder} is there as it would be written")
        lists = len(changed) - len(self.sources)
        told = f", and in {lists} lists of the tools that ship" if lists > 0 else ""
        return TreeChange(
            state=State.APPLIED, evidence=f"{len(self.sources)} files in {self.folder}{told}", files=tuple(changed)
        )

    def _listed(self, tree: Tree, path: str, pattern: re.Pattern[str], end: str) -> bytes | None:
        """A file with the name in its list; None where this release has no such list."""
        found = tree.read_file(path)
        if found is None:
            raise PatchError(f"there is no {path}", "a source of Go's, from 1.21 on")
        text = found.decode()
        if not MARKED.search(text):
            return None
        places = list(pattern.finditer(text))
        if len(places) != 1:
            raise PatchError(f"{path} lists the tools that ship in a way that is not known", "leave this patch out")
        addition, at = end.replace("NAME", self.name), places[0].end("own")
        if places[0]["own"].endswith(addition):
            return found
        return (text[:at] + addition + text[at:]).encode()
