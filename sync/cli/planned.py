"""A plan as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync import wording
from sync.errors import N_
from sync.model import PlanState
from sync.terminal import columns, titles
from sync.wording import translations

if TYPE_CHECKING:
    from sync.plan import Plan

PLAN_TITLES = (N_("Table"), N_("Day"), N_("Source rows"), N_("Target rows"), N_("State"))
BY_KEY = (N_("Inserts"), N_("Updates"), N_("Deletes"))


def plan_lines(plan: Plan, locale: str) -> list[str]:
    """A partition a line; with what changes by key where that was counted."""
    return columns(
        [
            titles((*PLAN_TITLES, *BY_KEY) if plan.by_key else PLAN_TITLES, locale),
            *(
                [
                    partition.table,
                    partition.day.isoformat(),
                    wording.number(partition.source_rows, locale),
                    wording.number(partition.target_rows, locale),
                    wording.status(partition.state, locale),
                    *(
                        wording.number(count, locale)
                        for changes in (partition.changes,)
                        if changes
                        for count in (changes.inserts, changes.updates, changes.deletes)
                    ),
                ]
                for partition in plan.partitions
            ),
        ],
        right={2, 3, 5, 6, 7},
    )


def plan_summary(plan: Plan, locale: str) -> list[str]:
    """The plan in one line, how long it may take, and what it leaves out or takes away."""
    gettext, totals = translations(locale).gettext, plan.totals
    lines = [
        gettext("{partitions}: {source} in the source, {target} in the target; plan {hash}").format(
            partitions=wording.partitions(totals["partitions"], locale),
            source=wording.rows(totals["source_rows"], locale),
            target=wording.rows(totals["target_rows"], locale),
            hash=plan.hash,
        )
    ]
    states = {wording.status(state, locale): plan.states[state] for state in PlanState}
    found = [f"{state} {wording.number(n, locale)}" for state, n in states.items() if n]
    if len(found) > 1:
        lines.append(gettext(", ").join(found))
    if plan.by_key:
        by_key = gettext("By key: {inserts} to insert, {updates} to update, {deletes} to delete")
        lines.append(by_key.format(**{n: wording.number(v, locale) for n, v in totals.items()}))
    if plan.estimate_s:
        low, high = (wording.duration(seconds, locale) for seconds in plan.estimate_s)
        span = low if low == high else gettext("{low} to {high}").format(low=low, high=high)
        took = gettext("By what past runs took, a run of it takes {time}")
        lines.append(took.format(time=span))
    told = [*plan.warnings, *(told for undated in plan.undated for told in undated.told)]
    told += [moved.told for moved in plan.moved]
    return lines + [wording.told(what, locale) for what in told]
