"""Why an input was not converted: one table of codes, sentences and hints.

Sentences hold no path, name or identifier, so that they may stand in the ledger; what
is shown on the terminal adds the file.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Reason:
    """A reason code.

    Attributes:
      sentence: What was wrong.
      hint: What the user can do; empty where nothing has to be done.
      fault: False where the input was left out by a policy, with nothing wrong.
    """

    sentence: str
    hint: str = ""
    fault: bool = True


REASONS = {
    "no_annotation": Reason(
        "No contour names this image.", "Nothing to do.", fault=False
    ),
    "structure_not_used": Reason(
        "No class uses this structure.",
        "Name it in --classes to convert it.",
        fault=False,
    ),
    "stray_file": Reason(
        "The file matches no pattern of the layout.",
        "Nothing to do, or name the pattern with --contour_pattern.",
        fault=False,
    ),
    "patient_not_in_split": Reason(
        "The split names patients, and this one is not among them.",
        "Add the patient to --split.",
        fault=False,
    ),
    "patient_not_linked": Reason(
        "No image is of the patient that the contour's path names.",
        "Add the patient to the link file, or look for the images.",
    ),
    "contour_without_image": Reason(
        "No image has the number that the contour's file name gives.",
        "Look for the image, or for a wrong patient in the link file.",
    ),
    "two_images_for_contour": Reason(
        "Two images have the number that the contour's file name gives.",
        "Leave one of the two in the input folder.",
    ),
    "two_contours_for_structure": Reason(
        "Two contour files outline the same structure of the same image.",
        "Leave one of the two, or choose by --contour_pattern.",
    ),
    "contour_empty": Reason("The contour file holds no points.", "Draw it again."),
    "contour_malformed": Reason(
        "A line of the contour file is not two numbers of at most a million.",
        "Mend the line.",
    ),
    "contour_too_short": Reason(
        "A contour of fewer than three points encloses nothing.", "Draw it again."
    ),
    "contour_outside_image": Reason(
        "The contour takes no pixel: it lies outside the image, or is too thin.",
        "Check --contour_origin, and that image and contour belong together.",
    ),
    "contour_too_intricate": Reason(
        "The contour crosses itself too often to have an area that means something.",
        "Draw it again; see whether its points are in their order.",
    ),
    "contour_unreadable": Reason(
        "The contour file cannot be read as text.",
        "It should be ASCII text with x and y on each line; export it again.",
    ),
    "image_unusable": Reason(
        "The image that the contour belongs to was not converted.",
        "See the image's own line.",
    ),
    "no_usable_contour": Reason(
        "None of the contours of this image could be used.",
        "See the contours' own lines.",
    ),
    "class_incomplete": Reason(
        "Contours exist, but no class has all the structures that it needs.",
        "Add the missing contours, or a class that does without them.",
        fault=False,
    ),
    "file_unreadable": Reason(
        "The file is there and cannot be opened.",
        "Look for a broken link, or for missing rights.",
    ),
    "not_dicom": Reason(
        "The file is not DICOM, or its header cannot be read.",
        "Export it again; 'dcmdump' of DCMTK shows where it breaks.",
    ),
    "header_invalid": Reason(
        "A value of the header cannot be read.",
        "Mend the element, or export the image again.",
    ),
    "no_pixel_data": Reason(
        "The DICOM object holds no pixels.",
        "If it should be an image, export it again; else take the object out of the "
        "input folder.",
    ),
    "pixels_unreadable": Reason(
        "The pixel data cannot be decoded: truncated, damaged or of an unknown kind.",
        "Export the image again, uncompressed if possible.",
    ),
    "pixels_unsupported": Reason(
        "The pixel data is of a kind that records do not hold.",
        "Frames of one or three samples, up to 32 bits, one frame a file are read.",
    ),
    "no_instance": Reason(
        "The image has no SOP Instance UID (0008,0018).", "Export it again."
    ),
    "duplicate_instance": Reason(
        "Another file has the same SOP Instance UID (0008,0018).",
        "Leave one of the two in the input folder.",
    ),
    "burned_in": Reason(
        "Burned In Annotation (0028,0301) is YES: names may stand in the pixels.",
        "Remove the text from the pixels first.",
    ),
}


class InputSkipped(Exception):  # noqa: N818 - a decision about an input, not a defect
    """This input is skipped, for this reason code.

    Attributes:
      code: A key of ``REASONS``.
      detail: What exactly was found; shown on the terminal, never written to a file.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        """Refuses a code that is not in the table."""
        super().__init__(code, detail)
        self.code, self.detail = code, detail
        if code not in REASONS:
            raise KeyError(f"no reason code {code!r}")

    def __str__(self) -> str:
        """The sentence, and the detail if there is one."""
        sentence = REASONS[self.code].sentence
        return f"{sentence} ({self.detail})" if self.detail else sentence


#: What was odd about an input that was converted all the same.
FINDINGS = {
    "contour_leaves_image": "The contour leaves the image; what is outside is cut off.",
    "contour_crosses_itself": "The contour crosses itself; it is filled even-odd.",
    "geometry_invalid": "Orientation or spacing make no sense; stored as absent.",
}
