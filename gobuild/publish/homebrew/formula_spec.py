"""What a formula of ours installs, read from the lines that brew itself goes by; nothing of it is run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import TARGETS, Target
from gobuild.publish.homebrew.formula import OURS, Bottle, Download

BOTTLE_ENDING = ".bottle.tar.gz"

_HINT = "the formula as gobuild wrote it"
_VERSION = re.compile(r'^  version "([0-9][0-9a-z.-]*)"$', re.MULTILINE)
_SCHEME = re.compile(r"^  version_scheme ([0-9]{1,6})$", re.MULTILINE)
_ENDED = re.compile(r'^  deprecate! date: "(\d{4}-\d\d-\d\d)", because: :unsupported$', re.MULTILINE | re.ASCII)
_DOWNLOAD = re.compile(r'^ +url "([^"\\#]+)"\n(?: +version ".*"\n)? +sha256 "([0-9a-f]{64})"$', re.MULTILINE)
_FILE = re.compile(r"^ +(?:url|sha256) .*$", re.MULTILINE)
_ROOT_URL = re.compile(r'^    root_url "([^"\\#]+)"$', re.MULTILINE)
_BOTTLE = re.compile(r'^    sha256 cellar: :any_skip_relocation, ([a-z0-9_]+): +"([0-9a-f]{64})"$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormulaSpec:
    """What a formula installs, and where from: the default download first, and no root_url where there is no bottle."""

    version: str
    scheme: int
    downloads: tuple[Download, ...]
    root_url: str
    bottles: tuple[Bottle, ...]
    ended: str = ""  # since when its line gets no fixes, where it says so

    @property
    def targets(self) -> frozenset[Target]:
        """The platforms that may install it."""
        return frozenset(download.target for download in self.downloads)

    def files(self, formula: str) -> Iterator[tuple[str, str]]:
        """The URL and digest of every file that brew would fetch; `formula` is its name."""
        for download in sorted(self.downloads, key=lambda each: TARGETS.index(each.target)):
            yield download.url, download.sha256
        for tag, sha256 in self.bottles:
            yield f"{self.root_url.rstrip('/')}/{quote(bottle_file(formula, self.version, tag))}", sha256


def bottle_file(formula: str, version: str, tag: str) -> str:
    """A bottle's name below `root_url`: one hyphen, where brew's own file names have two (bottle.rb, url_encode)."""
    return f"{formula}-{version}.{tag}{BOTTLE_ENDING}"


def parse_formula(text: str) -> FormulaSpec:
    """Reads a formula of ours.

    Raises:
        ConfigError: gobuild did not write it, or somebody changed the lines that say what is installed.
    """
    head = text.partition("\n  def install\n")[0]
    versions, root_urls = _VERSION.findall(head), _ROOT_URL.findall(head)
    pairs, bottles = _DOWNLOAD.findall(head), _BOTTLE.findall(head)
    if OURS not in head:
        raise ConfigError("gobuild did not write it", _HINT)
    if len(versions) != 1 or len(root_urls) != bool(bottles) or not pairs:
        raise ConfigError("it does not say what it installs as gobuild writes it", _HINT)
    if len(_FILE.findall(head)) != 2 * len(pairs) + len(bottles):
        raise ConfigError("it has a url or sha256 that gobuild would not write", _HINT)
    schemes = _SCHEME.findall(head)
    return FormulaSpec(
        version=versions[0],
        scheme=int(schemes[0]) if schemes else 0,
        downloads=tuple(Download(target=_target(url, versions[0]), url=url, sha256=digest) for url, digest in pairs),
        root_url="".join(root_urls),
        bottles=tuple(bottles),
        ended="".join(_ENDED.findall(head)[:1]),
    )


def _target(url: str, version: str) -> Target:
    file = unquote(urlsplit(url).path).rpartition("/")[2]
    target = {f"go{version}.{each.dashed}.tar.gz": each for each in TARGETS}.get(file)
    if target is None:
        raise ConfigError(f"its {file[:200]!a} is no archive of go{version}", _HINT)
    return target


def version_in(text: str | None) -> str:
    """The version that a formula of ours installs; "" where there is none, or it cannot be read."""
    found = _VERSION.search(text or "")
    return found[1] if found else ""
