"""The batch of any step, as ``input_fn`` would give it, without a pipeline.

Which examples a step has is a function of (seed, epoch), and what becomes of them one
of (seed, epoch, key): so any process makes the batch of any step, and nothing is kept
between requests but the compiled graph of a few configurations.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import threading
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfdicom import epoch_order, example_table, frame_batch, input_pipeline
from tfdicom.announcements import announce
from tfdicom.example_groups import Group, example_groups
from tfdicom.input_options import InputOptions
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import as_written, keep_freed_memory
from tfdicom.plan_reading import plan_reading
from tfdicom.serving.errors import ApiError
from tfdicom.serving.room import Room
from tfdicom.serving.served import ServedDataSet, damage

_LOG = logging.getLogger("tfdicom.serving")
_CONFIGURATIONS = 8
_EPOCHS = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch.

    Attributes:
      arrays: By name, see ``batch_formats``.
      step: Its number.
      epoch: That of its first example.
      steps_per_epoch: Batches in an epoch; None where they run over its end.
      examples_per_epoch: Examples in one.
    """

    arrays: dict[str, np.ndarray]
    step: int
    epoch: int
    steps_per_epoch: int | None
    examples_per_epoch: int


def plan_batches(
    one: ServedDataSet, split: str, options: InputOptions
) -> tuple[InputPlan, tuple[Group, ...], np.ndarray]:
    """Works out what is in the batches, as ``input_fn`` does.

    Args:
      one: The data set.
      split: Name of a split, or several joined by ``+``.
      options: As ``input_fn`` takes them.

    Returns:
      The plan, the groups of its examples, and the places in the data set's catalog of
      the examples of the plan's table.

    Raises:
      ApiError: 400: the data set cannot give the balance that is asked for. 500: a
        shard is missing, or is not what the manifest says.
    """
    plan = plan_reading([one.manifest], split, options, names=[one.name])
    try:
        table = example_table.read_table([str(one.folder)], plan)
        places = [one.catalog.places[key.decode()] for key in table.keys]
    except (OSError, ValueError, KeyError) as error:
        _LOG.error("%s: %s", one.name, error)
        raise damage(f"a shard of the data set {one.name!r} is damaged") from error
    announce(plan, split)
    try:
        groups = example_groups(table, plan)
    except ValueError as error:  # a balance that the data cannot give
        raise ApiError(400, "bad_parameter", str(error)) from error
    return plan, groups, np.array(places)


class BatchMaker:
    """Makes the batches of one configuration: any seed, any step."""

    def __init__(
        self,
        one: ServedDataSet,
        plan: InputPlan,
        groups: Sequence[Group],
        places: np.ndarray,
    ) -> None:
        """Takes what ``plan_batches`` gave; compiles nothing yet."""
        keep_freed_memory()
        self._one, self._plan = one, plan
        self._groups, self._places = groups, places
        self._order = functools.lru_cache(maxsize=_EPOCHS)(self._epoch)
        self._finished = tf.function(
            functools.partial(_finished, plan),
            input_signature=[
                tf.TensorSpec([None], tf.string),
                tf.TensorSpec([None, 3], tf.int64),
                tf.TensorSpec([], tf.int64),
            ],
            autograph=False,
        )

    @property
    def steps_per_epoch(self) -> int | None:
        """Batches in an epoch; None where they run over its end."""
        return self._plan.batches

    def batch(self, seed: int, step: int) -> Batch:
        """The batch of a step.

        Args:
          seed: Of order and augmentation.
          step: From 0, on through the epochs.

        Raises:
          ApiError: 500: a record is damaged.
        """
        turns = self.turns(seed, step)
        arrays = self.finish(turns[:, 0], turns[:, 1:], seed)
        return Batch(
            arrays=arrays,
            step=step,
            epoch=int(turns[0, 1]),
            steps_per_epoch=self._plan.batches,
            examples_per_epoch=self._plan.examples,
        )

    def turns(self, seed: int, step: int) -> np.ndarray:
        """int64 ``[n, 4]``: places in the table, epochs, occurrences, data sets."""
        size, examples = self._plan.options.batch_size, self._plan.examples
        if self._plan.batches is not None:
            epoch, number = divmod(step, self._plan.batches)
            return self._order(seed, epoch)[number * size :][:size]
        epoch, first = divmod(step * size, examples)
        parts, missing = [], size
        while missing:
            parts.append(self._order(seed, epoch)[first:][:missing])
            missing -= len(parts[-1])
            epoch, first = epoch + 1, 0
        return np.concatenate(parts)

    def _epoch(self, seed: int, epoch: int) -> np.ndarray:
        with tf.device("CPU"):
            places, occurrences = epoch_order.epoch_order(
                self._groups,
                seed,
                tf.constant(epoch, tf.int64),
                shuffled=self._plan.training,
            )
        epochs = np.full(len(places), epoch, np.int64)
        found = [places.numpy(), epochs, occurrences.numpy(), np.zeros_like(epochs)]
        return np.stack(found, axis=1)

    def place_in_table(self, place: int) -> int:
        """Where an example of the catalog stands in the table."""
        return int(np.flatnonzero(self._places == place)[0])

    def finish(
        self, places: np.ndarray, turns: np.ndarray, seed: int
    ) -> dict[str, np.ndarray]:
        """Finished arrays by name.

        Args:
          places: Of the examples in the table.
          turns: int64 ``[n, 3]``, of ``epoch_order``.
          seed: Of the random numbers.
        """
        read = [self._one.record(self._places[at]) for at in places]
        with tf.device("CPU"):  # as the pipeline's maps are
            element = self._finished(
                tf.constant(read), tf.constant(turns), tf.constant(seed, tf.int64)
            )
        return _named(element, self._plan)


