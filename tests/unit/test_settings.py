"""Settings: where they come from, what is refused in which words, and that no secret is told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.databases.shape import quoted
from sync.errors import SettingsError
from sync.settings import FILE_NAME, load, split_name
from sync.urls import normalized_url

WHOLE = """
timezone = "Europe/Berlin"
[source]
url = "postgres://reader:hush@db1/sales"
[target]
url = "sqlite:///target.db"
[[tables]]
name = "sales.orders"
date_column = "day"
"""


def given_file(text: str, folder: Path = Path()) -> Path:
    file = folder / FILE_NAME
    folder.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_without_any_setting_it_is_the_demo() -> None:
    settings = load()
    assert (settings.demo, settings.state_dir, settings.timezone) == (
        True,
        Path.cwd() / ".batch_sync",
        "UTC",
    )


def test_paths_are_relative_to_the_file_and_postgres_means_psycopg2(tmp_path: Path) -> None:
    settings = load(given_file(WHOLE, tmp_path / "elsewhere"))
    assert settings.source is not None
    assert settings.target is not None
    assert (
        settings.source.url.get_secret_value(),
        settings.target.url.get_secret_value(),
        settings.state_dir,
        [table.target for table in settings.tables],
        settings.connections,
    ) == (
        "postgresql+psycopg2://reader:hush@db1/sales",
        f"sqlite:///{tmp_path}/elsewhere/target.db",
        tmp_path / "elsewhere" / ".batch_sync",
        ["orders"],
        5,
    )


def test_the_environment_stands_above_the_file_and_secrets_come_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_file(WHOLE + "[run]\ngroup_rows = 7\nmax_parallel = 2\n")
    (tmp_path / "secret").write_text("postgresql://loader:hush@db2/warehouse\n")
    monkeypatch.setenv("BATCH_SYNC_RUN__GROUP_ROWS", "8")
    monkeypatch.setenv("BATCH_SYNC_TARGET__URL_FILE", str(tmp_path / "secret"))
    settings = load()
    assert settings.target is not None
    assert (settings.run.group_rows, settings.run.max_parallel, settings.target.url) == (
        8,
        2,
        settings.target.url,
    )
    assert settings.target.url.get_secret_value() == (
        "postgresql+psycopg2://loader:hush@db2/warehouse"
    )
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "connections"),
    [("rediss://:p%40ss@redis1:6380/2", 5), ("postgres://lock:hush@db3/locks", 6), ("", 5)],
)
def test_the_lock_beside_the_target_may_be_a_secret_and_its_connection_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, connections: int
) -> None:
    (tmp_path / "secret").write_text(url + "\n")
    monkeypatch.setenv("BATCH_SYNC_LOCK__URL_FILE", str(tmp_path / "secret"))
    settings = load(given_file(WHOLE))
    assert settings.lock.url.get_secret_value() == url
    assert settings.connections == connections


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("timezone", "time_zone", "Setting time_zone is wrong (a name that means nothing)"),
        ("Europe/Berlin", "Berlin", "timezone is wrong ('Berlin'): it must be an IANA time zone"),
        ("date_column", "date", "Setting tables.0.date"),
        (
            "postgres:",
            "mysql:",
            "source.url is wrong (a value that is not shown): it must begin with",
        ),
        ("sqlite:///target.db", "sqlite://", "an SQLite database must be a file"),
        ("[target]\nurl", "[store]\nurl", "[target] url is missing: give both"),
        ("[[tables]]", "[[ignored]]", "ignored"),
        ("sales.orders", "a.b.c", "'a.b.c' is not table or schema.table"),
        ("[source]", "[run]\nmax_parallel = 0\n[source]", "run.max_parallel is wrong (0)"),
        ("[source]", "[run]\nheartbeat_s = 9\n[source]", "more than twice heartbeat_s"),
        ("[source]", "[run]\ngroup_row = 9\n[source]", "one of max_parallel, group_rows"),
        (
            "[[tables]]",
            '[[tables]]\nname="orders"\ndate_column="at"\n[[tables]]',
            "set target_name",
        ),
        (
            "[source]",
            '[lock]\nurl = "mysql://me:hush@h"\n[source]',
            "lock.url is wrong (a value that is not shown): it must begin with postgresql",
        ),
        (
            "[source]",
            '[lock]\nurl = "redis://:hush@h/0?tls=1"\n[source]',
            "it must be redis://:password@host:6379/0",
        ),
        (
            "[source]",
            '[lock]\nurl = "rediss://:hush@h/0?ssl_cert_reqs=bogus"\n[source]',
            "it must be redis://:password@host:6379/0",
        ),
        ("[source]", "[lock]\nttl_s = 0\n[source]", "For example: [lock] ttl_s = 30"),
        ("[source]", "[source", "cannot be read"),
    ],
)
def test_what_is_wrong_is_refused_with_its_name_and_what_is_allowed(
    old: str, new: str, words: str
) -> None:
    assert WHOLE.count(old) == 1
    given_file(WHOLE.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        load()
    assert (words in str(caught.value), "hush" in str(caught.value)) == (True, False), caught.value


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BATCH_SYNC_CONFIG", "nowhere.toml", "nowhere.toml cannot be read"),
        ("BATCH_SYNC_TARGT__URL", "hush", "BATCH_SYNC_TARGT__URL means no setting"),
        ("BATCH_SYNC_TARGET__ULR", "hush", "Setting target.ulr is wrong (a name that means"),
        ("BATCH_SYNC_SOURCE__URL", "hush", "source.url is wrong (a value that is not shown)"),
        ("BATCH_SYNC_SOURCE__URL_FILE", "nowhere", "BATCH_SYNC_SOURCE__URL_FILE names cannot"),
        ("BATCH_SYNC_TABLES", "[hush", "Lists are written as JSON"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    given_file(WHOLE)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert (words in str(caught.value), "hush" in str(caught.value)) == (True, False), caught.value


part = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(schema=part, table=part)
def test_a_quoted_name_is_read_back_whatever_it_holds(schema: str, table: str) -> None:
    assert split_name(f"{quoted(schema)}.{quoted(table)}") == (schema, table)
    assert split_name(quoted(table)) == (None, table)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("orders", (None, "orders")),
        ("sales.orders", ("sales", "orders")),
        ('sales."my.table"', ("sales", "my.table")),
        ("Größe %", (None, "Größe %")),
    ],
)
def test_a_dot_separates_schema_and_table(name: str, parts: tuple[str | None, str]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize("name", ["", ".", "sales.", ".orders", "a.b.c", '"open', '"a"b', 'a"b"'])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not table or schema\.table"):
        split_name(name)


def test_a_url_keeps_its_password_whatever_it_holds() -> None:
    url = normalized_url("postgresql://me:p%40ss%3Aw%2F%C3%B6%23@host:5433/db?sslmode=require")
    assert (url.password, url.port, url.query["sslmode"]) == ("p@ss:w/ö#", 5433, "require")
