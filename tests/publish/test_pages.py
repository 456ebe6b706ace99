"""The pages in a real browser: links, the copy button, nothing from elsewhere, and hostile words that stay words."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from needs import needs
from playwright.sync_api import Browser, Page, sync_playwright
from publish_clients import serving
from publish_toys import KEY, SIGNER, STAMP, published, put_build

pytestmark = pytest.mark.slow  # a browser starts

NEXT = "go1.22.11-acme1.p2"
HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='taken'</script>\"' {{ 7*7 }} #{`id`} &amp;"
WIDTHS = (1280, 390)


def _hostile(document: dict[str, Any]) -> None:
    document["patches"][0] |= {"reason": HOSTILE, "evidence": HOSTILE, "files": [HOSTILE]}
    document["profile"]["note"] = HOSTILE
    document["source"] |= {"location": HOSTILE, "origin": HOSTILE}
    document["checks"][0]["seen"] = HOSTILE
    document["checks"].append(
        document["checks"][0]
        | {"subject": "bin/gofmt", "name": "uuid", "verdict": "FAILED", "seen": "no LC_UUID", "expected": "one"}
        | {"severity": "warn", "reason": HOSTILE}
    )
    document["patches"].append(document["patches"][0] | {"name": "mend", "fixes": ["GO-2025-3563"]})
    told = {"aliases": [HOSTILE], "reason": HOSTILE}
    fixed = told | {"id": "GO-2025-3563", "state": "fixed by patch", "patch": "mend"}
    open_here = told | {"id": "GO-2025-3420", "state": "affects", "patch": ""}
    document["vulnerabilities"] = {"database": HOSTILE, "date": "2026-08-21", "known": [fixed, open_here]}
    document["signing"] = {"by": HOSTILE, "timestamp": "none", "tool": "a toy"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases; the older one's manifest has markup wherever a text may stand."""
    folder = tmp_path_factory.mktemp("pages")
    put_build(folder / "dist", edit=_hostile)
    put_build(folder / "dist", stamp=NEXT)
    put_build(folder / "dist", stamp=NEXT, target="darwin/arm64")
    published(folder / "site", folder / "dist", signer=SIGNER, key=KEY, base_url="https://go.acme.example")
    return folder / "site"


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[str]:
    with serving(site) as served:
        yield served.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = needs("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Watched:
    """A page whose every word on the console, error and request is kept."""

    def __init__(self, browser: Browser, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: self.errors.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))


