"""What the page says and what its clicks ask for, without a browser."""

import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest
from streamlit.testing.v1 import AppTest

from sync.errors import ConnectError
from sync.markup import tag
from sync.model import CancelMode, DateRange, PartitionStatus, RunRequest, Verdict
from sync.ui import actions
from sync.ui.form import presets
from sync.ui.strip import Cell
from tests.views.fakes import (
    QUEUE,
    RUN,
    SNAPSHOTS,
    FakeOperations,
    a_run,
    a_snapshot,
    held,
    partitions,
)

TODAY = date(2026, 11, 24)


def script(operations: object) -> None:
    from sync.ui import page

    page.draw(operations)


def opened(operations: FakeOperations, *, lang: str = "en") -> AppTest:
    """The page as a browser with this language opens it."""
    page = AppTest.from_function(script, args=(operations,), default_timeout=20)
    page.query_params["lang"] = lang
    return page.run()


def words(page: AppTest) -> str:
    """All that the page shows as text, headings included."""
    assert not page.exception
    texts = [element.value for element in (*page.header, *page.markdown, *page.caption)]
    return unescape(re.sub(r"<[^>]*>", " ", " ".join(texts)))


@pytest.mark.parametrize("name", SNAPSHOTS)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_state_is_drawn_in_both_languages(name: str, lang: str) -> None:
    page = opened(FakeOperations(name), lang=lang)

    assert page.button(key="start").label == {"en": "Start sync", "zh": "开始同步"}[lang]
    assert words(page)


def test_a_refused_start_says_who_since_when_how_far_and_keeps_the_form() -> None:
    operations = FakeOperations(refuses=held())
    page = opened(operations)
    page.date_input(key="days").set_value((date(2026, 11, 2), date(2026, 11, 5))).run()

    operations.name = "running"
    page.button(key="start").click().run()

    said = words(page)
    assert "li.wei is running a sync" in said
    assert "A sync is already running; please wait until it has finished" in said
    assert "li.wei@etl-02 · PID 48213" in said
    assert "42 / 61 (69%)" in said
    assert "about 8 min" in said
    assert page.date_input(key="days").value == (date(2026, 11, 2), date(2026, 11, 5))


def test_the_seed_s_words_stand_on_the_chinese_page() -> None:
    operations = FakeOperations(refuses=held())
    page = opened(operations, lang="zh")
    operations.name = "running"
    page.button(key="start").click().run()
    assert "已有同步任务正在运行，请等待当前任务完成后再试" in words(page)

    operations.name, operations.refuses = "never", None
    page.button(key="start").click().run()
    assert [toast.value for toast in page.toast] == ["任务已启动"]


def test_another_error_is_told_in_full_and_nothing_is_lost() -> None:
    error = ConnectError(role="target", address="loader@db2/warehouse", reason="refused")
    page = opened(FakeOperations(refuses=error))

    page.button(key="start").click().run()

    assert "The target database loader@db2/warehouse cannot be reached: refused" in words(page)
    assert not page.button(key="start").disabled


def test_a_double_click_is_one_start_and_a_later_click_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operations = FakeOperations()
    page = opened(operations)
    page.button(key="start").click().run()
    page.button(key="start").click().run()
    monkeypatch.setattr(actions, "DOUBLE_CLICK_S", 0.0)
    page.button(key="start").click().run()

    first, second, third = (key for _, _, key in operations.calls)
    assert first == second
    assert third not in {None, first}


def test_the_request_is_what_the_form_shows() -> None:
    operations = FakeOperations()
    page = opened(operations)
    page.get_by_key("preset").set_value("30").run()
    page.multiselect(key="tables").select("refunds").run()
    page.button(key="start").click().run()

    _, request, _ = operations.calls[0]
    assert request == RunRequest(
        days=DateRange(date(2026, 10, 25), date(2026, 11, 23)), tables=("refunds",)
    )


def test_a_half_picked_range_starts_nothing() -> None:
    page = opened(FakeOperations())
    page.date_input(key="days").set_value((date(2026, 11, 2),)).run()

    assert page.button(key="start").disabled
    assert "Pick the last day, too" in words(page)


