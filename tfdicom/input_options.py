"""What ``input_fn`` can be asked for; imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from tfdicom import normalization, options, service_address
from tfdicom.augment.presets import AugmentOptions, parse_augment
from tfdicom.label_kinds import LabelInfo, words_of

DROP, WEIGHT, IGNORE = "drop", "weight", "ignore"
FAIL, SKIP = "fail", "skip"
MINIMUM = "minimum"

PLANES, LABEL_MAP, ONE_HOT = "planes", "label_map", "one_hot"
SOFT, DISTANCE = "soft", "distance"
NO_WEIGHTS, INVERSE, INVERSE_SQRT = "none", "inverse", "inverse_sqrt"

#: In a mask that ``ignore`` made: not known.
UNKNOWN = 255
AUTO, NO_CACHE, MEMORY = "auto", "none", "memory"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How examples become batches. Text and values have the notation of the flags."""

    classes: str | Sequence[str] | None = options.option(
        None,
        "Classes to read, in the order of the mask's channels, as 'inner;outer'; all "
        "of the data set's if not given; none, and so no masks, if empty ('').",
    )
    labels: str | Sequence[str] | None = options.option(
        None,
        "Labels to read, of the table that the data set was converted with: "
        "'diagnosis;age'. A class label's words are numbered as the manifest says, or "
        "as 'diagnosis:benign|malignant' does. Without masks a single one is given as "
        "(image, label), several as (image, {name: label}); with masks as (image, "
        "{'mask': mask, name: label}). Where there is no value, unannotated says what "
        "happens.",
    )
    class_map: str | Mapping[str, Sequence[str]] | None = options.option(
        None,
        "Names that a class has in the data sets, where they differ: "
        "'cavity=inner|LV;myo=myocardium'. A data set without a class is read as not "
        "annotated for it.",
    )
    weights: str | Sequence[float] | None = options.option(
        None,
        "Of several data sets, the share of the examples of an epoch that each gives, "
        "as '0.7,0.3'; training only. An epoch is as long as without it: of one data "
        "set some examples come twice or more, of another not all come. Not given: "
        "every example once.",
    )
    positive_fraction: float | None = options.option(
        None,
        "Share of the examples, of an epoch and of each batch, that show a class that "
        "is read; training only. An epoch is as long as without it: examples of the "
        "rarer kind come twice or more, each time changed otherwise. Not given: every "
        "example once.",
        kind=float,
        lower=0,
        upper=1,
    )
    batch_size: int = options.option(
        8, "Examples in a batch (of each replica, if distributed).", kind=int, lower=1
    )
    training: bool | None = options.option(
        None,
        "Shuffle and augment. Not given: yes for the split named train, else no, and "
        "the order is then the manifest's.",
        kind=bool,
    )
    seed: int = options.option(
        0,
        "Seed of order and augmentation; the same seed gives the same batches.",
        kind=int,
        lower=0,
        upper=2**63 - 1,
    )
    num_epochs: int | None = options.option(
        1,
        "Epochs in one pass over the dataset; 0 (in Python also None) means endless. "
        "With 1, each further pass is a further epoch, as Keras wants it; Estimators "
        "want 0.",
        kind=int,
        lower=0,
    )
    normalize: str = options.option(
        "auto",
        "How grey values become input: auto (by modality: CT clipped and z-scored with "
        "the training foreground's figures, MR z-score of its series, PT SUV, else "
        "z-score of the image), zscore_series, zscore_image, zscore_dataset (the "
        "training split's), min_max, percentiles:LOW:HIGH (stored: 0.5, 1, 2, 5, 25, "
        "50, 75, 95, 98, 99, 99.5), window:CENTER:WIDTH, none (modality values).",
    )
    augment: str | AugmentOptions | None = options.option(
        None,
        "Random changes in training: none, light, standard, heavy, mr, ct, changes as "
        "'rotation=15,shift=0.1,flip_left_right=0.5', or a preset with changes to it, "
        "as 'light,contrast=0.3'. Presets never flip.",
    )
    image_size: str | int | Sequence[int] | None = options.option(
        None,
        "Crop or pad about the middle to so many rows and columns: '128' or "
        "'128,160'; the source's size if not given.",
    )
    target_spacing: str | float | Sequence[float] | None = options.option(
        None,
        "Resample to pixels of so many mm, also without training: '1.5', or "
        "'1.25,1.5' between rows and between columns; the source's own if not given. "
        "Steps of more than 1.5 source pixels are smoothed first.",
    )
    image_fill: str | float = options.option(
        MINIMUM,
        "Value outside of the source image: minimum (that of the example), or a number "
        "after normalisation.",
    )
    unannotated: str = options.option(
        DROP,
        "Examples on which a class asked for was not annotated: drop leaves them out; "
        "weight keeps them and gives ({class: mask}, {class: weight}) with weight 0, "
        "for losses that are a mean over pixels (not Dice) and for weighted_metrics; "
        "ignore keeps them with 255 in the mask, for the losses of tfdicom.losses. "
        "Labels without a value likewise: ignore gives -1, and NaN for a number.",
        choices=(DROP, WEIGHT, IGNORE),
    )
    label_form: str = options.option(
        PLANES,
        "Form of the mask: planes (0 or 1 for each class), label_map (0 background, k "
        "the k-th class), one_hot (of the label map, background first), soft (which "
        "part of a pixel a class covers, 0 to 1; of data sets converted with "
        "--covered_fraction), distance (signed, to the border, pixels; negative "
        "inside).",
        choices=(PLANES, LABEL_MAP, ONE_HOT, SOFT, DISTANCE),
    )
    label_priority: str | Sequence[str] | None = options.option(
        None,
        "Which class wins in a label_map or one_hot where several are: all classes "
        "that are read, the strongest first, as 'inner;outer'. Default: their order.",
    )
    distance_limit: int = options.option(
        32,
        "Of label_form=distance: pixels from which on a distance counts as this.",
        kind=int,
        lower=1,
        upper=UNKNOWN - 1,
    )
    class_weights: str = options.option(
        NO_WEIGHTS,
        "Also give a weight for each pixel, from how rare its class is in the training "
        "split: 1 / frequency (inverse) or the square root of that (inverse_sqrt), 1 "
        "on average.",
        choices=(NO_WEIGHTS, INVERSE, INVERSE_SQRT),
    )
    with_info: bool = options.option(
        False,
        "Add a dict: key, key_hash, patient, series, acquisition_group, rater, "
        "slice_index, phase_index, epoch, occurrence, spacing, slice_spacing, "
        "position, orientation, age_band, sex, weight, source_size, the matrix from "
        "output pixels to source pixels, and deformed, where a matrix cannot tell all.",
        kind=bool,
    )
    drop_remainder: bool = options.option(
        False, "Leave out a last batch that is not full.", kind=bool
    )
    cache: str = options.option(
        AUTO,
        "Keep the split in memory from the first pass on (memory), copy it to this "
        "folder first (any other text; uncompressed, and kept for the next time), or "
        "read it anew each epoch (none). auto: in memory if it fits in "
        "cache_memory_mb, else none. The order is the same.",
    )
    cache_memory_mb: int = options.option(
        1024, "Size up to which cache=auto keeps a split in memory.", kind=int, lower=1
    )
    on_corrupt: str = options.option(
        FAIL,
        "What to do with a record that cannot be read: fail names its shard and its "
        "number when it is reached; skip checks every record at the call, which reads "
        "the split once, and leaves damaged ones out, listed and counted.",
        choices=(FAIL, SKIP),
    )
    start_step: int = options.option(
        0,
        "Begin after so many batches, exactly as if they had been read.",
        kind=int,
        lower=0,
    )
    data_service: str | None = options.option(
        None,
        "Let the workers of a tf.data service read and finish the examples: "
        "grpc://HOST:PORT of its dispatcher (tfdicom_data_service). In an epoch the "
        "order is then that in which they are done. Not given: this process does it.",
    )
    data_service_timeout: float = options.option(
        60.0,
        "Seconds without a batch from the data service after which reading fails.",
        kind=float,
        lower=1,
    )
    jit_compile: bool = options.option(
        True,
        "Compile the pixel work with XLA; turn it off where XLA cannot compile.",
        kind=bool,
    )

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
          ValueError: Names the option, the value got and what is allowed.
        """
        options.check(self)
        normalization.parse(self.normalize)
        # Read once here, so that a wrong value fails where it was written.
        _ = (self.class_names, self.augmentation, self.size, self.fill)
        if not self.cache.strip():
            raise ValueError(
                f"cache={self.cache!r}: {AUTO}, {MEMORY}, {NO_CACHE} or a folder is "
                "wanted"
            )
        _ = (self.other_names, self.shares, self.spacing, self.priority)
        _ = (self.service, self.asked_labels)
        _check_label_form(self)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes asked for, None for all; empty for no masks."""
        if self.classes is None:
            return None
        if not (
            self.classes.strip() if isinstance(self.classes, str) else self.classes
        ):
            return ()
        return _names("classes", self.classes, "[;,]")

    @property
    def asked_labels(self) -> tuple[LabelInfo, ...]:
        """Labels asked for, with the vocabularies that are given; their kind is ''."""
        if self.labels is None:
            return ()
        try:
            pairs = [words_of(one) for one in _names("labels", self.labels, "[;,]")]
        except ValueError:
            pairs = []
        if not pairs or len(dict(pairs)) < len(pairs):
            raise ValueError(
                f"labels={self.labels!r}: 'diagnosis:benign|malignant;age' is wanted, "
                "each label and each word once"
            )
        return tuple(LabelInfo(name, "", words) for name, words in pairs)

    @property
    def priority(self) -> tuple[str, ...] | None:
        """Classes, the one that wins first; None for the order of the classes."""
        if self.label_priority is None:
            return None
        return _names("label_priority", self.label_priority, "[;,]")

    @property
    def excludes(self) -> bool:
        """Whether a pixel is of one class only."""
        return self.label_form in (LABEL_MAP, ONE_HOT)

    @property
    def other_names(self) -> Mapping[str, tuple[str, ...]]:
        """Names of each class in the data sets, where ``class_map`` says."""
        if self.class_map is None:
            return {}
        pairs: Any = []
        if isinstance(self.class_map, str):
            parts = self.class_map.split(";")
            pairs = [part.partition("=")[::2] for part in parts if part.strip()]
        elif isinstance(self.class_map, Mapping):
            pairs = list(self.class_map.items())
        try:
            found = {
                str(name).strip(): _names("class_map", others, r"\|")
                for name, others in pairs
            }
        except ValueError:
            found = {}
        if not pairs or len(found) < len(pairs) or not all(found):
            raise ValueError(
                f"class_map={self.class_map!r}: 'cavity=inner|LV;myo=myocardium' is "
                "wanted, each class once"
            )
        return found

    @property
    def shares(self) -> tuple[float, ...] | None:
        """Share of each data set, together 1; None for what is there."""
        if self.weights is None:
            return None
        value: Any = self.weights
        try:
            parts = value.split(",") if isinstance(value, str) else list(value)
            numbers = [float(part) for part in parts]
        except (TypeError, ValueError):
            numbers = []
        if not numbers or not all(math.isfinite(n) and n > 0 for n in numbers):
            raise ValueError(
                f"weights={self.weights!r}: a number above 0 for each data set is "
                "wanted, as '0.7,0.3'"
            )
        return tuple(number / sum(numbers) for number in numbers)

    @property
    def epochs(self) -> int | None:
        """Epochs in one pass, None for endless."""
        return self.num_epochs or None

    @property
    def augmentation(self) -> AugmentOptions:
        """What augmentation may do."""
        return parse_augment(self.augment)

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns asked for, None for the source's."""
        if self.image_size is None:
            return None
        found = _one_or_two(self.image_size, int)
        if found is None:
            raise ValueError(
                f"image_size={self.image_size!r}: '128' or '128,160' (rows, columns) "
                "is wanted"
            )
        return found

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Distance between the output's rows and columns, mm; None for the source's."""
        if self.target_spacing is None:
            return None
        found = _one_or_two(self.target_spacing, float)
        if found is None:
            raise ValueError(
                f"target_spacing={self.target_spacing!r}: '1.5' or '1.25,1.5' "
                "(millimetres between rows, between columns), above 0, is wanted"
            )
        return found

    @property
    def service(self) -> str | None:
        """``grpc://host:port`` of the data service, None for none."""
        if self.data_service is None:
            return None
        host, port = service_address.parse_address(self.data_service, "data_service")
        return service_address.target(host, port)

    @property
    def fill(self) -> float | None:
        """Value outside of the source image, None for the example's minimum."""
        if self.image_fill == MINIMUM:
            return None
        try:
            value = float(self.image_fill)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(
                f"image_fill={self.image_fill!r}: {MINIMUM} or a number is wanted"
            )
        return value


