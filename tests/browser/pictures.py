"""Pictures of the page in its states, over canned snapshots, and of a report.

`python -m tests.browser.pictures` makes the README's; with `--all` every state in every look goes
to `artifacts/`, to be looked at.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from sync.reporting.page import report_page
from tests.browser.dashboards import served
from tests.browser.test_page_states import SCRIPT
from tests.conftest import CHROMIUM_FLAGS
from tests.views.fakes import SNAPSHOTS, a_report

ROOT = Path(__file__).parent.parent.parent
WIDTHS = {"wide": 1280, "phone": 390}
MINE = "mine"  # the running run, started by a click on this very page
TAKEOVER = "takeover"  # the dialog over the run that gives no sign of life
DIALOG_HEIGHT = 680
OPENED_AS = {MINE: "never", TAKEOVER: "unknown"}
README = {
    "running": (MINE, "wide", "light", "en"),
    "conflict": ("running", "wide", "dark", "en"),
    "phone": ("running", "phone", "dark", "zh"),
    TAKEOVER: (TAKEOVER, "wide", "light", "en"),
}


def main() -> None:
    """Make the README's pictures, or all."""
    every = "--all" in sys.argv
    looks = [(w, c, lang) for w in WIDTHS for c in ("light", "dark") for lang in ("en", "zh")]
    wanted = (
        {
            f"{s}-{w}-{c}-{lang}": (s, w, c, lang)
            for s in (*OPENED_AS, *SNAPSHOTS)
            for w, c, lang in looks
        }
        if every
        else README
    )
    folder = ROOT / ("artifacts" if every else "docs/pictures")
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scripts, sync_playwright() as playwright:
        script = Path(scripts) / "page.py"
        script.write_text(SCRIPT)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
        )
        with served(script) as address:
            for name, look in wanted.items():
                _take(browser, address, look, folder / f"{name}.png")
        _report(browser, Path(scripts) / "report.html", folder / "report.png")


def _take(browser: Browser, address: str, look: tuple[str, str, str, str], file: Path) -> None:
    state, width, scheme, language = look
    with browser.new_context(
        viewport={"width": WIDTHS[width], "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id="Asia/Shanghai",
    ) as context:
        page = context.new_page()
        page.goto(f"{address}/?state={OPENED_AS.get(state, state)}&lang={language}")
        page.locator(".st-key-start button").wait_for()
        if state == MINE:
            page.locator(".st-key-start button").click()
            expect(page).to_have_title(re.compile("^69%"), timeout=30_000)
        if state == TAKEOVER:
            page.locator(".st-key-take_over button").click()
            page.locator(".st-key-takeover_now button").wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        page.wait_for_timeout(600)
        content = "document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"
        height = DIALOG_HEIGHT if state == TAKEOVER else page.evaluate(content)
        page.set_viewport_size({"width": WIDTHS[width], "height": height})
        page.wait_for_timeout(300)
        page.screenshot(path=file)


def _report(browser: Browser, page_file: Path, file: Path) -> None:
    """The head of a run's report."""
    page_file.write_text(report_page(a_report(), "en"), encoding="utf-8")
    with browser.new_context(viewport={"width": 1180, "height": 1180}) as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.screenshot(path=file)


if __name__ == "__main__":
    main()
