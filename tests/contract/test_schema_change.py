"""Tables that differ between source and target: all is told at once, and the told mend mends it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sync.cli import main
from sync.errors import SchemaError
from sync.model import Only, PlanState, RunStatus
from sync.told import Told
from tests.installation import Both, Installation, Interposed, asked, table

MONDAY, TUESDAY = DAYS = "2025-01-06", "2025-01-07"
ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, note TEXT)"
KEPT = table("orders", "day")
# The other engine's turn is left to the matrices.
each_kind = pytest.mark.parametrize(
    "both", ["postgresql", pytest.param("sqlite", marks=pytest.mark.matrix)], indirect=True
)
ADDS = table("orders", "day", on_schema_change="add_columns")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What stands in the target, what is done to the source, and what is told."""

    target: str = ORDERS
    source: str = "SELECT 1"
    told: tuple[str, ...]
    ways: tuple[bool, ...] = (False, True)  # also with on_schema_change = "add_columns"
    kinds: tuple[str, ...] = ("postgresql", "sqlite")


STRICT = "orders of the target has a column {} that must not be NULL, and the source has no values"
CASES = {
    "two columns came to the source": Case(
        source="ALTER TABLE orders ADD COLUMN a INTEGER; ALTER TABLE orders ADD COLUMN b TEXT",
        told=(
            "orders of the target has no column a (integer), which the source has.",
            'In the target: ALTER TABLE {orders} ADD COLUMN "a" integer;',
            "orders of the target has no column b (text)",
        ),
        ways=(False,),
    ),
    "a column has another type, and one is lacking": Case(
        source="ALTER TABLE orders ADD COLUMN a INTEGER",
        target=ORDERS.replace("note TEXT", "note VARCHAR(3)"),
        told=("no column a (integer)", "note", "varying(3)", 'ALTER COLUMN "note" TYPE text'),
        ways=(False,),
        kinds=("postgresql",),
    ),
    "a column has another name": Case(
        source="ALTER TABLE orders RENAME COLUMN note TO remark",
        told=(
            "has no column remark (text)",
            "Or, if it is a new name of note:",
            'ALTER TABLE {orders} RENAME COLUMN "note" TO "remark";',
        ),
        ways=(False,),
    ),
    "the source lost a column that the target demands": Case(
        target=ORDERS.replace("note TEXT", "note TEXT NOT NULL"),
        source="ALTER TABLE orders DROP COLUMN note",
        told=(STRICT.format("note"),),
    ),
    "the target demands one column more": Case(
        target=ORDERS.replace("note TEXT", "note TEXT, more INTEGER NOT NULL"),
        told=(STRICT.format("more"),),
    ),
    "the source has NULL where the target must not": Case(
        target=ORDERS.replace("note TEXT", "note TEXT NOT NULL"),
        source="UPDATE orders SET note = NULL WHERE id = 1",
        told=("Column note of orders must not be NULL in the target, and is NULL in rows",),
    ),
    "the target computes a column": Case(
        target=ORDERS.replace("note TEXT", "note TEXT GENERATED ALWAYS AS ('x') STORED"),
        told=("Column note of orders is computed in the target, and cannot be written.",),
        kinds=("postgresql",),
    ),
    "the target has no such date column": Case(
        target=ORDERS.replace("day DATE", "at DATE"),
        told=("has no column day (date)", "if it is a new name of at: ALTER TABLE {orders} RENAME"),
    ),
}


def statements(told: Told) -> Iterator[str]:
    """Every statement that is told, a renaming rather than a new column."""
    facts = told.facts
    if mend := facts.get("renaming") or facts.get("statement"):
        yield mend
    for fact in facts.values():
        if isinstance(fact, Told):
            yield from statements(fact)


@each_kind
def test_all_that_differs_is_told_before_anything_is_made_and_the_told_mend_mends_it(
    both: Both, tmp_path: Path
) -> None:
    name = '"public"."orders"' if both.kind == "postgresql" else '"orders"'
    for what, case in CASES.items():
        if both.kind not in case.kinds:
            continue
        both.source.execute(ORDERS)
        both.source.insert("orders", [(1, MONDAY, "a"), (2, TUESDAY, "b")])
        both.source.execute(case.source)
        both.target.execute(case.target)
        for adds in case.ways:
            installation = both.installation(tmp_path / what / str(adds), ADDS if adds else KEPT)
            told = [
                refusal(partial(installation.run, *DAYS)),
                refusal(partial(states, installation)),
            ]
            said = str(told[0]).lower()
            lacking = [w for w in case.told if w.format(orders=name).lower() not in said]
            assert (lacking, told[0]) == ([], told[1]), said
        assert len(installation.operations().history()) == 0, what
        for statement in statements(told[0]):
            both.target.execute(statement)
        run = installation.run(*DAYS)
        columns = "id, day" if "DROP" in case.source else "*"
        source, target = both.rows(f"SELECT {columns} FROM orders")
        assert (run.error, [row[: len(source[0])] for row in target]) == (None, source), what
        both.source.execute("DROP TABLE orders")
        both.target.execute("DROP TABLE orders; DROP TABLE IF EXISTS orders_old")
        both.target.execute("DELETE FROM batch_sync_checkpoint; DELETE FROM batch_sync_run")


def refusal(act: Callable[[], object]) -> Told:
    """What a refused act tells."""
    with pytest.raises(SchemaError) as refused:
        act()
    return refused.value.told


