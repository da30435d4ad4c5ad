"""What every test stands on: clean surroundings, and real servers where a test asks for one."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.installation import Both, PostgresSide, SqliteSide
from tests.redis_server import RedisServer
from tests.servers import Databases, PostgresServer, ServerUnavailableError

ROOT = Path(__file__).parent.parent
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# A busy machine is slow now and then; a real hang is pytest-timeout's business.
hypothesis.settings.register_profile("patient", deadline=None)
if "CI" not in os.environ:  # there hypothesis takes its own profile, as patient and repeatable
    hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's reaches a test, and no file of a test the checkout."""
    for name in list(os.environ):
        if name.startswith("BATCH_SYNC_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # Children started there still find the package.
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    # Streamlit's AppTest leaves a module of its own there, which children would run again.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server a test process, without fsync; a crash test starts its own with it."""
    try:
        server = PostgresServer().__enter__()
    except ServerUnavailableError as error:
        unavailable(f"no PostgreSQL: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """One server a test process."""
    try:
        server = RedisServer()
    except ServerUnavailableError as error:
        unavailable(f"no Redis: {error}")
    with server:
        yield server


@pytest.fixture
def databases(postgres: PostgresServer) -> Iterator[Databases]:
    """A source and a target for this test alone."""
    source, target = postgres.create_database(), postgres.create_database()
    yield Databases(
        source=source,
        target=target,
        source_url=postgres.url(source),
        target_url=postgres.url(target),
    )
    postgres.drop_database(source)
    postgres.drop_database(target)


@pytest.fixture
def postgresql(postgres: PostgresServer, databases: Databases) -> Iterator[Both]:
    """Two databases of one server."""
    source, target = (
        PostgresSide(postgres.connect(name), url)
        for name, url in (
            (databases.source, databases.source_url),
            (databases.target, databases.target_url),
        )
    )
    yield Both(kind="postgresql", source=source, target=target)
    source.close()
    target.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Both]:
    """Two files; neither is in WAL mode."""
    source, target = SqliteSide(tmp_path / "source.db"), SqliteSide(tmp_path / "target.db")
    yield Both(kind="sqlite", source=source, target=target)
    source.close()
    target.close()


@pytest.fixture(params=["postgresql", "sqlite"])
def both(request: pytest.FixtureRequest) -> Both:
    """Each kind in turn."""
    found: Both = request.getfixturevalue(request.param)
    return found


# Not for the session: while Playwright's synchronous API lives, its event loop runs in this
# thread, and every asyncio.run of a later test would be refused.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or Chrome under one of its names, without a window."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        unavailable("no Chromium: none of " + ", ".join(names) + " is on the PATH")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


def unavailable(reason: str) -> NoReturn:
    """Skip on a laptop, with the reason in the summary; in CI what cannot be tested has failed."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)
