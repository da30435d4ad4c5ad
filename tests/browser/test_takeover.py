"""Holders that hang for real, taken over by a click; the page that did it goes on."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.dashboards import served
from tests.crash.days import FIRST_DAY, Days, days_in_postgres
from tests.installation import until
from tests.servers import Databases, PostgresServer

MINUTE_MS = 60_000
QUICK = {"heartbeat_s": 0.1, "stall_after_s": 0.5, "takeover_grace_s": 0.2}
OF_RUN = "pg_stat_activity WHERE application_name LIKE 'batch_sync 2%'"


@pytest.fixture(scope="module")
def days(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """More days than a run reads ahead."""
    source, target = postgres.create_database(), postgres.create_database()
    both = Databases(
        source=source,
        target=target,
        source_url=postgres.url(source),
        target_url=postgres.url(target),
    )
    with days_in_postgres(postgres, both, tmp_path_factory.mktemp("site"), 5, **QUICK) as made:
        made.installation.run(FIRST_DAY, made.last_day)
        yield made


@pytest.fixture(scope="module")
def address(days: Days) -> Iterator[str]:
    """The real dashboard, one process for all the tests."""
    with served("dashboard.py", BATCH_SYNC_CONFIG=str(days.installation.settings_file)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The dashboard in a browser tab."""
    with closing(browser.new_page(viewport={"width": 1280, "height": 1200})) as opened:
        opened.goto(f"{address}/?lang=en")
        expect(opened.get_by_role("button", name="Start sync")).to_be_visible(timeout=MINUTE_MS)
        yield opened


@contextmanager
def held_up(postgres: PostgresServer, days: Days, start: Callable[[], object]) -> Iterator[None]:
    """Start a run; what happens here, happens while it waits with its first day written."""
    name = days.both.target.url.rpartition("/")[2]
    with closing(postgres.connect(name)) as blocker:
        blocker.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        start()
        until(lambda: postgres.execute(f"SELECT 1 FROM {OF_RUN} AND wait_event_type = 'Lock'"))
        yield


def take_over(page: Page, heading: str, *, told: str, reason: str) -> None:
    """As an analyst does, who clicks twice."""
    card = page.locator("[class*=st-key-card_conflict]")
    expect(card).to_contain_text(heading, timeout=MINUTE_MS)
    card.get_by_role("button", name="Take over…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(told, timeout=MINUTE_MS)
    run_id = re.findall(r"\d{8}-\d{6}-[0-9a-f]{6}", dialog.inner_text())[0]
    dialog.get_by_label("Why?").fill(reason)
    dialog.get_by_role("button", name="Take it over").click()
    expect(dialog.get_by_role("alert")).to_contain_text("was not typed", timeout=MINUTE_MS)
    dialog.get_by_label("To confirm").fill(run_id[-6:])
    dialog.get_by_role("button", name="Take it over").dblclick()
    expect(page.locator(".bs-notice.good")).to_contain_text(
        re.compile(f"Run {run_id} of .* was taken over"), timeout=MINUTE_MS
    )
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("region", name="Recent runs")).to_contain_text(
        re.compile(f"Taken over by .*@.*: {reason}")
    )


def assert_a_start_goes_through(page: Page, days: Days, version: int) -> None:
    page.get_by_role("button", name="Start sync").click()
    expect(page.get_by_text("is whole").first).to_be_visible(timeout=MINUTE_MS)
    assert {found for found, _ in days.standing().values()} == {version}
    assert all(days.rows())


@pytest.mark.timeout(240)
def test_a_hung_thread_of_the_dashboard_itself_is_taken_over_and_the_dashboard_goes_on(
    page: Page, days: Days, postgres: PostgresServer
) -> None:
    days.write(2)
    with ExitStack() as waking:
        with held_up(postgres, days, page.get_by_role("button", name="Start sync").click):
            # The source sends no more, and its connection stands.
            source = days.both.source.url.rpartition("/")[2]
            for (pid,) in postgres.execute(f"SELECT pid FROM {OF_RUN} AND datname = '{source}'"):
                psutil.Process(pid).suspend()
                waking.callback(psutil.Process(pid).resume)

        take_over(page, "does not move", told="the process goes on", reason="its source is stuck")
        assert_a_start_goes_through(page, days, 2)


@pytest.mark.matrix
@pytest.mark.timeout(240)
def test_a_command_line_that_was_stopped_is_taken_over_from_the_page(
    page: Page, days: Days, postgres: PostgresServer
) -> None:
    days.write(3)
    with subprocess.Popen(
        days.installation.command("run", FIRST_DAY, days.last_day),
        env=days.installation.environment,
        stderr=subprocess.DEVNULL,
    ) as process:
        with held_up(postgres, days, lambda: None):
            process.send_signal(signal.SIGSTOP)

        take_over(page, "is paused", told="gets SIGKILL", reason="its terminal is gone")
        assert process.wait(20) == -signal.SIGKILL
    assert_a_start_goes_through(page, days, 3)
