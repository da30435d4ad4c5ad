"""Each kind of lock, where there is one of it."""

from pathlib import Path

import pytest

from tests.lock_kinds import KINDS, Place


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
