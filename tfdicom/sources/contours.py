"""Contour text files, and the images that their names point to.

A layout says with two patterns where images and contours lie and which part of a path
is the patient, the image's number and the structure. ``{patient}``, ``{image}`` and
``{structure}`` stand for those parts, ``{name:REGEX}`` for a part of a certain form,
``{:REGEX}`` for text of a certain form, ``*`` for anything within a folder's name and
``**/`` for any folders. Digits are compared as numbers: image 48 is contour 0048.
"""

from __future__ import annotations

import codecs
import collections
import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfdicom import files
from tfdicom.reasons import InputSkipped
from tfdicom.sources.candidates import (
    CONTOUR,
    TEXT,
    Annotation,
    LeftFile,
    Loss,
    PathListing,
    loss_of,
)

_SUFFIX = "IM-*-{image}-{structure}contour-manual.txt"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the files of a data set lie.

    Attributes:
      name: As in ``--layout``.
      image_pattern: Pattern of the images' relative paths.
      contour_pattern: Pattern of the contours' relative paths.
      link_file: CSV that links the two names of a patient; None if they have one.
      link_columns: Its columns: the images' name, the contours' name.
      link_required: Whether the data set is unusable without it.
      origin: Contour origin that is known for it.
      decimals: Digits after the point in the contour files.
    """

    name: str
    image_pattern: str
    contour_pattern: str
    link_file: str | None = None
    link_columns: tuple[str, str] = ("patient_id", "original_id")
    link_required: bool = False
    origin: str | None = None
    decimals: int = 2


#: Layouts known by name. Both are releases of the Sunnybrook Cardiac Data.
LAYOUTS = (
    Layout(
        name="sunnybrook",
        image_pattern="dicoms/{patient}/{image}.dcm",
        contour_pattern=f"contourfiles/{{patient}}/*-contours/{_SUFFIX}",
        link_file="link.csv",
        link_required=True,
        origin="center1",
    ),
    Layout(
        name="sunnybrook_original",
        image_pattern="**/{patient:SC[^/]+}/{:(CINESAX[^/]*/)?}IM-*-{image}.dcm",
        contour_pattern=f"**/{{patient}}/contours-manual/*/{_SUFFIX}",
        link_file="scd_patientdata.csv",
        link_columns=("PatientID", "OriginalID"),
        origin="center1",
    ),
)

CUSTOM = "custom"
LAYOUT_NAMES = ("auto", *(layout.name for layout in LAYOUTS), CUSTOM)
DEFAULT_STRUCTURES = "i=inner,o=outer,p1=papillary1,p2=papillary2"

#: Pixels; no image is as large, so a larger number is something else.
_LARGEST_COORDINATE = 1e6

_TOKEN = re.compile(r"\{(\w*)(?::((?:[^{}]|\{[^{}]*\})*))?\}|\*\*/|\*")
_PART = {"patient": "[^/]+", "image": r"\d+", "structure": "[A-Za-z0-9]+?"}


def compile_pattern(pattern: str) -> re.Pattern:
    """The regular expression of a layout's pattern.

    Raises:
      ValueError: The pattern has an unknown part, or a part without its form.
    """
    out, end = [], 0
    for token in _TOKEN.finditer(pattern):
        out.append(re.escape(pattern[end : token.start()]))
        out.append(_token_regex(token, pattern))
        end = token.end()
    out.append(re.escape(pattern[end:]))
    try:
        return re.compile("".join(out))
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} cannot be read: {error}") from None


def _token_regex(token: re.Match, pattern: str) -> str:
    if token[0] == "**/":
        return "(?:[^/]+/)*"
    if token[0] == "*":
        return "[^/]*"
    name, form = token[1], token[2]
    if not name and form:
        return f"(?:{form})"
    if name not in _PART:
        known = ", ".join(f"{{{part}}}" for part in _PART)
        raise ValueError(f"pattern {pattern!r}: unknown {token[0]}; known are {known}")
    return f"(?P<{name}>{form or _PART[name]})"


def custom_layout(
    image_pattern: str, contour_pattern: str, link_file: str | None
) -> Layout:
    """A layout given by patterns.

    Raises:
      ValueError: A pattern lacks a part that pairing needs.
    """
    for pattern, parts in (
        (image_pattern, {"patient", "image"}),
        (contour_pattern, {"patient", "image", "structure"}),
    ):
        missing = parts - set(compile_pattern(pattern).groupindex)
        if missing:
            raise ValueError(f"pattern {pattern!r} lacks {{{missing.pop()}}}")
    return Layout(
        CUSTOM,
        image_pattern,
        contour_pattern,
        link_file,
        link_required=link_file is not None,
    )


def parse_structures(text: str) -> dict[str, str]:
    """Reads ``--structures``: ``i=inner,o=outer``, the code in file names first.

    Raises:
      ValueError: The text cannot be read.
    """
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(code and name for code, _, name in pairs):
        raise ValueError(f"structures={text!r}: wanted is as 'i=inner,o=outer'")
    return {code.strip(): name.strip() for code, _, name in pairs}


def find(
    folder: pathlib.Path,
    paths: Sequence[str],
    *,
    layouts: Sequence[Layout] = LAYOUTS,
    structures: Mapping[str, str],
) -> PathListing | None:
    """Pairs the images and contours below a folder by their names.

    Args:
      folder: The input folder.
      paths: Every file below it.
      layouts: Layouts to try, in order; the first whose two patterns both match
        some file is taken.
      structures: Name of each structure by its code in the file names; a code that
        is not here is a name itself.

    Returns:
      The pairs; None where no layout fits.

    Raises:
      ValueError: The link file is missing or cannot be read.
    """
    for layout in layouts:
        images = _matching(paths, layout.image_pattern)
        contours = _matching(paths, layout.contour_pattern)
        if images and contours:
            return _listing(folder, layout, paths, images, contours, structures)
    return None


def no_layout(
    folder: pathlib.Path, layouts: Sequence[Layout], paths: Sequence[str]
) -> str:
    """Says why none of the layouts fits, and what to do."""
    lines = [f"{folder}: no images with contours were found among {len(paths)} files."]
    for layout in layouts:
        for kind, pattern in (
            ("images", layout.image_pattern),
            ("contours", layout.contour_pattern),
        ):
            count = len(_matching(paths, pattern))
            lines.append(f"  {layout.name}: {count} {kind} match {pattern}")
    if paths:
        lines.append(f"  Files there are named as {paths[len(paths) // 2]}")
    lines.append("  Give --layout=custom --image_pattern=... --contour_pattern=...")
    return "\n".join(lines)


def _matching(paths: Sequence[str], pattern: str) -> dict[str, dict[str, str]]:
    regex = compile_pattern(pattern)
    visible = (path for path in paths if not path.rpartition("/")[2].startswith("."))
    matches = ((path, regex.fullmatch(path)) for path in visible)
    found = {path: match.groupdict() for path, match in matches if match}
    for path, parts in found.items():
        if not parts["image"].isdecimal():
            raise ValueError(
                f"pattern {pattern!r}: {{image}} should be a number; in {path} it is "
                f"{parts['image']!r}"
            )
    return found


def _listing(
    folder: pathlib.Path,
    layout: Layout,
    paths: Sequence[str],
    images: Mapping[str, dict[str, str]],
    contours: Mapping[str, dict[str, str]],
    structures: Mapping[str, str],
) -> PathListing:
    by_name = collections.defaultdict(list)
    for path, parts in images.items():
        by_name[_number_key(parts["patient"]), int(parts["image"])].append(path)
    patients = {patient: found[0] for (patient, _), found in by_name.items()}
    links = _links(folder, layout)
    if not layout.link_required and patients.keys().isdisjoint(links.values()):
        links = {}  # a table of another release, whose images have other names

    paired: dict[str, list[Annotation]] = {path: [] for path in images}
    left = []
    for path, parts in contours.items():
        patient = _number_key(parts["patient"])
        patient = links.get(patient, patient)
        found = by_name.get((patient, int(parts["image"])), [])
        reason = _why_not_paired(patient in patients, len(found))
        structure = structures.get(parts["structure"], parts["structure"])
        if reason:
            detail = ", ".join(found) or _missing(reason, parts, layout)
            near = patients.get(patient, "")
            image = found[0] if found else f"{patient}, image {int(parts['image'])}"
            loss = Loss((structure,), (image,))
            left.append(LeftFile(path, CONTOUR, reason, detail, near, loss=loss))
        else:
            paired[found[0]].append(Annotation(TEXT, path, structure))
    left += _twice_outlined(paired)
    known = {*images, *contours, layout.link_file}
    return PathListing(
        images={path: tuple(drawn) for path, drawn in paired.items()},
        left=tuple(left),
        others=tuple(path for path in paths if path not in known),
        layout=layout.name,
        default_origin=layout.origin,
        decimals=layout.decimals,
    )


def _why_not_paired(patient_known: bool, images: int) -> str | None:
    if not patient_known:
        return "patient_not_linked"
    return {0: "contour_without_image", 1: None}.get(images, "two_images_for_contour")


def _missing(reason: str, parts: Mapping[str, str], layout: Layout) -> str:
    if reason == "contour_without_image":
        return f"image {int(parts['image'])}"
    return f"patient {parts['patient']!r}, link file {layout.link_file or 'not given'}"


def _twice_outlined(paired: dict[str, list[Annotation]]) -> Iterator[LeftFile]:
    """Takes out contours that outline one structure of one image twice."""
    for image, contours in paired.items():
        count = collections.Counter(contour.structure for contour in contours)
        for contour in contours:
            if count[contour.structure] > 1:
                code, loss = "two_contours_for_structure", loss_of(contour, image)
                detail = f"of {image}"
                yield LeftFile(contour.path, CONTOUR, code, detail, image, loss=loss)
        paired[image] = [one for one in contours if count[one.structure] == 1]


def _number_key(name: str) -> str:
    """The name with its numbers written without leading zeros."""
    return re.sub(r"\d+", lambda digits: str(int(digits[0])), name)


def _links(folder: pathlib.Path, layout: Layout) -> dict[str, str]:
    """The images' name of a patient by the contours' name."""
    if layout.link_file is None:
        return {}
    path = folder / layout.link_file
    if not files.exists(path):
        if layout.link_required:
            raise ValueError(
                f"{path} is missing: it links the two names of each patient, with the "
                f"header {','.join(layout.link_columns)}"
            )
        return {}
    return parse_links(files.read_text(path), layout.link_columns, source=str(path))


def parse_links(text: str, columns: tuple[str, str], *, source: str) -> dict[str, str]:
    """Reads a link file.

    Args:
      text: Content of the CSV.
      columns: Names of its columns: the images' patient, the contours' patient.
      source: Its name, for messages.

    Raises:
      ValueError: The header or a line is wrong, or a name is linked twice.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if not set(columns) <= set(reader.fieldnames or ()):
        raise ValueError(
            f"{source}: the header should name {','.join(columns)}; "
            f"got {','.join(reader.fieldnames or ()) or 'nothing'}"
        )
    links: dict[str, str] = {}
    for row in reader:
        image, contour = ((row[column] or "").strip() for column in columns)
        image, contour = _number_key(image), _number_key(contour)
        if not image or not contour or links.get(contour, image) != image:
            raise ValueError(
                f"{source}, line {reader.line_num}: {contour!r} should be linked to "
                f"one patient, got {image!r}"
            )
        links[contour] = image
    return links


