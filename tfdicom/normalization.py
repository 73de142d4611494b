"""Which numbers turn modality values into a network's input.

Every way is the same pointwise expression, ``(clip(value, low, high) - offset) *
scale``; a ``Rule`` says where the four numbers come from. Nothing is scanned: they are
constants, or figures that the records carry.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfdicom import intensity_statistics
from tfdicom.intensity_statistics import IntensityStatistics
from tfdicom.manifest import Manifest

CONSTANT, IMAGE, SERIES = "constant", "image", "series"

_CHOICES = (
    "auto, zscore_series, zscore_image, zscore_dataset, min_max, "
    "percentiles:LOW:HIGH, window:CENTER:WIDTH or none"
)
_TRAIN = "train"
_PERCENTILES = (0.5, 99.5)  # of the foreground, as nnU-Net clips CT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Where low, high, offset and scale of an example come from.

    Attributes:
      sentence: In words, for the user.
      source: ``constant``, or whose statistics count: ``image`` or ``series``.
      constants: Low, high, offset, scale; used if the source is ``constant``.
      span: Positions in ``intensity_statistics.FIGURES`` of the values that become 0
        and 1; None for the z-score.
      suv: Multiply with the record's SUV factor, where it has one.
    """

    sentence: str
    source: str = CONSTANT
    constants: tuple[float, float, float, float] = (-math.inf, math.inf, 0.0, 1.0)
    span: tuple[int, int] | None = None
    suv: bool = False


_NONE = Rule(sentence="modality values, unchanged")
_SUV = Rule(sentence="SUV where the record has its factor, unchanged", suv=True)
_IMAGE = Rule(sentence="z-score of the image", source=IMAGE)
_SERIES = Rule(sentence="z-score of the series", source=SERIES)


def parse(text: str) -> tuple[str, tuple[float, ...]]:
    """Splits ``--normalize`` into its name and numbers, and checks both.

    Raises:
      ValueError: The text is none of the known ways.
    """
    name, *words = str(text).split(":")
    expected = {"percentiles": 2, "window": 2}.get(name, 0)
    known = name in (*_FIXED, "auto", "zscore_dataset", "percentiles", "window")
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        known = False
    if not known or len(words) != expected:
        raise ValueError(f"normalize={text!r}: choose {_CHOICES}")
    if name == "percentiles":
        _percentiles(*numbers)
    if name == "window":
        _window(*numbers)
    return name, numbers


def rules(
    normalize: str, data_sets: Manifest | Sequence[Manifest], modalities: Iterable[str]
) -> Mapping[str, Rule]:
    """The rule of each modality.

    Args:
      normalize: As ``InputOptions.normalize``.
      data_sets: The manifest, or several, whose ``train`` splits together give what is
        not in the records.
      modalities: Those of the examples to be read.

    Raises:
      ValueError: The manifest lacks what is asked for; says what to choose instead.
    """
    manifests = [data_sets] if isinstance(data_sets, Manifest) else list(data_sets)
    name, numbers = parse(normalize)
    if name == "auto":
        return {one: _automatic(one, manifests) for one in sorted(set(modalities))}
    if name == "zscore_dataset":
        rule = _dataset(_training(manifests, "all", "normalize='zscore_dataset'"))
    elif name == "percentiles":
        rule = _percentiles(*numbers)
    elif name == "window":
        rule = _window(*numbers)
    else:
        rule = _FIXED[name]
    return {one: rule for one in sorted(set(modalities))}


def _automatic(modality: str, manifests: Sequence[Manifest]) -> Rule:
    if modality == "CT":
        asked = "normalize='auto' for CT"
        # Where nothing is outlined there is no foreground: all of the image counts.
        with_masks = [one for one in manifests if one.classes]
        pixels = "foreground" if with_masks else "all"
        return _clipped(_training(with_masks or manifests, pixels, asked), pixels)
    return {"MR": _SERIES, "PT": _SUV}.get(modality, _IMAGE)


