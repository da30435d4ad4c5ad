"""From a plan to commit groups: which partitions go together, and which are left out."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.databases.shape import Column, DateClass, Table
from sync.errors import UnknownTable
from sync.model import DateRange, PlanState
from sync.pairing.pair import TablePair, chosen_tables
from sync.plan import Plan, PlannedPartition
from sync.planning import cut_groups
from sync.settings import TableSettings

FIRST = date(2025, 1, 1)
DAY = Column(name="day", type="date", date_class=DateClass.DATE)


def pair(name: str) -> TablePair:
    table = Table(schema="public", name=name, columns=(DAY,))
    return TablePair(
        name=name,
        source=table,
        target=table,
        date_column=DAY,
        target_date=DAY,
        columns=("day",),
        binary=True,
        key=(),
        key_enforced=False,
        where=None,
        definition="",
        exists=True,
        digest_kind="",
    )


def partitions(name: str, *rows: int, held: frozenset[int] = frozenset()) -> list[PlannedPartition]:
    return [
        PlannedPartition(
            table=name,
            day=FIRST + timedelta(days=n),
            source_rows=count,
            target_rows=0,
            state=PlanState.HELD_BACK if n in held else PlanState.MISSING,
            day_closed=True,
        )
        for n, count in enumerate(rows)
    ]


def cut(*planned: PlannedPartition, group_rows: int, allow_shrink: bool = False) -> list[list[int]]:
    pairs = [pair("a"), pair("b")]
    groups = cut_groups(
        Plan(tuple(planned)), pairs, group_rows=group_rows, shrink_max=None if allow_shrink else 0.5
    )
    return [[(p.day - FIRST).days for p in group.partitions] for group in groups]


def test_small_days_share_a_group_and_a_big_one_has_its_own() -> None:
    assert cut(*partitions("a", 3, 3, 4, 50, 0, 1, 9), group_rows=10) == [[0, 1, 2], [3], [4, 5, 6]]


def test_days_that_are_held_back_are_left_out_and_part_their_neighbours() -> None:
    planned = partitions("a", 1, 1, 1, 1, held=frozenset({1}))
    assert cut(*planned, group_rows=10) == [[0], [2, 3]]
    assert cut(*planned, group_rows=10, allow_shrink=True) == [[0, 1, 2, 3]]


def test_tables_share_no_group() -> None:
    assert cut(*partitions("a", 1), *partitions("b", 1), group_rows=10) == [[0], [0]]


@given(
    rows=st.lists(st.integers(0, 30), max_size=40),
    missing=st.sets(st.integers(0, 39)),
    group_rows=st.integers(1, 40),
)
def test_every_partition_is_in_one_group_of_neighbours_within_the_limit(
    rows: list[int], missing: set[int], group_rows: int
) -> None:
    planned = [p for n, p in enumerate(partitions("a", *rows)) if n not in missing]
    groups = cut(*planned, group_rows=group_rows)
    assert [day for group in groups for day in group] == [(p.day - FIRST).days for p in planned]
    for group in groups:
        assert group == list(range(group[0], group[-1] + 1))
        assert len(group) == 1 or sum(rows[day] for day in group) <= group_rows


def test_a_range_has_both_its_days() -> None:
    assert list(DateRange(FIRST, FIRST).days()) == [FIRST]


def test_tables_are_chosen_by_their_target_name_in_the_order_of_the_settings() -> None:
    configured = [
        TableSettings(name="raw.orders", date_column="day", target_name="b"),
        TableSettings(name="a", date_column="day"),
        TableSettings(name="c", date_column="day"),
    ]
    assert [t.target for t in chosen_tables(configured, ("a", "b"))] == ["b", "a"]
    assert chosen_tables(configured, ()) == tuple(configured)
    with pytest.raises(UnknownTable, match=r"no table “orders”.*Configured are: b, a, c"):
        chosen_tables(configured, ("orders",))
