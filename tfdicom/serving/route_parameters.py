"""The parameters of the routes, each declared once."""

from __future__ import annotations

from typing import Any

from tfdicom.input_options import InputOptions
from tfdicom.serving.parameters import Parameter
from tfdicom.serving.serve_options import ServeOptions

_KEY_PATTERN = "[0-9a-f]{32}"

#: Fields of ``InputOptions`` that a request for a batch may give.
BATCH_OPTIONS = (
    *("seed", "training", "augment", "classes", "class_map", "labels"),
    *("positive_fraction", "num_epochs", "normalize", "image_size", "target_spacing"),
    *("image_fill", "unannotated", "label_form", "label_priority", "distance_limit"),
    *("class_weights", "with_info", "drop_remainder"),
)
#: Those of them that make sense for a picture of one augmented example.
AUGMENT_OPTIONS = ("seed", "normalize", "image_size", "target_spacing", "image_fill")

DATASET = Parameter(
    name="dataset", doc="Name of the data set, where several are served; the first."
)
KEY = Parameter(
    name="key",
    doc="Key of an example: 32 hexadecimal digits.",
    pattern=_KEY_PATTERN,
    in_path=True,
)
SERIES = Parameter(
    name="series",
    doc="Pseudonym of a series.",
    pattern="[A-Za-z0-9._-]{1,64}",
    in_path=True,
)
WINDOW = Parameter(
    name="window",
    doc="Centre and width of grey, modality values; of the image's percentiles 1 and "
    "99 if not given.",
    pattern=r"-?[0-9]{1,7}(\.[0-9]{1,6})?,[0-9]{1,7}(\.[0-9]{1,6})?",
    example="40,400",
)
SIZE = Parameter(
    name="size",
    doc="Length of the longer side, screen pixels; as the image has it if not given.",
    kind=int,
    lower=16,
    upper=2048,
)


def mask_parameter(default: float) -> Parameter:
    """How the masks lie over a picture."""
    return Parameter(
        name="mask",
        doc="How much of the masks' colour is seen.",
        kind=float,
        default=default,
        lower=0,
        upper=1,
    )


def searching() -> tuple[Parameter, ...]:
    """What examples are searched by."""
    return (
        DATASET,
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


def input_parameters(names: tuple[str, ...]) -> tuple[Parameter, ...]:
    """The parameters that stand for fields of ``InputOptions``."""
    return tuple(
        input_parameter(
            name,
            pattern=_SHAPES.get(name),
            example=_EXAMPLES.get(name),
            **_OF_FIELDS.get(name, {}),
        )
        for name in names
    )


def batch_parameters(options: ServeOptions) -> tuple[Parameter, ...]:
    """What a batch may be asked for, with the limits of a server."""
    size = input_parameter(
        "batch_size", upper=options.max_batch_size, doc="Examples in a batch."
    )
    return (
        DATASET,
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
        *input_parameters(BATCH_OPTIONS),
    )
