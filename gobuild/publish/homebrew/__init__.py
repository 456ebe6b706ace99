"""Homebrew, without brew: a tap, its formulae and bottles, made of finished builds.

Catalogue -> which release each formula is of -> Recipe -> bottles -> formula -> one commit a release
"""

from gobuild.publish.homebrew.check import check_tap as check_tap
from gobuild.publish.homebrew.formula import Download as Download
from gobuild.publish.homebrew.formula import downloads as downloads
from gobuild.publish.homebrew.formula import formula as formula
from gobuild.publish.homebrew.formula import formula_name as formula_name
from gobuild.publish.homebrew.formula import formula_path as formula_path
from gobuild.publish.homebrew.formula import tap_name as tap_name
from gobuild.publish.homebrew.formula_spec import version_in as version_in
from gobuild.publish.homebrew.tap import AUTHOR as AUTHOR
from gobuild.publish.homebrew.tap import Tap as Tap
from gobuild.publish.homebrew.tap import open_bare_tap as open_bare_tap
from gobuild.publish.homebrew.tap import open_tap as open_tap
from gobuild.publish.homebrew.update import TapOptions as TapOptions
from gobuild.publish.homebrew.update import tap_folder as tap_folder
from gobuild.publish.homebrew.update import update_tap as update_tap
from gobuild.publish.homebrew.update import write_tap as write_tap
from gobuild.publish.homebrew.urls import TapUrls as TapUrls
from gobuild.publish.homebrew.urls import tap_remote as tap_remote
