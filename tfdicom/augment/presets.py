"""What augmentation may do: ranges and probabilities, as text or keywords."""

from __future__ import annotations

import dataclasses
import math

NONE, LIGHT, STANDARD = "none", "light", "standard"
_SPATIAL = ("rotation", "scale", "shift", "flip_left_right", "flip_up_down")
_INTENSITY = ("brightness", "contrast")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """Ranges of the changes, and how often each is applied.

    A range of 0 turns a change off. Values are drawn uniformly for each example and
    epoch; ``*_probability`` says on which share of the examples a change is made.

    Attributes:
      rotation: Largest angle, degrees, either way, measured in millimetres.
      scale: Largest zoom: a factor between 1 / (1 + scale) and 1 + scale, uniform in
        its logarithm.
      shift: Largest shift along rows and along columns, as fraction of the output's
        rows and columns.
      flip_left_right: Probability of mirroring columns. Never in a preset: many
        classes have sides.
      flip_up_down: Probability of mirroring rows. Never in a preset.
      brightness: Largest addition, either way, in standard deviations of the frame.
      contrast: Largest change of contrast about the frame's mean: a factor between
        1 / (1 + contrast) and 1 + contrast, uniform in its logarithm.
      rotation_probability: Share of examples that are rotated.
      scale_probability: Share of examples that are scaled.
      shift_probability: Share of examples that are shifted.
      brightness_probability: Share of examples whose brightness changes.
      contrast_probability: Share of examples whose contrast changes.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    flip_left_right: float = 0.0
    flip_up_down: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    rotation_probability: float = 1.0
    scale_probability: float = 1.0
    shift_probability: float = 1.0
    brightness_probability: float = 1.0
    contrast_probability: float = 1.0

    def __post_init__(self) -> None:
        """Checks every number.

        Raises:
          ValueError: Names the field, the value got and what is allowed.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"augment: {field.name}={value!r}: a number is wanted")
            upper = _upper(field.name)
            if not 0 <= value <= upper or math.isinf(value):
                allowed = "0 or more" if math.isinf(upper) else f"0 to {upper:g}"
                raise ValueError(
                    f"augment: {field.name}={value!r}: allowed is {allowed}"
                )

    @property
    def moves(self) -> bool:
        """Whether pixels may change their place."""
        return any(getattr(self, name) for name in _SPATIAL)

    @property
    def changes_intensity(self) -> bool:
        """Whether grey values may change."""
        return any(getattr(self, name) for name in _INTENSITY)


def _upper(name: str) -> float:
    if name == "rotation":
        return 180.0
    if name == "shift" or name.startswith("flip") or name.endswith("probability"):
        return 1.0
    return math.inf


PRESETS = {
    NONE: AugmentOptions(),
    LIGHT: AugmentOptions(
        rotation=10.0,
        scale=0.1,
        shift=0.05,
        brightness=0.1,
        contrast=0.1,
        brightness_probability=0.5,
        contrast_probability=0.5,
    ),
    STANDARD: AugmentOptions(
        rotation=20.0,
        scale=0.2,
        shift=0.1,
        brightness=0.2,
        contrast=0.25,
        brightness_probability=0.5,
        contrast_probability=0.5,
    ),
}


def parse_augment(value: str | AugmentOptions | None) -> AugmentOptions:
    """Reads what to do: a preset, changes to it, or both.

    Args:
      value: ``'none'``, ``'light'``, ``'standard'``; ``'rotation=15,shift=0.1'``; both,
        the preset first: ``'light,flip_left_right=0.5'``; ready options; or None.

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


def _change(part: str, text: str) -> tuple[str, float]:
    name, _, number = (word.strip() for word in part.partition("="))
    known = [field.name for field in dataclasses.fields(AugmentOptions)]
    if name not in known:
        raise ValueError(
            f"augment={text!r}: no change {name!r}; known are {', '.join(known)}"
        )
    try:
        return name, float(number)
    except ValueError:
        raise ValueError(f"augment={text!r}: {number!r} is no number") from None
