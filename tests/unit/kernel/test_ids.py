"""Ids are UUIDv7 as RFC 9562 has them, and strictly increase within a process, one by one or many at once."""

import copy
import os
import pickle
import threading
import time
from itertools import pairwise
from unittest import mock
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from carillon.kernel.ids import uuid7, uuid7s


@given(st.lists(st.one_of(st.none(), st.integers(0, 1_300)), min_size=1, max_size=8))
def test_ids_increase_and_have_the_right_bits(calls: list[int | None]) -> None:
    made: list[UUID] = []
    before = time.time_ns() // 1_000_000
    for count in calls:
        batch = [uuid7()] if count is None else uuid7s(count)
        assert len(batch) == (1 if count is None else count)
        made += batch
    assert all(first < second for first, second in pairwise(made))
    assert {id_.version for id_ in made} <= {7}
    assert {id_.variant for id_ in made} <= {RFC_4122}
    # Many at once run ahead of the clock by 1/4096 ms each.
    after = time.time_ns() // 1_000_000 + 2_000
    assert all(before <= id_.int >> 80 <= after for id_ in made)


def test_ids_increase_when_the_clock_goes_back() -> None:
    first = uuid7()
    with mock.patch("time.time_ns", return_value=1):
        rest = [uuid7(), *uuid7s(3), uuid7()]
    assert all(one < two for one, two in pairwise([first, *rest]))


def test_an_id_is_an_ordinary_uuid() -> None:
    made = uuid7()
    assert UUID(str(made)) == made
    assert hash(UUID(int=made.int)) == hash(made)
    assert pickle.loads(pickle.dumps(made)) == copy.copy(made) == made
    assert repr(made) == f"UUID('{made}')"


def test_the_random_bits_are_never_used_twice() -> None:
    low = (1 << 62) - 1
    made = [*uuid7s(5_000), *[uuid7() for _ in range(5_000)]]
    assert len({id_.int & low for id_ in made}) == len(made)


def test_threads_do_not_make_the_same() -> None:
    made: list[UUID] = []
    threads = [threading.Thread(target=lambda: made.extend([*uuid7s(2_000), uuid7()])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4 * 2_001


def test_a_forked_child_draws_its_own_random_bits() -> None:
    uuid7()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, uuid7().bytes)
        os._exit(0)
    os.waitpid(child, 0)
    theirs, ours = UUID(bytes=os.read(reading, 16)), uuid7()
    assert theirs.int & ((1 << 62) - 1) != ours.int & ((1 << 62) - 1)
