"""What a table's database demands of its rows beside their types, as values."""

from __future__ import annotations

from dataclasses import dataclass

FOLLOWS = frozenset("cnd")  # ON DELETE CASCADE, SET NULL, SET DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """Rows of `child` name rows of `parent`; both as SQL names them, and by their OIDs.

    `rigid` ones are looked at as soon as a parent's row is deleted, and cannot be put off.
    """

    name: str
    child: str
    child_oid: int
    parent: str
    parent_oid: int
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    deferrable: bool
    on_delete: str  # PostgreSQL's pg_constraint.confdeltype

    @property
    def rigid(self) -> bool:
        """Whether it stands in the way of deleting a row that comes again at once."""
        return self.on_delete == "r" or (self.on_delete == "a" and not self.deferrable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """What numbers a column; `lacking` grants our role to move it on, where it may not."""

    column: str
    name: str
    lacking: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for rows of a table.

    `filled` columns get a value where none is given. `foreign_keys` are those of this table and
    those that name its rows; `deferrable` tells that some constraint can wait for the commit.
    `policed` tells that row security hides rows from our role. `triggers` and rewriting rules are
    somebody's own; they may do anything.
    """

    oid: int = 0
    filled: frozenset[str] = frozenset()
    foreign_keys: tuple[ForeignKey, ...] = ()
    deferrable: bool = False
    policed: bool = False
    triggers: tuple[str, ...] = ()
    sequences: tuple[Sequence, ...] = ()

    @property
    def named_by(self) -> tuple[ForeignKey, ...]:
        """The foreign keys whose rows name rows of this table."""
        return tuple(key for key in self.foreign_keys if key.parent_oid == self.oid)

    @property
    def followers(self) -> tuple[str, ...]:
        """The tables whose rows go, or change, when rows of this one are deleted."""
        return tuple(dict.fromkeys(k.child for k in self.named_by if k.on_delete in FOLLOWS))

    @property
    def parents(self) -> frozenset[int]:
        """The OIDs of the other tables whose rows this one's rows name."""
        others = {key.parent_oid for key in self.foreign_keys if key.child_oid == self.oid}
        return frozenset(others - {self.oid})


NONE_KNOWN = Rules()
