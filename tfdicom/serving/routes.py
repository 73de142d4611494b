"""Every route of the API, once: what is registered, checked and described."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfdicom.serving import answers
from tfdicom.serving.parameters import Parameter
from tfdicom.serving.route_parameters import (
    AUGMENT_OPTIONS,
    DATASET,
    KEY,
    SERIES,
    SIZE,
    WINDOW,
    batch_parameters,
    input_parameter,
    input_parameters,
    mask_parameter,
    searching,
)
from tfdicom.serving.serve_options import ServeOptions

JSON, PNG, BINARY, TEXT = (
    "application/json",
    "image/png",
    "application/octet-stream",
    "text/plain",
)
NPZ = "application/x-npz"
TFRECORD = "application/x-tfrecord"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Route:
    """One route.

    Attributes:
      path: As in OpenAPI, with ``{name}`` for parts.
      name: Of its handler, and its ``operationId``.
      summary: One line.
      parameters: Of path and query.
      answers: Schema of the answer by its media type; None for other than JSON.
      errors: Status codes of its own errors, beside those that any route may answer.
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
            errors=(503,),
        ),
        Route(
            path="/v1/examples",
            name="examples",
            summary="Examples, searched and sorted.",
            parameters=searching(),
            answers={JSON: answers.EXAMPLES},
            errors=(404, 503),
        ),
        Route(
            path="/v1/examples/{key}",
            name="example",
            summary="All that the record of an example says, but for its pixels.",
            parameters=(KEY, DATASET),
            answers={JSON: answers.EXAMPLE},
            errors=(404, 503),
        ),
        Route(
            path="/v1/examples/{key}/history",
            name="history",
            summary="How its masks came to be: candidates, rules, areas; line by line.",
            parameters=(KEY, DATASET),
            answers={JSON: answers.HISTORY},
            errors=(404, 503),
        ),
        Route(
            path="/v1/examples/{key}.png",
            name="example_png",
            summary="The image of an example, with masks and contours over it.",
            parameters=(
                KEY,
                DATASET,
                WINDOW,
                mask_parameter(0.0),
                Parameter(
                    name="contours", doc="Draw the contours.", kind=bool, default=False
                ),
                Parameter(
                    name="crop",
                    doc="Only the part around the masks.",
                    kind=bool,
                    default=False,
                ),
                SIZE,
            ),
            answers={PNG: None},
            errors=(404, 503),
        ),
        Route(
            path="/v1/examples/{key}/pixels",
            name="pixels",
            summary="The image's values: [rows, columns, samples].",
            parameters=(
                KEY,
                DATASET,
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
            errors=(404, 503),
        ),
        Route(
            path="/v1/examples/{key}/masks",
            name="masks",
            summary="The masks: [classes, rows, columns].",
            parameters=(
                KEY,
                DATASET,
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
            errors=(404, 503),
        ),
        Route(
            path="/v1/series/{series}",
            name="series",
            summary="The examples of a series, in their order.",
            parameters=(SERIES, DATASET),
            answers={JSON: answers.SERIES},
            errors=(404, 503),
        ),
        Route(
            path="/v1/statistics",
            name="statistics",
            summary="Figures of the data set: splits, classes, grey values, ledger.",
            parameters=(DATASET,),
            answers={JSON: answers.STATISTICS},
            errors=(404, 503),
        ),
        Route(
            path="/v1/augmented/{key}",
            name="augmented",
            summary="An example as augmentation would change it.",
            parameters=(
                KEY,
                DATASET,
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
                mask_parameter(0.3),
                SIZE,
                *input_parameters(AUGMENT_OPTIONS),
            ),
            answers={PNG: None, NPZ: None},
            errors=(404, 413, 503),
        ),
        Route(
            path="/v1/batch",
            name="batch",
            summary="The batch that input_fn gives at this step with these options.",
            parameters=batch_parameters(options),
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
