"""64 threads of 8 processes at one barrier: each kind of lock is granted to exactly one of them."""

import threading
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import pytest

from tests.crash.children import Child, context
from tests.lock_kinds import Place, record

PROCESSES = 8
THREADS = 8
BARRIER_TIMEOUT_S = 60


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.matrix)])
def test_of_64_that_ask_at_once_one_holds_it_in_every_round(place: Place, rounds: int) -> None:
    asking, answered = (context.Barrier(PROCESSES * THREADS) for _ in range(2))
    children = [Child(contend, place, asking, answered, rounds) for _ in range(PROCESSES)]
    won: list[int] = sorted(number for child in children for number in child.told())
    assert won == list(range(rounds))


def contend(
    pipe: Connection, place: Place, asking: Barrier, answered: Barrier, rounds: int
) -> None:
    """Ask in every round, in every thread; say which rounds were won, once for each winner."""
    won: list[int] = []

    def ask(name: str) -> None:
        lock = place.lock(name)
        try:
            for number in range(rounds):
                asking.wait(BARRIER_TIMEOUT_S)
                if lock.acquire(record(name)):
                    won.append(number)
                answered.wait(BARRIER_TIMEOUT_S)  # the winner holds it until all have their answer
                lock.release()
        except BaseException:
            asking.abort()
            answered.abort()
            raise
        finally:
            lock.close()

    threads = [threading.Thread(target=ask, args=(f"run-{n}",)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(won)
