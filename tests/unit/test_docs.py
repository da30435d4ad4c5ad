"""What the documentation names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TESTS = ROOT / "tests"


def named(pattern: str) -> list[str]:
    return re.findall(pattern, (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tests() -> set[str]:
    """The names of all tests, and of the classes that hold some."""
    texts = (file.read_text(encoding="utf-8") for file in TESTS.rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"(?:def|class) (\w+)", text)}


def test_every_test_that_shows_a_guarantee_is_there(tests: set[str]) -> None:
    names = named(r"`(test_\w+|Test\w+)`")
    assert (len(names) > 20, [name for name in names if name not in tests]) == (True, [])


def test_every_file_that_shows_a_guarantee_is_there() -> None:
    files = named(r"`(tests/[\w/*.]+)`")
    assert (len(files) > 5, [file for file in files if not list(ROOT.glob(file))]) == (True, [])
