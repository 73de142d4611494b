"""When a process is replaced by a new one."""

import sys

import pytest

from tfdicom.serving import room
from tfdicom.serving.errors import ApiError
from tfdicom.serving.room import Room


@pytest.fixture
def replaced(monkeypatch):
    """A room, what it asked for, and how much memory there is."""
    asked, memory = [], [0]
    monkeypatch.setattr(room, "memory_in_use", lambda: memory[0])
    one = Room(100)
    one.replace = lambda: asked.append(True)
    return one, asked, memory


def test_a_new_configuration_that_takes_the_last_of_it(replaced):
    one, asked, memory = replaced
    for size in (60, 90):
        one.claim()
        memory[0] = size
        one.check()
    memory[0] = 110  # by what was made before
    one.check()
    assert not asked
    one.claim()
    one.check()
    assert asked == [True]
    with pytest.raises(ApiError) as caught:
        one.claim()
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "2")
    one.check()
    assert asked == [True]


def test_one_configuration_may_take_what_it_wants(replaced):
    one, asked, memory = replaced
    one.claim()
    memory[0] = 1000
    one.check()
    one.check()
    assert not asked


def test_without_a_process_that_can_be_replaced(replaced):
    one, _, memory = replaced
    one.replace, memory[0] = None, 1000
    for _ in range(3):
        one.claim()
        one.check()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
