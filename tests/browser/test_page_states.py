"""Each state of the page in a real browser: readable, accessible, and no wider than the window."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from sync.reporting.page import report_page
from tests.browser.dashboards import served
from tests.views.fakes import SNAPSHOTS, a_report

SCRIPT = """
import streamlit as st
from sync.ui import page
from tests.views.fakes import FakeOperations
if "operations" not in st.session_state:
    st.session_state["operations"] = FakeOperations(st.query_params["state"])
page.draw(st.session_state["operations"])
"""
LOOKS = {"wide-light-en": (1280, "light", "en"), "phone-dark-zh": (390, "dark", "zh")}
AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the page over canned snapshots, with the dashboard's own configuration."""
    script = tmp_path_factory.mktemp("page") / "page.py"
    script.write_text(SCRIPT)
    with served(script) as url:
        yield url


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """A browser for each look; its cache serves all the tests."""
    made = {
        look: browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            timezone_id="Asia/Shanghai",
        )
        for look, (width, scheme, _) in LOOKS.items()
    }
    yield made
    for context in made.values():
        context.close()


@pytest.fixture
def opened(
    contexts: dict[str, BrowserContext], address: str
) -> Iterator[Callable[[str, str], Page]]:
    """Open the page in a state and a look; when the test is over the console must be clean."""
    errors: list[str] = []
    pages: list[Page] = []

    def remember(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    def open_page(state: str, look: str) -> Page:
        page = contexts[look].new_page()
        pages.append(page)
        page.on("console", remember)
        page.goto(f"{address}/?state={state}&lang={LOOKS[look][2]}")
        page.locator(".bs-head").wait_for(timeout=30_000)
        page.locator(".st-key-start button").wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


@pytest.mark.parametrize(
    ("state", "look"),
    # Each state in one look; in the other one with the matrix.
    [
        pytest.param(
            state,
            look,
            marks=[] if (n + m) % 2 == 0 else [pytest.mark.matrix],
            id=f"{state}-{look}",
        )
        for n, state in enumerate(SNAPSHOTS)
        for m, look in enumerate(LOOKS)
    ],
)
def test_it_is_accessible_and_fits(
    opened: Callable[[str, str], Page], state: str, look: str
) -> None:
    page = opened(state, look)

    found = Axe().run(page, options=AXE_RULES).response["violations"]
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    spoken = page.evaluate("document.documentElement.lang")

    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    assert wider <= 0
    assert spoken == {"en": "en", "zh": "zh-CN"}[LOOKS[look][2]]


@pytest.mark.parametrize("look", LOOKS)
def test_the_dialog_of_a_takeover_is_accessible_too(
    opened: Callable[[str, str], Page], look: str
) -> None:
    page = opened("unknown", look)
    page.locator(".st-key-take_over button").click()
    page.locator(".st-key-takeover_now button").click()
    page.get_by_role("alert").wait_for()

    found = Axe().run(page, options=AXE_RULES).response["violations"]

    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []


def test_a_start_is_spoken_by_the_status_line_and_shown_in_the_title(
    opened: Callable[[str, str], Page],
) -> None:
    page = opened("never", "wide-light-en")
    assert page.title() == "Ready · Batch Sync"

    page.get_by_role("button", name="Start sync").click()

    expect(page).to_have_title(re.compile("^69%"), timeout=30_000)
    line = page.locator("[role=status].bs-spoken")
    expect(line).to_have_text("Your sync of 2026-09-01 → 2026-10-31 is running.")


def test_cancel_now_asks_once(opened: Callable[[str, str], Page]) -> None:
    page = opened("running", "wide-light-en")

    page.get_by_role("button", name="Cancel now…").click()
    page.get_by_text("Stop at once?").wait_for()
    assert page.title().startswith("69%")
    page.get_by_role("button", name="Yes, cancel now").click()

    page.get_by_role("heading", name="The last sync was cancelled").wait_for()
    page.get_by_role("button", name="Resume").wait_for()


@pytest.mark.matrix
@pytest.mark.parametrize("look", LOOKS)
def test_a_report_is_readable_accessible_and_no_wider_than_the_window(
    contexts: dict[str, BrowserContext], look: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    locale = "zh_CN" if LOOKS[look][2] == "zh" else "en"
    file.write_text(report_page(a_report(), locale), encoding="utf-8")
    page = contexts[look].new_page()
    page.goto(file.as_uri())
    found = Axe().run(page, options=AXE_RULES).response["violations"]
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert ([violation["id"] for violation in found], wide) == ([], LOOKS[look][0])
