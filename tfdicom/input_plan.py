"""What ``input_fn`` is going to read, worked out from manifest and options.

No TensorFlow: everything that can be wrong is found here, at the call, and not in the
middle of an epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfdicom import files, manifest, normalization
from tfdicom.augment import PACKED_PLANES
from tfdicom.augment.augment_options import MOVES
from tfdicom.augment.presets import PRESETS, AugmentOptions
from tfdicom.input_options import AUTO, DROP, IGNORE, MEMORY, InputOptions
from tfdicom.manifest import FrameKind, Manifest, ShardInfo

_TRAIN = "train"
_COMPRESSION = {"none": "", "zlib": "ZLIB", "gzip": "GZIP"}
_NARROW = [(name,) for name in ("int8", "uint8", "int16", "uint16")]
_WARPS = tuple(name for name in MOVES if not name.endswith("_crop"))
_READERS = 16  # shards that are open at once in training


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputPlan:
    """One reading of a split.

    Attributes:
      options: What was asked for; ``batch_size`` is that of this pipeline.
      training: Whether to shuffle and augment.
      shards: The files to read, in the manifest's order.
      compression: As ``TFRecordDataset`` names it.
      examples: Examples in an epoch.
      left_out: Examples in the files that ``unannotated='drop'`` leaves out.
      fits: Whether the split fits into the memory for shuffling, and is permuted.
      shuffle_buffer: Records to mix where it does not.
      class_names: Channels of the mask.
      class_indices: Their places among the data set's classes.
      class_count: Classes of the data set.
      shape: Rows, columns, samples of the sources; the largest where they differ.
      dtypes: Stored dtypes that occur.
      uniform: Whether all sources have one shape and one dtype.
      size: Rows and columns of the output.
      rules: Normalisation by modality.
      augmentation: What to change at random.
    """

    options: InputOptions
    training: bool
    shards: tuple[ShardInfo, ...]
    compression: str
    examples: int
    left_out: int
    fits: bool
    shuffle_buffer: int
    class_names: tuple[str, ...]
    class_indices: tuple[int, ...]
    class_count: int
    shape: tuple[int, int, int]
    dtypes: tuple[str, ...]
    uniform: bool
    size: tuple[int, int]
    rules: Mapping[str, normalization.Rule]
    augmentation: AugmentOptions

    @property
    def readers(self) -> int:
        """Shards that are read side by side; one after the other keeps the order."""
        return min(len(self.shards), _READERS) if self.training else 1

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
        return self.augmentation.any_of(_WARPS)

    @property
    def crops(self) -> bool:
        """Whether whole pixels are cropped or padded, and nothing else moved."""
        resizes = not self.uniform or self.size != self.shape[:2]
        return resizes and not self.warps

    @property
    def planes(self) -> int:
        """Planes of the mask, that of ignored pixels included."""
        return len(self.class_names) + (self.options.unannotated == IGNORE)

    @property
    def packed(self) -> bool:
        """Whether a pixel and its planes fit into one 32-bit word."""
        return (
            self.dtypes in _NARROW
            and self.shape[2] == 1
            and self.planes <= PACKED_PLANES
            and self.augmentation.image_interpolation == "linear"
        )

    @property
    def caches(self) -> bool:
        """Whether the split is kept in memory as tensors."""
        asked = self.options.cache
        return self.uniform and self.fits and asked in (AUTO, MEMORY)

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


def plan_reading(
    found: Manifest,
    split: str,
    options: InputOptions,
    *,
    params: Mapping[str, Any] | None = None,
    input_context: Any = None,
) -> InputPlan:
    """Works out what to read.

    Args:
      found: The data set's manifest.
      split: Name of a split, or several joined by ``+``.
      options: What is asked for.
      params: Of an Estimator; its ``batch_size`` wins over that of the options.
      input_context: ``tf.distribute.InputContext``; this pipeline reads its share of
        the shards.

    Raises:
      ValueError: The data set cannot give what is asked for; says what it has.
    """
    names = manifest.split_names(found, split)
    splits = [found.splits[name] for name in names]
    classes = options.class_names or found.class_names
    indices = manifest.class_indices(found, classes)
    shards = _share([s for one in splits for s in one.shards], input_context, split)
    frames = [frame for one in splits for frame in one.frames]
    examples = sum(shard.examples for shard in shards)
    kept = examples
    if options.unannotated == DROP:
        kept = sum(manifest.count_annotated(shard, indices) for shard in shards)
    if not kept:
        raise ValueError(
            f"split {split!r} has no example to read: of {examples}, none is annotated "
            f"for all of {', '.join(classes)}"
        )
    training = names == [_TRAIN] if options.training is None else options.training
    shape = _largest(frames, options)
    return InputPlan(
        options=_with_batch_size(options, params, input_context),
        training=training,
        shards=tuple(shards),
        compression=_COMPRESSION[found.compression],
        examples=kept,
        left_out=examples - kept,
        fits=_shuffle_buffer(shards, kept, options) >= kept,
        shuffle_buffer=_shuffle_buffer(shards, kept, options),
        class_names=tuple(classes),
        class_indices=tuple(indices),
        class_count=len(found.class_names),
        shape=shape,
        dtypes=tuple(sorted({frame.dtype for frame in frames})),
        uniform=len({(frame.shape, frame.dtype) for frame in frames}) == 1,
        size=options.size or shape[:2],
        rules=_rules(options, found, frames),
        augmentation=options.augmentation if training else PRESETS["none"],
    )


def _rules(
    options: InputOptions, found: Manifest, frames: Sequence[FrameKind]
) -> Mapping[str, normalization.Rule]:
    modalities = {frame.modality for frame in frames}
    return normalization.rules(options.normalize, found, modalities)


def _share(
    shards: Sequence[ShardInfo], input_context: Any, split: str
) -> list[ShardInfo]:
    shards = [shard for shard in shards if shard.examples]
    count = input_context.num_input_pipelines if input_context else 1
    if count == 1:
        return shards
    if len(shards) < count:
        raise ValueError(
            f"split {split!r} has {len(shards)} shards with examples, fewer than the "
            f"{count} input pipelines that share them; convert with "
            f"--num_shards={count} or more"
        )
    return shards[input_context.input_pipeline_id :: count]


def _with_batch_size(
    options: InputOptions, params: Mapping[str, Any] | None, input_context: Any
) -> InputOptions:
    size = (params or {}).get("batch_size", options.batch_size)
    if input_context:
        size = input_context.get_per_replica_batch_size(size)
    return dataclasses.replace(options, batch_size=size)


def shard_paths(data_dir: str, shards: Sequence[ShardInfo]) -> tuple[str, ...]:
    """Paths of shards that are there and have the size that the manifest says.

    Raises:
      FileNotFoundError: A shard is missing.
      ValueError: A shard has another size.
    """
    folder = files.path_of(data_dir)
    for shard in shards:
        path = folder / shard.file
        if not path.exists():
            raise FileNotFoundError(
                f"{path} is missing though {manifest.MANIFEST} names it; copy it here, "
                "or convert again"
            )
        size = path.stat().st_size
        if size != shard.size:
            raise ValueError(
                f"{path} has {size} bytes, {manifest.MANIFEST} says {shard.size}; "
                "copy it again, or convert again"
            )
    return tuple(str(folder / shard.file) for shard in shards)


def _shuffle_buffer(
    shards: Sequence[ShardInfo], examples: int, options: InputOptions
) -> int:
    needed = sum(shard.data_size for shard in shards)
    allowed = options.shuffle_memory_mb * 2**20
    return examples if needed <= allowed else max(1, examples * allowed // needed)


def _largest(
    frames: Sequence[FrameKind], options: InputOptions
) -> tuple[int, int, int]:
    shapes = {frame.shape for frame in frames}
    samples = {shape[2] for shape in shapes}
    if len(samples) > 1:
        raise ValueError(
            f"images of {sorted(samples)} samples per pixel are mixed in this split; a "
            "batch holds one kind: convert grey and colour images separately"
        )
    sizes = sorted({shape[:2] for shape in shapes})
    if len(sizes) > 1 and options.size is None:
        words = ", ".join(f"{rows}x{columns}" for rows, columns in sizes)
        raise ValueError(
            f"image sizes differ ({words}): choose image_size='ROWS,COLUMNS' to crop "
            "or pad to"
        )
    rows, columns = (max(size[axis] for size in sizes) for axis in (0, 1))
    return rows, columns, samples.pop()