def test_held_back_days_go_through_only_by_a_tick_that_nobody_sets_beforehand() -> None:
    operations = FakeOperations("held_back")
    page = opened(operations)
    assert "3 days were held back" in words(page)
    assert "12 rows in the source, 201,344 in the target" in words(page)
    assert page.button(key="resume").disabled
    tick = page.checkbox[0]
    assert not tick.value

    tick.check().run()
    page.button(key="resume").click().run()

    assert operations.calls == [("resume", RUN, True)]


@pytest.mark.parametrize("name", ["failed", "interrupted", "cancelled"])
def test_what_did_not_end_well_is_resumed_by_one_click(name: str) -> None:
    operations = FakeOperations(name)
    page = opened(operations)
    page.button(key="resume").click().run()

    assert operations.calls == [("resume", RUN, False)]
    assert "Your sync of 2026-09-01 → 2026-10-31 is running." in words(page)


def test_both_ways_to_cancel_ask_for_what_they_say() -> None:
    operations = FakeOperations("running")
    page = opened(operations)
    page.button(key="cancel_after_group").click().run()
    assert "Stopping as soon as what is being copied is whole." in words(page)
    page.button(key="cancel_now").click().run()

    assert operations.calls == [
        ("cancel", RUN, CancelMode.AFTER_GROUP),
        ("cancel", RUN, CancelMode.NOW),
    ]


def test_who_is_told_of_another_run_has_his_own_started_when_it_ends_and_withdraws_it() -> None:
    operations = FakeOperations("running")
    page = opened(operations)
    page.date_input(key="days").set_value((date(2026, 11, 2), date(2026, 11, 5))).run()
    page.button(key="enqueue").click().run()

    assert [toast.value for toast in page.toast] == ["The run is queued."]
    (_, request, key) = operations.calls[0]
    assert request == RunRequest(days=DateRange(date(2026, 11, 2), date(2026, 11, 5)))
    assert key
    mine, other = QUEUE
    said = words(page)
    assert "Yours, since 11-24 09:21" in said
    assert f"{other.holder.user}@{other.holder.host}, since 11-24 09:26" in said

    page.button(key=f"withdraw_{mine.id}").click().run()

    assert operations.calls[1] == ("cancel", mine.id, CancelMode.AFTER_GROUP)
    assert "Withdraw" not in [button.label for button in page.button]


def test_a_run_that_gives_way_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = replace(SNAPSHOTS["running"], state="lost", verdict=Verdict.LOST)
    monkeypatch.setitem(SNAPSHOTS, "running", lost)
    page = opened(FakeOperations("running"))
    assert "enqueue" not in [button.key for button in page.button]


def test_nothing_is_counted_before_the_rows_are() -> None:
    said = words(opened(FakeOperations("counting")))

    assert "Counting rows…" in said
    assert "0 / 0" not in said
    assert "0%" not in said.partition("Recent runs")[0]


def test_a_run_of_another_store_offers_nothing_that_this_one_cannot_do() -> None:
    page = opened(FakeOperations("elsewhere"))

    said = words(page)
    assert "kept where it was started (li.wei@etl-02)" in said
    assert "stop it below" not in said
    assert "as soon as their rows are counted" not in said
    assert not {"cancel_after_group", "cancel_now"} & {button.key for button in page.button}


def test_who_does_not_move_has_no_speed_and_no_time_left_and_who_is_stopped_finishes_nothing() -> (
    None
):
    for name in ("paused", "stalled", "unknown"):
        said = words(opened(FakeOperations(name)))
        assert "about 8 min" not in said
        assert "7,812" not in said

    keys = [button.key for button in opened(FakeOperations("paused")).button]
    assert "cancel_after_group" not in keys
    assert "cancel_now" in keys


def test_a_run_with_nothing_to_do_is_whole() -> None:
    said = words(opened(FakeOperations("nothing_to_do")))

    assert "Nothing had to be copied." in said
    assert "Ended before" not in said
    assert "100%" in said.partition("Recent runs")[2]


