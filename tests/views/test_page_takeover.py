"""Taking a run over on the page: what is asked and told, and what no slip of the hand does."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from sync.errors import ConnectError, LeaseHeld
from sync.model import Conflict, RunId, RunView, TakeoverPlan, Verdict
from sync.ui.markup import plain
from sync.ui.takeover import TYPED
from tests.views.fakes import HOLDER, RUN, SNAPSHOTS, FakeOperations, a_run, a_snapshot
from tests.views.test_page import opened, words

UNREACHABLE = ConnectError(role="target", address="loader@db2/warehouse", reason="timeout")
TOLD = "The target database loader@db2/warehouse cannot be reached: timeout"


def buttons(page: AppTest) -> set[str | None]:
    return {button.key for button in page.button}


def dialog(operations: FakeOperations, *, lang: str = "en") -> AppTest:
    page = opened(operations, lang=lang)
    return page.button(key="take_over").click().run()


def taken_over(page: AppTest, *, reason: str = "cut off", typed: str = RUN[-TYPED:]) -> AppTest:
    page.text_area(key="takeover_reason").set_value(reason)
    page.text_input(key="takeover_typed").set_value(typed)
    return page.button(key="takeover_now").click().run()


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_it_is_offered_where_the_verdict_calls_for_it_and_nowhere_else(name: str) -> None:
    offered = "take_over" in buttons(opened(FakeOperations(name)))

    assert offered == (name in {"stalled", "paused", "unknown"})


def test_what_it_breaks_is_asked_when_it_opens_and_when_the_verdict_changes_not_at_each_look() -> (
    None
):
    operations = FakeOperations("unknown")
    page = dialog(operations).run().run()
    said = words(page)
    assert "It holds the locks, but gives no sign of life." in said
    assert "(orders 2026-10-13) is rolled back; 42 of 61 partitions stay." in said
    assert operations.calls == [("plan_takeover", RUN)]

    operations.name = "stalled"
    assert "no rows have moved for a while" in words(page.run())
    operations.name = "running"
    said = words(page.run())

    assert f'python -m sync takeover {RUN} --reason "…" --force' in said
    assert "takeover_now" not in buttons(page)
    assert operations.calls == [("plan_takeover", RUN)] * 3


def test_a_run_is_ended_only_where_its_id_was_typed_and_then_the_page_says_so() -> None:
    operations = FakeOperations("paused")
    page = dialog(operations)

    page = taken_over(page, typed="yes")
    assert "“7f3a91” was not typed; nothing was done." in words(page)
    page = taken_over(page)

    assert operations.calls[1:] == [("take_over", RUN, "cut off")]
    said = words(page)
    assert f"Run {RUN} of li.wei was taken over. A new sync can start now." in said
    assert "Interrupted" in said
    assert said.count("Taken over by ada@etl-01: its host is cut off") == 2
    assert "takeover_now" not in buttons(page)
    page.button(key="start").click().run()
    assert "was taken over" not in words(page)


def test_a_database_that_does_not_answer_is_told_in_the_dialog_and_the_reason_stays() -> None:
    operations = FakeOperations("unknown")
    page = dialog(operations)
    operations.refuses = UNREACHABLE

    page = taken_over(page)

    assert TOLD in words(page)
    assert page.text_area(key="takeover_reason").value == "cut off"
    operations.refuses = None
    assert "was taken over" in words(taken_over(page))


def test_a_holder_s_name_is_text_in_the_headings_that_read_markdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = a_run(holder=replace(HOLDER, user="[x](http://evil) *_`<b>\n# y"))
    snapshot = replace(a_snapshot(run), state="stalled", verdict=Verdict.STALLED)
    monkeypatch.setitem(SNAPSHOTS, "odd", snapshot)

    page = dialog(FakeOperations("odd"))

    name = r"\[x\]\(http\://evil\) \*\_\`\<b\> \# y"
    assert f"The sync of {name} does not move" in [element.value for element in page.header]
    assert plain(run.holder.user) == name


def test_a_third_one_who_was_faster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    third = a_run(id=RunId("20261124-093000-0c0ffe"), holder=replace(HOLDER, user="bob"))
    monkeypatch.setitem(SNAPSHOTS, "third", a_snapshot(third))

    class Beaten(FakeOperations):
        def take_over(self, run_id: RunId, *, reason: str) -> RunView:
            del run_id, reason
            self.name = "third"
            raise LeaseHeld(Conflict(holder=third.holder, run_id=third.id))

    said = words(taken_over(dialog(Beaten("unknown"), lang="zh")))

    assert f"li.wei 的任务 {RUN} 已被接管；其间 bob 已开始另一个同步任务。" in said
    assert "bob 正在同步" in said


def test_what_it_breaks_is_asked_again_where_that_was_not_told() -> None:
    class Deaf(FakeOperations):
        def plan_takeover(self, run_id: RunId) -> TakeoverPlan:
            if self.refuses:
                raise self.refuses
            return super().plan_takeover(run_id)

    operations = Deaf("unknown", refuses=UNREACHABLE)
    page = dialog(operations)
    assert TOLD in words(page)
    assert "takeover_now" not in buttons(page)
    operations.refuses = None

    page.button(key="takeover_look_again").click().run()

    assert "takeover_now" in buttons(page)
    assert TOLD not in words(page)
