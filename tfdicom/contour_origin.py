"""Which pixel coordinates the numbers of a contour text file are.

Such files do not say where their origin lies. A named origin is the shift that is
*added* to the file's (x, y) to give zero-based (column, row) with (0, 0) the centre of
the first pixel; 'auto' asks the images, as `fit_origin` tells.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfdicom import outlines

Shift = tuple[float, float]
Floats = npt.NDArray[np.float64]

NAMED_SHIFTS: Mapping[str, Shift] = {
    "center0": (0.0, 0.0),
    "corner0": (-0.5, -0.5),
    "center1": (-1.0, -1.0),
}

MIN_PATIENTS = 3
MIN_CONTOURS = 30
MIN_SHARE = 0.75
# Pixels. Half the distance between two named origins is 0.35.
MAX_STANDARD_ERROR = 0.35
MAX_DISTANCE = 0.5

_LARGEST_SHIFT = 1e6  # pixels
_FOLDS = 5  # of the jackknife over a patient's contours
_POINTS = 64  # along a contour
_NO_EDGE = 1e-3  # of the image's range of values, per pixel
_STEP = 0.125  # pixel, along a normal
_BLUR = 1.0  # pixel, standard deviation

_SHIFTS = np.arange(-2.5, 1.6, 0.25)
_SHIFT_GRID = np.stack(np.meshgrid(_SHIFTS, _SHIFTS, indexing="ij"), axis=-1)
_BIASES = np.arange(-2.5, 2.6, 0.5)
# How far along a normal the shifts and biases reach, and what the blur needs for that.
_REACH = np.arange(-6.25, 6.3, _STEP)
_PROFILE = np.arange(-9.25, 9.3, _STEP)


def _derivative() -> Floats:
    """The matrix that turns profiles into their blurred derivatives."""
    distance = np.subtract.outer(_PROFILE, _REACH)
    bell = np.exp(-0.5 * (distance / _BLUR) ** 2) / (_BLUR * np.sqrt(2 * np.pi))
    return distance / _BLUR**2 * bell * _STEP


_DERIVATIVE = _derivative()


@dataclasses.dataclass(frozen=True)
class ContourOrigin:
    """What ``--contour_origin`` asks for; `shift` is None for 'auto'."""

    name: str
    shift: Shift | None


@dataclasses.dataclass(frozen=True)
class ContourSample:
    """One contour and the image that it was drawn on.

    Attributes:
      patient: Whose image it is.
      pixels: [rows, columns], any real dtype and unit.
      vertices: float [n, 2], (x, y) as written in the file.
      structure: Which structure the contour outlines; its edge has its own bias.
    """

    patient: str
    pixels: npt.NDArray[Any]
    vertices: Floats
    structure: str


@dataclasses.dataclass(frozen=True)
class OriginFit:
    """What 'auto' found.

    Attributes:
      name: The origin to use.
      shift: Its shift, in pixels.
      fitted: Whether the images chose it; else it is the default.
      patients: How many patients gave a usable fit.
      contours: How many contours those patients have.
      patient_shifts: Those patients' own fitted shifts, in pixels.
      measured_shift: The shift that fits all of them together; None without any.
      reason: One sentence for the user.
    """

    name: str
    shift: Shift
    fitted: bool
    patients: int
    contours: int
    patient_shifts: Mapping[str, Shift]
    measured_shift: Shift | None
    reason: str


def parse_origin(text: str) -> ContourOrigin:
    """Reads a value of ``--contour_origin``.

    Args:
      text: 'center0', 'corner0', 'center1', 'auto', or 'DX,DY' in pixels.

    Raises:
      ValueError: The text is none of these.
    """
    if text == "auto":
        return ContourOrigin(text, None)
    if text in NAMED_SHIFTS:
        return ContourOrigin(text, NAMED_SHIFTS[text])
    try:
        dx, dy = (float(part) for part in text.split(","))
        if not (np.abs([dx, dy]) <= _LARGEST_SHIFT).all():
            raise ValueError("not finite, or larger than any image")
    except ValueError as error:
        allowed = ", ".join([*NAMED_SHIFTS, "auto"])
        raise ValueError(
            f"contour_origin is {text!r}; allowed are {allowed}, or DX,DY: two numbers "
            "of pixels that are added to x and y"
        ) from error
    return ContourOrigin(text, (dx, dy))


def fit_origin(samples: Iterable[ContourSample], *, default: str) -> OriginFit:
    """Chooses among the named origins by where the images have their edges.

    Contours sit off the steepest edge, inside or outside of it. So the shift is fitted
    together with a radial bias, one per patient and structure: at the pair sought, the
    image's mean derivative along the contours' normals is largest. A structure counts
    if its peak lies inside the range searched and has a standard error, by a jackknife
    over a patient's contours, of at most 0.35 pixel. The origin nearest to the shift of
    all patients together is chosen if it is within 0.5 pixel and is the nearest, too,
    for three quarters of the patients by themselves: 3 with 30 contours at least.

    Args:
      samples: Contours with their images, read once; no image is kept.
      default: The layout's origin, kept where the images do not decide; as for
        `parse_origin`, but not 'auto'.

    Raises:
      ValueError: The default is not an origin with a shift.
    """
    fallback = parse_origin(default)
    if fallback.shift is None:
        raise ValueError("the default origin must have a shift, got 'auto'")
    fits = _patient_fits(samples)
    measured = _peak(np.sum([fit.strength for fit in fits.values()], axis=0))
    name = _nearest(measured) if measured else fallback.name
    objection = _objection(fits, measured)
    contours = sum(fit.contours for fit in fits.values())
    found = f"{contours} contours of {len(fits)} patients with clear edges"
    if measured:
        found += f" are shifted by ({measured[0]:.2f}, {measured[1]:.2f}) pixels"
    reason = f"contour origin {name}: {found}"
    if objection:
        reason = f"contour origin {fallback.name} kept unchecked: {found}; {objection}"
    return OriginFit(
        name=fallback.name if objection else name,
        shift=fallback.shift if objection else NAMED_SHIFTS[name],
        fitted=not objection,
        patients=len(fits),
        contours=contours,
        patient_shifts={patient: fit.shift for patient, fit in fits.items()},
        measured_shift=measured,
        reason=reason,
    )


@dataclasses.dataclass(frozen=True)
class _PatientFit:
    shift: Shift
    contours: int
    strength: Floats  # [x shifts, y shifts], mean over the contours


def _objection(fits: Mapping[str, _PatientFit], measured: Shift | None) -> str:
    """Says why the fits do not decide; empty where they do."""
    if measured is None:
        return "they show no common shift"
    name = _nearest(measured)
    agreeing = [fit.contours for fit in fits.values() if _nearest(fit.shift) == name]
    if len(agreeing) < MIN_PATIENTS or sum(agreeing) < MIN_CONTOURS:
        return (
            f"{sum(agreeing)} contours of {len(agreeing)} patients agree on {name}, "
            f"{MIN_CONTOURS} of {MIN_PATIENTS} are needed"
        )
    if len(agreeing) < MIN_SHARE * len(fits):
        return f"only {len(agreeing)} of these patients agree on {name}"
    if _distance(measured, name) > MAX_DISTANCE:
        return f"that is more than {MAX_DISTANCE} pixel from every named origin"
    return ""


def _nearest(shift: Shift) -> str:
    return min(NAMED_SHIFTS, key=lambda name: _distance(shift, name))


def _distance(shift: Shift, name: str) -> float:
    return float(np.hypot(*np.subtract(shift, NAMED_SHIFTS[name])))


def _patient_fits(samples: Iterable[ContourSample]) -> dict[str, _PatientFit]:
    """Fits each patient by those structures that determine a shift well."""
    folds: dict[tuple[str, str], Floats] = {}
    contours: collections.Counter[tuple[str, str]] = collections.Counter()
    for sample in samples:
        strength = _edge_strength(sample)
        if strength is not None:
            key = sample.patient, sample.structure
            folds.setdefault(key, np.zeros((_FOLDS, *strength.shape)))
            folds[key][contours[key] % _FOLDS] += strength
            contours[key] += 1
    clear = [key for key in sorted(folds) if _is_clear(folds[key])]
    fits = {}
    for patient in dict.fromkeys(patient for patient, _ in clear):
        keys = [key for key in clear if key[0] == patient]
        count = sum(contours[key] for key in keys)
        strength = np.sum([_best(folds[key].sum(axis=0)) for key in keys], axis=0)
        shift = _peak(strength)
        if shift is not None:
            fits[patient] = _PatientFit(shift, count, strength / count)
    return fits


def _best(strength: Floats) -> Floats:
    """Takes the bias that suits each shift best."""
    return strength.max(axis=-1)


def _is_clear(folds: Floats) -> bool:
    """Leaves each fold out once (jackknife): are the shifts near to each other?"""
    rest = [folds.sum(axis=0) - fold for fold in folds if fold.any()]
    shifts = [shift for one in rest if (shift := _peak(_best(one))) is not None]
    if len(shifts) < _FOLDS:
        return False
    errors = np.sqrt((_FOLDS - 1) * np.var(shifts, axis=0))
    return bool(errors.max() <= MAX_STANDARD_ERROR)


def _peak(grid: Floats) -> Shift | None:
    """Finds the shift of the largest strength; None without, or at the range's end."""
    if not grid.any():
        return None
    x, y = np.unravel_index(grid.argmax(), grid.shape)
    last = len(_SHIFTS) - 1
    if not (0 < x < last and 0 < y < last):
        return None
    return (
        float(_SHIFTS[x] + _vertex(*grid[x - 1 : x + 2, y])),
        float(_SHIFTS[y] + _vertex(*grid[x, y - 1 : y + 2])),
    )


