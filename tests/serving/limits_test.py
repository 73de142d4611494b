"""How much at once."""

import sys
import threading

import pytest

from tfdicom.serving import limits
from tfdicom.serving.errors import ApiError


def test_a_gate_lets_so_many_in():
    gate = limits.Gate(2, 0.01)
    with gate.entered(), gate.entered(), pytest.raises(ApiError) as caught:
        gate.entered().__enter__()
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    with gate.entered():
        pass


def test_whoever_waits_gets_in():
    gate, order = limits.Gate(1, 30), []

    def enter():
        with gate.entered():
            order.append("second")

    with gate.entered():
        thread = threading.Thread(target=enter)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_an_error_gives_the_place_back():
    gate = limits.Gate(1, 0)
    for _ in range(3):
        with pytest.raises(KeyError), gate.entered():
            raise KeyError


def test_a_rate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    rate = limits.Rate(2)
    for _ in range(4):
        rate.take("a")
    with pytest.raises(ApiError) as caught:
        rate.take("a")
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "1")
    rate.take("b")
    now[0] = 0.5
    rate.take("a")
    with pytest.raises(ApiError):
        rate.take("a")


def test_no_rate():
    rate = limits.Rate(0)
    for _ in range(1000):
        rate.take("a")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
