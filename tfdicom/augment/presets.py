"""Augmentation as text: presets by name, and changes to them."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfdicom.augment.augment_options import AugmentOptions

__all__ = ["NONE", "PRESETS", "AugmentOptions", "parse_augment"]

NONE = "none"
_TRUTH = {"true": True, "1": True, "false": False, "0": False}

_LIGHT = AugmentOptions(
    rotation=10.0,
    scale=0.1,
    shift=0.05,
    brightness=0.1,
    brightness_probability=0.5,
    contrast=0.1,
    contrast_probability=0.5,
)
_STANDARD = AugmentOptions(
    rotation=20.0,
    scale=0.2,
    shift=0.1,
    brightness=0.2,
    brightness_probability=0.5,
    contrast=0.25,
    contrast_probability=0.5,
    noise=0.1,
    noise_probability=0.5,
)
# nnU-Net's grey values and their probabilities, with a moderate deformation.
_HEAVY = dataclasses.replace(
    _STANDARD,
    rotation=30.0,
    scale=0.4,
    anisotropic_scale=0.1,
    shear=5.0,
    elastic=0.03,
    elastic_probability=0.3,
    blur=1.0,
    blur_probability=0.2,
    sharpen=0.5,
    sharpen_probability=0.1,
    low_resolution=1.0,
    low_resolution_probability=0.25,
    gamma=0.5,
    gamma_probability=0.3,
    gamma_keeps_mean=True,
    noise_probability=0.1,
)
_MR = dataclasses.replace(
    _HEAVY,
    sharpen=0.0,
    gibbs=0.4,
    gibbs_probability=0.1,
    ghosting=0.5,
    ghosting_probability=0.1,
    spike=0.5,
    spike_probability=0.05,
    bias_field=0.5,
    bias_field_probability=0.3,
    noise=0.0,
    rician=0.1,
    rician_probability=0.2,
)
# Hounsfield units mean something: no gamma and little contrast, but other windows.
_CT = dataclasses.replace(
    _HEAVY,
    rotation=15.0,
    scale=0.25,
    sharpen_probability=0.2,
    gamma=0.0,
    gamma_keeps_mean=False,
    brightness=0.1,
    contrast=0.1,
    window_jitter=0.2,
    window_jitter_probability=0.5,
    noise_probability=0.3,
)

PRESETS = {
    NONE: AugmentOptions(),
    "light": _LIGHT,
    "standard": _STANDARD,
    "heavy": _HEAVY,
    "mr": _MR,
    "ct": _CT,
}


def parse_augment(value: str | AugmentOptions | None) -> AugmentOptions:
    """Reads what to do: a preset, changes to it, or both.

    Args:
      value: A preset as ``'light'``; changes as ``'rotation=15,shift=0.1'``; both, the
        preset first: ``'light,flip_left_right=0.5'``; ready options; or None.

    Raises:
      ValueError: The text cannot be read; names what is known.
    """
    if value is None:
        return PRESETS[NONE]
    if isinstance(value, AugmentOptions):
        return value
    if not isinstance(value, str):
        raise ValueError(f"augment={value!r}: text, AugmentOptions or None is wanted")
    parts = [part.strip() for part in value.split(",") if part.strip()]
    base = PRESETS[NONE]
    if parts and "=" not in parts[0]:
        base = _preset(parts.pop(0), value)
    return dataclasses.replace(base, **dict(_change(part, value) for part in parts))


def _preset(name: str, text: str) -> AugmentOptions:
    if name not in PRESETS:
        raise ValueError(
            f"augment={text!r}: no preset {name!r}; known are {', '.join(PRESETS)}, or "
            "changes as 'rotation=15,shift=0.1'"
        )
    return PRESETS[name]


def _change(part: str, text: str) -> tuple[str, Any]:
    name, _, word = (one.strip() for one in part.partition("="))
    fields = {field.name: field for field in dataclasses.fields(AugmentOptions)}
    if name not in fields:
        raise ValueError(
            f"augment={text!r}: no change {name!r}; known are {', '.join(fields)}"
        )
    kind = fields[name].metadata["kind"]
    try:
        return name, _TRUTH[word.lower()] if kind is bool else kind(word)
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "whole number", float: "number"}[kind]
        raise ValueError(f"augment={text!r}: {name}: {word!r} is no {wanted}") from None
