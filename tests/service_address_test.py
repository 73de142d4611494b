import socket
import sys
import threading
import time

import pytest

from tfdicom.service_address import join_address, own_address, parse_address, target


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("grpc://localhost:5050", "localhost", 5050),
        ("localhost:5050", "localhost", 5050),
        ("10.0.0.7:1", "10.0.0.7", 1),
        ("grpc://[::1]:65535", "::1", 65535),
        ("[fe80::2]:80", "fe80::2", 80),
    ],
)
def test_addresses(text, host, port):
    assert parse_address(text, "data_service") == (host, port)
    assert parse_address(text, "data_service", 7) == (host, port)
    assert target(host, port).endswith(text)
    assert parse_address(target(host, port), "again") == (host, port)


@pytest.mark.parametrize("text", ["node", "[::1]"])
def test_a_port_that_may_be_left_out(text):
    assert parse_address(text, "worker_address", 7) == (text.strip("[]"), 7)
    with pytest.raises(ValueError, match="HOST:PORT is wanted"):
        parse_address(text, "worker_address")


@pytest.mark.parametrize(
    "text",
    ["", ":5", "a:b", "a:70000", "a:-1", "http://a:1", "a:1/x", "a:b:c", "me@a:1"],
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="--dispatcher=.*: HOST or HOST:PORT is want"):
        parse_address(text, "--dispatcher", 7)


def test_brackets_for_ipv6_only():
    assert join_address("a.b", 5) == "a.b:5"
    assert join_address("::1", 5) == "[::1]:5"


def test_own_address_is_that_which_the_server_sees():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert own_address("127.0.0.1", server.getsockname()[1], 5) == "127.0.0.1"
        assert server.accept()[1][0] == "127.0.0.1"


def test_a_server_that_comes_later_is_waited_for():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # and does not listen yet
        port = server.getsockname()[1]
        later = threading.Timer(0.7, server.listen)
        later.start()
        assert own_address("127.0.0.1", port, 60) == "127.0.0.1"
        later.join()


def test_a_server_that_does_not_come():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(
            ConnectionError, match=f"at grpc://127.0.0.1:{port} .*0.6 s"
        ):
            own_address("127.0.0.1", port, 0.6)
        assert time.monotonic() - began < 10


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
