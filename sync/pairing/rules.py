"""The target's own rules: what is refused, what is told, and in which order tables go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sync.databases.shape import quoted
from sync.errors import N_, SchemaError
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sync.databases.port import Database
    from sync.databases.rules import ForeignKey, Sequence
    from sync.databases.shape import Table
    from sync.pairing.pair import TablePair

TRIGGERS = N_(
    "{table} of the target has triggers or rules ({triggers}): they go off for each row that is"
    " deleted and comes anew. What they change is found by [run] verify."
)
RIGID = N_(
    "Rows of {child} name rows of {table} ({constraint}): a day of {table} cannot be replaced while"
    " it has such rows."
)
MEND = N_("In the target: {statement}")
IN_THE_WAY = N_(
    "Rows of {child} name rows of {table} that are to be replaced ({constraint}, such as"
    " {example})."
)
CIRCLE = N_(
    "The tables {tables} name each other's rows: none can go first, and new rows that need each"
    " other cannot come."
)
UNMOVED = N_(
    "The sequence {sequence} of {table}.{column} cannot be moved on behind the rows that come:"
    " others' next rows may meet their numbers."
)


def refuse_policed(table: Table, database: Database) -> None:
    """Row security would show, or delete, some rows only, without a word."""
    if table.rules.policed:
        raise SchemaError(
            N_("Row security hides rows of {table} in the {role} {address} from the sync's user."),
            hint=N_(
                "Give that user the attribute BYPASSRLS, or disable row security of the table."
            ),
            table=table.name,
            role=database.role,
            address=database.address,
        )


def warnings_of(table: Table, columns: Collection[str]) -> Iterator[Told]:
    """What may go wrong with a table of the target, and need not."""
    rules = table.rules
    if rules.triggers:
        yield Told(TRIGGERS, table=table.name, triggers=", ".join(rules.triggers))
    for key in rules.named_by:
        if key.rigid:
            yield rigid(table, key)
    for sequence in rules.sequences:
        if sequence.column in columns and sequence.lacking:
            yield unmoved(table, sequence)


def rigid(table: Table, key: ForeignKey, example: str = "") -> Told:
    """That a foreign key stands in the way, and what would let it wait for the commit."""
    return Told(
        IN_THE_WAY if example else RIGID,
        hint=MEND,
        child=key.child,
        table=table.name,
        constraint=key.name,
        statement=mended(key),
        example=example,
    )


def mended(key: ForeignKey) -> str:
    """The statement that makes a foreign key deferrable."""
    if key.on_delete == "a":
        return f"ALTER TABLE {key.child} ALTER CONSTRAINT {quoted(key.name)} DEFERRABLE;"
    columns, others = (", ".join(map(quoted, c)) for c in (key.columns, key.parent_columns))
    return (
        f"ALTER TABLE {key.child} DROP CONSTRAINT {quoted(key.name)},"
        f" ADD CONSTRAINT {quoted(key.name)} FOREIGN KEY ({columns})"
        f" REFERENCES {key.parent} ({others}) DEFERRABLE;"
    )


def unmoved(table: Table, sequence: Sequence, reason: str = "") -> Told:
    """That a sequence cannot be moved on: our role lacks the rights, or for that `reason`."""
    return Told(
        UNMOVED,
        hint=N_("{reason}") if reason else MEND,
        table=table.name,
        column=sequence.column,
        sequence=sequence.name,
        statement=sequence.lacking,
        reason=reason,
    )


def by_generation(pairs: Collection[TablePair]) -> list[TablePair]:
    """Tables whose rows are named by others' first, else in the order given.

    Those that name each other share what generation they have; `circle` tells of them.
    """
    generation = dict.fromkeys((pair.target.rules.oid for pair in pairs), 0)
    for _ in pairs:  # no chain is longer
        for pair in pairs:
            oid = pair.target.rules.oid
            older = [generation[p] + 1 for p in pair.target.rules.parents if p in generation]
            generation[oid] = min(max([generation[oid], *older]), len(pairs))
    placed = [replace(pair, generation=generation[pair.target.rules.oid]) for pair in pairs]
    return sorted(placed, key=lambda pair: pair.generation)


def circle(tables: Collection[Table]) -> Told | None:
    """That some of these tables name each other's rows, if they do."""
    parents = {table.rules.oid: set(table.rules.parents) for table in tables}
    for _ in tables:
        for known in parents.values():
            known.update(*(parents[p] for p in tuple(known) if p in parents))
    names = [table.name for table in tables if table.rules.oid in parents[table.rules.oid]]
    return Told(CIRCLE, tables=", ".join(names)) if names else None
