"""``generate``: NumPy batches for any framework, from a data set or from a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from tfdicom import files, input_pipeline
from tfdicom.convert_options import ConvertOptions
from tfdicom.input_options import InputOptions
from tfdicom.manifest import MANIFEST
from tfdicom.options import accepts_options


@accepts_options(InputOptions)
def generate(
    data_dir_or_source: str | os.PathLike | Sequence[str | os.PathLike],
    split: str = "train",
    *,
    options: InputOptions,
    convert_options: ConvertOptions | None = None,
) -> Iterator[Any]:
    """Yields batches as NumPy arrays; never holds the data set in memory.

    Each call starts at epoch 0: two calls with the same seed give the same batches.
    ``num_epochs=N`` gives N epochs in one call, each shuffled and augmented anew.

    Args:
      data_dir_or_source: Folder that ``tfdicom_convert`` wrote, or several, or a source
        folder with images and annotations, found and paired as the converter does.
      split: Name of a split, or several joined by ``+``.
      options: The fields below as a whole.
      convert_options: How a source is read; its ``input_dir`` is the source. By default
        every patient is in the split ``train``. Nothing is written.

    Returns:
      Iterator over what ``input_fn`` describes, as arrays: ``(image, mask)``, float32
      ``[batch, rows, columns, channels]`` and uint8 ``[batch, rows, columns,
      classes]``. A source is shuffled patient by patient and within a few batches;
      inputs that cannot be used are left out as the converter does, and listed once on
      stderr.

    Raises:
      FileNotFoundError: A shard of the data set is missing.
      ValueError: There is no such folder, or the data cannot give what is asked for;
        says what there is. CT's normalisation by the training split needs a converted
        data set.
    """
    if not isinstance(data_dir_or_source, (str, os.PathLike)):
        return _arrays(
            input_pipeline.input_fn(data_dir_or_source, split, options=options)
        )
    source = os.fspath(data_dir_or_source)
    if files.exists(files.path_of(source) / MANIFEST):
        return _arrays(input_pipeline.input_fn(source, split, options=options))
    # The one place where both halves meet; a data set is read without pydicom.
    from tfdicom.source_batches import source_batches

    return source_batches(source, split, options, convert_options)


def _arrays(dataset: Any) -> Iterator[Any]:
    yield from dataset.as_numpy_iterator()
