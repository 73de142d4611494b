"""Which stage of a reader takes the time, and which flag would help, by trying."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf

from tfdicom import example_parser, example_table, files
from tfdicom.augment import augment_options
from tfdicom.augment.augment_options import AugmentOptions
from tfdicom.input_options import AUTO, InputOptions
from tfdicom.input_pipeline import input_fn
from tfdicom.input_plan import InputPlan
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading
from tfdicom.record_reading import RecordReader, are_far

RAW, PARSE, PIXELS, INFO = "raw read", "parse", "grey values and masks", "info"
_GROUPS: Mapping[str, Sequence[str]] = {
    "moves": [name for name in augment_options.MOVES if name != "elastic"],
    "elastic": ["elastic"],
    "artefacts": augment_options.ARTEFACTS,
    "filters": augment_options.FILTERS,
    "pointwise": augment_options.POINTWISE,
}
_ROUNDS = 3
_LARGE_BATCH = 32
_FIRST_PASS = 4096  # examples; of a larger split only so many
_WORTH_SAYING = 1.1  # times as fast
_MUCH = 0.3  # share of the time


@dataclasses.dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
      batch_size: Of the options.
      rate: Images a second with the options as they are, once it runs.
      stages: Milliseconds for an image by stage, when every record is read anew; what
        each stage adds to those before it.
      first_batch: Seconds from the start of the first iterator to its first batch.
      next_first_batch: The same of a second iterator: nothing is compiled any more.
      trials: Images a second with one flag changed; those that run here.
      hints: What else the figures say.
    """

    batch_size: int
    rate: float
    stages: Mapping[str, float]
    first_batch: float
    next_first_batch: float
    trials: Mapping[str, float]
    hints: Sequence[str]

    @property
    def uncached(self) -> float:
        """Milliseconds for an image, when every record is read anew."""
        return sum(self.stages.values())

    def __str__(self) -> str:
        """A page for a person."""
        return "\n".join([*_summary(self), "", *_stage_table(self), "", *_advice(self)])


def diagnose(
    data_dir: str | os.PathLike,
    split: str = "train",
    *,
    options: InputOptions,
    seconds: float = 20.0,
) -> Report:
    """Runs a reader with its stages switched on one after the other.

    Args:
      data_dir: As for ``input_fn``.
      split: As for ``input_fn``.
      options: As for ``input_fn``.
      seconds: For all measurements; compiling comes on top.

    Raises:
      ValueError: The data set cannot give what is asked for.
      FileNotFoundError: There is no data set, or a shard is missing.
    """
    endless = dataclasses.replace(options, num_epochs=0)
    folder = files.text_of(data_dir)
    plan = plan_reading(load_manifest(folder), split, options, far=are_far([folder]))
    table = example_table.read_table([folder], plan)
    raw = RecordReader(table, plan).in_order().map(lambda record, _: record)
    raw = raw.repeat().batch(options.batch_size)
    stages = {RAW: raw, PARSE: _parsed(raw, plan)}
    stages |= {
        name: input_fn(data_dir, split, options=changed)
        for name, changed in _cumulative(endless, plan).items()
    }
    whole = input_fn(data_dir, split, options=endless)
    first, again = _first_batch(whole), _first_batch(whole)
    trials = {
        flag: trial
        for flag, changed in _trials(endless, plan).items()
        if _runs(trial := input_fn(data_dir, split, options=changed))
    }
    rates = _rates([*stages.values(), whole, *trials.values()], seconds, plan.examples)
    own, rate, *tried = rates[: len(stages)], *rates[len(stages) :]
    added = _added(dict(zip(stages, own, strict=True)))
    return Report(
        batch_size=plan.options.batch_size,
        rate=rate,
        stages=added,
        first_batch=first,
        next_first_batch=again,
        trials=dict(zip(trials, tried, strict=True)),
        hints=_hints(plan, added),
    )


