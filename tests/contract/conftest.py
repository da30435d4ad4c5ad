"""What a contract holds for: each kind of database, source and target of one kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Both, PostgresSide, SqliteSide
from tests.lock_kinds import KINDS, Place
from tests.servers import Databases, PostgresServer


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


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of lock in turn."""
    match request.param:
        case "file":
            at = str(tmp_path / "target.lock")
        case "redis":
            at = request.getfixturevalue("redis").url
        case _:
            at = request.getfixturevalue("databases").target_url
    return Place(kind=request.param, at=at)
