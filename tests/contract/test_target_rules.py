"""The target's own rules: a run works with them, or says exactly what stands in the way."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url

from sync.databases.postgres import PostgresDatabase
from sync.doctor.rights import Rights
from sync.errors import SchemaError
from sync.model import RunStatus
from tests.installation import Both, Installation, table
from tests.servers import PostgresServer

pytestmark = pytest.mark.matrix

MONDAY, TUESDAY = DAYS = "2025-01-06", "2025-01-07"
ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
ROWS = [(1, MONDAY, "a"), (2, MONDAY, "b"), (3, TUESDAY, "c"), (4, TUESDAY, "d")]
WHOLE, FIRST = [1, 2, 3, 4], [1, 2]

# The other engine's turn is left to the matrices.
each_kind = pytest.mark.parametrize(
    "both", ["postgresql", pytest.param("sqlite", marks=pytest.mark.matrix)], indirect=True
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What stands in the target; what a failed run says, if it fails; the rows then."""

    target: str
    told: tuple[str, ...] = ()
    ids: list[int]
    kinds: tuple[str, ...] = ("postgresql",)


EITHER = ("postgresql", "sqlite")
CASES = {
    "a check": Case(
        target=ORDERS.replace("note TEXT", "note TEXT CONSTRAINT letters CHECK (note < 'd')"),
        told=("orders on 2025-01-07", "letters", "alter them, or mend the source"),
        ids=FIRST,
        kinds=EITHER,
    ),
    "unique values of another day": Case(
        target=ORDERS.replace("note TEXT", "note TEXT UNIQUE")
        + "; INSERT INTO orders VALUES (9, '2024-01-01', 'c')",
        told=("orders on 2025-01-07", "note", "sync that day too, in one range with this one"),
        ids=[1, 2, 9],
        kinds=EITHER,
    ),
    "an exclusion": Case(
        target=ORDERS[:-1] + ", EXCLUDE USING btree (note WITH =));"
        " INSERT INTO orders VALUES (9, '2024-01-01', 'c')",
        told=("orders on 2025-01-07", "exclusion constraint", "(note)=(c)", "excludes it"),
        ids=[1, 2, 9],
    ),
    "no partition for a day": Case(
        target=ORDERS.replace("PRIMARY KEY", "").replace("TEXT)", "TEXT) PARTITION BY RANGE (day)")
        + f"; CREATE TABLE p PARTITION OF orders FOR VALUES FROM ('{MONDAY}') TO ('{TUESDAY}')",
        told=("orders on 2025-01-07", "no partition", "(2025-01-07)", "or partitions do not allow"),
        ids=FIRST,
    ),
    "a parent that is not there": Case(
        target="CREATE TABLE notes (note TEXT PRIMARY KEY); INSERT INTO notes VALUES ('a'), ('b');"
        + ORDERS.replace("note TEXT", "note TEXT CONSTRAINT known REFERENCES notes"),
        told=("orders on 2025-01-07", "known", "(note)=(c) is not present", "Sync the rows that"),
        ids=FIRST,
    ),
    "a parent that is not there yet, where that can wait": Case(
        target="CREATE TABLE notes (note TEXT PRIMARY KEY); INSERT INTO notes VALUES ('a'), ('b');"
        + ORDERS.replace("note TEXT", "note TEXT CONSTRAINT known REFERENCES notes DEFERRABLE"),
        told=("orders on 2025-01-07", "known", "(note)=(c) is not present", "Sync the rows that"),
        ids=FIRST,
    ),
    "a rule that keeps rows from being deleted": Case(
        target=ORDERS.replace("PRIMARY KEY", "") + f"; INSERT INTO orders VALUES (9, '{MONDAY}');"
        " CREATE RULE stays AS ON DELETE TO orders DO INSTEAD NOTHING",
        told=("orders on 2025-01-06", "orders on 2025-01-07", "cannot perform DELETE RETURNING"),
        ids=[9],
    ),
    "unique values that can wait": Case(
        target=ORDERS.replace("note TEXT", "note TEXT UNIQUE DEFERRABLE"), ids=WHOLE
    ),
}


@pytest.fixture
def stocked(both: Both) -> Both:
    """Two days of two rows in the source."""
    both.source.execute(ORDERS)
    both.source.insert("orders", ROWS)
    return both


