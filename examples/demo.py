"""From the sample's DICOM files to augmented batches, and a picture to look at.

  bash tools/demo.sh

Converts examples/sample, prints the summary, saves a contact sheet of images with
their masks, and reads a few augmented batches back. Everything goes to --output_dir.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import app, flags

import tfdicom
from tfdicom.contact_sheet import contact_sheet
from tfdicom.conversion import conversion_summary
from tfdicom.dataset_reading import read_examples

_REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "demo_output", "Folder for it all.")
_EPOCHS = flags.DEFINE_integer("epochs", 2, "Epochs to read back.", lower_bound=1)


def convert(data_dir: pathlib.Path) -> None:
    """Converts the sample and prints the summary."""
    options = tfdicom.ConvertOptions(
        input_dir=str(_REPOSITORY / "examples" / "sample"),
        output_dir=str(data_dir),
        split="train",
        id_key_file="public",
        overwrite=True,
    )
    print(conversion_summary(tfdicom.convert(options=options), options))


def read_back(data_dir: pathlib.Path) -> None:
    """Reads augmented batches and prints what is in them."""
    dataset = tfdicom.input_fn(data_dir, "train", augment="standard", image_size=128)
    for epoch in range(_EPOCHS.value):
        for number, (image, mask) in enumerate(dataset.as_numpy_iterator()):
            pixels = np.sum(mask, axis=(0, 1, 2))
            print(
                f"epoch {epoch}, batch {number}: image {image.shape} {image.dtype}, "
                f"mean {image.mean():+.2f}; mask {mask.shape} {mask.dtype}, "
                f"pixels of inner and outer {pixels[0]} and {pixels[1]}"
            )


def main(arguments: Sequence[str]) -> None:
    """Converts, draws and reads."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected argument {arguments[1]!r}")
    output = pathlib.Path(_OUTPUT_DIR.value)
    convert(output / "dataset")
    sheet = output / "contact_sheet.png"
    contact_sheet(list(read_examples(output / "dataset"))).save(sheet)
    print(f"\nThe masks over the images: {sheet}\n")
    read_back(output / "dataset")


if __name__ == "__main__":
    app.run(main)
