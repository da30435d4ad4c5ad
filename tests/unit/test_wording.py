"""The words: complete in each language, the same facts in each, and right for every value."""

import json
import re
import string
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import sync
from sync import wording
from sync.errors import (
    BatchSyncError,
    ConnectError,
    CopyError,
    LeaseHeld,
    UnknownTable,
    together,
)
from sync.model import (
    Conflict,
    DateRange,
    Holder,
    PartitionStatus,
    PlanState,
    Progress,
    RunId,
    RunStatus,
    Verdict,
)
from sync.told import Told

PACKAGE = Path(sync.__file__).parent
CHINESE = wording.LOCALE_DIR / "zh_CN" / "LC_MESSAGES" / "batch_sync.po"
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
HOLDER = Holder(
    user="ada",
    host="db1",
    pid=4711,
    process_start=1.0,
    boot_id="b",
    pid_namespace="n",
    nonce="x",
    since=NOW - timedelta(minutes=3),
)
CONFLICT = Conflict(
    holder=HOLDER,
    run_id=RunId("20261124-095700-abcdef"),
    days=DateRange(date(2025, 10, 1), date(2025, 10, 3)),
    tables=("orders",),
    progress=Progress(
        partitions_done=1,
        partitions_total=3,
        rows_done=1000,
        rows_total=3000,
        rows_per_s=500.4,
        eta_s=4.0,
    ),
)


Texts = dict[str | tuple[str, ...], str | tuple[str, ...]]


@pytest.fixture(scope="module")
def in_code() -> set[str | tuple[str, ...]]:
    found = extract_from_dir(PACKAGE, method_map=[("**.py", "python")])
    return {message for _file, _line, message, _comments, _context in found}


@pytest.fixture(scope="module")
def in_chinese() -> Texts:
    with CHINESE.open("rb") as po:
        return {entry.id: entry.string for entry in read_po(po, locale="zh_CN") if entry.id}


class TestTheCatalog:
    """What stands in the code and what stands in the .po."""

    def test_every_text_of_the_code_has_its_translation(
        self,
        in_code: set[str | tuple[str, ...]],
        in_chinese: Texts,
    ) -> None:
        translated = {text for text, chinese in in_chinese.items() if all(chinese)}
        assert in_code - translated == set()

    def test_no_translation_is_left_over(
        self,
        in_code: set[str | tuple[str, ...]],
        in_chinese: Texts,
    ) -> None:
        assert set(in_chinese) - in_code == set()

    def test_a_translation_names_the_same_facts(self, in_chinese: Texts) -> None:
        for english, chinese in in_chinese.items():
            wanted = fields(english if isinstance(english, str) else english[-1])
            given = fields(chinese if isinstance(chinese, str) else chinese[0])
            assert given == wanted, english

    def test_no_text_is_there_twice_and_none_is_fuzzy(self) -> None:
        text = CHINESE.read_text(encoding="utf-8")
        ids = Counter(re.findall(r"^msgid .*(?:\n\".*)*", text, re.MULTILINE))
        assert [one for one, times in ids.items() if times > 1] == []
        assert "fuzzy" not in text

    def test_the_seeds_sentences_are_word_for_word(self) -> None:
        gettext = wording.translations("zh_CN").gettext
        assert gettext("The run has started.") == "任务已启动"
        assert gettext("Start sync") == "开始同步"
        assert gettext(LeaseHeld.template) == "已有同步任务正在运行，请等待当前任务完成后再试"