@each_kind
def test_a_row_against_a_rule_fails_its_day_alone_and_the_rule_is_told(
    stocked: Both, tmp_path: Path
) -> None:
    found = {}
    for n, (what, case) in enumerate(CASES.items()):
        if stocked.kind not in case.kinds:
            continue
        stocked.target.execute(case.target)
        run = stocked.installation(tmp_path / str(n), table("orders", "day")).run(*DAYS)
        ids = [row[0] for row in stocked.target.execute("SELECT id FROM orders ORDER BY id")]
        lacking = [words for words in case.told if words not in str(run.error)]
        found[what] = (lacking and str(run.error), bool(run.error), ids)
        for made in ("orders", "notes"):
            stocked.target.execute(f"DROP TABLE IF EXISTS {made}")
        stocked.target.execute("DELETE FROM batch_sync_checkpoint")
    assert found == {
        what: ([], bool(case.told), case.ids)
        for what, case in CASES.items()
        if stocked.kind in case.kinds
    }


LINES = "CREATE TABLE lines (id INTEGER PRIMARY KEY, day DATE, order_id INTEGER {})"
BOTH_TABLES = table("lines", "day"), table("orders", "day")  # children first: not as they must go


@pytest.fixture
def family(postgresql: Both) -> Both:
    """Orders and their lines in the source, each line a day after its order or on its day."""
    for made in (ORDERS, LINES.format("")):
        postgresql.source.execute(made)
    postgresql.source.insert("orders", ROWS)
    lines = [(10 + n, TUESDAY, n) for n, *_ in ROWS]
    postgresql.source.insert("lines", lines)
    return postgresql


def same(both: Both) -> bool:
    sides = [both.rows(f"SELECT * FROM {name}") for name in ("orders", "lines")]
    return all(source == target for source, target in sides)


@pytest.mark.parametrize("parallel", [pytest.param(1, marks=pytest.mark.matrix), 2])
def test_tables_go_in_the_order_of_their_foreign_keys_and_may_be_replaced_again(
    family: Both, tmp_path: Path, parallel: int
) -> None:
    family.target.execute(ORDERS)
    family.target.execute(LINES.format("REFERENCES orders DEFERRABLE"))
    run = {"max_parallel": parallel, "group_rows": 2}
    installation = family.installation(tmp_path, *BOTH_TABLES, run=run)
    ends = [installation.run(*DAYS).error]
    family.source.execute("UPDATE orders SET note = 'new'")
    ends.append(installation.run(*DAYS).error)
    # An order and its lines that are gone: the order can only go once its lines have.
    family.source.execute("DELETE FROM lines WHERE order_id = 1; DELETE FROM orders WHERE id = 1")
    ends.append(installation.run(*DAYS).error)
    assert (ends, same(family)) == ([None] * 3, True)


@pytest.mark.parametrize(("how", "synced"), [("", True), ("ON DELETE RESTRICT", False)])
def test_a_foreign_key_that_cannot_wait_is_told_before_rows_move_with_what_lets_it_wait(
    family: Both, tmp_path: Path, how: str, *, synced: bool
) -> None:
    family.target.execute(ORDERS)
    family.target.execute(LINES.format(f"CONSTRAINT of_order REFERENCES orders {how}"))
    tables = BOTH_TABLES if synced else BOTH_TABLES[1:]
    installation = family.installation(tmp_path, *tables)
    assert installation.run(*DAYS).error is None  # nothing is in the way yet
    if not synced:
        family.target.insert("lines", [(10, TUESDAY, 1)])
    family.source.execute("UPDATE orders SET note = 'new'")
    assert installation.run(TUESDAY).error is None or synced
    run = installation.run(*DAYS)
    told = str(run.error)
    assert (
        run.status,
        run.progress.rows_done,
        "Rows of public.lines name rows of orders that are to be replaced (of_order, such as"
        in told,
    ) == (RunStatus.FAILED, 0, True), told
    assert any("cannot be replaced while" in words for words in installation.warned())
    family.target.execute(re.search(r"ALTER TABLE .*?;", told)[0])  # type: ignore[index]  # it is told
    assert installation.run(*DAYS).error is None
    assert same(family) or not synced


def test_rows_of_one_table_that_name_each_other_go_together_or_are_told(
    postgresql: Both, tmp_path: Path
) -> None:
    tree = "CREATE TABLE tree (id INTEGER PRIMARY KEY, day DATE, above INTEGER {})"
    postgresql.source.execute(tree.format(""))
    postgresql.source.insert("tree", [(1, MONDAY, None), (2, MONDAY, 1), (3, TUESDAY, 1)])
    postgresql.target.execute(tree.format("CONSTRAINT grows REFERENCES tree"))
    whole = postgresql.installation(tmp_path / "whole", table("tree", "day"))
    single = postgresql.installation(tmp_path / "day", table("tree", "day"), run={"group_rows": 1})
    errors = [whole.run(*DAYS).error, whole.run(*DAYS).error, whole.run(TUESDAY).error]
    told = [str(whole.run(MONDAY).error), str(single.run(*DAYS).error)]
    assert errors == [None] * 3
    assert all("that are to be replaced (grows, such as above = 1)" in words for words in told)
    source, target = postgresql.rows("SELECT * FROM tree")
    assert target == source


