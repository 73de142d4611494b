"""Slow clients wait, too many of them are cut off."""

import concurrent.futures
import socket
import sys
import time
import types

import pytest
from gunicorn.workers import gthread

from tfdicom.serving import connections
from tfdicom.serving.connections import Connection, SlowClients

MORE = bytes(1 << 24)  # than the kernel takes for a client that reads nothing


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(connections, "_PATIENCE", 0.05)
    monkeypatch.setattr(connections, "_PATIENCE_IN_NEED", 0.02)
    monkeypatch.setattr(connections, "_HEAD_SECONDS", 0.1)


def pair(slow, patience=30.0):
    ours, theirs = socket.socketpair()
    return Connection(ours, slow, patience), theirs


def test_what_is_taken_arrives():
    connection, client = pair(SlowClients(0))
    data = bytes(range(256)) * 20_000
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        sent = thread.submit(connection.sendall, data)
        found = bytearray()
        while len(found) < len(data):
            found += client.recv(1 << 20)
        assert sent.result() is None
    assert found == data


def test_a_slow_client_waits_while_others_can_be_answered():
    connection, client = pair(SlowClients(1))
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        sent = thread.submit(connection.sendall, MORE)
        time.sleep(0.2)
        assert not sent.done()
        missing = len(MORE)
        while missing:
            missing -= len(client.recv(1 << 20))
        assert sent.result() is None


def test_of_too_many_slow_clients_only_so_many_are_left():
    slow = SlowClients(2)
    pairs = [pair(slow) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        sent = [threads.submit(one.sendall, MORE) for one, _ in pairs]
        done, waiting = concurrent.futures.wait(sent, timeout=0.5)
        assert (len(done), len(waiting)) == (4, 2)
        assert all(isinstance(one.exception(), ConnectionResetError) for one in done)
        slow.give_up_all()  # as at the end of the process
        assert not concurrent.futures.wait(sent, timeout=5).not_done


def test_a_trickle_is_slow():
    slow = SlowClients(0)
    connection, client = pair(slow)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        sent = thread.submit(connection.sendall, MORE)
        deadline = time.monotonic() + 5
        while not sent.done() and time.monotonic() < deadline:
            client.recv(1000)
            time.sleep(0.01)
        assert isinstance(sent.exception(), ConnectionResetError)


def test_who_takes_nothing_is_not_waited_for_for_ever():
    connection, _client = pair(SlowClients(9), patience=0.2)
    with pytest.raises(ConnectionResetError):
        connection.sendall(MORE)
    assert connection.fileno() == -1


def test_who_was_cut_off_is_counted_once():
    ours, _client = socket.socketpair()
    conn = gthread.TConn(None, Connection(ours, SlowClients(0), 30.0), None, None)
    with pytest.raises(ConnectionResetError):
        conn.sock.sendall(MORE)
    answered: concurrent.futures.Future = concurrent.futures.Future()
    answered.set_result(False)
    worker = types.SimpleNamespace(nr_conns=1, alive=True)
    gthread.ThreadWorker.finish_request(worker, conn, answered)
    assert worker.nr_conns == 0


def test_half_a_request():
    connection, client = pair(SlowClients(9))
    client.sendall(b"GET /")
    assert connection.recv(100) == b"GET /"
    with pytest.raises(ConnectionResetError):
        while True:  # a byte now and then does not help
            client.sendall(b"x")
            connection.recv(1)
            connection.recv(1)


def test_what_comes_after_the_end_is_not_waited_for():
    connection, _client = pair(SlowClients(9))
    connection.shutdown(socket.SHUT_WR)
    began = time.monotonic()
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert time.monotonic() - began < 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