def fields(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("asked", "locale"),
    [
        (None, "zh_CN"),
        ("", "zh_CN"),
        ("*", "zh_CN"),
        ("C.UTF-8", "zh_CN"),
        ("q=garbage;q=x", "zh_CN"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh_CN"),
        ("zh-Hant-TW", "zh_CN"),
        ("ZH", "zh_CN"),
        ("zh_CN.UTF-8", "zh_CN"),
        ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("EN-gb", "en"),
        ("en;q=0.1, zh;q=0.7", "zh_CN"),
        ("de,zh;q=0.3", "zh_CN"),
        ("en;q=0, zh", "zh_CN"),
        ("de, fr;q=0.5", "en"),
    ],
)
def test_the_language_is_the_best_of_those_asked_for(asked: str | None, locale: str) -> None:
    assert wording.pick_locale(asked, "zh_CN") == locale


def test_where_nothing_is_asked_the_default_counts() -> None:
    assert wording.pick_locale(None, "en") == "en"
    assert wording.pick_locale("*", "en") == "en"


@pytest.mark.parametrize("locale", wording.LOCALES)
class TestEveryValueHasWords:
    def test_statuses(self, locale: str) -> None:
        for kind in (RunStatus, PartitionStatus, PlanState, Verdict):
            for value in kind:
                assert wording.status(value, locale)
                assert wording.status(value.value, locale)
        assert wording.status("idle", locale)

    def test_verdicts(self, locale: str) -> None:
        words = {wording.verdict(value, locale) for value in Verdict}
        assert len(words) == len(Verdict)

    def test_conflicts(self, locale: str) -> None:
        for value in Verdict:
            conflict = Conflict(holder=HOLDER, run_id=CONFLICT.run_id, verdict=value)
            lines = wording.conflict_lines(conflict, locale, NOW, UTC)
            assert wording.verdict(value, locale) in lines
            assert "{" not in "".join(lines)

    def test_errors(self, locale: str) -> None:
        for kind in every_error():
            if kind is not LeaseHeld:
                assert wording.sentence(kind(), locale)


def every_error() -> list[type[BatchSyncError]]:
    kinds: list[type[BatchSyncError]] = [BatchSyncError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return kinds


class TestSentences:
    def test_a_sentence_and_its_hint(self) -> None:
        error = UnknownTable(table="Orders", tables="orders, refunds")
        assert wording.sentence(error, "en") == (
            "There is no table “Orders” in the settings. "
            "Names are exact and case-sensitive. Configured are: orders, refunds."
        )
        assert wording.sentence(error, "zh_CN").startswith("设置中没有表“Orders”。")

    def test_a_role_is_a_word_in_a_sentence_and_a_name_in_a_hint(self) -> None:
        error = ConnectError(role="source", address="db1/sales", reason="no route to host")
        said = wording.sentence(error, "zh_CN")
        assert "无法连接源数据库 db1/sales：no route to host" in said
        assert "[source]" in said

    def test_a_name_that_is_also_a_word_of_ours_stays_a_name(self) -> None:
        assert "“Cancelled”" in wording.sentence(UnknownTable(table="Cancelled"), "zh_CN")

    def test_a_missing_fact_does_not_hide_the_error(self) -> None:
        assert wording.sentence(CopyError(table="orders"), "en").startswith(
            "orders on ? could not be copied: ?"
        )


class TestWhatIsTold:
    told = CopyError(
        table="orders",
        days=date(2025, 10, 1),
        reason="disk full",
        advice=Told(
            "It was tried {attempts} times. Check the connection, then resume the run.", attempts=3
        ),
    ).told

    def test_it_is_told_in_the_language_of_who_reads(self) -> None:
        assert str(self.told) == (
            "orders on 2025-10-01 could not be copied: disk full. "
            "It was tried 3 times. Check the connection, then resume the run."
        )
        assert wording.told(self.told, "en") == str(self.told)
        assert wording.told(self.told, "zh_CN") == (
            "orders 在 2025-10-01 的数据无法复制：disk full。"
            "已尝试 3 次。请检查连接，然后恢复任务。"
        )

    def test_it_is_kept_as_json_with_all_that_is_told_within(self) -> None:
        again = Told.from_json(json.loads(json.dumps(self.told.to_json())))
        assert (again, str(again)) == (self.told, str(self.told))
        assert again != Told(self.told.template, hint=self.told.hint)

    def test_several_errors_are_told_as_one_each_once(self) -> None:
        errors = [Told("{reason}", reason=letter) for letter in "aabcdea"]
        assert str(together(errors)) == "a. b. c. And 2 more."
        assert wording.told(together(errors), "zh_CN") == "a。b。c。另有 2 个错误。"
        assert together(errors[:2]) == errors[0]

    def test_many_errors_stand_on_lines_of_their_own(self) -> None:
        errors = [Told("{reason};", reason=n) for n in range(2000)]
        told = together(errors, limit=len(errors), lines=True)
        assert wording.told(told, "zh_CN").split("\n") == [f"{n};" for n in range(2000)]


class TestNumbersAndTimes:
    @pytest.mark.parametrize(
        ("seconds", "english", "chinese"),
        [
            (0, "under 1 s", "不到 1 秒"),
            (1, "1 s", "1 秒"),
            (59.4, "59 s", "59 秒"),
            (59.6, "1 min", "1 分钟"),
            (61, "1 min 1 s", "1 分钟 1 秒"),
            (3603, "1 h", "1 小时"),
            (3700, "1 h 1 min", "1 小时 1 分钟"),
            (90_000, "1 d 1 h", "1 天 1 小时"),
        ],
    )
    def test_durations(self, seconds: float, english: str, chinese: str) -> None:
        assert wording.duration(seconds, "en") == english
        assert wording.duration(seconds, "zh_CN") == chinese

    def test_counts_and_rates(self) -> None:
        assert wording.rows(1, "en") == "1 row"
        assert wording.rows(1_234_567, "en") == "1,234,567 rows"
        assert wording.rows(1_234_567, "zh_CN") == "1,234,567 行"
        assert wording.rate(1234.5, "en") == "1,234 rows/s"
        assert wording.rate(1234.5, "zh_CN") == "1,234 行/秒"

    def test_ago(self) -> None:
        assert wording.ago(NOW, NOW, "en") == "just now"
        assert wording.ago(NOW + timedelta(seconds=9), NOW, "en") == "just now", "clocks differ"
        assert wording.ago(NOW - timedelta(minutes=3), NOW, "en") == "3 minutes ago"
        assert wording.ago(NOW - timedelta(hours=50), NOW, "zh_CN") == "2天前"

    def test_an_instant_is_iso_and_says_its_offset(self) -> None:
        assert wording.instant(NOW, UTC, "en") == "2026-11-24 10:00:00 UTC"
        shanghai = wording.instant(NOW, ZoneInfo("Asia/Shanghai"), "zh_CN")
        assert shanghai == "2026-11-24 18:00:00 GMT+08:00"


class TestConflicts:
    def test_the_first_line_is_who_and_since_when_in_every_language(self) -> None:
        for locale in wording.LOCALES:
            lines = wording.conflict_lines(CONFLICT, locale, NOW, UTC)
            assert lines[0] == (
                "ada@db1 PID 4711 since 2026-11-24 09:57:00 UTC, run 20261124-095700-abcdef"
            )

    def test_then_range_progress_verdict_and_what_can_be_done(self) -> None:
        assert wording.conflict_lines(CONFLICT, "en", NOW, UTC)[1:] == [
            "It syncs 2025-10-01 to 2025-10-03 and began 3 minutes ago.",
            "1,000 of 3,000 rows, 1 of 3 partitions, 500 rows/s, 4 s left",
            "It is alive, and rows move.",
            "Watch it: python -m sync status --watch",
            "Wait for it: add --wait to your command.",
            "Have yours started when it ends: add --queue to sync run.",
            "Ask it to stop: python -m sync cancel 20261124-095700-abcdef",
        ]

    @pytest.mark.parametrize("value", [Verdict.RUNNING, Verdict.STALLED])
    def test_a_holder_whom_no_cancel_from_here_reaches_is_asked_on_his_own_host(
        self, value: Verdict
    ) -> None:
        conflict = replace(CONFLICT, verdict=value, reached=False)
        told = wording.conflict_lines(conflict, "en", NOW, UTC)
        command = "python -m sync cancel 20261124-095700-abcdef"
        assert [line for line in told if command in line] == [
            f"Only on db1 can it be asked to stop: {command}"
        ]

    @pytest.mark.parametrize("value", Verdict)
    def test_a_holder_that_hangs_can_be_taken_over(self, value: Verdict) -> None:
        command = 'python -m sync takeover 20261124-095700-abcdef --reason "…"'
        hangs = value in {Verdict.PAUSED, Verdict.UNKNOWN, Verdict.STALLED}
        conflict = replace(CONFLICT, verdict=value)
        told = "\n".join(wording.conflict_lines(conflict, "en", NOW, UTC))
        places = [action["href"] for action in wording.actions(conflict, "en")]
        assert (command in told, command in places) == (hangs, hangs)

    def test_a_holder_that_has_not_written_its_name_yet(self) -> None:
        assert wording.conflict_lines(Conflict(), "en", NOW, UTC) == [
            "holder not known yet, run ?",
            "Another run is just starting; look again in a moment.",
        ]
        shape = wording.conflict_json(Conflict(), "en")
        assert (shape["holder"], shape["range"], shape["active_task_id"]) == (None, None, None)

    def test_the_conflict_object_is_the_promised_one(self) -> None:
        assert wording.conflict_json(CONFLICT, "zh_CN") == {
            "status": "error",
            "message": "已有同步任务正在运行，请等待当前任务完成后再试",
            "code": "sync_already_running",
            "active_task_id": "20261124-095700-abcdef",
            "holder": {
                "user": "ada",
                "host": "db1",
                "pid": 4711,
                "since": "2026-11-24T09:57:00+00:00",
            },
            "range": {"start_date": "2025-10-01", "end_date": "2025-10-03"},
            "progress": {
                "partitions_done": 1,
                "partitions_total": 3,
                "rows_done": 1000,
                "rows_total": 3000,
                "rows_per_s": 500.4,
                "eta_s": 4.0,
            },
            "verdict": "running",
            "yours": False,
            "actions": wording.actions(CONFLICT, "zh_CN"),
        }

    def test_an_action_says_what_comes_of_it_and_where_it_is_done(self) -> None:
        for value in Verdict:
            for action in wording.actions(Conflict(verdict=value), "en"):
                assert list(action) == ["action", "consequence", "method", "href"]
                assert all(action.values())
