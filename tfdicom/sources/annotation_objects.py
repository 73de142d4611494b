"""Annotation objects: what their headers tell, and which frames they draw on.

An *object* is one DICOM instance (RTSTRUCT, SEG) or one mask file. Its *items* are its
ROIs, segments or pixel values. A *part* is what an item draws in one place: a contour
of the ROI, a frame of the SEG. Each kind of object has a module of its own with three
functions:

- ``read_object(path, name)`` gives an `AnnotationObject`, from the header alone;
- ``match(path, described, frames, items)`` says which parts lie on which frames;
- ``draw(path, item, parts, ...)`` gives the `Drawing` of an item on one frame.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

import numpy as np


def created(dates: Iterable[tuple[str, str]]) -> str:
    """When an object was made, as digits: 8 of the date, 12 of the time.

    Args:
      dates: A DICOM date (DA) and time (TM) each, the best first; what is missing at
        the end of a time is zero.

    Returns:
      The first that has a date; empty text if none has.
    """
    for date, time in dates:
        day, hour = (re.sub(r"\D", "", value) for value in (date, time))
        if len(day) == 8:
            return day + hour[:12].ljust(12, "0")
    return ""


@dataclasses.dataclass(frozen=True)
class AnnotatedItem:
    """An ROI or a segment.

    Attributes:
      number: ROI Number (3006,0022), Segment Number (0062,0004), or pixel value.
      names: All names that ``--classes`` may use for it: its name or label, ``#`` and
        its number, and coded properties as their meaning and as ``SCHEME:VALUE``.
      parts: How many contours or frames the header is known to give it, at least.
    """

    number: int
    names: tuple[str, ...]
    parts: int = 0


@dataclasses.dataclass(frozen=True)
class AnnotationObject:
    """The header of an annotation object.

    Attributes:
      path: Path relative to the input folder.
      kind: ``rtstruct``, ``seg`` or ``mask``.
      patient_id: Patient ID (0010,0020).
      instance: SOP Instance UID.
      study: Study Instance UID.
      created: Date and time as digits, so that a later one sorts behind an earlier
        one; empty if the object does not say.
      rater: Who drew it, as the object says; empty if it does not. For pseudonyms only.
      frame_of_reference: Frame of Reference UID; empty if there is none.
      referenced_series: Series Instance UIDs that it names.
      referenced_instances: SOP Instance UIDs of the images that it names.
      items: Its ROIs or segments.
      left: Items that are of no use, each with a reason code and what was found.
      problem: Why nothing of it can be used, if that is so: its items are what is
        known to be lost, none where that is not known.
    """

    path: str
    kind: str
    patient_id: str = ""
    instance: str = ""
    study: str = ""
    created: str = ""
    rater: str = ""
    frame_of_reference: str = ""
    referenced_series: tuple[str, ...] = ()
    referenced_instances: tuple[str, ...] = ()
    items: tuple[AnnotatedItem, ...] = ()
    left: tuple[LeftItem, ...] = ()
    problem: LeftItem | None = None


@dataclasses.dataclass(frozen=True)
class LeftItem:
    """An item, or one part of it, that draws nothing, and why.

    ``part`` is None where the whole item is meant; ``item`` is None where the whole
    object is. ``detail`` is for the terminal only. ``names`` are those of an item that
    is left before anybody asked for it: if no class does, that is no fault. ``images``
    tells the images apart that it was drawn on: SOP Instance UIDs, or else places.
    """

    item: int | None
    part: int | None
    reason: str
    detail: str = ""
    names: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """Parts of an item that lie on one frame; ``frame`` is a place in the frames given.

    No parts: the item is annotated there and absent (a negative).
    """

    frame: int
    item: int
    parts: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Matches:
    """Where an object's items lie.

    Attributes:
      matches: For each frame that an item annotates, one of these.
      left: What lies nowhere.
      findings: Codes of what is odd, by item.
      edge_rules: The edge rule that ``auto`` comes to, by item (contours only).
    """

    matches: tuple[Match, ...]
    left: tuple[LeftItem, ...] = ()
    findings: Mapping[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    edge_rules: Mapping[int, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DrawnContour:
    """A contour in pixels of the frame: (column, row), (0, 0) a pixel's centre.

    ``vertices`` is float64 ``[n, 2]``; ``role`` is its Contour Geometric Type;
    ``centres_on_path`` counts pixel centres that lie on it.
    """

    vertices: np.ndarray
    role: str
    centres_on_path: int


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What an item covers on one frame.

    Attributes:
      plane: bool ``[rows, columns]``.
      fraction: Covered fraction of each pixel, float ``[rows, columns]`` in [0, 1];
        None where it was not asked for.
      contours: Outlines, where the object has them.
      left: Parts that could not be used.
      findings: Codes of what is odd.
      part_findings: Part and code, of those that one contour alone is odd by.
      edge_rule: Rule that was used; None without contours.
      hole_rule: Rule that was used; None without contours.
    """

    plane: np.ndarray
    fraction: np.ndarray | None = None
    contours: tuple[DrawnContour, ...] = ()
    left: tuple[LeftItem, ...] = ()
    findings: tuple[str, ...] = ()
    part_findings: tuple[tuple[int, str], ...] = ()
    edge_rule: str | None = None
    hole_rule: str | None = None


@dataclasses.dataclass(frozen=True)
class DrawingRules:
    """How outlines and fractions become masks.

    Attributes:
      edge_rule: One of ``rasterize.EDGE_RULES``; never ``auto``.
      hole_rule: ``nested``, ``standard``, ``xor`` or ``union``.
      tolerance: Distance from the path at which a centre is on it, pixels.
      shift: Column and row that are added to coordinates of contour text files.
      covered_fraction: Whether fractions are wanted too.
      fractional_threshold: Part of Maximum Fractional Value (0062,000E) from which on
        a pixel of a FRACTIONAL segmentation is in; None refuses such objects.
    """

    edge_rule: str
    hole_rule: str = "nested"
    tolerance: float = 0.001
    shift: tuple[float, float] = (0.0, 0.0)
    covered_fraction: bool = False
    fractional_threshold: float | None = None
