"""What ``input_fn`` is going to read, and how; no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfdicom import files, normalization
from tfdicom.augment import LONGEST_PLAIN_STEP, PACKED_PLANES
from tfdicom.augment.augment_options import CROPS, MOVES
from tfdicom.augment.presets import AugmentOptions
from tfdicom.class_layout import ClassLayout
from tfdicom.input_options import (
    AUTO,
    DROP,
    IGNORE,
    MEMORY,
    NO_CACHE,
    SOFT,
    InputOptions,
)
from tfdicom.label_layout import LabelLayout, lacking, pattern_places
from tfdicom.label_plan import LabelPlan
from tfdicom.manifest import ShardInfo

_NARROW = [(name,) for name in ("int8", "uint8", "int16", "uint16")]
_FARTHEST_FILL = 100.0
_WARPS = tuple(name for name in MOVES if name not in CROPS)


@dataclasses.dataclass(frozen=True)
class PlannedShard:
    """A shard to read, and the number of its data set, from 0."""

    data_set: int
    info: ShardInfo


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputPlan:
    """One reading of a split.

    Attributes:
      options: What was asked for; ``batch_size`` is that of this pipeline.
      training: Whether to shuffle and augment.
      shards: The files to read, in the manifests' order.
      compression: As ``TFRecordDataset`` names it.
      examples: Examples in an epoch.
      left_out: Examples in the files that ``unannotated='drop'`` leaves out.
      far: Whether a shard lies where TensorFlow knows no file system.
      fits: Whether the split is small enough for ``cache='auto'`` to keep it.
      classes: Channels of the mask, and where the data sets have them.
      labels: What becomes of the mask.
      label_layout: Labels beside it, and where the data sets have them.
      shape: Rows, columns, samples of the sources; the largest where they differ.
      dtypes: Stored dtypes that occur.
      uniform: Whether all sources have one shape and one dtype.
      size: Rows and columns of the output.
      longest_step: Source pixels from one output pixel to the next, at most, along
        rows and along columns.
      rules: Normalisation by modality.
      augmentation: What to change at random.
      warnings: What the user should know of these data sets.
    """

    options: InputOptions
    training: bool
    shards: tuple[PlannedShard, ...]
    compression: str
    examples: int
    left_out: int
    far: bool
    fits: bool
    classes: ClassLayout
    labels: LabelPlan
    label_layout: LabelLayout
    shape: tuple[int, int, int]
    dtypes: tuple[str, ...]
    uniform: bool
    size: tuple[int, int]
    longest_step: tuple[float, float]
    rules: Mapping[str, normalization.Rule]
    augmentation: AugmentOptions
    warnings: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Channels of the mask."""
        return self.classes.names

    def needed(self, data_set: int) -> tuple[int, ...]:
        """Classes and labels without which an example is left out.

        Args:
          data_set: Number of its data set.

        Returns:
          Places in the patterns of ``label_kinds.known_pattern``.
        """
        if self.options.unannotated != DROP:
            return ()
        return pattern_places(self.classes, self.label_layout, data_set)

    @property
    def lacking(self) -> str:
        """What those have in common that are left out, in words."""
        return lacking(self.class_names, self.label_layout)

    @property
    def batches(self) -> int | None:
        """Batches in one pass, None for endless."""
        if self.options.epochs is None:
            return None
        examples, size = self.examples * self.options.epochs, self.options.batch_size
        return examples // size if self.options.drop_remainder else -(-examples // size)

    @property
    def is_random(self) -> bool:
        """Whether an example looks different from epoch to epoch."""
        return self.augmentation.moves or self.augmentation.changes_intensity

    @property
    def warps(self) -> bool:
        """Whether pixels are interpolated."""
        resamples = self.options.spacing is not None
        # What is padded otherwise than by a constant is sampled beyond the source.
        larger = any(n > most for n, most in zip(self.size, self.shape, strict=False))
        mirrors = self.augmentation.edge != "constant"
        extends = mirrors and (larger or not self.uniform)
        return resamples or extends or self.augmentation.any_of(_WARPS)

    @property
    def smooths(self) -> bool:
        """Whether the image is smoothed before it is interpolated."""
        return max(self.longest_step) > LONGEST_PLAIN_STEP

    @property
    def crops(self) -> bool:
        """Whether whole pixels are cropped or padded, and nothing else moved."""
        resizes = not self.uniform or self.size != self.shape[:2]
        return resizes and not self.warps

    @property
    def planes(self) -> int:
        """Planes of the mask, that of ignored pixels included.

        Without masks it is 1: an empty plane, on which nothing is spent, as what is
        made of it is not delivered.
        """
        if not self.class_names:
            return 1
        return len(self.class_names) + (self.options.unannotated == IGNORE)

    @property
    def packed(self) -> bool:
        """Whether a pixel and its planes travel together, in one 32-bit word."""
        return (
            self.dtypes in _NARROW
            and self.shape[2] == 1
            and self.planes <= PACKED_PLANES
            and self.augmentation.image_interpolation == "linear"
            and self.options.label_form != SOFT
            and not self.smooths
            # A word holds 2**23 steps from the lowest to the highest value.
            and abs(self.options.fill or 0.0) <= _FARTHEST_FILL
        )

    @property
    def caches(self) -> bool:
        """Whether the split is kept in memory."""
        asked, fits = self.options.cache, self.fits and self.options.service is None
        return asked == MEMORY or (asked == AUTO and fits)

    @property
    def copies_to(self) -> str | None:
        """Folder for copies of the shards: the one given, or that for far ones."""
        asked = self.options.cache
        if asked not in (AUTO, MEMORY, NO_CACHE):
            return asked
        return str(files.cache_folder() / "shards") if self.far else None

    @property
    def crop_weights(self) -> tuple[float, ...] | None:
        """How often foreground_crop chooses each class, None for all alike."""
        weights = self.augmentation.crop_weights
        if weights is None:
            return None
        return tuple(weights.get(name, 0.0) for name in self.class_names)

    @property
    def first_epoch(self) -> int:
        """Epoch in which ``start_step`` lies."""
        return self._start[0]

    @property
    def skipped(self) -> int:
        """Examples of that epoch that came before ``start_step``."""
        return self._start[1]

    @property
    def _start(self) -> tuple[int, int]:
        step, size = self.options.start_step, self.options.batch_size
        if self.options.epochs == 1:  # every pass begins with a new batch
            steps = self.batches or 1
            return step // steps, step % steps * size
        return divmod(step * size, self.examples)
