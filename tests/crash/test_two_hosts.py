"""Two hosts that share nothing but source and target; the network between them and one breaks."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sync.errors import LeaseHeld
from sync.model import RunStatus, Verdict
from tests.conftest import unavailable
from tests.crash.matrix import Case
from tests.crash.mishaps import CUT_OFF
from tests.crash.steps import STEPS
from tests.crash.world import Servers, World, world
from tests.installation import until
from tests.servers import Databases, PostgresServer
from tests.wires import BlackHole, Cable, NotPermittedError

IN_A_PARTITION = Case(step=STEPS["mid-copy"], mishap=CUT_OFF, kind="postgresql")


def test_a_host_behind_a_black_hole_is_taken_over_and_writes_nothing_when_it_comes_back(
    postgres: PostgresServer, databases: Databases, tmp_path: Path
) -> None:
    with BlackHole(postgres.port) as wire:
        servers = Servers(postgres=postgres, databases=databases, wire=wire)
        with world(IN_A_PARTITION, tmp_path, servers) as its:
            the_other_host_takes_over(its, servers)


@pytest.fixture
def cable() -> Iterator[Cable]:
    """To another host: a network namespace.

    The one thing for which a test is skipped in CI, too: no effort of ours drops a packet where the
    kernel refuses us namespaces. What the black hole shows holds there all the same.
    """
    with ExitStack() as stack:
        try:
            cable = stack.enter_context(Cable())
        except FileNotFoundError as error:
            unavailable(f"no {error}")
        except NotPermittedError as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield cable


@pytest.mark.matrix
def test_a_host_whose_packets_are_dropped_is_taken_over_and_writes_nothing_when_it_comes_back(
    cable: Cable, tmp_path: Path
) -> None:
    with PostgresServer(network=cable.network) as server:
        cable.port = server.port
        source, target = server.create_database(), server.create_database()
        databases = Databases(
            source=source,
            target=target,
            source_url=server.url(source),
            target_url=server.url(target),
        )
        servers = Servers(postgres=server, databases=databases, wire=cable)
        with world(IN_A_PARTITION, tmp_path, servers) as its:
            the_other_host_takes_over(its, servers)


def the_other_host_takes_over(its: World, servers: Servers) -> None:
    """Told that nothing is known of the first, it ends it, and finishes; then the first is back."""
    first, other = its.child_run(), its.days.installation.operations()
    assert first is not None
    servers.wire.cut()
    its.child.tell("done")
    until(lambda: other.plan_takeover(first).verdict is Verdict.UNKNOWN)
    with pytest.raises(LeaseHeld) as refusal:
        other.start(its.days.request)
    assert refusal.value.conflict.run_id == first
    its.days.write(3)  # so that rows which the first writes now would be seen
    other.take_over(first, reason="its host does not answer")
    second = other.start(its.days.request)
    assert other.wait(second).status is RunStatus.SUCCEEDED
    kept = its.everything()
    assert set(its.days.standing().values()) == {(3, second)}
    servers.wire.mend()
    assert its.child.told() == RunStatus.INTERRUPTED
    assert its.everything() == kept
    assert its.outcomes()[first] == RunStatus.INTERRUPTED
    its.assert_one_wrote_at_a_time()
    assert other.audit().faults == ()