def test_rows_that_our_role_may_not_read_are_told_by_the_server(
    family: Both, postgres: PostgresServer, tmp_path: Path
) -> None:
    family.target.execute(ORDERS)
    installation = family.installation(tmp_path, BOTH_TABLES[1])
    assert installation.run(*DAYS).error is None
    admin = postgres.connect(str(make_url(family.target.url).database), user="postgres")
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(LINES.format("CONSTRAINT of_order REFERENCES orders"))
        cursor.execute(f"INSERT INTO lines VALUES (1, '{TUESDAY}', 1)")
    admin.close()
    told = str(installation.run(MONDAY).error)
    assert ("of_order" in told, "(id)=(1) is still referenced" in told) == (True, True), told


@each_kind
def test_unique_values_that_changed_places_between_days_come_in_one_range(
    both: Both, tmp_path: Path
) -> None:
    both.source.execute(ORDERS)
    both.source.insert("orders", ROWS)
    both.target.execute(ORDERS.replace("note TEXT", "note TEXT UNIQUE"))
    installation = both.installation(tmp_path, table("orders", "day"))
    assert installation.run(*DAYS).error is None
    both.source.execute(
        "UPDATE orders SET note = CASE id WHEN 1 THEN 'd' ELSE 'a' END WHERE id IN (1, 4)"
    )
    alone, together = installation.run(MONDAY), installation.run(*DAYS)
    source, target = both.rows("SELECT * FROM orders")
    assert ("in one range with this one" in str(alone.error), together.error, target) == (
        True,
        None,
        source,
    )


def test_tables_in_a_circle_are_told_by_check(family: Both, tmp_path: Path) -> None:
    family.target.execute(ORDERS)
    family.target.execute(LINES.format("REFERENCES orders DEFERRABLE"))
    family.target.execute(
        "ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES lines DEFERRABLE INITIALLY DEFERRED"
    )
    installation = family.installation(tmp_path, *BOTH_TABLES)
    told = installation.warned()
    assert any("The tables lines, orders name each other's rows" in words for words in told)
    assert installation.run(*DAYS).status is RunStatus.FAILED


def test_triggers_are_told_by_check(both: Both, tmp_path: Path) -> None:
    both.source.execute(ORDERS)
    both.target.execute(ORDERS)
    if both.kind == "postgresql":
        both.target.execute("""
            CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER looks_on BEFORE INSERT ON orders
            FOR EACH ROW EXECUTE FUNCTION nothing()""")
    else:
        both.target.execute("""
            CREATE TRIGGER looks_on BEFORE INSERT ON orders BEGIN SELECT 1; END;""")
    told = both.installation(tmp_path, table("orders", "day")).warned()
    assert any("has triggers or rules (looks_on)" in words for words in told), told


POLICY = """
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
    ALTER TABLE orders FORCE ROW LEVEL SECURITY;
    CREATE POLICY few ON orders USING (note = 'a')"""


@pytest.mark.parametrize("role", ["source", "target"])
def test_row_security_that_hides_rows_is_refused(
    postgresql: Both, postgres: PostgresServer, tmp_path: Path, role: str
) -> None:
    for side in (postgresql.source, postgresql.target):
        side.execute(ORDERS)
    postgresql.source.insert("orders", ROWS)
    getattr(postgresql, role).execute(POLICY)
    installation = postgresql.installation(tmp_path, table("orders", "day"))
    with pytest.raises(SchemaError, match=f"Row security hides rows of orders in the {role}"):
        installation.run(*DAYS)
    postgres.execute("ALTER ROLE loader BYPASSRLS")
    try:
        assert installation.run(*DAYS).error is None
    finally:
        postgres.execute("ALTER ROLE loader NOBYPASSRLS")


