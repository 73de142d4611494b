"""What augmentation may do: one range and one probability for each change."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfdicom import options

MOVES = (
    "rotation",
    "scale",
    "anisotropic_scale",
    "shear",
    "shift",
    "elastic",
    "rotate_90",
    "flip_left_right",
    "flip_up_down",
    "random_crop",
    "foreground_crop",
)
CROPS = ("random_crop", "foreground_crop")
ARTEFACTS = ("gibbs", "ghosting", "spike")
FILTERS = ("blur", "sharpen", "low_resolution", "bias_field")
POINTWISE = (
    "window_jitter",
    "gamma",
    "invert",
    "contrast",
    "brightness",
    "rician",
    "noise",
    "cutout",
)


def _range(help: str, upper: float) -> Any:
    return options.option(0.0, help, kind=float, lower=0, upper=upper)


def _share(help: str, default: float = 1.0) -> Any:
    return options.option(default, help, kind=float, lower=0, upper=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """Ranges of the changes, and how often each is applied.

    A range of 0 turns a change off. Values are drawn uniformly for each example and
    epoch; ``*_probability`` says on which share of the examples a change is made.
    "Deviation" is the standard deviation of the frame's grey values.
    """

    rotation: float = _range(
        "Largest angle either way, degrees, true in millimetres.", 180
    )
    rotation_probability: float = _share("Share of examples that are rotated.")
    scale: float = _range(
        "Largest zoom: a factor between 1 / (1 + scale) and 1 + scale, uniform in its "
        "logarithm.",
        9,
    )
    scale_probability: float = _share("Share of examples that are scaled.")
    anisotropic_scale: float = _range(
        "Largest stretch of columns against rows, a factor as for scale; the area "
        "stays.",
        9,
    )
    anisotropic_scale_probability: float = _share(
        "Share of examples that are stretched."
    )
    shear: float = _range(
        "Largest angle by which a vertical line leans, either way, degrees, true in "
        "millimetres.",
        80,
    )
    shear_probability: float = _share("Share of examples that are sheared.")
    shift: float = _range(
        "Largest shift along rows and along columns, as fraction of the output's rows "
        "and columns.",
        1,
    )
    shift_probability: float = _share("Share of examples that are shifted.")
    elastic: float = _range(
        "Largest displacement of a control point along rows and along columns, as "
        "fraction of the output's rows and columns.",
        0.5,
    )
    elastic_probability: float = _share("Share of examples that are deformed.")
    elastic_grid: int = options.option(
        6,
        "Control points along each side; fewer deform more smoothly.",
        kind=int,
        lower=3,
        upper=32,
    )
    rotate_90: float = _share(
        "Probability of a random multiple of 90 degrees, all four alike.", 0.0
    )
    flip_left_right: float = _share(
        "Probability of mirroring columns. Never in a preset: many classes have sides.",
        0.0,
    )
    flip_up_down: float = _share(
        "Probability of mirroring rows. Never in a preset.", 0.0
    )
    random_crop: float = _share(
        "Probability that the window of image_size is placed at random inside the "
        "source instead of in its middle.",
        0.0,
    )
    foreground_crop: float = _share(
        "Probability that the window of image_size is centred on a random foreground "
        "pixel of a random class that is present; it goes before random_crop.",
        0.0,
    )
    foreground_crop_classes: str | None = options.option(
        None,
        "How often foreground_crop chooses each class of those that are present, "
        "relatively, as 'inner:3;outer:1'; a class that is not named, never. Not "
        "given: all alike.",
    )
    image_interpolation: str = options.option(
        "linear", "How the image is sampled.", choices=("linear", "cubic")
    )
    mask_interpolation: str = options.option(
        "linear",
        "How the mask is sampled; linear: each class's plane, 1 where it reaches 0.5.",
        choices=("linear", "nearest"),
    )
    edge: str = options.option(
        "constant",
        "What lies beyond the source: constant (the image's fill value, mask 0), "
        "nearest (its outermost pixels), reflect (its mirror image).",
        choices=("constant", "nearest", "reflect"),
    )
    gibbs: float = _range(
        "Largest share of the spatial frequencies, from the highest down, that is cut "
        "off along rows and along columns: ringing at edges.",
        0.9,
    )
    gibbs_probability: float = _share("Share of examples with Gibbs ringing.")
    ghosting: float = _range(
        "Largest share of its signal that every 2nd to 8th line of k-space loses, "
        "along rows or columns at random: ghosts of motion.",
        1,
    )
    ghosting_probability: float = _share("Share of examples with ghosts.")
    spike: float = _range(
        "Largest amplitude of the stripes that one spike in k-space makes, deviations.",
        10,
    )
    spike_probability: float = _share("Share of examples with a spike.")
    blur: float = _range("Largest sigma of a Gaussian blur, pixels.", 5)
    blur_probability: float = _share("Share of examples that are blurred.")
    sharpen: float = _range(
        "Largest weight of what a Gaussian blur of 1 pixel takes away, added to the "
        "image (unsharp mask).",
        10,
    )
    sharpen_probability: float = _share("Share of examples that are sharpened.")
    low_resolution: float = _range(
        "Largest loss of resolution: sampled 1 to 1 + low_resolution times as coarsely "
        "and interpolated back.",
        7,
    )
    low_resolution_probability: float = _share(
        "Share of examples that lose resolution."
    )
    bias_field: float = _range(
        "Largest coefficient of the cubic polynomial whose exponential multiplies the "
        "signal, the distance from the frame's minimum.",
        3,
    )
    bias_field_probability: float = _share("Share of examples with a bias field.")
    window_jitter: float = _range(
        "Largest change of the window, of which the frame's range is the neutral one: "
        "the width by a factor as for scale, the centre by half that share of the "
        "width. What lies outside is clipped, and the range is kept.",
        3,
    )
    window_jitter_probability: float = _share("Share of examples with a new window.")
    gamma: float = _range(
        "Largest exponent: 1 / (1 + gamma) to 1 + gamma, uniform in its logarithm; the "
        "frame's range is 0 to 1.",
        9,
    )
    gamma_probability: float = _share("Share of examples with a new gamma.")
    gamma_keeps_mean: bool = options.option(
        False, "Whether gamma keeps each image's mean and deviation.", kind=bool
    )
    invert: float = _share(
        "Probability of mirroring the grey values within the frame's range.", 0.0
    )
    contrast: float = _range(
        "Largest change of contrast about the frame's mean, a factor as for scale.", 9
    )
    contrast_probability: float = _share("Share of examples whose contrast changes.")
    brightness: float = _range("Largest addition, either way, deviations.", 10)
    brightness_probability: float = _share(
        "Share of examples whose brightness changes."
    )
    rician: float = _range(
        "Largest deviation of Rician noise, that of an MR magnitude image, deviations.",
        10,
    )
    rician_probability: float = _share("Share of examples with Rician noise.")
    noise: float = _range("Largest deviation of Gaussian noise, deviations.", 10)
    noise_probability: float = _share("Share of examples with Gaussian noise.")
    cutout: float = _range(
        "Largest side of a rectangle that takes the frame's mean, as fraction of the "
        "image's.",
        1,
    )
    cutout_probability: float = _share("Share of examples with rectangles cut out.")
    cutout_count: int = options.option(
        1, "Rectangles that are cut out.", kind=int, lower=1, upper=16
    )
    cutout_mask: bool = options.option(
        False, "Whether the rectangles are cut out of the mask too.", kind=bool
    )

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
          ValueError: Names the field, the value got and what is allowed.
        """
        try:
            options.check(self)
            if self.crop_weights and not self.foreground_crop:
                raise ValueError("foreground_crop_classes is of foreground_crop only")
        except ValueError as error:
            raise ValueError(f"augment: {error}") from None

    @property
    def crop_weights(self) -> Mapping[str, float] | None:
        """Weights of ``foreground_crop_classes`` by class, None if not given."""
        text = self.foreground_crop_classes
        if text is None:
            return None
        parts = [part.rpartition(":") for part in text.split(";") if part.strip()]
        try:
            found = {name.strip(): float(weight) for name, _, weight in parts}
        except ValueError:
            found = {}
        named = found and len(found) == len(parts) and all(found)
        if not named or not all(0 < one < math.inf for one in found.values()):
            raise ValueError(
                f"foreground_crop_classes={text!r}: 'inner:3;outer:1' is wanted, each "
                "class once, with a number above 0"
            )
        return found

    @property
    def moves(self) -> bool:
        """Whether pixels may change their place."""
        return self.any_of(MOVES)

    @property
    def changes_intensity(self) -> bool:
        """Whether grey values may change."""
        return self.any_of((*ARTEFACTS, *FILTERS, *POINTWISE))

    def any_of(self, names: tuple[str, ...]) -> bool:
        """Whether any of these changes may be made."""
        return any(self.may(name) for name in names)

    def may(self, name: str) -> bool:
        """Whether this change may be made: neither range nor probability is 0."""
        return bool(getattr(self, name)) and bool(self.probability(name))

    def probability(self, name: str) -> float:
        """On which share of the examples a change is made, if its range is not 0."""
        return getattr(self, f"{name}_probability", getattr(self, name))


AugmentOptions.__doc__ = f"{AugmentOptions.__doc__}\n{options.describe(AugmentOptions)}"
