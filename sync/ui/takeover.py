"""Taking a run over: what speaks for it and what it breaks, why, a word typed; and what came of it.

Only a holder that does not look well is offered here. One that is alive and moves wants `--force`
on the command line: no button leads there. The dialog stays open, with what was typed in it, while
the page around it is drawn anew; the evidence is asked for when it opens and when the verdict
changes, not at every poll.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from sync.ending import REASON_MAX
from sync.errors import N_, BatchSyncError, LeaseHeld
from sync.markup import tag
from sync.model import RunStatus
from sync.told import Told
from sync.ui import actions
from sync.ui.elements import bullets, paragraph, stack
from sync.ui.markup import plain, show
from sync.wording import TAKEN_OVER, TAKEOVER

if TYPE_CHECKING:
    from sync.model import Conflict, RunId, RunView, TakeoverPlan, Verdict
    from sync.operations import Operations
    from sync.ui.reader import Reader

TYPED = 6  # characters of the run's id


@dataclass(slots=True)
class Taking:
    """A takeover from this browser tab: the dialog while it is open, then what came of it.

    It is changed in place: unlike `st.session_state`, that cannot be cut short by the next click.
    `told` is there once the run has ended; the next start or cancel of this tab clears it away.
    """

    run_id: RunId
    open: bool = True
    verdict: Verdict | None = None
    plan: TakeoverPlan | None = None
    refusal: Told | None = None
    told: Told | None = None


def offer(conflict: Conflict, reader: Reader) -> None:
    """The button of the conflict card, where the verdict calls for it."""
    if conflict.run_id and conflict.verdict in TAKEN_OVER:
        st.button(
            reader.gettext("Take over…"),
            key="take_over",
            icon=":material/front_hand:",
            on_click=_open,
            args=(conflict.run_id,),
        )


def draw(conflict: Conflict | None, operations: Operations, reader: Reader) -> None:
    """The dialog, while it is open and its run stands in the way; then what came of it."""
    taking: Taking | None = st.session_state.get("taking")
    if taking is None:
        return
    present = conflict.run_id if conflict else None
    if taking.told:
        next_step = "" if conflict else reader.gettext("A new sync can start now.")
        text = f"✓ {reader.told(taking.told)} {next_step}"
        show(tag("p", text, class_="bs-notice good", role="status"))
    elif taking.open and conflict and conflict.holder and present == taking.run_id:
        who = plain(conflict.holder.user)
        title = reader.gettext("Take over the sync of {who}").format(who=who)
        dialog = st.dialog(title, width="medium", on_dismiss=partial(_dismiss, taking))
        dialog(_body)(taking, conflict.verdict, operations, reader)
    else:
        actions.forget_takeover()


def _open(run_id: RunId) -> None:
    st.session_state["taking"] = Taking(run_id)


def _dismiss(taking: Taking) -> None:
    taking.open = False


def _body(taking: Taking, verdict: Verdict, operations: Operations, reader: Reader) -> None:
    _ = reader.gettext
    if taking.plan is None or taking.verdict is not verdict:
        with st.spinner(_("Looking at it…")):
            _ask(taking, verdict, operations)
    plan = taking.plan
    if plan is None:
        _refused(taking, reader)
        st.button(_("Look again"), key="takeover_look_again")
        return
    _tell(plan, reader)
    if plan.needs_force:
        text = _("It is alive, so this page does not take it over. On the command line, by force:")
        by_force(taking.run_id, text)
        return
    _form(taking, plan, operations, reader)


def by_force(run_id: RunId, text: str) -> None:
    """`text`, and the command that ends even a run that is well."""
    command = tag("code", TAKEOVER.format(run_id=run_id) + " --force")
    show(paragraph(text, " ", command, look="note"))


def _ask(taking: Taking, verdict: Verdict, operations: Operations) -> None:
    taking.verdict, taking.plan, taking.refusal = verdict, None, None
    try:
        taking.plan = operations.plan_takeover(taking.run_id)
    except BatchSyncError as error:
        taking.refusal = error.told


def _tell(plan: TakeoverPlan, reader: Reader) -> None:
    holder = plan.run.holder
    who = f"{holder.user}@{holder.host} · PID {holder.pid}"
    run = reader.gettext("run {id}").format(id=plan.run.id)
    show(
        stack(
            paragraph(f"{who} · {run}", look="note"),
            paragraph(reader.verdict(plan.verdict), look="strong") if plan.evidence else None,
            bullets(map(reader.told, plan.evidence)),
            paragraph(reader.gettext("What a takeover does:"), look="strong"),
            bullets(map(reader.told, plan.breaks)),
        )
    )


def _form(taking: Taking, plan: TakeoverPlan, operations: Operations, reader: Reader) -> None:
    _ = reader.gettext
    end = taking.run_id[-TYPED:]
    # Enter in a field must not end somebody's run.
    with st.form("takeover", border=False, enter_to_submit=False):
        reason = st.text_area(
            _("Why? It stands in the history of that run."),
            key="takeover_reason",
            height=80,
            max_chars=REASON_MAX,
        )
        typed = st.text_input(
            _("To confirm, type the last characters of the run's id: {end}").format(
                end=f"**{end}**"
            ),
            key="takeover_typed",
            autocomplete="off",
        )
        asked = st.form_submit_button(
            _("Take it over"), key="takeover_now", type="primary", width="stretch"
        )
    if asked and typed.strip() not in {end, taking.run_id}:
        taking.refusal = Told(N_("“{end}” was not typed; nothing was done."), end=end)
    elif asked:
        with st.spinner(_("Ending it…")):
            _take(taking, plan.run, operations, reason)
    if taking.told:
        st.rerun()
    _refused(taking, reader)


def _take(taking: Taking, run: RunView, operations: Operations, reason: str) -> None:
    """Do it; a second click finds it done, and tells the same."""
    facts = {"run_id": run.id, "who": run.holder.user}
    try:
        ended = operations.take_over(run.id, reason=reason)
    except LeaseHeld as refusal:
        third = refusal.conflict.holder
        text = N_("Run {run_id} of {who} was taken over; meanwhile {third} has begun another sync.")
        taking.told = Told(text, **facts, third=third.user if third else "?")
    except BatchSyncError as error:
        taking.refusal = error.told
        return
    else:
        text = N_("Run {run_id} of {who} had ended by itself.")
        if ended.status is RunStatus.INTERRUPTED:
            text = N_("Run {run_id} of {who} was taken over.")
        taking.told = Told(text, **facts)
    actions.forget_refusal()


def _refused(taking: Taking, reader: Reader) -> None:
    if taking.refusal:
        show(tag("p", reader.told(taking.refusal), class_="bs-notice warn", role="alert"))