def read_contour(path: pathlib.Path) -> np.ndarray:
    """Vertices ``[n, 2]`` (x, y) of a contour file, float64, as written in it.

    Each line is ``x y``; the last point is joined to the first. A last point that
    repeats the first is dropped.

    Raises:
      InputSkipped: The file cannot be read, is empty, or a line is malformed; the
        detail names the line.
    """
    try:
        text = files.read_bytes(path).removeprefix(codecs.BOM_UTF8).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InputSkipped("contour_unreadable", str(error)) from error
    lines = text.rstrip().splitlines()
    if not lines:
        raise InputSkipped("contour_empty")
    points = _points(lines)
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    if len(points) < 3:
        raise InputSkipped("contour_too_short", f"{len(points)} points")
    return points


def _points(lines: Sequence[str]) -> np.ndarray:
    points = np.array([_point(line) for line in lines])
    sound = (np.abs(points) <= _LARGEST_COORDINATE).all(axis=1)  # NaN is not
    if not sound.all():
        number = int(np.argmin(sound))
        line = lines[number]
        shown = line if len(line) < 40 else line[:37] + "..."
        raise InputSkipped("contour_malformed", f"line {number + 1}: {shown!r}")
    return points


def _point(line: str) -> tuple[float, float]:
    """The numbers of a line; NaN where it is not made of two."""
    try:
        x, y = line.split()
        if "_" not in line:  # float() takes 1_0 for 10
            return float(x), float(y)
    except ValueError:
        pass
    return np.nan, np.nan
