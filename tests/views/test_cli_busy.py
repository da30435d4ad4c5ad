"""The command line while another run goes, and runs that are stopped."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.installation import Installation
from tests.views.sixty_days import (
    CONFLICT_KEYS,
    ROWS_A_DAY,
    RUN_ID,
    RUN_KEYS,
    Command,
    between_groups,
    child,
    hurry,
    status_when_copying,
    target_rows,
)


@pytest.fixture
def running(slow_site: Installation) -> Iterator[subprocess.Popen[str]]:
    """A run of somebody else's that has done some days and has many before it."""
    process = child(slow_site, "run", "2025-10-01", "2025-11-29")
    try:
        status_when_copying(slow_site)
        yield process
    finally:
        process.kill()
        process.communicate()


class TestWhileAnotherRunGoes:
    def test_the_second_is_refused_with_3_and_told_who_how_far_and_what_to_do(
        self, running: subprocess.Popen[str], sync: Command
    ) -> None:
        said = sync("run", "2025-10-01", "2025-10-01")
        assert (said.code, said.out) == (3, "")
        first, second, third, *rest = said.err.splitlines()
        assert re.fullmatch(
            rf"\S+@\S+ PID {running.pid} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC, run {RUN_ID}",
            first,
        )
        assert second.startswith("It syncs 2025-10-01 to 2025-11-29 and began ")
        assert re.match(r"\d+ of 1,200 rows, \d+ of 60 partitions, ", third)
        assert rest[0] == "It is alive, and rows move."
        run_id = first.rpartition(" ")[2]
        assert f"Ask it to stop: python -m sync cancel {run_id}" in rest

        conflict = sync("run", "2025-10-01", "2025-10-01", "--json")
        assert conflict.code == 3
        assert list(conflict.json) == CONFLICT_KEYS
        assert conflict.json["active_task_id"] == run_id
        assert conflict.json["holder"]["pid"] == running.pid
        assert sync("resume", run_id).code == 3

    @pytest.mark.usefixtures("running")
    def test_reading_commands_and_resume_do_not_wait_for_it(self, sync: Command) -> None:
        ended = {"history": 0, "check": 0, "plan 2025-10-01 2025-10-02": 0, "resume": 3}
        for command, code in ended.items():
            began = time.monotonic()
            assert (command, sync(*command.split()).code) == (command, code)
            assert (command, time.monotonic() - began < 5) == (command, True)

    def test_status_tells_of_it_and_watch_goes_on_until_it_has_ended(
        self, running: subprocess.Popen[str], slow_site: Installation, sync: Command
    ) -> None:
        status = sync("status", "--json").json
        assert list(status["run"]) == RUN_KEYS
        assert (status["state"], status["verdict"]) == ("running", "running")
        lines = sync("status").out.splitlines()
        assert lines[0] == "Running: 2025-10-01 → 2025-11-29"
        assert f"PID {running.pid} since" in lines[1]

        watcher = child(slow_site, "status", "--watch", "--json")
        assert watcher.stdout
        assert json.loads(watcher.stdout.readline())["run"]["id"] == status["run"]["id"]
        assert sync("cancel", "--now").code == 0
        out, _ = watcher.communicate(timeout=30)
        assert json.loads(out.splitlines()[-1])["state"] == "idle"
        assert watcher.returncode == 0

    def test_cancelled_by_somebody_else_it_exits_6_and_resume_does_the_rest(
        self, running: subprocess.Popen[str], slow_site: Installation, sync: Command
    ) -> None:
        said = sync("cancel")
        first, *_, last = said.err.splitlines()
        assert re.fullmatch(rf"Run {RUN_ID} was asked to stop\.", first)
        assert "First it ends what it copies: orders 2025-1" in said.err
        assert re.fullmatch(rf"At once, .+: python -m sync cancel {RUN_ID} --now", last)
        out, err = running.communicate(timeout=30)
        assert (running.returncode, out) == (6, "")
        assert "Cancelled: 2025-10-01 → 2025-11-29" in err
        done = target_rows(slow_site)
        assert 0 < done < 60 * ROWS_A_DAY

        hurry(slow_site)
        assert sync("resume").code == 0
        assert target_rows(slow_site) == 60 * ROWS_A_DAY

    def test_wait_starts_when_it_has_ended(
        self, running: subprocess.Popen[str], slow_site: Installation, sync: Command
    ) -> None:
        waiter = child(slow_site, "run", "2025-10-01", "2025-10-01", "--wait")
        assert waiter.stderr
        assert waiter.stderr.readline().startswith("Waiting for run ")
        assert sync("cancel", "--now").code == 0
        _, err = waiter.communicate(timeout=60)
        assert waiter.returncode == 0
        assert "Succeeded" in err
        running.wait(timeout=30)

    @pytest.mark.usefixtures("running")
    def test_queue_is_refused_where_nobody_would_start_it_and_else_gives_id_and_place(
        self, slow_site: Installation, sync: Command
    ) -> None:
        queue = ("run", "2025-10-01", "2025-10-02", "--queue")
        refused = sync(*queue)
        assert (refused.code, refused.out) == (5, "")
        assert refused.err.startswith("It was not queued: no dashboard or server runs here")
        assert sync(*queue, "--wait").code == 2

        with closing(slow_site.operations()) as server:
            server.serve_queue()
            said = sync(*queue)
            run_id = said.out.strip()
            assert (said.code, said.err) == (0, f"Run {run_id} was queued: place 1.\n")
            second = sync(*queue, "--json").json
            assert second["place"] == 2
            shown = sync("status").out
            assert f"Queued 1: 2025-10-01 → 2025-10-02, {second['user']}@" in shown
            assert sync("resume", run_id).code == 2
            assert run_id not in sync("history").out
            assert sync("cancel", second["id"]).err == (
                f"Run {second['id']} was withdrawn from the queue.\n"
            )
        status = sync("status")
        assert [request["id"] for request in sync("status", "--json").json["queue"]] == [run_id]
        assert "No dashboard or server runs here" in status.out
        assert "Withdrawn" in sync("history").out

    @pytest.mark.usefixtures("running")
    def test_wait_with_seconds_gives_up_and_a_signal_ends_the_wait(
        self, slow_site: Installation, sync: Command
    ) -> None:
        began = time.monotonic()
        said = sync("run", "2025-10-01", "2025-10-01", "--wait=0.5")
        assert said.code == 3
        assert time.monotonic() - began >= 0.5

        waiter = child(slow_site, "run", "2025-10-01", "2025-10-01", "--wait=60")
        assert waiter.stderr
        waiter.stderr.readline()
        waiter.terminate()
        waiter.communicate(timeout=30)
        assert waiter.returncode == 143

    def test_a_run_whose_lease_is_taken_away_exits_6(
        self, running: subprocess.Popen[str], slow_site: Installation
    ) -> None:
        raised = "UPDATE batch_sync_lease SET token = token + 1"
        between_groups(slow_site, running.pid, raised)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 6
        assert "Interrupted" in err

    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
    )
    def test_a_signal_ends_a_run_cleanly(
        self,
        running: subprocess.Popen[str],
        slow_site: Installation,
        sync: Command,
        number: int,
        code: int,
    ) -> None:
        running.send_signal(number)
        _, err = running.communicate(timeout=30)
        assert running.returncode == code
        assert "Stopping;" in err
        assert "Cancelled: " in err
        assert "Traceback" not in err
        assert target_rows(slow_site) % ROWS_A_DAY == 0
        assert sync("status", "--json").json["state"] == "idle"