def test_a_policy_that_comes_while_a_run_begins_fails_it_and_hides_nothing(
    postgresql: Both, tmp_path: Path
) -> None:
    postgresql.source.execute(ORDERS)
    postgresql.source.insert("orders", ROWS)
    installation = postgresql.installation(tmp_path, table("orders", "day"))
    assert installation.run(*DAYS).error is None
    run = installation.run(*DAYS, before_copying=lambda: postgresql.target.execute(POLICY))
    assert (run.status, "row-level security policy" in str(run.error)) == (RunStatus.FAILED, True)
    postgresql.target.execute("ALTER TABLE orders NO FORCE ROW LEVEL SECURITY")
    assert len(postgresql.target.execute("SELECT * FROM orders")) == len(ROWS)


NUMBERED = {
    "identity": "id INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    "always": "id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "serial": "id SERIAL PRIMARY KEY",
    "without an index": "id SERIAL",
}


def test_a_sequence_moves_on_behind_the_rows_that_came_and_never_back(
    postgresql: Both, tmp_path: Path
) -> None:
    postgresql.source.execute(ORDERS)
    postgresql.source.insert("orders", ROWS)
    found = {}
    for what, column in NUMBERED.items():
        postgresql.target.execute(ORDERS.replace("id INTEGER PRIMARY KEY", column))
        installation = postgresql.installation(tmp_path / what, table("orders", "day"))
        assert installation.run(*DAYS).error is None
        new = "INSERT INTO orders (day) VALUES ('2030-01-01') RETURNING id"
        first = postgresql.target.execute(new)[0][0]
        postgresql.target.execute("SELECT setval('orders_id_seq', 100)")
        assert installation.run(*DAYS).error is None
        found[what] = first, postgresql.target.execute(new)[0][0]
        postgresql.target.execute("DROP TABLE orders")
    assert found == dict.fromkeys(NUMBERED, (5, 101))


def test_sqlite_numbers_on_by_itself(sqlite: Both, tmp_path: Path) -> None:
    sqlite.source.execute(ORDERS)
    sqlite.source.insert("orders", ROWS)
    sqlite.target.execute(ORDERS.replace("PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT"))
    assert sqlite.installation(tmp_path, table("orders", "day")).run(*DAYS).error is None
    sqlite.target.execute("DELETE FROM orders")
    new = "INSERT INTO orders (day) VALUES ('2030-01-01') RETURNING id"
    assert sqlite.target.execute(new) == [(5,)]


def test_a_sequence_that_our_role_may_not_move_is_told_and_fails_nothing(
    postgresql: Both, postgres: PostgresServer, tmp_path: Path
) -> None:
    postgresql.source.execute(ORDERS)
    postgresql.source.insert("orders", ROWS)
    database = make_url(postgresql.target.url).database
    admin = postgres.connect(str(database), user="postgres")
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(ORDERS.replace("id INTEGER", "id SERIAL"))
        cursor.execute("GRANT SELECT, INSERT, DELETE ON orders TO loader")
        installation = postgresql.installation(tmp_path, table("orders", "day"))
        run = installation.run(*DAYS)
        assert (run.error, "sequence.unmoved" in installation.events(run.id)) == (None, True)
        told, grants = installation.warned(), target_grants(installation)
        assert any("public.orders_id_seq of orders.id cannot" in words for words in told)
        grant = "GRANT SELECT, UPDATE ON SEQUENCE public.orders_id_seq TO loader;"
        assert grant in grants
        cursor.execute(grant)
        assert (installation.warned(), grant in target_grants(installation)) == ([], False)
    admin.close()


def target_grants(installation: Installation) -> tuple[str, ...]:
    """What `check --grants` prints for the target."""
    parts = installation.operations()._parts  # noqa: SLF001 - one look of many
    assert isinstance(parts.source, PostgresDatabase)
    assert isinstance(parts.target, PostgresDatabase)
    rights = Rights(
        parts.settings, source=parts.source, target=parts.target, ledger=parts.lock.ledger
    )
    with parts.target.connect(reads=True) as writing:
        return next(iter(rights.look_at_target(writing, None))).statements


@each_kind
def test_what_the_source_computes_is_copied_where_the_target_keeps_it(
    both: Both, tmp_path: Path
) -> None:
    both.source.execute(
        ORDERS.replace("note TEXT", "twice INTEGER GENERATED ALWAYS AS (id * 2) STORED")
    )
    both.source.execute(f"INSERT INTO orders (id, day) VALUES (1, '{MONDAY}')")
    both.target.execute(ORDERS.replace("note TEXT", "twice INTEGER"))
    run = both.installation(tmp_path, table("orders", "day"), run={"verify": "digest"}).run(MONDAY)
    assert (run.error, both.target.execute("SELECT id, twice FROM orders")) == (None, [(1, 2)])
