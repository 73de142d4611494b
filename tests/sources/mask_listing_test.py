import sys

import pytest

from tfdicom.sources.candidates import MASK, LeftFile
from tfdicom.sources.mask_listing import MaskPair, is_mask_format, listing_of

PATHS = ("b.dcm", "a.dcm", "note.txt", "m.png", "n.jpeg", "o.gif", "p.npy")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/m.PNG", True),
        ("m.tiff", True),
        ("m.nii.gz", True),
        ("m.nii", True),
        ("m.jpg", True),
        ("m.npz", True),
        ("m.dcm", False),
        ("m", False),
        ("png", False),
        ("m.gz", False),
    ],
)
def test_formats_that_can_be_no_image(path, expected):
    assert is_mask_format(path) is expected


def test_every_file_is_listed_once():
    pairs = [MaskPair(path, ("a.dcm",)) for path in PATHS[3:]]
    listing = listing_of(PATHS, pairs, [LeftFile("p.npy", MASK, "mask_without_image")])
    assert [pair.mask for pair in listing.pairs] == ["m.png"]
    assert listing.images == ("a.dcm", "b.dcm", "note.txt")
    assert [(one.path, one.reason) for one in listing.left] == [
        ("n.jpeg", "mask_lossy"),
        ("o.gif", "mask_unsupported"),
        ("p.npy", "mask_without_image"),
    ]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
