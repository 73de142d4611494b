"""Every route of the API, once: what is registered, checked and described."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfdicom.input_options import InputOptions
from tfdicom.serving import answers
from tfdicom.serving.parameters import Parameter
from tfdicom.serving.serve_options import ServeOptions

JSON, PNG, BINARY, TEXT = (
    "application/json",
    "image/png",
    "application/octet-stream",
    "text/plain",
)
NPZ = "application/x-npz"
TFRECORD = "application/x-tfrecord"
KEY_PATTERN = "[0-9a-f]{32}"

#: Fields of ``InputOptions`` that a request for a batch may give.
BATCH_OPTIONS = (
    *("seed", "training", "augment", "classes", "class_map", "labels"),
    *("positive_fraction", "num_epochs", "normalize", "image_size", "target_spacing"),
    *("image_fill", "unannotated", "label_form", "label_priority", "distance_limit"),
    *("class_weights", "with_info", "drop_remainder"),
)
#: Those of them that make sense for a picture of one augmented example.
AUGMENT_OPTIONS = ("seed", "normalize", "image_size", "target_spacing", "image_fill")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Route:
    """One route.

    Attributes:
      path: As in OpenAPI, with ``{name}`` for parts.
      name: Of its handler, and its ``operationId``.
      summary: One line.
      parameters: Of path and query.
      answers: Schema of the answer by its media type; None for other than JSON.
      errors: Status codes that it may answer beside 200, 400 and 401.
      headers: Its own headers, by name: what they say.
      open: Whether it answers without a token.
    """

    path: str
    name: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    answers: dict[str, dict[str, Any] | None]
    errors: tuple[int, ...] = ()
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    open: bool = False


_DATASET = Parameter(
    name="dataset", doc="Name of the data set, where several are served; the first."
)
_KEY = Parameter(
    name="key",
    doc="Key of an example: 32 hexadecimal digits.",
    pattern=KEY_PATTERN,
    in_path=True,
)
_SERIES = Parameter(
    name="series",
    doc="Pseudonym of a series.",
    pattern="[A-Za-z0-9._-]{1,64}",
    in_path=True,
)
_WINDOW = Parameter(
    name="window",
    doc="Centre and width of grey, modality values; of the image's percentiles 1 and "
    "99 if not given.",
    pattern=r"-?[0-9]{1,7}(\.[0-9]{1,6})?,[0-9]{1,7}(\.[0-9]{1,6})?",
    example="40,400",
)


def _searching() -> tuple[Parameter, ...]:
    return (
        _DATASET,
        Parameter(name="split", doc="Of these splits, joined by '+'."),
        Parameter(name="patient", doc="Of this patient: pseudonym, or how it begins."),
        Parameter(name="series", doc="Of this series: pseudonym, or how it begins."),
        Parameter(
            name="class", doc="That show this class; with '!' before it, do not."
        ),
        Parameter(name="finding", doc="With this finding of the ledger; 'any': one."),
        Parameter(
            name="label", doc="With this value of a label, as 'diagnosis=benign'."
        ),
        Parameter(
            name="q",
            doc="Words, each of which is in the key's beginning, the patient, the "
            "series, the split, a class that it shows, a finding, the modality, or a "
            "label's value.",
        ),
        Parameter(
            name="sort",
            doc="Order: that of the data set, by key, by the pixels of all masks, by "
            "the number of findings, by slice; with '-' the other way round.",
            choices=(
                *("order", "key", "area", "findings", "slice"),
                *("-order", "-key", "-area", "-findings", "-slice"),
            ),
            default="order",
        ),
        Parameter(
            name="offset",
            doc="Leave out so many.",
            kind=int,
            default=0,
            lower=0,
            upper=10**9,
        ),
        Parameter(
            name="limit",
            doc="Give so many, at most.",
            kind=int,
            default=50,
            lower=1,
            upper=500,
        ),
    )


def input_parameter(name: str, **changes: Any) -> Parameter:
    """The parameter that stands for a field of ``InputOptions``."""
    field = InputOptions.__dataclass_fields__[name]
    declared = field.metadata
    values = {
        "name": name,
        "doc": declared["help"],
        "kind": declared["kind"],
        "default": field.default,
        "choices": declared["choices"] and tuple(declared["choices"]),
        "lower": declared["lower"],
        "upper": declared["upper"],
    }
    return Parameter(**{**values, **changes})


_EXAMPLES = {"normalize": "min_max", "image_size": "64"}
_SHAPES = {
    "normalize": r"[a-z_]+(:-?[0-9.]+)*",
    "image_size": r"[0-9]{1,4}(,[0-9]{1,4})?",
    "target_spacing": r"[0-9]{1,3}(\.[0-9]{1,4})?(,[0-9]{1,3}(\.[0-9]{1,4})?)?",
}
_OF_FIELDS: dict[str, dict[str, Any]] = {
    "num_epochs": {
        "upper": 1,
        "doc": "1: each epoch begins with a new batch, as one pass of input_fn after "
        "the other. 0: batches run over the end of an epoch, as input_fn does with "
        "num_epochs=None.",
    },
}


def _input_parameters(names: tuple[str, ...]) -> tuple[Parameter, ...]:
    return tuple(
        input_parameter(
            name,
            pattern=_SHAPES.get(name),
            example=_EXAMPLES.get(name),
            **_OF_FIELDS.get(name, {}),
        )
        for name in names
    )


def _batch(options: ServeOptions) -> tuple[Parameter, ...]:
    size = input_parameter(
        "batch_size", upper=options.max_batch_size, doc="Examples in a batch."
    )
    return (
        _DATASET,
        Parameter(
            name="split", doc="A split, or several, joined by '+'.", default="train"
        ),
        Parameter(
            name="step",
            doc="Number of the batch, from 0, on through the epochs.",
            kind=int,
            default=0,
            lower=0,
            upper=2**40,
        ),
        Parameter(
            name="format",
            doc="npz: NumPy's archive of arrays. tfrecord: a tf.train.Example for each "
            "example. json: for looking at.",
            choices=("npz", "tfrecord", "json"),
            default="npz",
        ),
        size,
        *_input_parameters(BATCH_OPTIONS),
    )


_SHAPE_HEADERS = {
    "X-Tfdicom-Shape": "Sizes of the axes, the last runs fastest.",
    "X-Tfdicom-Dtype": "NumPy's name of the numbers' kind; little-endian.",
}
_BATCH_HEADERS = {
    "X-Tfdicom-Step": "Number of the batch.",
    "X-Tfdicom-Epoch": "Number of the epoch in which its first example is.",
    "X-Tfdicom-Steps-Per-Epoch": "Batches in an epoch; 0 where they run over its end.",
    "X-Tfdicom-Examples-Per-Epoch": "Examples in an epoch.",
}


def routes(options: ServeOptions) -> tuple[Route, ...]:
    """All routes, with the limits of a server."""
    return (
        Route(
            path="/v1/datasets",
            name="datasets",
            summary="The data sets that are served: splits, classes, labels.",
            answers={JSON: answers.DATASETS},
        ),
        Route(
            path="/v1/examples",
            name="examples",
            summary="Examples, searched and sorted.",
            parameters=_searching(),
            answers={JSON: answers.EXAMPLES},
            errors=(404,),
        ),
        Route(
            path="/v1/examples/{key}",
            name="example",
            summary="All that the record of an example says, but for its pixels.",
            parameters=(_KEY, _DATASET),
            answers={JSON: answers.EXAMPLE},
            errors=(404,),
        ),
        Route(
            path="/v1/examples/{key}/history",
            name="history",
            summary="How its masks came to be: candidates, rules, areas; line by line.",
            parameters=(_KEY, _DATASET),
            answers={JSON: answers.HISTORY},
            errors=(404,),
        ),
        Route(
            path="/v1/examples/{key}.png",
            name="example_png",
            summary="The image of an example, with masks and contours over it.",
            parameters=(
                _KEY,
                _DATASET,
                _WINDOW,
                Parameter(
                    name="mask",
                    doc="How much of the masks' colour is seen.",
                    kind=float,
                    default=0.0,
                    lower=0,
                    upper=1,
                ),
                Parameter(
                    name="contours", doc="Draw the contours.", kind=bool, default=False
                ),
                Parameter(
                    name="crop",
                    doc="Only the part around the masks.",
                    kind=bool,
                    default=False,
                ),
                Parameter(
                    name="size",
                    doc="Length of the longer side, screen pixels; as the "
                    "image has it if not given.",
                    kind=int,
                    lower=16,
                    upper=2048,
                ),
            ),
            answers={PNG: None},
            errors=(404,),
        ),
        Route(
            path="/v1/examples/{key}/pixels",
            name="pixels",
            summary="The image's values: [rows, columns, samples].",
            parameters=(
                _KEY,
                _DATASET,
                Parameter(
                    name="form",
                    doc="modality: float32, stored values times slope plus intercept. "
                    "stored: as the record has them, with slope and intercept in the "
                    "headers.",
                    choices=("modality", "stored"),
                    default="modality",
                ),
            ),
            answers={BINARY: None},
            headers={
                **_SHAPE_HEADERS,
                "X-Tfdicom-Slope": "Modality value = number x slope + intercept.",
                "X-Tfdicom-Intercept": "See X-Tfdicom-Slope.",
            },
            errors=(404,),
        ),
        Route(
            path="/v1/examples/{key}/masks",
            name="masks",
            summary="The masks: [classes, rows, columns].",
            parameters=(
                _KEY,
                _DATASET,
                Parameter(
                    name="form",
                    doc="planes: a byte for each pixel, 0 or 1. packed: a bit, the "
                    "lowest first, each class beginning with a new byte.",
                    choices=("planes", "packed"),
                    default="planes",
                ),
            ),
            answers={BINARY: None},
            headers=_SHAPE_HEADERS,
            errors=(404,),
        ),
        Route(
            path="/v1/series/{series}",
            name="series",
            summary="The examples of a series, in their order.",
            parameters=(_SERIES, _DATASET),
            answers={JSON: answers.SERIES},
            errors=(404, 503),
        ),
        Route(
            path="/v1/statistics",
            name="statistics",
            summary="Figures of the data set: splits, classes, grey values, ledger.",
            parameters=(_DATASET,),
            answers={JSON: answers.STATISTICS},
            errors=(404,),
        ),
        Route(
            path="/v1/augmented/{key}",
            name="augmented",
            summary="An example as augmentation would change it.",
            parameters=(
                _KEY,
                _DATASET,
                input_parameter("augment", default="standard"),
                Parameter(
                    name="epoch",
                    doc="In this epoch.",
                    kind=int,
                    default=0,
                    lower=0,
                    upper=2**40,
                ),
                Parameter(
                    name="format",
                    doc="A picture, or the numbers.",
                    choices=("png", "npz"),
                    default="png",
                ),
                Parameter(
                    name="mask",
                    doc="How much of the masks' colour is seen.",
                    kind=float,
                    default=0.3,
                    lower=0,
                    upper=1,
                ),
                Parameter(
                    name="size",
                    doc="Length of the longer side, screen pixels.",
                    kind=int,
                    lower=16,
                    upper=2048,
                ),
                *_input_parameters(AUGMENT_OPTIONS),
            ),
            answers={PNG: None, NPZ: None},
            errors=(404, 413, 503),
        ),
        Route(
            path="/v1/batch",
            name="batch",
            summary="The batch that input_fn gives at this step with these options.",
            parameters=_batch(options),
            answers={NPZ: None, TFRECORD: None, JSON: answers.BATCH},
            headers=_BATCH_HEADERS,
            errors=(404, 413, 503),
        ),
        Route(
            path="/healthz",
            name="healthz",
            summary="Whether this process answers.",
            answers={JSON: answers.HEALTH},
            open=True,
        ),
        Route(
            path="/metrics",
            name="metrics",
            summary="Figures of the server, as Prometheus reads them.",
            answers={TEXT: None},
        ),
        Route(
            path="/openapi.json",
            name="openapi",
            summary="This document.",
            answers={JSON: {"type": "object", "required": ["openapi", "paths"]}},
        ),
    )