def _finished(
    plan: InputPlan, records: tf.Tensor, turns: tf.Tensor, seed: tf.Tensor
) -> Any:
    """What the pipeline's maps do, for one batch.

    They are maps here too: TensorFlow rewrites other graph functions in another way,
    multiplies constants in another order, and large angles come out otherwise.
    """

    @as_written
    def parse(records: tf.Tensor, turns: tf.Tensor) -> Any:
        return frame_batch.parse_batch(records, turns, plan), turns

    @as_written
    def finish(tensors: frame_batch.Tensors, turns: tf.Tensor) -> Any:
        full, turns = frame_batch.filled(tensors, turns, plan.options.batch_size)
        if plan.is_random:
            full["seed"] = seed
        return frame_batch.finish(full, turns, plan)

    if plan.uniform:
        parsed = tf.data.Dataset.from_tensors((records, turns)).map(parse)
    else:
        whole = dataclasses.replace(plan.options, drop_remainder=False)
        one_by_one = tf.data.Dataset.from_tensor_slices((records, turns))
        parsed = input_pipeline.parsed(
            one_by_one, dataclasses.replace(plan, options=whole)
        )
    return parsed.map(finish).get_single_element()


def _named(element: Sequence[Any], plan: InputPlan) -> dict[str, np.ndarray]:
    """Arrays by name, in the element's order."""
    parts = list(element)
    info = parts.pop() if plan.options.with_info else None
    names = ["image", "mask" if plan.class_names else "label", "weight"]
    found: dict[str, np.ndarray] = {}
    for name, part in zip(names, parts, strict=False):
        if isinstance(part, dict):
            prefix = name if name == "weight" else "target"
            found |= {f"{prefix}/{key}": _array(one) for key, one in part.items()}
        else:
            found[name] = _array(part)
    for key, one in (info or {}).items():
        found[f"info/{key}"] = _array(one)
    return found


def _array(tensor: tf.Tensor) -> np.ndarray:
    if tensor.dtype == tf.string:
        return np.array(tensor.numpy().tolist(), "S")
    return np.asarray(memoryview(tensor))  # which does not copy


class BatchMakers:
    """The makers of the last few configurations, made once each."""

    def __init__(self, room: Room | None = None) -> None:
        """Makes none yet; each takes some of the room, if that is limited."""
        self._room = room
        self._lock = threading.Lock()
        self._found: collections.OrderedDict[Hashable, _Slot] = (
            collections.OrderedDict()
        )

    def get(self, one: ServedDataSet, split: str, options: InputOptions) -> BatchMaker:
        """The maker of a configuration; the seed of the options does not count."""
        key = (one, split, dataclasses.replace(options, seed=0))
        with self._lock:
            slot = self._found.pop(key, None) or _Slot()
            self._found[key] = slot
            while len(self._found) > _CONFIGURATIONS:
                self._found.popitem(last=False)
        with slot.lock:
            if slot.maker is None:
                planned = plan_batches(one, split, options)
                if self._room is not None:  # not for what is refused
                    self._room.claim()
                slot.maker = BatchMaker(one, *planned)
            return slot.maker


@dataclasses.dataclass
class _Slot:
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    maker: BatchMaker | None = None