def _training(
    manifests: Sequence[Manifest], pixels: str, asked: str
) -> IntensityStatistics:
    """Of the training splits of all data sets together."""
    return intensity_statistics.pooled(
        [_training_of_one(found, pixels, asked) for found in manifests]
    )


def _training_of_one(
    manifest: Manifest, pixels: str, asked: str
) -> IntensityStatistics:
    split = manifest.splits.get(_TRAIN)
    statistics = split.intensities.get(pixels) if split else None
    if statistics is None:
        missing = f"its {_TRAIN} split has no {pixels} pixels"
        if split is None:
            known = ", ".join(manifest.splits)
            missing = f"this data set has no {_TRAIN} split (it has {known})"
        raise ValueError(
            f"{asked} needs the statistics of the {pixels} pixels of the training "
            f"split, but {missing}. A source folder has them once it is converted: "
            "run tfdicom_convert first. Or choose another way: "
            "normalize='window:40:400' (or another window), 'zscore_series', "
            "'zscore_image', 'min_max', 'percentiles:0.5:99.5' or 'none'"
        )
    return statistics


def _clipped(statistics: IntensityStatistics, pixels: str) -> Rule:
    whose, why = "foreground", ""
    if pixels == "all":
        whose, why = "split", " (of all pixels, as it has no masks)"
    figures = statistics.to_floats()
    low, high = (
        figures[intensity_statistics.percentile_index(p)] for p in _PERCENTILES
    )
    mean, deviation = statistics.mean, statistics.deviation
    return Rule(
        sentence=f"clipped to the training {whose}'s percentiles {low:g} to {high:g}, "
        f"then z-score with its mean {mean:g} and deviation {deviation:g}{why}",
        constants=(low, high, mean, _inverse(deviation)),
    )


def _dataset(statistics: IntensityStatistics) -> Rule:
    mean, deviation = statistics.mean, statistics.deviation
    return Rule(
        sentence=f"z-score with the training split's mean {mean:g} and deviation "
        f"{deviation:g}",
        constants=(-math.inf, math.inf, mean, _inverse(deviation)),
    )


def _inverse(deviation: float) -> float:
    return 1.0 / deviation if deviation > 0 else 0.0


def _percentiles(low: float, high: float) -> Rule:
    if not low < high:
        raise ValueError(
            f"normalize='percentiles:{low:g}:{high:g}': LOW is to be below HIGH"
        )
    span = [intensity_statistics.percentile_index(percent) for percent in (low, high)]
    return Rule(
        sentence=f"the image's percentiles {low:g} to {high:g} become 0 to 1",
        source=IMAGE,
        span=(span[0], span[1]),
    )


def _window(center: float, width: float) -> Rule:
    """The function LINEAR of PS3.3 C.11.2.1.2.1, to [0, 1]."""
    if not width >= 1 or not math.isfinite(width) or not math.isfinite(center):
        raise ValueError(
            f"normalize='window:{center:g}:{width:g}': a finite CENTER, and a WIDTH of "
            "1 or more are wanted (PS3.3 C.11.2.1.2)"
        )
    low = center - 0.5 - (width - 1) / 2
    # A width of 1 is a step; one float32 step wide it stays the same expression.
    step = float(np.spacing(np.float32(max(abs(low), 1.0))))
    reach = max(width - 1, step)
    return Rule(
        sentence=f"window with center {center:g} and width {width:g} becomes 0 to 1",
        constants=(low, low + reach, low, 1 / reach),
    )


def _min_max() -> Rule:
    at = intensity_statistics.FIGURES.index
    return Rule(
        sentence="the image's minimum and maximum become 0 and 1",
        source=IMAGE,
        span=(at("minimum"), at("maximum")),
    )


_FIXED = {
    "none": _NONE,
    "zscore_image": _IMAGE,
    "zscore_series": _SERIES,
    "min_max": _min_max(),
}
