"""What is exported from a data set, and as what."""

from __future__ import annotations

import dataclasses

from tfdicom import options


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What is exported as what."""

    format: str = options.option(
        "png",
        "What export writes: a picture for each image and mask, or volumes.",
        choices=("png", "nifti"),
    )
    image_values: str = options.option(
        "window",
        "Values of exported PNG images: 8 bits in the image's window, or the stored "
        "values in 8 or 16 bits, signed ones moved up by half of their range.",
        choices=("window", "stored"),
    )
    mask_form: str = options.option(
        "planes",
        "Exported masks: a file for each class, or one whose values are the classes, "
        "which may not overlap.",
        choices=("planes", "label_map"),
    )

    def __post_init__(self) -> None:
        """Checks the values."""
        options.check(self)
        if self.format == "nifti" and self.image_values == "stored":
            raise ValueError(
                "image_values='stored': only with format='png'; NIfTI always has the "
                "stored values, with their slope and intercept"
            )
