"""Addresses of the servers that share the work, and whether somebody is there."""

from __future__ import annotations

import socket
import time
import urllib.parse

PROTOCOL = "grpc"
_EVERY = 0.5  # seconds from one try to connect to the next


def parse_address(text: str, option: str, port: int | None = None) -> tuple[str, int]:
    """Host and port of ``grpc://host:port`` or ``host:port``.

    Args:
      text: The address; a host that is an IPv6 number stands in brackets.
      option: What is to be named if it is wrong.
      port: Where the address has none; None if it must have one.

    Raises:
      ValueError: It is no such address.
    """
    whole = text if "://" in text else f"{PROTOCOL}://{text}"
    try:
        parts = urllib.parse.urlsplit(whole)
        found = parts.hostname, port if parts.port is None else parts.port
    except ValueError:
        found = None, None
    if None in found or whole != f"{PROTOCOL}://{parts.netloc}" or "@" in whole:
        wanted = "HOST:PORT" if port is None else "HOST or HOST:PORT"
        raise ValueError(f"{option}={text!r}: {wanted} is wanted, as 'localhost:5050'")
    return found  # type: ignore[return-value]


def join_address(host: str, port: int) -> str:
    """``host:port``, an IPv6 number in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def target(host: str, port: int) -> str:
    """``grpc://host:port``."""
    return f"{PROTOCOL}://{join_address(host, port)}"


def own_address(host: str, port: int, seconds: float) -> str:
    """The address of this machine on the way to a server that can be reached.

    Args:
      host: Of the server.
      port: Of the server.
      seconds: How long to try.

    Raises:
      ConnectionError: Nobody answers.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        try:
            with socket.create_connection((host, port), max(left, _EVERY)) as connected:
                return connected.getsockname()[0]
        except OSError as error:
            if left <= _EVERY:
                raise ConnectionError(
                    f"nobody answers at {target(host, port)} "
                    f"({error.strerror or error}; tried for {seconds:g} s)"
                ) from error
        time.sleep(_EVERY)
