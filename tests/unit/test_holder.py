"""What became of a holder's process, by the number that it had."""

import os
import signal
import subprocess
from dataclasses import replace

import psutil

from sync.locking.holder import ProcessState, current_holder, process_state
from tests.installation import until


def test_a_number_that_another_process_has_now_is_not_the_holders() -> None:
    mine = current_holder(None)
    former = replace(mine, process_start=mine.process_start - 60)
    assert (process_state(mine), process_state(former)) == (ProcessState.RUNNING, ProcessState.GONE)


def test_a_dead_process_that_nobody_has_waited_for_is_gone() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        start = psutil.Process(process.pid).create_time()
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
