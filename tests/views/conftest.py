"""A small installation, and the command line in this process."""

from pathlib import Path

import pytest

from sync.cli import main
from tests.installation import Installation
from tests.views.sixty_days import Command, Said, installation


@pytest.fixture
def site(tmp_path: Path) -> Installation:
    return installation(tmp_path)


@pytest.fixture
def slow_site(tmp_path: Path) -> Installation:
    return installation(tmp_path, slow=True)


@pytest.fixture
def sync(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run a command in this process, for the installation of `site` or `slow_site`."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BATCH_SYNC_CONFIG", str(tmp_path / "installation" / "batch_sync.toml"))

    def command(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return command