def _check_label_form(asked: InputOptions) -> None:
    """Refuses what the form of the labels has no use for."""
    form = asked.label_form
    if asked.label_priority is not None and not asked.excludes:
        raise ValueError(
            f"label_priority={asked.label_priority!r}: label_form={form!r} keeps "
            f"classes apart and needs none; {LABEL_MAP} and {ONE_HOT} do"
        )
    default = InputOptions.__dataclass_fields__["distance_limit"].default
    if asked.distance_limit != default and form != DISTANCE:
        raise ValueError(
            f"distance_limit={asked.distance_limit}: label_form={form!r} has no "
            f"distances; {DISTANCE} has"
        )
    if asked.class_weights != NO_WEIGHTS and form == DISTANCE:
        raise ValueError(
            f"class_weights={asked.class_weights!r}: a distance is of no class; choose "
            f"class_weights={NO_WEIGHTS!r} or another label_form than {form!r}"
        )


def _names(option: str, value: str | Sequence[str], separator: str) -> tuple[str, ...]:
    names = re.split(separator, value) if isinstance(value, str) else list(value)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{option}={value!r}: names are wanted")
    found = tuple(name.strip() for name in names if name.strip())
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{option}={value!r}: name each class once")
    return found


def _one_or_two(value: Any, kind: type) -> tuple[Any, Any] | None:
    """Two numbers above 0, the second one the first if it is not there."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        parts = [parts] if isinstance(parts, (int, float)) else list(parts)
        numbers = [kind(str(part)) for part in parts]
    except (TypeError, ValueError):
        return None
    if len(numbers) not in (1, 2) or not all(0 < one < math.inf for one in numbers):
        return None
    return numbers[0], numbers[-1]


def define_input_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines a flag for each field of ``InputOptions``; for training scripts."""
    options.define_flags(
        InputOptions, module_name="tfdicom.input_options", flag_values=flag_values
    )


def input_options_from_flags(
    flag_values: flags.FlagValues = flags.FLAGS, **overrides: Any
) -> InputOptions:
    """The options as the flags say.

    Args:
      flag_values: Where ``define_input_flags`` defined them; parsed.
      **overrides: Fields that do not come from a flag.

    Raises:
      ValueError: A value is not allowed; names the option.
    """
    return options.from_flags(InputOptions, flag_values=flag_values, **overrides)