@each_kind
def test_every_table_is_told_at_once_on_the_command_line_and_by_check(
    both: Both,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("orders", "refunds"):
        made = ORDERS.replace("orders", name)
        both.source.execute(made.replace("note TEXT", "note TEXT, amount INTEGER"))
        both.target.execute(made)
    installation = both.installation(tmp_path, KEPT, table("refunds", "day"))
    for variable in ("BATCH_SYNC_CONFIG", "LC_ALL"):
        monkeypatch.setenv(variable, installation.environment[variable])
    code, warned = main(["run", *DAYS]), " ".join(installation.warned())
    stderr = capsys.readouterr().err
    for name in ("orders", "refunds"):
        said = f"{name} of the target has no column amount ("
        assert (said in stderr, said in warned) == (True, True), stderr
    assert code == 5


@pytest.fixture
def grown(both: Both, tmp_path: Path) -> tuple[Both, Installation]:
    """Two days synced, then a column more in the source."""
    both.source.execute(ORDERS)
    both.source.insert("orders", [(1, MONDAY, "a"), (2, TUESDAY, "b")])
    installation = both.installation(tmp_path, ADDS, run={"verify": "digest"})
    assert installation.run(*DAYS).error is None
    both.source.execute("ALTER TABLE orders ADD COLUMN amount NUMERIC(10,2) DEFAULT 7")
    return both, installation


def states(installation: Installation, **request: Any) -> list[PlanState]:
    plan = installation.operations().plan(asked(*DAYS, **request))
    return [partition.state for partition in plan.partitions]


def test_a_run_adds_what_the_target_lacks_and_all_other_days_are_missing_then(
    grown: tuple[Both, Installation],
) -> None:
    both, installation = grown
    before = states(installation), states(installation, digest=True)
    planned = installation.operations().plan(asked(*DAYS, rows=True))
    told = "orders of the target lacks the column amount"
    assert [told in words for words in (str(planned.warnings[0]), *installation.warned())] == [
        True,
        True,
    ]
    run = installation.run(TUESDAY)
    after = states(installation, digest=True)
    rest = installation.run(*DAYS, only=Only.MISSING)
    source, target = both.rows("SELECT * FROM orders")
    assert (
        before,
        (run.error, "table.altered" in installation.events(run.id)),
        after,
        list(installation.partitions(rest.id)),
        target,
        states(installation, digest=True),
    ) == (
        ([PlanState.MISSING] * 2,) * 2,
        (None, True),
        [PlanState.MISSING, PlanState.SAME],
        [("orders", MONDAY)],
        source,
        [PlanState.SAME] * 2,
    )


@each_kind
def test_a_column_that_somebody_dropped_from_the_target_comes_again_with_all_its_days(
    grown: tuple[Both, Installation],
) -> None:
    both, installation = grown
    assert installation.run(*DAYS).error is None
    both.target.execute("ALTER TABLE orders DROP COLUMN note")
    assert installation.run(TUESDAY).error is None
    assert states(installation) == [PlanState.MISSING, PlanState.SAME]
    assert len(installation.operations().verify(asked(*DAYS)).differing) == 1


def test_what_the_target_has_beside_keeps_its_default(both: Both, tmp_path: Path) -> None:
    both.source.execute(ORDERS)
    both.source.insert("orders", [(1, MONDAY, "a")])
    both.target.execute(ORDERS[:-1] + ", more INTEGER NOT NULL DEFAULT 5, other TEXT)")
    installation = both.installation(tmp_path, KEPT)
    run = installation.run(MONDAY)
    assert (run.error, both.target.execute("SELECT id, note, more, other FROM orders")) == (
        None,
        [(1, "a", 5, None)],
    )
    assert "has a column other that the source has not" in " ".join(installation.warned())


def test_a_column_that_comes_or_goes_while_a_run_begins_fails_it_and_writes_nothing(
    postgresql: Both, tmp_path: Path
) -> None:
    postgresql.source.execute(ORDERS)
    postgresql.source.insert("orders", [(1, MONDAY, "a"), (2, TUESDAY, "b")])
    installation = postgresql.installation(tmp_path, ADDS)
    assert installation.run(*DAYS).error is None
    postgresql.source.execute("UPDATE orders SET note = 'new'")
    went = installation.run(
        *DAYS,
        before_copying=lambda: postgresql.target.execute("ALTER TABLE orders DROP COLUMN note"),
    )
    assert (went.status, "The table has changed since the run began" in str(went.error)) == (
        RunStatus.FAILED,
        True,
    )
    came = comes_meanwhile(installation, postgresql, "ALTER TABLE orders ADD COLUMN note text")
    assert (
        came.status,
        'column "note" of relation "orders" already exists' in str(came.error),
    ) == (
        RunStatus.FAILED,
        True,
    )
    assert installation.run(*DAYS).error is None
    source, target = postgresql.rows("SELECT id, day, note FROM orders")
    assert target == source


def comes_meanwhile(installation: Installation, both: Both, statement: str) -> Any:
    """A run with a statement in the target between the look at its tables and its plan."""
    operations = installation.operations()
    parts = operations._parts  # noqa: SLF001 - a port is wrapped

    class Way(Interposed):
        done = False

        def write(self) -> Any:
            if not self.done:
                self.done = True
                both.target.execute(statement)
            return super().write()

    wrapped = replace(parts, way=lambda run_id: Way(parts.way(run_id), lambda: None))
    operations = type(operations)(wrapped)
    return operations.wait(operations.start(asked(*DAYS)), timeout_s=60)
