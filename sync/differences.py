"""The rows of source and target that differ, one by one, and what was found of a whole range."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from sync.databases.digest import Row
    from sync.pairing.pair import TablePair

    Values = Mapping[str, str | None]


class DifferenceKind(StrEnum):
    """What is the matter with a row of the target."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row: its key, and its values as text on the side or sides that have it.

    Of a row that both have, only the values that differ. Without a key, all columns are it.
    """

    kind: DifferenceKind
    table: str
    day: date
    key: Values
    source: Values | None = None
    target: Values | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One partition, compared by digest."""

    table: str
    day: date
    source_rows: int
    target_rows: int
    same: bool
    source_digest: str | None = None
    target_digest: str | None = None
    digest_kind: str | None = None


@dataclass(slots=True)
class Verification:
    """What was compared and what differs; `complete` tells that all differences are listed.

    `read_again`: rows of either side that were read after the pass that digests them.
    """

    partitions: list[Verified] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    complete: bool = True
    read_again: int = 0

    @property
    def differing(self) -> list[Verified]:
        """The partitions that are not the same on both sides."""
        return [partition for partition in self.partitions if not partition.same]


def differences(
    pair: TablePair, day: date, there: Iterable[Row], here: Iterable[Row]
) -> Iterator[Difference]:
    """What differs between rows of both sides; those of one key are matched by their hashes."""
    keys = [pair.columns.index(name) for name in pair.key or pair.columns]
    sides: dict[tuple[str | None, ...], tuple[list[Row], list[Row]]] = {}
    for n, rows in enumerate((there, here)):
        for row in rows:
            key = tuple(row[1 + k] for k in keys)
            sides.setdefault(key, ([], []))[n].append(row)
    for source, target in sides.values():
        missing, extra = _unmatched(source, target), _unmatched(target, source)
        for one, other in zip_longest(missing, extra):
            yield _difference(pair, day, _named(pair, one), _named(pair, other))


def together(pair: TablePair, found: Iterable[Difference]) -> list[Difference]:
    """As found, but a row that stands at another time of its day is one row that differs."""
    kept: dict[tuple[object, ...], Difference] = {}
    for n, one in enumerate(found):
        key = (one.day, *one.key.values()) if pair.key else (n,)
        other = kept.get(key)
        if other and {one.kind, other.kind} == {DifferenceKind.MISSING, DifferenceKind.EXTRA}:
            source, target = one.source or other.source, one.target or other.target
            kept[key] = _difference(pair, one.day, source, target)
        else:
            kept[key if other is None else (*key, n)] = one
    return list(kept.values())


def _named(pair: TablePair, row: Row | None) -> Values | None:
    return dict(zip(pair.columns, row[1:], strict=True)) if row else None


def _unmatched(rows: Iterable[Row], others: Iterable[Row]) -> list[Row]:
    left = Counter(row[0] for row in others)
    found = []
    for row in rows:
        if left[row[0]]:
            left[row[0]] -= 1
        else:
            found.append(row)
    return found


def _difference(
    pair: TablePair, day: date, source: Values | None, target: Values | None
) -> Difference:
    some = source or target or {}
    found = Difference(
        kind=DifferenceKind.MISSING if source else DifferenceKind.EXTRA,
        table=pair.name,
        day=day,
        key={name: some[name] for name in pair.key or pair.columns},
        source=source,
        target=target,
    )
    if source is None or target is None:
        return found
    # Of values that are written alike and yet differ, all are shown.
    names = [name for name in pair.columns if source[name] != target[name]] or pair.columns
    return replace(
        found,
        kind=DifferenceKind.DIFFERENT,
        source={name: source[name] for name in names},
        target={name: target[name] for name in names},
    )
