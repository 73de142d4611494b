"""Options of a conversion, as flags and as keywords."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence

from tfdicom import options
from tfdicom.classes import parse_classes
from tfdicom.contour_masks import HOLE_RULES
from tfdicom.contour_origin import parse_origin
from tfdicom.deidentify import PUBLIC
from tfdicom.privacy_options import DROP, SHIFT, FactRules, parse_keep
from tfdicom.rasterize import EDGE_RULES
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.sources import contours
from tfdicom.sources.candidates import MASKS, RTSTRUCT, SEG, TEXT
from tfdicom.sources.mask_listing import parse_values
from tfdicom.sources.mask_pairs import PairingRules
from tfdicom.splits import DEFAULT_SALT, parse_split
from tfdicom.tfrecord_file import COMPRESSIONS

#: What to do where several objects annotate one structure on one image.
NEWEST, RATERS, ERROR = "newest", "raters", "error"
#: Which images without an annotation become examples.
NO, NEIGHBOURS, ALL = "no", "neighbours", "all"
#: Where the work is done.
LOCAL, BEAM = "local", "beam"
DEFAULT_SPLIT = "train:0.7,validation:0.15,test:0.15"
CLASSES = "classes"  # what --stratify may name beside a label


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What to convert, how, and where to."""

    input_dir: str = options.option(
        "", "Folder with images and annotations; local, or as s3://BUCKET/FOLDER."
    )
    output_dir: str = options.option(
        "", "Folder for the data set; made if absent. It may be remote, too."
    )
    annotations: str = options.option(
        "auto",
        "Kind of annotation: contour text files, RT structure sets, segmentation "
        "objects (SEG), mask images, none (labels only), or whatever is found.",
        choices=("auto", TEXT, RTSTRUCT, SEG, MASKS, "none"),
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
        "'dicoms/{patient}/{image}.dcm'; with --layout=custom. For mask images as "
        "'images/{stem}.dcm', with --mask_pattern.",
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
    mask_table: str | None = options.option(
        None,
        "CSV that pairs mask images with images: columns image,mask and, if wanted, "
        "patient_id,split,class. Default: by their names, as scan7.dcm and "
        "scan7_mask.png, or images/7.dcm and masks/7.png.",
    )
    mask_pattern: str | None = options.option(
        None,
        "Pattern of the mask images' paths, as 'masks/{stem}_{class}.png'; {stem} is "
        "what --image_pattern has too.",
    )
    mask_values: str | None = options.option(
        None,
        "Names of the values in mask images, as '1=inner,2=outer'. Default: '#1', "
        "'#2', ..., and 'mask' where no mask has two values.",
    )
    structures: str = options.option(
        contours.DEFAULT_STRUCTURES,
        "Names of the structures by their code in the contours' file names.",
    )
    classes: str | None = options.option(
        None,
        "Classes in the order of the mask's planes. A class is a structure "
        "('heart'), all that match a regular expression ('lung=lung_(l|r)'; whole "
        "names, without regard to case), or derived: 'cavity=inner;myo=outer-inner' "
        "(union +, difference -, intersection &; regular expressions between slashes "
        "there). A segment has further names: '#1', 'SCT:10200004'. Default: "
        "'inner;outer' for contour text files; else what was found is listed.",
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
        "(half_covered). auto: half_covered for contour text files; of an RT structure "
        "set inside for an ROI drawn along pixel centres, else center.",
        choices=("auto", *EDGE_RULES),
    )
    hole_rule: str = options.option(
        "nested",
        "How contours of one ROI in one plane combine: nested (a CLOSED_PLANAR inside "
        "another is a hole, one inside that is filled again), standard (PS3.3 "
        "C.8.8.6.3: CLOSED_PLANAR by union, CLOSEDPLANAR_XOR by exclusive or), xor or "
        "union of all.",
        choices=HOLE_RULES,
    )
    fractional_threshold: float | None = options.option(
        None,
        "Part of Maximum Fractional Value from which on a pixel of a FRACTIONAL "
        "segmentation is in, as 0.5; has to be given where there are such.",
        kind=float,
        lower=0.0,
        upper=1.0,
    )
    several_annotations: str = options.option(
        NEWEST,
        "Where two objects annotate one structure on one image: take the newest, keep "
        "all (raters: an example for each), or fail (error).",
        choices=(NEWEST, RATERS, ERROR),
    )
    include_unannotated: str = options.option(
        NO,
        "Images without an annotation that become examples too: none, those next to "
        "an annotated one in space, or all. Readers leave them out unless they ask for "
        "them with unannotated=.",
        choices=(NO, NEIGHBOURS, ALL),
    )
    color: str = options.option(
        "convert",
        "Images in color: convert YBR and palettes to RGB, or refuse every image that "
        "is not grey.",
        choices=("convert", "refuse"),
    )
    max_frame_pixels: int = options.option(
        1 << 26,
        "Rows x columns that a frame may have; larger ones are refused before "
        "anything is allocated.",
        kind=int,
        lower=1,
    )
    labels: str | None = options.option(
        None,
        "CSV of labels and table values, joined by the columns patient_id, study, "
        "series or instance; read with input_fn(labels=...).",
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
        "Instead of --split: so many equal splits by patient (2 or more), named fold0, "
        "fold1, ...; input_fn(split='fold1+fold2') reads some of them.",
        kind=int,
        lower=0,
    )
    split_salt: str = options.option(
        DEFAULT_SALT,
        "Public text that patients are ranked with; another, another draw.",
    )
    splits_from: str | None = options.option(
        None,
        "Splits made before, which patients keep: the dataset.json of an earlier data "
        "set, its folder, or a CSV file with the columns patient_id,split. Others fill "
        "what each split lacks of its fraction, as it was then or as --split says.",
    )
    fixed_splits: str = options.option(
        "",
        "Splits, joined by commas, that take nobody new once they have patients (by "
        "--splits_from, or in the data set that is extended): 'test'.",
    )
    stratify: str | None = options.option(
        None,
        "What every split gets its share of, as far as whole patients allow: 'classes' "
        "(images on which each is annotated or drawn), or 'label:NAME' (patients by "
        "their most frequent value in a column of --labels).",
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
        0,
        "Worker processes; 0: as many as there are processors, at least 2. With 1 all "
        "is done in the process itself, which then is what a crash ends.",
        kind=int,
        lower=0,
    )
    runner: str = options.option(
        LOCAL,
        "Where headers are read and shards written: in --num_workers processes of this "
        "machine, or by Apache Beam as --beam_args say (pip install 'tfdicom[beam]').",
        choices=(LOCAL, BEAM),
    )
    beam_args: str = options.option(
        "",
        "Beam's own arguments, as one text: '--runner=DataflowRunner --project=P "
        "--region=R --temp_location=gs://BUCKET/tmp'. Workers on other machines want "
        "--temp_location in a place that they and this machine reach.",
    )
    beam_timeout: int = options.option(
        600,
        "Seconds without any result after which a Beam run is ended; the same command "
        "then goes on where it stopped.",
        kind=int,
        lower=1,
    )
    header_cache: str | None = options.option(
        None,
        "Folder that keeps the headers that were read, so that a later run need not "
        "read unchanged files again; 'none' keeps none. They name patients: it is for "
        "the user alone. Default: tfdicom in the user's cache folder.",
    )
    on_error: str = options.option(
        "skip",
        "What to do with an input that cannot be used: leave it out and list it, or "
        "fail.",
        choices=("skip", "fail"),
    )
    max_error_rate: float = options.option(
        0.05,
        "Fail when more than this part of the annotations (and more than 10) cannot "
        "be used.",
        kind=float,
        lower=0.0,
        upper=1.0,
    )
    fail_on: str = options.option(
        "",
        "Findings and reason codes that make the conversion fail, joined by commas: "
        "'area_jumps,annotated_again'.",
    )
    id_key_file: str | None = options.option(
        None,
        "File with the key of the pseudonyms; made if absent. Default: tfdicom/id.key "
        "in the user's configuration folder. 'public': a published key, for public "
        "data only.",
    )
    keep_identifiers: bool = options.option(
        False,
        "Store the patient's, study's, series' and instance's own identifiers in each "
        "record, beside the pseudonyms. The data set then names patients.",
        kind=bool,
    )
    keep: str = options.option(
        "",
        "Patient characteristics to store, joined by commas: age_band (five years; 90 "
        "and older are one band), sex, weight (whole kg).",
    )
    dates: str = options.option(
        DROP,
        "Dates of study and acquisition: drop them, or shift them into the past by a "
        "number of days that is each patient's own, so that the time between studies "
        "stays.",
        choices=(DROP, SHIFT),
    )
    allow_pixel_text_risk: bool = options.option(
        False,
        "Also convert images of kinds that often have text in their pixels: secondary "
        "captures, ultrasound, photographs. Look at them first: nothing is removed "
        "from pixels.",
        kind=bool,
    )
    redact_logs: bool = options.option(
        False,
        "Name files and patients by pseudonym in everything that is printed.",
        kind=bool,
    )
    overwrite: bool = options.option(
        False, "Replace a data set that --output_dir already holds.", kind=bool
    )
    withdraw: str | None = options.option(
        None,
        "Take this patient (as the source names them, or the pseudonym) out of the "
        "data set in --output_dir, and do nothing else; needs no source.",
    )
    dry_run: bool = options.option(
        False, "Print what would be done, and write nothing.", kind=bool
    )

    def __post_init__(self) -> None:
        """Checks every value; relations between them too."""
        options.check(self)
        if self.classes is not None:
            parse_classes(self.classes)
        _check_codes(self.fail_on_codes)
        if self.fractional_threshold == 0:
            raise ValueError("fractional_threshold=0: more than 0 is wanted, as 0.5")
        contours.parse_structures(self.structures)
        _check_layout(self)
        self.pairing_rules  # noqa: B018 - reads the patterns, or raises
        self.named_values  # noqa: B018
        _check_origin(self)
        _check_patient_from(self.patient_from)
        if not self.split.endswith(".csv"):
            parse_split(self.split)
        parse_keep(self.keep)
        _check_dates(self)
        self.beam_arguments  # noqa: B018 - splits the text, or raises
        if self.folds and self.split != DEFAULT_SPLIT:
            raise ValueError("give either split or folds, not both")
        if self.folds == 1:
            raise ValueError("folds=1: 2 or more are wanted, or 0 for none")
        _check_stratify(self)

    @property
    def fail_on_codes(self) -> tuple[str, ...]:
        """The codes that make a conversion fail."""
        return tuple(code.strip() for code in self.fail_on.split(",") if code.strip())

    @property
    def fixed_split_names(self) -> tuple[str, ...]:
        """The splits that take nobody new."""
        names = (name.strip() for name in self.fixed_splits.split(","))
        return tuple(dict.fromkeys(filter(None, names)))

    @property
    def beam_arguments(self) -> tuple[str, ...]:
        """What Beam is given."""
        if self.beam_args and self.runner != BEAM:
            raise ValueError(f"beam_args goes with runner={BEAM}")
        try:
            found = shlex.split(self.beam_args)
        except ValueError as error:
            raise ValueError(f"beam_args={self.beam_args!r}: {error}") from None
        if found and not found[0].startswith("--"):
            raise ValueError(
                f"beam_args={self.beam_args!r}: flags are wanted, as "
                "'--runner=DirectRunner'"
            )
        return tuple(found)

    @property
    def pairing_rules(self) -> PairingRules:
        """How mask images find their images."""
        patterns = (self.image_pattern, self.mask_pattern)
        if self.layout == contours.CUSTOM:
            patterns = (None, None)
        return PairingRules(self.mask_table, *patterns)

    @property
    def named_values(self) -> tuple[tuple[int, str], ...] | None:
        """Value and name in mask images; None where names are not given."""
        if not self.mask_values:
            return None
        return tuple(sorted(parse_values(self.mask_values).items()))

    @property
    def fact_rules(self) -> FactRules:
        """What of a patient goes into records."""
        return FactRules(self.dates, parse_keep(self.keep), self.keep_identifiers)

    @property
    def without_masks(self) -> bool:
        """Whether there are to be no classes."""
        return self.annotations == "none"

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


def _check_dates(given: ConvertOptions) -> None:
    if given.dates == SHIFT and given.id_key_file == PUBLIC:
        raise ValueError(
            "dates=shift with id_key_file=public hides nothing: the shift comes from "
            "the key, and that one is published. Use a key of your own, or dates=drop"
        )


def _check_codes(codes: Sequence[str]) -> None:
    for code in codes:
        if code not in FINDINGS and code not in REASONS:
            known = ", ".join(sorted({*FINDINGS, *REASONS}))
            raise ValueError(f"fail_on: unknown code {code!r}; known are {known}")


def _check_layout(given: ConvertOptions) -> None:
    parts = (given.image_pattern, given.contour_pattern)
    if given.layout == contours.CUSTOM:
        if given.mask_pattern:
            raise ValueError("mask_pattern does not go with layout=custom")
        if not all(parts):
            raise ValueError(
                "layout=custom wants both image_pattern and contour_pattern"
            )
        given.layouts  # noqa: B018 - compiles the patterns, or raises
    elif given.contour_pattern or given.link_file:
        raise ValueError("contour_pattern and link_file go with layout=custom")
    elif given.image_pattern and not given.mask_pattern:
        raise ValueError("image_pattern goes with layout=custom or with mask_pattern")


def _check_origin(given: ConvertOptions) -> None:
    if given.contour_origin is not None:
        parse_origin(given.contour_origin)
    elif given.layout == contours.CUSTOM:
        raise ValueError(
            "contour_origin: of a custom layout none is known; give center0, corner0, "
            "center1, auto or a shift as DX,DY"
        )


def stratify_label(text: str) -> str | None:
    """The label that ``stratify`` names; None for the classes.

    Raises:
      ValueError: It names neither.
    """
    kind, _, name = text.partition(":")
    if text == CLASSES or (kind == "label" and name.strip()):
        return name.strip() or None
    raise ValueError(f"stratify={text!r}: choose {CLASSES} or label:NAME")


def _check_stratify(given: ConvertOptions) -> None:
    if given.stratify is None:
        return
    if stratify_label(given.stratify) is not None and not given.labels:
        raise ValueError(f"stratify={given.stratify!r} wants labels, a CSV of them")
    if given.stratify == CLASSES and given.without_masks:
        raise ValueError("stratify=classes: with annotations=none there are no classes")


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
