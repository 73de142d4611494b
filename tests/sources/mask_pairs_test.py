import re
import sys

import pytest

from tfdicom.sources.mask_pairs import PairingRules, find_pairs

USUAL = PairingRules()


def found(paths, rules=USUAL, folder="."):
    listing = find_pairs(folder, paths, rules)
    names = [pair.mask for pair in listing.pairs]
    names += [*listing.images, *(one.path for one in listing.left)]
    assert sorted(names) == sorted(paths)  # every file once
    return listing


def pairs(listing):
    return {one.mask: one.images for one in listing.pairs}


def left(listing):
    return {one.path: one.reason for one in listing.left}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("7.dcm", "7.png"),
        ("7.dcm", "7_mask.png"),
        ("p/7.dcm", "p/7-SEG.tif"),
        ("p/7.dcm", "p/7_label.npy"),
        ("p/7.dcm", "p/7.labels.tiff"),
        ("p/7.dcm", "p/7.dcm.png"),
        ("p/7.IMA", "p/7_gt.PNG"),
        ("p/7", "p/7.png"),
        ("p/1.2.840.7", "p/1.2.840.7.png"),
        ("p/1.2.840.7", "p/1.2.840.7_mask.npy"),
        ("images/7.dcm", "masks/7.png"),
        ("images/p/7.dcm", "Labels/p/7_mask.png"),
        ("p/dicom/7.dcm", "p/seg/7.tif"),
        ("p/7.dcm", "p/masks/7.npy"),
        ("p/7_label.dcm", "p/7_label.png"),
        ("p/7.dcm", "p/7_mask.dcm"),
        ("p/images/7.dcm", "p/masks/7.dcm"),
        ("p/images/7", "p/masks/7"),
    ],
)
def test_usual_names(image, mask):
    assert pairs(found([image, mask])) == {mask: (image,)}


@pytest.mark.parametrize(
    ("paths", "reasons"),
    [
        (["p/7.dcm", "q/7.png"], {"q/7.png": "mask_without_image"}),
        (["p/7.dcm", "p/07.png"], {"p/07.png": "mask_without_image"}),
        (["p/7.dcm", "p/7_liver.png"], {"p/7_liver.png": "mask_without_image"}),
        (["p/7.dcm", "p/7.ima", "p/7.png"], {"p/7.png": "two_images_for_mask"}),
        (["7.dcm", "images/7.dcm", "7.png"], {"7.png": "two_images_for_mask"}),
        (
            ["7.dcm", "7.png", "7_mask.tif"],
            {"7.png": "two_masks_for_image", "7_mask.tif": "two_masks_for_image"},
        ),
        (["7.dcm", "7.jpg"], {"7.jpg": "mask_lossy"}),
        (["7.dcm", "7.bmp"], {"7.bmp": "mask_unsupported"}),
        (["7.dcm", "note.txt", ".7.png"[1:]], {}),
    ],
)
def test_nothing_is_guessed(paths, reasons):
    assert left(found(paths)) == reasons


def test_a_dicom_file_without_counterpart_is_no_mask():
    listing = found(["p/7.dcm", "p/8_seg.dcm", "seg/9.dcm"])
    assert listing.images == ("p/7.dcm", "p/8_seg.dcm", "seg/9.dcm")


def test_hidden_files_are_passed_over():
    assert pairs(find_pairs(".", ["7.dcm", "7.png", "._7.png"], USUAL)) == {
        "7.png": ("7.dcm",)
    }


def test_volumes_are_placed_by_geometry():
    listing = found(["p/1.dcm", "p/2.dcm", "p/organ.nii.gz", "q/1.nii"])
    assert pairs(listing) == {"p/organ.nii.gz": (), "q/1.nii": ()}


def test_patterns():
    rules = PairingRules(None, "scans/{stem}.dcm", "drawn/*/{stem}_{class}.png")
    paths = [
        "scans/p/1_a.dcm",
        "scans/p/2.dcm",
        "drawn/x/p/1_a_liver.png",
        "drawn/x/p/1_a_spleen.png",
        "drawn/x/p/2_liver.png",
        "drawn/y/p/2_liver.png",
        "drawn/x/p/3_liver.png",
        "p/7.png",
    ]
    listing = found(paths, rules)
    assert {(one.mask, one.images, one.class_name) for one in listing.pairs} == {
        ("drawn/x/p/1_a_liver.png", ("scans/p/1_a.dcm",), "liver"),
        ("drawn/x/p/1_a_spleen.png", ("scans/p/1_a.dcm",), "spleen"),
    }
    assert left(listing) == {
        "drawn/x/p/2_liver.png": "two_masks_for_image",
        "drawn/y/p/2_liver.png": "two_masks_for_image",
        "drawn/x/p/3_liver.png": "mask_without_image",
    }


def test_a_pattern_gives_volumes_a_series_and_a_class():
    rules = PairingRules(None, "{stem}/ct/*.dcm", "{stem}/organs/{class}.nii.gz")
    paths = ["a/ct/1.dcm", "a/ct/2.dcm", "a/organs/liver.nii.gz", "b/organs/x.nii.gz"]
    listing = found(paths, rules)
    (pair,) = listing.pairs
    assert (pair.images, pair.class_name) == (("a/ct/1.dcm", "a/ct/2.dcm"), "liver")
    assert left(listing) == {"b/organs/x.nii.gz": "mask_without_image"}


def test_a_table(tmp_path):
    (tmp_path / "t.csv").write_text("image,mask\n7.dcm,odd.png\n")
    rules = PairingRules(str(tmp_path / "t.csv"))
    listing = find_pairs(tmp_path, ["7.dcm", "odd.png", "t.csv"], rules)
    assert pairs(listing) == {"odd.png": ("7.dcm",)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("t.csv", "{stem}", "{stem}.png"), "mask_table='t.csv' and mask_pattern"),
        ((None, "{stem}.dcm", None), "both are wanted, or none"),
        ((None, None, "{stem}.png"), "both are wanted, or none"),
        ((None, "*.dcm", "{stem}.png"), r"image_pattern='\*.dcm': {stem} is wanted"),
        ((None, "{stem}.dcm", "*.png"), r"mask_pattern='\*.png': {stem} is wanted"),
        ((None, "{stem}_{class}", "{stem}.png"), "image_pattern=.* allowed are {stem}"),
        ((None, "{stem}", "{stem}_{organ}.png"), "allowed are {stem} and {class}"),
        ((None, "{stem}", "{stem}/{stem}.png"), "each once"),
        ((None, "{stem", "{stem}.png"), "{stem} is wanted"),
    ],
)
def test_rules_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.compile(message)):
        PairingRules(*arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