def test_held_back_days_are_not_done_and_do_not_end_a_run_that_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held_back = replace(a_run(held_back=3), current=None)
    monkeypatch.setitem(SNAPSHOTS, "running", a_snapshot(held_back))
    said = words(opened(FakeOperations("running")))

    assert "39 / 61" in said
    assert "Running" in said.partition("Recent runs")[2]
    assert "Held back" not in said.partition("Recent runs")[2]


def test_the_language_follows_the_browser_and_the_switch_stays_in_the_address() -> None:
    page = AppTest.from_function(script, args=(FakeOperations(),), default_timeout=20)
    page.context = {"locale": "zh-CN", "timezone": "Asia/Shanghai"}
    page.run()
    assert page.button(key="start").label == "开始同步"

    page.get_by_key("language").set_value("en").run()

    assert page.query_params["lang"] == "en"
    assert page.button(key="start").label == "Start sync"


@pytest.mark.parametrize(
    ("name", "chinese"),
    [
        ("failed", "orders 在 2026-09-16 的数据无法复制：<script>"),
        ("failed", "请在源或目标中排除原因，然后恢复任务。"),
        ("interrupted", "任务异常退出：etl-02 上的进程 48213 已不存在，锁已释放。"),
        ("stalled", "etl-02 上的进程 48213 仍在运行。"),
        ("problem", "无法使用进度存储 store.db：disk I/O error。没有启动任何任务。"),
        ("running", "计划完成：61 个分区，共 12,191,800 行。"),
    ],
)
def test_what_a_run_told_is_read_in_the_reader_s_language(name: str, chinese: str) -> None:
    assert chinese in words(opened(FakeOperations(name), lang="zh"))


def test_days_and_times_are_the_installation_s_not_the_browser_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = replace(SNAPSHOTS["running"], timezone="Pacific/Kiritimati", data_range=None)
    monkeypatch.setitem(SNAPSHOTS, "running", away)
    page = AppTest.from_function(script, args=(FakeOperations("running"),), default_timeout=20)
    page.context = {"locale": "en", "timezone": "America/New_York"}
    page.run()

    assert "Updated 23:30:00 Pacific/Kiritimati" in words(page)
    assert page.date_input(key="days").value == (date(2026, 11, 17), date(2026, 11, 23))


def test_presets_end_with_the_last_whole_day_of_the_source() -> None:
    def spans(first: date, last: date) -> dict[str, str]:
        return {name: str(days) for name, days in presets((first, last), TODAY).items()}

    assert spans(date(2026, 11, 10), TODAY) == {
        "1": "2026-11-23 → 2026-11-23",
        "7": "2026-11-17 → 2026-11-23",
        "30": "2026-11-10 → 2026-11-23",
        "90": "2026-11-10 → 2026-11-23",
        "all": "2026-11-10 → 2026-11-24",
    }
    assert spans(date(2013, 1, 1), date(2013, 12, 31))["7"] == "2013-12-25 → 2013-12-31"
    assert "all" not in presets(None, TODAY)


def test_a_day_looks_like_the_table_that_most_wants_to_be_seen() -> None:
    one = partitions(PartitionStatus.PENDING)[0]

    def look(*statuses: PartitionStatus) -> str:
        return Cell(one.day, tuple(replace(one, status=status) for status in statuses)).look

    done, waits = PartitionStatus.DONE, PartitionStatus.PENDING
    assert look(done, PartitionStatus.FAILED, PartitionStatus.COPYING) == "failed"
    assert look(done, PartitionStatus.HELD_BACK, waits) == "held_back"
    assert look(done, PartitionStatus.COPYING, waits) == "copying"
    assert look(done, waits) == "partly"
    assert look(waits, waits) == "pending"
    assert look(done, PartitionStatus.UNCHANGED) == "done"


def test_text_of_others_cannot_break_the_page() -> None:
    html = tag("p", '<script>"\n\n:material/home:', title="'><b>")

    assert html == (
        '<p title="&#x27;&gt;&lt;b&gt;">&lt;script&gt;&quot;&#10;&#10;&#58;material/home&#58;</p>'
    )
    page = opened(FakeOperations("failed"))
    assert not any("<script>alert" in element.value for element in page.markdown)
