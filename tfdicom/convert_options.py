"""Options of a conversion, as flags and as keywords."""

from __future__ import annotations

import dataclasses
import re

from tfdicom import options
from tfdicom.classes import SegmentationClass, parse_classes
from tfdicom.contour_origin import parse_origin
from tfdicom.rasterize import EDGE_RULES
from tfdicom.sources import contours
from tfdicom.splits import DEFAULT_SALT, parse_split
from tfdicom.tfrecord_file import COMPRESSIONS

DEFAULT_SPLIT = "train:0.7,validation:0.15,test:0.15"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What to convert, how, and where to."""

    input_dir: str = options.option("", "Folder with images and annotations.")
    output_dir: str = options.option("", "Folder for the data set; made if absent.")
    annotations: str = options.option(
        "auto",
        "Kind of annotation: contour text files, or whatever is found.",
        choices=("auto", "contours"),
    )
    layout: str = options.option(
        "auto",
        "Where images and contours lie: a known release of the Sunnybrook data, "
        "'custom' for the patterns below, or the first that fits.",
        choices=contours.LAYOUT_NAMES,
    )
    image_pattern: str | None = options.option(
        None,
        "Pattern of the images' paths below --input_dir, as "
        "'dicoms/{patient}/{image}.dcm'; with --layout=custom.",
    )
    contour_pattern: str | None = options.option(
        None,
        "Pattern of the contours' paths, as "
        "'contours/{patient}/IM-*-{image}-{structure}contour-manual.txt'.",
    )
    link_file: str | None = options.option(
        None,
        "CSV below --input_dir with the columns patient_id,original_id that links the "
        "images' name of a patient to the contours'; with --layout=custom.",
    )
    structures: str = options.option(
        contours.DEFAULT_STRUCTURES,
        "Names of the structures by their code in the contours' file names.",
    )
    classes: str = options.option(
        "inner;outer",
        "Classes in the order of the mask's planes. A class is a structure, or "
        "derived: 'cavity=inner;myo=outer-inner' (union +, difference -, "
        "intersection &).",
    )
    contour_origin: str | None = options.option(
        None,
        "Where the contours' coordinates begin: center0 (0,0 is the centre of the "
        "first pixel), corner0 (its corner), center1 (1,1 is its centre), DX,DY (a "
        "shift to add), or auto (fitted to the image edges). Default: what is known of "
        "the layout; a custom layout has to say.",
    )
    edge_rule: str = options.option(
        "auto",
        "Which pixels a contour takes: those whose centre is inside (center), also "
        "those whose centre is on the path (inside), or those covered by half or more "
        "(half_covered). auto: half_covered for contour text files.",
        choices=("auto", *EDGE_RULES),
    )
    covered_fraction: bool = options.option(
        False,
        "Also store which fraction of each pixel a class covers (a soft mask).",
        kind=bool,
    )
    split: str = options.option(
        DEFAULT_SPLIT,
        "Splits by patient: fractions, patients by name ('train:A+B,test:C'; a single "
        "one that is a number as '101+'), or a CSV file with the columns "
        "patient_id,split.",
    )
    folds: int = options.option(
        0,
        "Instead of --split: so many equal splits by patient, named fold0, fold1, ...; "
        "input_fn(split='fold1+fold2') reads some of them.",
        kind=int,
        lower=0,
    )
    split_salt: str = options.option(
        DEFAULT_SALT,
        "Public text that patients are ranked with; another, another draw.",
    )
    patient_from: str = options.option(
        "tag",
        "What names the patient: tag (Patient ID), study (Study Instance UID), "
        "folder:REGEX (first group found in the image's relative path), or csv:FILE "
        "(columns path,patient_id; the longest path that an image's begins with).",
    )
    num_shards: int = options.option(
        0, "Shards of each split; 0: from --shard_size_mb.", kind=int, lower=0
    )
    shard_size_mb: int = options.option(
        128, "Size aimed at for a shard, MB.", kind=int, lower=1
    )
    compression: str = options.option(
        "none",
        "Compression of the shards. Masks are packed already; images shrink by a third "
        "to a half and read slower.",
        choices=COMPRESSIONS,
    )
    num_workers: int = options.option(
        0, "Processes; 0: as many as there are processors.", kind=int, lower=0
    )
    on_error: str = options.option(
        "skip",
        "What to do with an input that cannot be used: leave it out and list it, or "
        "fail.",
        choices=("skip", "fail"),
    )
    max_error_rate: float = options.option(
        0.05,
        "Fail when more than this part of the contours (and more than 10) cannot be "
        "used.",
        kind=float,
        lower=0.0,
        upper=1.0,
    )
    id_key_file: str | None = options.option(
        None,
        "File with the key of the pseudonyms; made if absent. Default: tfdicom/id.key "
        "in the user's configuration folder. 'public': a published key, for public "
        "data only.",
    )
    overwrite: bool = options.option(
        False, "Replace a data set that --output_dir already holds.", kind=bool
    )
    dry_run: bool = options.option(
        False, "Print what would be done, and write nothing.", kind=bool
    )

    def __post_init__(self) -> None:
        """Checks every value; relations between them too."""
        options.check(self)
        parse_classes(self.classes)
        contours.parse_structures(self.structures)
        _check_layout(self)
        _check_origin(self)
        _check_patient_from(self.patient_from)
        if not self.split.endswith(".csv"):
            parse_split(self.split)
        if self.folds and self.split != DEFAULT_SPLIT:
            raise ValueError("give either split or folds, not both")

    @property
    def parsed_classes(self) -> tuple[SegmentationClass, ...]:
        """The classes, in the order of the mask's planes."""
        return parse_classes(self.classes)

    @property
    def layouts(self) -> tuple[contours.Layout, ...]:
        """The layouts to try."""
        if self.layout == contours.CUSTOM:
            patterns = (self.image_pattern or "", self.contour_pattern or "")
            return (contours.custom_layout(*patterns, self.link_file),)
        return tuple(
            layout
            for layout in contours.LAYOUTS
            if self.layout == "auto" or layout.name == self.layout
        )


def _check_layout(given: ConvertOptions) -> None:
    parts = (given.image_pattern, given.contour_pattern)
    if given.layout == contours.CUSTOM:
        if not all(parts):
            raise ValueError(
                "layout=custom wants both image_pattern and contour_pattern"
            )
        given.layouts  # noqa: B018 - compiles the patterns, or raises
    elif any(parts) or given.link_file:
        raise ValueError(
            "image_pattern, contour_pattern and link_file go with layout=custom"
        )


def _check_origin(given: ConvertOptions) -> None:
    if given.contour_origin is not None:
        parse_origin(given.contour_origin)
    elif given.layout == contours.CUSTOM:
        raise ValueError(
            "contour_origin: of a custom layout none is known; give center0, corner0, "
            "center1, auto or a shift as DX,DY"
        )


def _check_patient_from(text: str) -> None:
    kind, _, value = text.partition(":")
    if kind == "folder":
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"patient_from={text!r}: {error}") from None
    if text in ("tag", "study") or (kind in ("folder", "csv") and value):
        return
    raise ValueError(
        f"patient_from={text!r}: choose tag, study, folder:REGEX or csv:FILE"
    )
