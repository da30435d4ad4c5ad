"""What must hold of a table whose rows go to another engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.databases.crossing import form_of, holds, in_sqlite
from sync.errors import N_, SchemaError
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync.databases.port import Database
    from sync.databases.shape import Table

NAME_MAX = 63  # bytes of a name in PostgreSQL


def refuse_names(table: Table, target: Database) -> None:
    """Names that the engine would cut, or take for one another."""
    names = [table.name, *(column.name for column in table.columns)]
    if target.kind == "postgresql":
        bad = [name for name in names if len(name.encode()) > NAME_MAX]
    else:
        folded = [column.name.lower() for column in table.columns]
        bad = [c.name for c in table.columns if folded.count(c.name.lower()) > 1]
    if bad:
        raise SchemaError(
            N_(
                "{table} cannot be made in the target {address}, which does not keep these names"
                " apart or whole: {names}."
            ),
            hint=N_("Name them in exclude, or make the table there by hand with other names."),
            table=table.name,
            address=target.address,
            names=", ".join(bad),
        )


def altering(there: Table, here: Table, columns: Sequence[str], target: Database) -> list[Told]:
    """Columns of an SQLite target that would alter values of PostgreSQL as they enter."""
    if target.kind != "sqlite":
        return []
    pairs = ((there.column(name), here.column(name)) for name in columns)
    return [
        Told(
            N_(
                "Column {column} of {table} is {source_type} in the source, and"
                " {target_type} in the target, which would alter some of its values."
            ),
            hint=N_("Give it the type {made} there, or name it in exclude."),
            column=b.name,
            table=here.name,
            source_type=a.type,
            target_type=b.type or "-",
            made=in_sqlite(a).type,
        )
        for a, b in pairs
        if a and b and not holds(b.type, form_of(a))
    ]
