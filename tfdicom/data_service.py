"""Epochs by tf.data service: other machines finish the examples, this one counts them.

For each epoch a dataset of its own is registered when the epoch begins, as a worker
begins a dataset anew for each reader: a counter inside of it would stay at 0. The
dispatcher hands out the turns of the epoch in pieces as large as a batch, each to one
worker. tf.data service promises that a turn comes at most once: what a worker held
when it was killed is lost, and while a worker that the dispatcher knows is away, the
reader waits. So here the turns are counted, lost ones are read on this machine and
reported, and a clock that ticks beside the service ends the wait.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfdicom import service_address
from tfdicom.kernel import as_written

_service = tf.data.experimental.service

_DATA, _TICK, _END = range(3)
# A pass ends within a tick, as a sleeping clock cannot be stopped.
_TICK_SECONDS = 0.1

#: What comes from a worker: the elements of a batch, and the turns that they are.
Batch = tuple[Any, tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedWork:
    """What is read, and how.

    Attributes:
      service: ``grpc://host:port`` of the dispatcher.
      timeout: Seconds without a batch after which the reader gives up.
      batch_size: Of the reader.
      drop_remainder: Whether a last batch that is not full is left out.
      turns: From an epoch (int64 scalar) to its turns, int64 ``[n, columns]``, the
        first column the example's place in ``keys``.
      batches: From a dataset of turns (int64 ``[columns + 1]``) to finished batches
        and their turns, in their order, none left out. It runs on other machines: it
        may hold no variable and no table, and the same files must be there.
      keys: Bytes of every example, string ``[examples]``.
    """

    service: str
    timeout: float
    batch_size: int
    drop_remainder: bool
    turns: Callable[[tf.Tensor], tf.Tensor]
    batches: Callable[[tf.data.Dataset], tf.data.Dataset]
    keys: tf.Tensor


def wait_for_dispatcher(service: str, seconds: float) -> None:
    """Returns once a dispatcher can be reached.

    Raises:
      ConnectionError: Nobody answers; says what to do.
      ValueError: ``service`` is no address.
    """
    host, port = service_address.parse_address(service, "data_service")
    try:
        service_address.own_address(host, port, seconds)
    except ConnectionError as error:
        raise ConnectionError(
            f"data_service={service!r}: {error}; start it with tfdicom_data_service "
            f"--role=dispatcher --port={port}, or raise data_service_timeout"
        ) from error


def shared_batches(epochs: tf.data.Dataset, work: SharedWork) -> tf.data.Dataset:
    """The epochs one after the other, as batches of the reader.

    In an epoch each turn comes once, in the order in which the workers are done.

    Args:
      epochs: int64 scalars.
      work: What is read.

    Returns:
      Dataset of the elements of ``work.batches``, ``batch_size`` of each.

    Raises:
      tf.errors.InvalidArgumentError: When it runs: no batch came for ``timeout``.
    """
    # One after the other, and the next one begins before it is wanted.
    whole = epochs.interleave(
        functools.partial(epoch_batches, work),
        cycle_length=1,
        num_parallel_calls=1,
        deterministic=True,
    )
    return whole.map(lambda element, _: element).rebatch(
        work.batch_size, drop_remainder=work.drop_remainder
    )


@as_written
def epoch_batches(work: SharedWork, epoch: tf.Tensor) -> tf.data.Dataset:
    """An epoch's batches as the workers give them, each turn once: of ``Batch``."""
    turns = _numbered(work.turns(epoch))
    finished = _Finished(work, columns=turns.shape[1])
    asked = finished(turns)
    pieces = -(-tf.shape(turns, tf.int64)[0] // work.batch_size)
    counted = _watched(_answers(asked, pieces, work), work).scan(
        (tf.zeros([], tf.int32), tf.zeros(tf.shape(turns)[:1], tf.bool)),
        as_written(functools.partial(_count, work, epoch, turns)),
    )
    counted = counted.filter(lambda kind, *_: tf.not_equal(kind, _TICK))
    given = counted.flat_map(as_written(functools.partial(_given, finished)))
    return given.take_while(lambda more, _: more).map(lambda _, batch: batch)


class _Finished:
    """The work as one graph function, as it is needed here and elsewhere."""

    def __init__(self, work: SharedWork, *, columns: int) -> None:
        """Traces nothing until it is called."""
        signature = [tf.TensorSpec([None, columns], tf.int64)]
        self.spec: Any = None

        def variant(turns: tf.Tensor) -> tf.Tensor:
            batches = work.batches(_in_pieces(turns, work.batch_size))
            self.spec = batches.element_spec
            return tf.data.experimental.to_variant(batches)

        self._variant = tf.function(variant, autograph=False, input_signature=signature)

    def __call__(self, turns: tf.Tensor) -> tf.data.Dataset:
        """The finished batches of some turns."""
        variant = self._variant(turns)
        return tf.data.experimental.from_variant(variant, self.spec)


def _numbered(turns: tf.Tensor) -> tf.Tensor:
    """With the number of the turn as the last column."""
    numbers = tf.range(tf.shape(turns, tf.int64)[0])
    return tf.concat([turns, numbers[:, tf.newaxis]], axis=1)


def _in_pieces(turns: tf.Tensor, size: int) -> tf.data.Dataset:
    """The turns, of which a dispatcher hands out ``size`` at a time to a worker."""
    count = -(-tf.shape(turns, tf.int64)[0] // size)

    def piece(number: tf.Tensor) -> tf.data.Dataset:
        first = number * size
        return tf.data.Dataset.from_tensor_slices(turns[first : first + size])

    return tf.data.Dataset.range(count).flat_map(as_written(piece))


def _answers(
    asked: tf.data.Dataset, pieces: tf.Tensor, work: SharedWork
) -> tf.data.Dataset:
    """What the workers make of ``asked``, and an end: of kind and ``Batch``.

    The service says only a second later that there is no more, so the pieces are
    counted too.
    """
    spec = asked.element_spec

    # In a function, so that not the clock waits for a dispatcher that does not answer.
    @as_written
    def registered(_: tf.Tensor) -> tf.data.Dataset:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # options, which are not set
            number = _service.register_dataset(work.service, asked, compression=None)
        return _service.from_dataset_id(
            _service.ShardingPolicy.DYNAMIC, work.service, number, element_spec=spec
        )

    batches = tf.data.Dataset.range(1).flat_map(registered).take(pieces)
    end = tf.data.Dataset.from_tensors((_END, _empty(spec)))
    return batches.map(lambda *batch: (_DATA, batch)).concatenate(end)


def _watched(answers: tf.data.Dataset, work: SharedWork) -> tf.data.Dataset:
    """The answers in their order, and between them ticks, for ever."""
    spec = answers.element_spec
    tick = tf.data.Dataset.from_tensors((_TICK, _empty(spec[1]))).repeat()
    flat = tf.nest.flatten(tick.element_spec)
    # A function under the sleep could wait for an iterator's end that waits for it.
    slow = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(tick),
        sleep_microseconds=round(_TICK_SECONDS * 1e6),
        output_types=[one.dtype for one in flat],
        output_shapes=[one.shape for one in flat],
    )
    ticks = tf.data.experimental.from_variant(slow, tick.element_spec)

    def either(number: tf.Tensor) -> tf.data.Dataset:
        return answers.take(number - 1).concatenate(ticks.take(-number))

    return tf.data.Dataset.range(2).interleave(
        as_written(either), cycle_length=2, num_parallel_calls=2, deterministic=False
    )


def _empty(spec: Any) -> Any:
    """A batch of no examples."""
    return tf.nest.map_structure(
        lambda one: tf.zeros([0, *one.shape[1:]], one.dtype), spec
    )


def _count(
    work: SharedWork, epoch: tf.Tensor, turns: tf.Tensor, state: tuple, answer: tuple
) -> tuple:
    """State and element of ``Dataset.scan``: what came so far, and what never will."""
    (ticks, seen), (kind, (element, came)) = state, answer
    ticks = tf.where(tf.equal(kind, _TICK), ticks + 1, 0)
    numbers = came[:, -1:]
    allowed = round(work.timeout / _TICK_SECONDS)
    once = tf.logical_not(tf.reduce_any(tf.gather_nd(seen, numbers)))
    with tf.control_dependencies(
        [
            tf.debugging.Assert(ticks < allowed, [_stalled(work, epoch)]),
            tf.debugging.Assert(once, ["an example came twice from", work.service]),
        ]
    ):
        arrived = tf.ones(tf.shape(numbers)[:1], tf.bool)
        seen = tf.tensor_scatter_nd_update(seen, numbers, arrived)
    lost = tf.boolean_mask(turns, tf.equal(kind, _END) & ~seen)
    told = tf.cond(
        tf.size(lost) > 0,
        lambda: _report(work, epoch, turns, lost),
        lambda: tf.constant(False),
    )
    with tf.control_dependencies([told]):
        lost = tf.identity(lost)
    return (ticks, seen), (kind, (element, came), lost)


def _stalled(work: SharedWork, epoch: tf.Tensor) -> tf.Tensor:
    return tf.strings.join(
        [
            f"tfdicom: no batch came from the data service at {work.service} for "
            f"{work.timeout:g} s, in epoch ",
            tf.strings.as_string(epoch),
            ". There is no worker, or the dispatcher or a worker that was there is "
            "away or too slow: start what has ended again at its address, or raise "
            "data_service_timeout",
        ]
    )


def _report(
    work: SharedWork, epoch: tf.Tensor, turns: tf.Tensor, lost: tf.Tensor
) -> tf.Tensor:
    line = tf.strings.join(
        [
            "tfdicom: epoch ",
            tf.strings.as_string(epoch),
            ": ",
            tf.strings.as_string(tf.shape(lost)[0]),
            " of ",
            tf.strings.as_string(tf.shape(turns)[0]),
            f" examples were lost by the data service at {work.service}, with a worker "
            "that was stopped; they are read on this machine: ",
            tf.strings.reduce_join(tf.gather(work.keys, lost[:, 0]), separator=" "),
        ]
    )
    with tf.control_dependencies([tf.print(line, output_stream=sys.stderr)]):
        return tf.constant(True)


def _given(
    finished: _Finished, kind: tf.Tensor, batch: Batch, lost: tf.Tensor
) -> tf.data.Dataset:
    """A batch as it came; at the end those that were lost, then one with False."""
    if_end = tf.cast(tf.equal(kind, _END), tf.int64)
    came = tf.data.Dataset.from_tensors(batch).take(1 - if_end)
    # Made only if there is something to read.
    some = tf.data.Dataset.from_tensors(lost).filter(lambda turns: tf.size(turns) > 0)
    whole = came.concatenate(some.flat_map(finished)).map(lambda *one: (True, one))
    end = tf.data.Dataset.from_tensors((False, _empty(finished.spec))).take(if_end)
    return whole.concatenate(end)
