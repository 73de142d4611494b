"""DICOM images with annotations into a model, right and fast.

``convert`` writes a data set of TFRecord files once; ``input_fn`` reads it as a
``tf.data.Dataset``, ``generate`` as NumPy batches. Each part is loaded when it is
first used, so that ``import tfdicom`` is quick and needs no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

from tfdicom.version import VERSION as __version__

_HOME = {
    "ConvertOptions": "convert_options",
    "EpochCallback": "epoch_callback",
    "Evaluation": "volume_scores",
    "InputOptions": "input_options",
    "MaskedDice": "losses",
    "augment_batch": "augment.batch",
    "convert": "conversion",
    "define_input_flags": "input_options",
    "evaluate": "evaluation",
    "generate": "numpy_batches",
    "input_fn": "input_pipeline",
    "input_options_from_flags": "input_options",
    "load_manifest": "manifest",
    "masked_binary_crossentropy": "losses",
    "masked_combined_loss": "losses",
    "masked_dice_loss": "losses",
    "remote_batches": "batch_client",
    "to_source_grid": "source_grid",
    "write_seg": "seg_export",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """Loads a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'tfdicom' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tfdicom.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
