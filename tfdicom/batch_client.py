"""``remote_batches``: the batches of a server, in any Python; needs no TensorFlow."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import http.client
import json
import math
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any

import numpy as np

from tfdicom.serving.batch_formats import read_npz

_TRY_AGAIN = (429, 502, 503, 504)
_LONGEST_WAIT = 30.0  # seconds
_STEPS_PER_EPOCH = "X-Tfdicom-Steps-Per-Epoch"


def remote_batches(
    url: str,
    split: str = "train",
    *,
    batch_size: int = 8,
    steps: int | None = None,
    start_step: int = 0,
    seed: int = 0,
    augment: str | None = None,
    token: str | None = None,
    timeout: float = 60.0,
    retries: int = 8,
    prefetch: int = 4,
    **options: Any,
) -> RemoteBatches:
    """The batches that ``input_fn`` gives where ``tfdicom_serve`` runs.

    Args:
      url: Of the server, with its prefix if it has one: ``http://host:8080``.
      split: Name of a split, or several joined by ``+``.
      batch_size: Examples in a batch.
      steps: Batches in one pass; None for those to the end of the epoch.
      start_step: First batch of the first pass. Each further pass goes on where the one
        before it ends, so that it is the next epoch, as with ``input_fn``.
      seed: Of order and augmentation.
      augment: As ``input_fn`` takes it.
      token: That the server wants, if it wants one.
      timeout: Seconds without an answer after which a request is tried again.
      retries: How often a request is made again that failed, or that the server was too
        busy for.
      prefetch: Batches that are asked for ahead.
      **options: Further ones of ``input_fn``, as its flags write them (``num_epochs``
        may be None, as there); ``dataset``, where the server has several.

    Returns:
      What can be iterated, again and again: ``(image, mask)`` as ``input_fn`` describes
      it, as NumPy arrays. For ``tf.data``: ``tf.data.Dataset.from_generator(batches,
      output_signature=batches.output_signature)``.

    Raises:
      ValueError: The URL cannot be used. When it is iterated: the server refuses what
        is asked for, and says why.
      PermissionError: When it is iterated: the token is missing or wrong.
      ConnectionError: When it is iterated: there is no answer.
    """
    query: dict[str, Any] = {"split": split, "batch_size": batch_size, "seed": seed}
    query |= {"augment": augment, **options, "format": "npz"}
    if "num_epochs" in options and options["num_epochs"] is None:
        query["num_epochs"] = 0  # as the flag says it
    asked = {name: _text(one) for name, one in query.items() if one is not None}
    server = _Server(url, token=token, timeout=timeout, retries=retries)
    return RemoteBatches(
        server, asked, start=start_step, steps=steps, prefetch=max(prefetch, 1)
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        separator = ";" if any(isinstance(one, str) for one in value) else ","
        return separator.join(map(str, value))
    return str(value)


class RemoteBatches:
    """Batches of a server; see ``remote_batches``. Each pass is the next epoch."""

    def __init__(
        self,
        server: _Server,
        query: Mapping[str, str],
        *,
        start: int,
        steps: int | None,
        prefetch: int,
    ) -> None:
        """Asks for nothing yet."""
        self._server, self._query = server, query
        self._start, self._steps, self._prefetch = start, steps, prefetch
        self._lock = threading.Lock()
        self._first: _Answer | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; 0 where they run over its end (``num_epochs=0``)."""
        return self._probe().steps_per_epoch

    @property
    def output_signature(self) -> Any:
        """For ``tf.data.Dataset.from_generator``; the batch's size is left open."""
        import tensorflow as tf  # which nobody else needs here

        def spec(array: np.ndarray) -> Any:
            is_text = array.dtype.kind == "S"
            dtype = tf.string if is_text else tf.as_dtype(array.dtype)
            return tf.TensorSpec([None, *array.shape[1:]], dtype)

        return tf.nest.map_structure(spec, self._probe().element)

    def _probe(self) -> _Answer:
        with self._lock:
            if self._first is None:
                self._first = self._batch(self._start)
            return self._first

    def __call__(self) -> Iterator[Any]:
        """The next pass, as ``from_generator`` asks for it."""
        return iter(self)

    def __iter__(self) -> Iterator[Any]:
        """The next pass."""
        steps = self._steps
        if steps is None:
            whole = self.steps_per_epoch
            if not whole:
                raise ValueError(
                    "steps=None: batches run over the end of an epoch, so say how many "
                    "are wanted: steps=1000"
                )
            steps = whole - self._start % whole
        first, self._start = self._start, self._start + steps
        return self._pass(first, steps)

    def _pass(self, first: int, steps: int) -> Iterator[Any]:
        waiting: collections.deque = collections.deque()
        workers = concurrent.futures.ThreadPoolExecutor(self._prefetch)
        try:
            for step in range(first, first + steps):
                waiting.append(workers.submit(self._batch, step))
                if len(waiting) > self._prefetch:
                    yield waiting.popleft().result().element
            while waiting:
                yield waiting.popleft().result().element
        finally:
            workers.shutdown(wait=False, cancel_futures=True)

    def _batch(self, step: int) -> _Answer:
        body, headers = self._server.get(
            "/v1/batch", {**self._query, "step": str(step)}
        )
        steps = int(headers.get(_STEPS_PER_EPOCH, 0))
        return _Answer(_element(read_npz(body)), steps)


