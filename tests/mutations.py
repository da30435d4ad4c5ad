"""Break what keeps "one at a time", one thing after the other: each must turn a named test red.

    python -m tests.mutations

In a copy of the tree. A mutation is an exact text that stands once in its file; where it no longer
does, this fails, so that the list cannot rot unseen. Exit 1 when a mutant lives, or when a named
test is not green without any.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "artifacts")
TIMEOUT_S = 60
GREEN, RED = 0, 1  # pytest's own exit codes; any other says that it could not test


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """In `file`, `old` becomes `new`; `test` finds out."""

    what: str
    file: str
    old: str
    new: str
    test: str


DIGEST = "tests/contract/test_digest.py::test_"
FENCE = "tests/contract/test_fence.py::test_"
LOCKS = "tests/contract/test_locks.py::"
LOCKING = "tests/contract/test_locking.py::test_"
RULES = "tests/contract/test_target_rules.py::test_"
TAKEOVER = "tests/crash/test_takeover.py::test_"
COMPARE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call"
MUTATIONS = (
    Mutation(
        what="each group its own snapshot",
        file="sync/wiring.py",
        old="zone, snapshot = settings.zone, settings.run.snapshot",
        new="zone, snapshot = settings.zone, False",
        test="tests/contract/test_transfers.py::"
        "test_the_sum_over_both_tables_is_right_after_each_run[postgresql]",
    ),
    Mutation(
        what="markup not escaped",
        file="sync/markup.py",
        old="return escape(text)",
        new="return text",
        test="tests/views/test_report.py::test_the_page_stands_alone_and_what_is_in_it_is_text",
    ),
    Mutation(
        what="fence dropped",
        file="sync/databases/ledger.py",
        old="if connection.execute(mine).first() is None:",
        new="if False:",
        test=FENCE + "a_stale_token_commits_nothing",
    ),
    Mutation(
        what="fence without its row lock",
        file="sync/databases/ledger.py",
        old="            .with_for_update(read=True)\n",
        new="",
        test=FENCE + "a_takeover_between_fence_and_commit_waits_for_the_commit",
    ),
    Mutation(
        what="fence without the run id",
        file="sync/databases/ledger.py",
        old="lease.c.run_id == run_id,\n                # Whoever",
        new="# Whoever",
        test=FENCE + "the_same_token_of_another_run_commits_nothing",
    ),
    Mutation(
        what="fence lets a closed run commit",
        file="sync/databases/ledger.py",
        old="lease.c.released_at.is_(None),",
        new="",
        test=FENCE + "a_run_that_somebody_closed_as_dead_commits_nothing",
    ),
    Mutation(
        what="token raised above the runs alone",
        file="sync/databases/ledger.py",
        old='"token": _greatest(connection, lease.c.token + 1, taken.excluded.token)',
        new='"token": taken.excluded.token',
        test=FENCE + "tokens_only_grow_even_over_a_lease_from_an_old_backup",
    ),
    Mutation(
        what="session lock dropped",
        file="sync/locking/session.py",
        old="return try_lock(connection, self._what)",
        new="return True",
        test="tests/crash/test_holder.py::test_a_holder_that_was_cut_off_is_succeeded_by_another"
        "_host_and_writes_nothing_any_more",
    ),
    Mutation(
        what="backends not ended",
        file="sync/locking/session.py",
        old='session.execute(terminate, {"name": application_name(run_id)})',
        new="pass",
        test="tests/crash/test_two_hosts.py::test_a_host_behind_a_black_hole_is_taken_over"
        "_and_writes_nothing_when_it_comes_back",
    ),
    Mutation(
        what="lost session not found out",
        file="sync/locking/session.py",
        old="if not self.alive:",
        new="if False:",
        test=LOCKING + "a_run_whose_lock_session_ended_stops_even_while_its_statement_waits",
    ),
    Mutation(
        what="start of a PID's process not checked",
        file="sync/locking/holder.py",
        old="if abs(process_start(process) - holder.process_start) <= START_TOLERANCE_S:",
        new="if True:",
        test="tests/unit/test_holder.py::test_a_number_that_another_process_has_now_is_not_the"
        "_holders",
    ),
    Mutation(
        what="whoever has the holder's PID by now is signalled",
        file="sync/locking/holder.py",
        old="if abs(process_start(process) - holder.process_start) <= START_TOLERANCE_S:",
        new="if True:",
        test=TAKEOVER + "a_process_that_has_the_holders_pid_by_now_is_not_signalled",
    ),
    Mutation(
        what="takeover without comparing the token",
        file="sync/databases/ledger.py",
        old="lease.c.token == token, lease.c.run_id == run_id)\n            .values(\n"
        "                token=_greatest",
        new="lease.c.token > 0)\n            .values(\n                token=_greatest",
        test=FENCE + "a_takeover_of_a_former_run_takes_nothing_from_the_present_one",
    ),
    Mutation(
        what="takeover leaves the key in Redis",
        file="sync/locking/takeover.py",
        old="self._lock.revoke(taking.run.id)",
        new="pass",
        test=TAKEOVER + "a_holders_key_in_redis_goes_with_a_takeover_long_before_its_time_is_over",
    ),
    Mutation(
        what="Redis key deleted without comparing",
        file="sync/locking/redis.py",
        old=f"{COMPARE}('DEL', KEYS[1]) end\n    return 0",
        new="return redis.call('DEL', KEYS[1])",
        test=LOCKS + "test_who_lost_it_finds_out_and_does_not_release_anothers[redis]",
    ),
    Mutation(
        what="Redis key renewed without comparing",
        file="sync/locking/redis.py",
        old=f"{COMPARE}('PEXPIRE', KEYS[1], ARGV[2]) end\n    return 0",
        new="return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
        test=LOCKS + "TestRedis::test_a_key_that_is_anothers_is_neither_renewed_nor_trusted",
    ),
    Mutation(
        what="no margin before the end of a Redis key",
        file="sync/locking/redis.py",
        old="MARGIN = 0.1",
        new="MARGIN = 0",
        test=LOCKS + "TestRedis::test_it_is_not_trusted_in_the_last_tenth_of_its_time",
    ),
    Mutation(
        what="lock file's inode not compared",
        file="sync/locking/file.py",
        old="same = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)",
        new="same = bool(here and there)",
        test=LOCKS + "test_who_lost_it_finds_out_and_does_not_release_anothers[file]",
    ),
    Mutation(
        what="name left in a lock file that is free",
        file="sync/locking/file.py",
        old="with self._guard, suppress(OSError):\n            os.ftruncate(self._descriptor, 0)",
        new="pass",
        test=LOCKING + "the_lock_file_names_its_present_holder_and_nobody_after_the_release",
    ),
    Mutation(
        what="rows' hashes summed without mixing",
        file="sync/databases/postgres_digest.py",
        old='MIXED = "sum(hashint8extended(h, {}) # hashint8extended(h >> 32, {}))"',
        new='MIXED = "sum(h + {0} - {0})"',
        test=DIGEST + "what_looks_alike_is_not_the_same",
    ),
    Mutation(
        what="64-bit integers hashed by PostgreSQL",
        file="sync/databases/postgres_digest.py",
        old='    "bigint": "int8send",\n',
        new='    "bigint": "",\n',
        test=DIGEST + "what_looks_alike_is_not_the_same",
    ),
    Mutation(
        what="digests not compared before the commit",
        file="sync/copying/proving.py",
        old="if there == here:",
        new="if True:",
        test="tests/contract/test_proof.py::test_a_value_that_changed_on_its_way_fails_its_day_and"
        "_the_target_stays_as_it_was",
    ),
    Mutation(
        what="drift not told by the digest",
        file="sync/planning.py",
        old="and here.value != checkpoint.digest",
        new="and False",
        test="tests/contract/test_plan_states.py::test_the_plan_says_what_happened_the_run_mends_it"
        "_and_then_all_is_the_same",
    ),
    Mutation(
        what="a plan taken that nobody saw",
        file="sync/plan.py",
        old="if seen is None or seen.hash == plan.hash:",
        new="if True:",
        test="tests/contract/test_plan_states.py::test_a_run_takes_the_plan_that_was_seen_or_says"
        "_what_changed_and_stops",
    ),
    Mutation(
        what="days whole without an added column",
        file="sync/making.py",
        old="order.lease.ledger.forget_checkpoints(writing, pair.name)",
        new="pass",
        test="tests/contract/test_schema_change.py::test_a_column_that_somebody_dropped_from_the"
        "_target_comes_again_with_all_its_days",
    ),
    Mutation(
        what="rows hidden by a policy passed over",
        file="sync/databases/postgres.py",
        old='"row_security": "off"',
        new='"row_security": "on"',
        test=RULES + "a_policy_that_comes_while_a_run_begins_fails_it_and_hides_nothing",
    ),
    Mutation(
        what="foreign keys looked at too early",
        file="sync/copying/group.py",
        old='"SET CONSTRAINTS ALL DEFERRED"',
        new='"SELECT 1"',
        test=RULES + "tables_go_in_the_order_of_their_foreign_keys_and_may_be_replaced_again",
    ),
    Mutation(
        what="a sequence that goes backwards",
        file="sync/databases/postgres_rules.py",
        old="WHERE top >= next",
        new="WHERE top IS NOT NULL",
        test=RULES + "a_sequence_moves_on_behind_the_rows_that_came_and_never_back",
    ),
)


def main() -> int:
    """Try them all; print a line for each."""
    with tempfile.TemporaryDirectory(prefix="batch_sync_mutations_") as folder:
        tree = Path(folder, "tree")
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        # Before any is tried: a text that does not stand there once stops all.
        for mutation in MUTATIONS:
            found = (tree / mutation.file).read_text(encoding="utf-8").count(mutation.old)
            if found != 1:
                say(f"{mutation.what}: its text stands {found} times in {mutation.file}, not once")
                return 1
        code, output = tested(tree, *{mutation.test for mutation in MUTATIONS})
        if code != GREEN:
            say(output, "Without any mutation the named tests are not green.")
            return 1
        alive = [mutation for mutation in MUTATIONS if not killed(tree, mutation)]
    say(f"{len(MUTATIONS) - len(alive)} of {len(MUTATIONS)} mutants killed")
    return 1 if alive else 0


def killed(tree: Path, mutation: Mutation) -> bool:
    """Whether its test is red with the mutation in place, which is then taken back."""
    file = tree / mutation.file
    whole = file.read_text(encoding="utf-8")
    began = time.monotonic()
    file.write_text(whole.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        code, output = tested(tree, mutation.test)
    finally:
        file.write_text(whole, encoding="utf-8")
    if code not in {GREEN, RED}:
        say(output)
    verdict = {GREEN: "LIVES", RED: "killed"}.get(code, "NOT TESTED")
    name = mutation.test.partition("::")[2]
    say(f"{verdict:10} {time.monotonic() - began:5.1f} s  {mutation.what:40} {name}")
    return code == RED


def tested(tree: Path, *tests: str) -> tuple[int, str]:
    """Run tests in the tree up to the first red one; pytest's exit code, and what it said."""
    # No bytecode: two versions of a file may be of one second and one length.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider"),
            *("-p", "no:randomly", "-m", "", f"--timeout={TIMEOUT_S}", *sorted(tests)),
        ],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def say(*lines: str) -> None:
    """To whoever watches."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