def _parsed(raw: tf.data.Dataset, plan: InputPlan) -> tf.data.Dataset:
    names, sizes = ["pixels", "planes", "key_hash"], {"classes": None}
    return raw.map(
        lambda records: example_parser.parse(records, names, sizes=sizes)["pixels"],
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _cumulative(options: InputOptions, plan: InputPlan) -> dict[str, InputOptions]:
    """Options with ever more switched on, every record read anew."""
    # Records of a compressed split cannot be shuffled without a cache.
    anew = options
    if not plan.compression:
        anew = dataclasses.replace(options, cache="none")
    bare = dataclasses.replace(anew, with_info=False)
    found = {PIXELS: dataclasses.replace(bare, augment=None)}
    wanted = plan.augmentation
    for group, names in _GROUPS.items():
        if used := [name for name in names if wanted.may(name)]:
            title = group if used == [group] else f"{group}: {', '.join(used)}"
            later = [n for g in list(_GROUPS)[_place(group) + 1 :] for n in _GROUPS[g]]
            found[title] = dataclasses.replace(bare, augment=_without(wanted, later))
    return {**found, INFO: anew} if options.with_info else found


def _place(group: str) -> int:
    return list(_GROUPS).index(group)


def _without(options: AugmentOptions, names: Iterable[str]) -> AugmentOptions:
    return dataclasses.replace(options, **dict.fromkeys(names, 0.0))  # type: ignore[arg-type]


def _trials(options: InputOptions, plan: InputPlan) -> dict[str, InputOptions]:
    """Options with one flag changed, to what might be faster."""
    found = {}
    if not options.jit_compile:
        found["jit_compile=True"] = dataclasses.replace(options, jit_compile=True)
    if options.batch_size < _LARGE_BATCH:
        larger = dataclasses.replace(options, batch_size=_LARGE_BATCH)
        found[f"batch_size={_LARGE_BATCH}"] = larger
    for cache in ("memory", "none"):
        if cache != options.cache and not (cache == "none" and plan.compression):
            found[f"cache={cache}"] = dataclasses.replace(options, cache=cache)
    faster = {"mask_interpolation": "nearest", "image_interpolation": "linear"}
    for name, value in faster.items():
        if plan.augmentation.moves and getattr(plan.augmentation, name) != value:
            changed = dataclasses.replace(plan.augmentation, **{name: value})  # type: ignore[arg-type]
            found[f"augment=...,{name}={value}"] = dataclasses.replace(
                options, augment=changed
            )
    return found


def _runs(dataset: tf.data.Dataset) -> bool:
    """Whether it gives a batch: XLA cannot compile everywhere."""
    try:
        next(iter(dataset))
    except tf.errors.OpError:
        return False
    return True


def _first_batch(dataset: tf.data.Dataset) -> float:
    start = time.perf_counter()
    next(iter(dataset))
    return time.perf_counter() - start


def _rates(
    datasets: Sequence[tf.data.Dataset], seconds: float, examples: int
) -> list[float]:
    """Images a second of each, in turn, so that a slow moment does not hit one only."""
    each = seconds / len(datasets) / _ROUNDS
    found: list[list[float]] = [[] for _ in datasets]
    for _ in range(_ROUNDS):
        for rates, dataset in zip(found, datasets, strict=True):
            # A new iterator each time: one that waits goes on filling its buffers
            # while another is measured.
            batches = iter(dataset)
            # Not the first pass, in which a cache is filled.
            _count(batches, each / 4, at_least=min(examples, _FIRST_PASS))
            images, taken = _count(batches, each * 3 / 4)
            rates.append(images / taken)
            del batches
    return [statistics.median(rates) for rates in found]


def _count(
    batches: Iterable, seconds: float, *, at_least: int = 1
) -> tuple[int, float]:
    """Images that came and the seconds they took."""
    images, start = 0, time.perf_counter()
    for element in batches:
        images += tf.nest.flatten(element)[0].shape[0]
        taken = time.perf_counter() - start
        if taken >= seconds and images >= at_least:
            return images, taken
    raise ValueError("the data set ended though it is endless")


def _added(rates: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds that each stage adds; noise never makes it less than nothing."""
    found, before = {}, 0.0
    for name, rate in rates.items():
        now = max(1000 / rate, before)
        found[name], before = now - before, now
    return found


def _hints(plan: InputPlan, stages: Mapping[str, float]) -> list[str]:
    hints, total = [], sum(stages.values())
    if stages[RAW] > _MUCH * total:
        if plan.compression:
            hints.append(
                "convert with --compression=none: inflating is part of reading"
            )
    if stages[PIXELS] > _MUCH * total and plan.options.image_size is None:
        rows, columns = plan.size
        hints.append(
            f"--image_size: of {rows} x {columns} pixels a window of half the rows and "
            "columns costs a quarter, if what matters lies in the middle"
        )
    if plan.options.cache == AUTO and not plan.fits:
        size = sum(shard.info.data_size for shard in plan.shards) / 2**20
        hints.append(
            f"--cache_memory_mb={size + 1:.0f} keeps the split in memory; it is larger "
            f"than {plan.options.cache_memory_mb} MB, and read anew each epoch"
        )
    return hints


def _summary(report: Report) -> list[str]:
    step = 1000 * report.batch_size / report.rate
    compiling = max(report.first_batch - report.next_first_batch, 0)
    return [
        f"{report.rate:,.0f} images/s: a batch of {report.batch_size} every "
        f"{step:.1f} ms. A training step that takes longer than that never waits.",
        f"First batch after {report.first_batch:.1f} s: {compiling:.1f} s building and "
        f"compiling, once; {report.next_first_batch:.1f} s reading what the cache "
        "keeps, and the first batch.",
    ]


def _stage_table(report: Report) -> list[str]:
    width = max(map(len, report.stages))
    lines = [f"{'stage, every record read anew':{width}}   ms/image   share"]
    for name, cost in report.stages.items():
        share = cost / report.uncached
        lines.append(f"{name:{width}} {cost:10.3f} {share:7.0%}")
    rate = 1000 / report.uncached
    lines.append(
        f"{'sum':{width}} {report.uncached:10.3f}         {rate:,.0f} images/s"
    )
    return lines


def _advice(report: Report) -> list[str]:
    lines = [
        f"--{flag}: {rate:,.0f} images/s, {rate / report.rate:.1f} times as fast"
        for flag, rate in report.trials.items()
        if rate > _WORTH_SAYING * report.rate
    ]
    tried = ", ".join(f"{flag} {rate:,.0f}" for flag, rate in report.trials.items())
    lines = [*lines, *report.hints] or ["nothing that was tried: the options are right"]
    return ["What would help:", *lines, f"Tried, images/s: {tried}."]