@dataclasses.dataclass(frozen=True)
class _Answer:
    element: Any
    steps_per_epoch: int


def _element(arrays: Mapping[str, np.ndarray]) -> tuple:
    """The tuple that ``input_fn`` would give, from arrays by name."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        group, _, key = name.partition("/")
        if key:
            found.setdefault(group, {})[key] = array
        else:
            found[group] = array
    return tuple(found.values())


class _Server:
    """Asks a server, each thread over a connection of its own that is kept."""

    def __init__(
        self, url: str, *, token: str | None, timeout: float, retries: int
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url={url!r}: as 'http://host:8080' is wanted")
        if "@" in parts.netloc:
            raise ValueError(
                f"url of {parts.hostname}: holds a name or a password, which "
                "tfdicom_serve does not take; give token='...'"
            )
        self._https = parts.scheme == "https"
        self._address, self._prefix = parts.netloc, parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout, self._retries = timeout, retries
        self._own = threading.local()

    def get(self, path: str, query: Mapping[str, str]) -> tuple[bytearray, Message]:
        """Body and headers of an answer that is no error.

        Raises:
          ValueError, PermissionError, ConnectionError: See ``remote_batches``.
        """
        target = f"{self._prefix}{path}?{urllib.parse.urlencode(query)}"
        trouble = ""
        for number in range(self._retries + 1):
            wait = min(0.1 * 2**number, _LONGEST_WAIT)
            try:
                status, headers, body = self._ask(target)
            except (OSError, http.client.HTTPException) as error:
                trouble = str(error) or type(error).__name__
            else:
                if status == 200:
                    return body, headers
                if status not in _TRY_AGAIN:
                    raise _refusal(status, body, self._address)
                trouble = f"{status}: {_words(body)}"
                wait = _said(headers.get("Retry-After"), wait)
            if number < self._retries:
                time.sleep(wait)
        raise ConnectionError(
            f"no batch from {self._address} after {self._retries + 1} requests "
            f"({trouble}); does tfdicom_serve run there?"
        )

    def _ask(self, target: str) -> tuple[int, Message, bytearray]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            secure, plain = http.client.HTTPSConnection, http.client.HTTPConnection
            kind = secure if self._https else plain
            connection = self._own.connection = kind(
                self._address, timeout=self._timeout
            )
        try:
            connection.request("GET", target, headers=self._headers)
            response = connection.getresponse()
            return response.status, response.headers, _body(response)
        except BaseException:
            connection.close()
            self._own.connection = None
            raise


def _body(response: http.client.HTTPResponse) -> bytearray:
    """The body, as bytes that arrays can lie in.

    Raises:
      IncompleteRead: It ends before it is whole.
    """
    if response.length is None:
        return bytearray(response.read())
    body = bytearray(response.length)
    view, missing = memoryview(body), len(body)
    while missing and (count := response.readinto(view[len(body) - missing :])):
        missing -= count
    if missing:
        raise http.client.IncompleteRead(bytes(body[:-missing]), missing)
    return body


def _said(text: str | None, otherwise: float) -> float:
    """Seconds that a server wants a client to wait."""
    try:
        seconds = float(text or "")
    except ValueError:
        return otherwise
    is_right = math.isfinite(seconds) and seconds >= 0
    return min(seconds, _LONGEST_WAIT) if is_right else otherwise


def _words(body: bytearray) -> str:
    try:
        error = json.loads(body)["error"]
        return ". ".join(filter(None, (error["message"], error["hint"])))
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _refusal(status: int, body: bytearray, address: str) -> Exception:
    message = f"{address} answers {status}: {_words(body)}"
    return (PermissionError if status in (401, 403) else ValueError)(message)
