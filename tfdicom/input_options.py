"""What ``input_fn`` can be asked for; imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

from absl import flags

from tfdicom import normalization, options
from tfdicom.augment.presets import AugmentOptions, parse_augment

DROP, WEIGHT, IGNORE = "drop", "weight", "ignore"
MINIMUM = "minimum"

#: In a mask that ``ignore`` made: not known.
UNKNOWN = 255
AUTO, NO_CACHE, MEMORY = "auto", "none", "memory"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How examples become batches. Text and values have the notation of the flags."""

    classes: str | Sequence[str] | None = options.option(
        None,
        "Classes to read, in the order of the mask's channels, as 'inner;outer'; all "
        "of the data set's if not given.",
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
        "ignore keeps them with 255 in the mask, for the losses of tfdicom.losses.",
        choices=(DROP, WEIGHT, IGNORE),
    )
    with_info: bool = options.option(
        False,
        "Add a dict: key, patient, series, slice_index, phase_index, spacing, and the "
        "matrix from output pixels to source pixels.",
        kind=bool,
    )
    drop_remainder: bool = options.option(
        False, "Leave out a last batch that is not full.", kind=bool
    )
    cache: str = options.option(
        AUTO,
        "Keep the split in memory after the first pass (memory), in files that begin "
        "with this path (any other text), or read it anew each epoch (none). auto: in "
        "memory if it fits in shuffle_memory_mb. The order is the same.",
    )
    start_step: int = options.option(
        0,
        "Begin after so many batches, exactly as if they had been read.",
        kind=int,
        lower=0,
    )
    shuffle_memory_mb: int = options.option(
        1024,
        "Memory for shuffling. A split that fits is permuted exactly; of a larger one "
        "as many records are mixed as fit.",
        kind=int,
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

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes asked for, None for all."""
        if self.classes is None:
            return None
        names: Sequence[str] = self.classes
        if isinstance(names, str):
            names = re.split("[;,]", names)
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"classes={self.classes!r}: names are wanted")
        names = tuple(name.strip() for name in names if name.strip())
        if not names or len(set(names)) < len(names):
            raise ValueError(f"classes={self.classes!r}: name each class once")
        return names

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
        value = self.image_size
        parts: Any = value.split(",") if isinstance(value, str) else value
        try:
            parts = [parts] if isinstance(parts, int) else list(parts)
            numbers = [int(str(part)) for part in parts]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) not in (1, 2) or min(numbers) < 1:
            raise ValueError(
                f"image_size={self.image_size!r}: '128' or '128,160' (rows, columns) "
                "is wanted"
            )
        return numbers[0], numbers[-1]

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