def _vertex(before: float, at: float, after: float) -> float:
    """Where, in pixels from the middle, a parabola through three values is largest."""
    bend = before - 2 * at + after
    spacing = _SHIFTS[1] - _SHIFTS[0]
    return spacing * (before - after) / (2 * bend) if bend else 0.0


def _edge_strength(sample: ContourSample) -> Floats | None:
    """Measures the edge along one contour at every shift and bias of the search.

    Returns:
      [x shifts, y shifts, biases]: the mean derivative along the outward normal, where
      1 is the contour's median steepest edge and edges of the other sign are 0; None
      where the contour has no edge.
    """
    if sample.pixels.ndim != 2:
        raise ValueError(
            f"the image of a contour of {sample.patient!r} must have shape "
            f"[rows, columns], got {list(sample.pixels.shape)}"
        )
    outline = outlines.outline(np.asarray(sample.vertices, np.float64), _POINTS)
    if outline is None:
        return None
    points, normals = outline
    places = points[:, np.newaxis] + normals[:, np.newaxis] * _PROFILE[:, np.newaxis]
    slopes = outlines.interpolate(sample.pixels, places) @ _DERIVATIVE
    near = np.abs(_REACH) <= _BIASES[-1]
    slopes = np.clip(slopes * np.sign(slopes[:, near].mean()), 0, None)
    scale = np.median(slopes.max(axis=1))
    if not scale > _NO_EDGE * (float(sample.pixels.max()) - float(sample.pixels.min())):
        return None
    offset = np.add.outer(_SHIFT_GRID @ normals.T, _BIASES).swapaxes(-1, -2)
    index = np.rint((offset - _REACH[0]) / _STEP).astype(np.intp)
    return slopes[np.arange(_POINTS), index].mean(axis=-1) / scale
