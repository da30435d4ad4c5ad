"""What became of a holder's process, by the number that it had."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from sync.locking.holder import (
    ProcessState,
    current_holder,
    current_user,
    process_start,
    process_state,
)
from sync.locking.record import conflict_in
from tests.installation import until


def test_a_number_that_another_process_has_now_is_not_the_holders() -> None:
    mine = current_holder(None)
    former = replace(mine, process_start=mine.process_start - 60)
    assert (process_state(mine), process_state(former)) == (ProcessState.RUNNING, ProcessState.GONE)


def test_a_dead_process_that_nobody_has_waited_for_is_gone() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        start = process_start(psutil.Process(process.pid))
        holder = replace(current_holder(None), pid=process.pid, process_start=start)
        assert process_state(holder) is ProcessState.RUNNING
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: process_state(holder) is ProcessState.STOPPED)
        process.kill()
        until(lambda: process_state(holder) is ProcessState.GONE)


def test_a_process_of_another_boot_or_another_pid_namespace_cannot_be_seen() -> None:
    mine = current_holder(None)
    others = (replace(mine, boot_id="another"), replace(mine, pid_namespace="pid:[1]"))
    assert {process_state(other) for other in others} == {ProcessState.UNSEEN}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells no start since boot")
def test_a_process_lives_on_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = current_holder(None)
    # Nobody may set this machine's clock; this is what psutil then tells of every process.
    moved = psutil.Process().create_time() + 3600
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: moved)
    assert process_state(mine) is ProcessState.RUNNING


def test_a_name_of_an_account_that_is_not_text_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "ad\udcffa")
    assert current_user() == "ad?a"


@pytest.mark.parametrize("record", ["[" * 60_000, "[]", "{}", "null", b"\xff"])
def test_a_record_that_cannot_be_understood_names_nobody(record: str | bytes) -> None:
    assert conflict_in(record) is None
