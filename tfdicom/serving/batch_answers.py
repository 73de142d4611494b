"""The handlers of the routes that make batches."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import flask
import numpy as np

from tfdicom.input_options import DROP, IGNORE, UNKNOWN, InputOptions
from tfdicom.input_plan import InputPlan
from tfdicom.plan_reading import plan_reading
from tfdicom.serving import batch_formats, pictures
from tfdicom.serving.batch_maker import Batch, BatchMakers
from tfdicom.serving.data_sets import Served
from tfdicom.serving.errors import ApiError
from tfdicom.serving.route_parameters import AUGMENT_OPTIONS, BATCH_OPTIONS
from tfdicom.serving.routes import JSON, NPZ, PNG, TFRECORD
from tfdicom.serving.served import ServedDataSet

_PLANS = 256
_LONGEST_STEP = 16.0  # source pixels


def batch(served: Served, values: dict[str, Any]) -> Any:
    """``/v1/batch``."""
    one, options = _wanted(served, values)
    with _making(served):
        maker = _makers(served, one).get(one, values["split"], options)
        made = maker.batch(options.seed, values["step"])
        return _answer(served, made, one, values)


def make_ahead(served: Served, values: dict[str, Any]) -> None:
    """Makes the batch that ``/v1/batch`` would answer, for nobody.

    Raises:
      ApiError: 400: the data set cannot give it. 413: it is too much. 500: it is
        damaged.
    """
    one, options = _wanted(served, values)
    with _making(served):
        maker = _makers(served, one).get(one, values["split"], options)
        maker.batch(0, values["step"])


def _wanted(
    served: Served, values: dict[str, Any]
) -> tuple[ServedDataSet, InputOptions]:
    one = served.data_set(values["dataset"])
    names = ("batch_size", *BATCH_OPTIONS)
    options = _options(**{name: values[name] for name in names})
    _check(served, one, values["split"], options)
    return one, options


def _options(**values: Any) -> InputOptions:
    """The options of a reader.

    Raises:
      ApiError: 400: one is not allowed, as the message says.
    """
    try:
        return InputOptions(**values)
    except ValueError as error:
        raise ApiError(400, "bad_parameter", str(error)) from error


def _makers(served: Served, one: ServedDataSet) -> BatchMakers:
    return one.kept.setdefault("makers", BatchMakers(served.tools["room"]))


@contextlib.contextmanager
def _making(served: Served) -> Iterator[None]:
    """Holds one of the places for making a batch; afterwards memory may be too full."""
    with served.tools["gate"].entered():
        yield
    served.tools["room"].check()


def _check(
    served: Served, one: ServedDataSet, split: str, options: InputOptions
) -> None:
    """Whether the data set can give this, and it is not too much.

    Raises:
      ApiError: 400: the data set cannot give it. 413: it is too much.
    """
    plans = one.kept.setdefault("plans", functools.lru_cache(_PLANS)(_planned))
    plan = plans(one, split, dataclasses.replace(options, seed=0))
    rows, columns = (max(pair) for pair in zip(plan.size, plan.shape, strict=False))
    channels = plan.shape[2] + plan.planes
    numbers = rows * columns * channels * options.batch_size
    if numbers > served.options.max_batch_pixels:
        raise ApiError(
            413,
            "too_large",
            f"{options.batch_size} examples of {rows} x {columns} x {channels} are "
            f"{numbers} numbers; {served.options.max_batch_pixels} are given at once",
            "ask for a smaller batch_size or image_size",
        )
    if max(plan.longest_step) > _LONGEST_STEP:
        raise ApiError(
            413,
            "too_large",
            "target_spacing is more than 16 times that of the images",
            "ask for a smaller target_spacing",
        )


def _planned(one: ServedDataSet, split: str, options: InputOptions) -> InputPlan:
    try:
        return plan_reading([one.manifest], split, options, names=[one.name])
    except ValueError as error:
        raise ApiError(400, "bad_parameter", str(error)) from error


def _answer(
    served: Served, made: Batch, one: ServedDataSet, values: dict[str, Any]
) -> flask.Response:
    served.tools["metrics"].add("batches_total")
    served.tools["metrics"].add("batch_examples_total", len(made.arrays["image"]))
    form = values["format"]
    if form == "npz":
        response = _npz(made.arrays)
    elif form == "tfrecord":
        data = batch_formats.tfrecord(made.arrays)
        response = flask.Response(data, mimetype=TFRECORD)
    else:
        fields = {"dataset": one.name, "split": values["split"]}
        fields |= {"step": made.step, "epoch": made.epoch}
        response = _json(fields, made.arrays)
    figures = {
        "Step": made.step,
        "Epoch": made.epoch,
        "Steps-Per-Epoch": made.steps_per_epoch or 0,
        "Examples-Per-Epoch": made.examples_per_epoch,
    }
    for name, figure in figures.items():
        response.headers[f"X-Tfdicom-{name}"] = str(figure)
    return response


def _npz(arrays: dict[str, np.ndarray]) -> flask.Response:
    length, chunks = batch_formats.npz_chunks(arrays)
    response = flask.Response(chunks, mimetype=NPZ, direct_passthrough=True)
    response.content_length = length
    return response


def _json(fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> flask.Response:
    numbers = sum(array.size for array in arrays.values())
    if numbers > batch_formats.MOST_JSON_NUMBERS:
        raise ApiError(
            413,
            "too_large",
            f"{numbers} numbers as JSON; {batch_formats.MOST_JSON_NUMBERS} are given",
            "ask for a smaller batch_size or image_size, or for format=npz",
        )
    return flask.Response(batch_formats.json_text(fields, arrays), mimetype=JSON)


def augmented(served: Served, values: dict[str, Any]) -> Any:
    """``/v1/augmented/{key}``."""
    whole = served.data_set(values["dataset"])
    place = whole.place_of(values["key"])
    whole.record(place)
    facts, split = whole.catalog.facts, whole.split_of(place)
    rows, columns, samples = (
        int(one[place]) for one in (facts.rows, facts.columns, facts.samples)
    )
    alike = whole.kept.setdefault("alike", functools.lru_cache(_PLANS)(_alike))
    one = alike(whole, split, (rows, columns, samples))
    given = {name: values[name] for name in AUGMENT_OPTIONS}
    if given["image_size"] is None and given["target_spacing"] is None:
        given["image_size"] = f"{rows},{columns}"
    options = _options(
        augment=values["augment"],
        batch_size=1,
        training=True,
        unannotated=IGNORE if one.manifest.classes else DROP,
        **given,
    )
    _check(served, one, split, options)
    with _making(served):
        maker = _makers(served, one).get(one, split, options)
        at = np.array([maker.place_in_table(place)])
        turn = np.array([[values["epoch"], 0, 0]], np.int64)
        arrays = maker.finish(at, turn, options.seed)
        if values["format"] == "npz":
            return _npz(arrays)
        plain = dataclasses.replace(options, augment="none")
        unchanged = _makers(served, one).get(one, split, plain).finish(at, turn, 0)
    span = np.percentile(unchanged["image"], (1, 99))
    picture = _picture(arrays, tuple(span), values["mask"])
    data = pictures.scaled_png(picture, values["size"])
    return flask.Response(data, mimetype=PNG)


def _alike(
    one: ServedDataSet, split: str, shape: tuple[int, int, int]
) -> ServedDataSet:
    """The data set as if its split had images of one shape alone.

    A batch holds images of one kind; here one example is wanted, whatever the others
    are.
    """
    frames = one.manifest.splits[split].frames
    chosen = tuple(frame for frame in frames if tuple(frame.shape) == shape)
    if len(chosen) == len(frames):
        return one
    part = dataclasses.replace(one.manifest.splits[split], frames=chosen)
    manifest = dataclasses.replace(
        one.manifest, splits={**one.manifest.splits, split: part}
    )
    words = " x ".join(map(str, shape))
    return dataclasses.replace(one, name=f"{one.name} ({words})", manifest=manifest)


def _picture(
    arrays: dict[str, np.ndarray], span: tuple[float, float], opacity: float
) -> np.ndarray:
    picture = pictures.shown(arrays["image"][0], *span)
    if "mask" not in arrays or not opacity:
        return picture
    masks = np.moveaxis(arrays["mask"][0], 2, 0)
    return pictures.tinted(picture, (masks > 0) & (masks != UNKNOWN), opacity)