@pytest.fixture
def watched(browser: Browser, server: str) -> Iterator[Watched]:
    """A page of an ordinary width, and at its end: no error was seen, and nobody else was asked."""
    made = Watched(browser, viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    yield made
    made.context.close()
    # chromium asks every server for an icon by itself.
    assert [each for each in made.errors if "404" not in each] == []
    assert made.hosts == {urlsplit(server).netloc}


PAGES = ("index.html", f"releases/{STAMP}/index.html", f"releases/{NEXT}/index.html")


def test_every_link_leads_somewhere(watched: Watched, server: str) -> None:
    followed: dict[str, int] = {}
    for name in PAGES:
        watched.page.goto(f"{server}/{name}")
        links = watched.page.eval_on_selector_all("a[href]", "all => all.map(each => each.href)")
        assert len(links) >= 4
        for link in links:
            address, _, anchor = link.partition("#")
            if anchor and address == watched.page.url.partition("#")[0]:
                assert watched.page.locator(f"[id='{anchor}']").count() == 1, link
            elif address not in followed:
                followed[address] = watched.context.request.head(address).status
    assert {address: status for address, status in followed.items() if status != 200} == {}
    assert len(followed) >= 20


def test_the_copy_button_copies(watched: Watched, server: str) -> None:
    watched.page.goto(f"{server}/{PAGES[1]}")
    archive = f"{STAMP}.linux-amd64.tar.gz"
    button = watched.page.get_by_role("button", name=f"Copy the SHA-256 of {archive}")
    button.focus()
    watched.page.keyboard.press("Enter")
    watched.page.get_by_text(f"Copied: the SHA-256 of {archive}.").wait_for()
    copied = watched.page.evaluate("navigator.clipboard.readText()")
    row = watched.page.get_by_role("row").filter(has_text=archive)
    assert copied == row.locator("code").text_content() and len(copied) == 64
    assert watched.page.get_by_role("status").text_content() == f"Copied: the SHA-256 of {archive}."
    every = watched.page.locator("button[data-copy]")
    assert every.count() >= 8
    for number in range(every.count()):
        source = watched.page.locator(f"[id='{every.nth(number).get_attribute('data-copy')}']")
        every.nth(number).click()
        text = source.text_content()
        watched.page.wait_for_function("text => navigator.clipboard.readText().then(got => got === text)", arg=text)


def test_it_copies_where_the_clipboard_is_not_for_scripts(watched: Watched, server: str) -> None:
    """Over plain HTTP a browser has no navigator.clipboard: the selection is copied as by the keyboard."""
    watched.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    watched.page.goto(f"{server}/{PAGES[1]}")
    watched.page.locator("button[data-copy]").first.click()
    watched.page.locator("#said", has_text="Copied").wait_for()
    assert len(watched.page.evaluate("getSelection().toString()")) == 64


def test_it_reads_without_its_script(browser: Browser, server: str) -> None:
    plain = Watched(browser, java_script_enabled=False)
    plain.page.goto(f"{server}/{PAGES[2]}")
    assert plain.page.locator("h2").count() >= 7
    assert plain.page.locator("button:visible").count() == 0
    assert plain.page.get_by_text("brew install").first.is_visible()
    plain.context.close()


def test_hostile_words_are_only_words(watched: Watched, server: str) -> None:
    watched.page.goto(f"{server}/{PAGES[1]}")
    assert watched.page.title() == STAMP
    assert watched.page.locator("img").count() == 0
    assert watched.page.locator("script").count() == 1
    assert watched.page.get_by_text(HOSTILE).count() >= 4
    assert "49" not in watched.page.get_by_role("row").filter(has_text="goenv-local").inner_text()


def test_what_a_policy_allowed_and_who_signed_are_told(watched: Watched, server: str) -> None:
    watched.page.goto(f"{server}/{PAGES[1]}")
    row = watched.page.get_by_role("row").filter(has_text="LC_UUID")
    cells = [cell.strip() for cell in row.locator("th, td").all_inner_texts()]
    assert cells == ["uuid", "FAILED, allowed", "bin/gofmt", f"no LC_UUID (allowed: {HOSTILE})"]
    assert watched.page.get_by_text("1 failed and were allowed by a policy, each with its reason").count() == 1
    assert watched.page.get_by_text(f"its programs signed by {HOSTILE} (timestamp none, tool a toy)").count() == 1
    watched.page.goto(f"{server}/{PAGES[2]}")
    assert watched.page.get_by_text("its programs are as Go's linker made them, signed by nobody").count() == 2
    assert watched.page.get_by_text("allowed").count() == 0


def test_known_vulnerabilities_and_the_end_of_a_line_are_told(watched: Watched, server: str) -> None:
    watched.page.goto(f"{server}/{PAGES[1]}")
    assert watched.page.get_by_text("Go 1.22 gets no fixes any more, since 1.24 came on 2025-02-11").is_visible()
    watched.page.get_by_text("The list").click()
    row = watched.page.get_by_role("row").filter(has_text="GO-2025-3563")
    assert row.locator("td").all_text_contents() == [HOSTILE, "fixed by patch mend (linux/amd64)"]
    watched.page.goto(f"{server}/{PAGES[2]}")
    assert watched.page.get_by_text("built before gobuild told of them").is_visible()


def test_the_policy_stops_what_escaping_would_let_through(watched: Watched, server: str) -> None:
    """Belt and braces: a script, a style and an image put into the page do nothing."""
    watched.page.goto(f"{server}/{PAGES[1]}")
    watched.page.evaluate(
        """() => { for (const html of ["<img src='https://evil.example/x'>", "<style>h1 { display: none }</style>"])
             document.body.insertAdjacentHTML("beforeend", html);
           const script = document.createElement("script"); script.textContent = "document.title = 'taken'";
           document.body.append(script); }"""
    )
    assert watched.page.title() == STAMP
    assert watched.page.locator("h1").is_visible()
    blocked = [each for each in watched.errors if "Content Security Policy" in each]
    assert len(blocked) >= 3
    watched.errors.clear()
    watched.hosts.discard("evil.example")  # the request that the policy ended


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_accessible_and_fits(
    browser: Browser, server: str, scheme: Any, width: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """axe-core's rules, nothing wider than the window, and a picture for people to look at."""
    artefacts = os.environ.get("CI_ARTEFACTS")
    shots = Path(artefacts) if artefacts else tmp_path_factory.getbasetemp() / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    seen = Watched(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name in PAGES:
        seen.page.goto(f"{server}/{name}")
        found = Axe().run(seen.page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        shot = shots / f"{name.replace('/', '-').removesuffix('.html')}-{width}-{scheme}.png"
        seen.page.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 10_000
    seen.context.close()


def test_the_keyboard_reaches_everything(watched: Watched, server: str) -> None:
    watched.page.goto(f"{server}/{PAGES[1]}")
    watched.page.keyboard.press("Tab")
    assert watched.page.evaluate("document.activeElement.textContent") == "To the content"
    watched.page.keyboard.press("Enter")
    assert watched.page.evaluate("document.activeElement.id") == "main"
    for role in ("banner", "main", "contentinfo", "navigation"):
        assert watched.page.get_by_role(role).count() == 1, role
