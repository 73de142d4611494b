import sys

import pytest
from absl import flags

from tfdicom import options
from tfdicom.convert_options import ConvertOptions
from tfdicom.reasons import FINDINGS, REASONS

CUSTOM = {
    "layout": "custom",
    "image_pattern": "{patient}/{image}.dcm",
    "contour_pattern": "{patient}/{image}_{structure}.txt",
    "contour_origin": "center0",
}


def from_command_line(*arguments):
    values = flags.FlagValues()
    options.define_flags(ConvertOptions, module_name="m", flag_values=values)
    values(["command", *arguments])
    return options.from_flags(ConvertOptions, flag_values=values)


def test_defaults_are_allowed_and_the_same_as_the_flags():
    assert from_command_line() == ConvertOptions()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"annotations": "magic"}, "annotations='magic': choose one of auto, contours"),
        ({"layout": "mine"}, "choose one of auto, sunnybrook, sunnybrook_original, cu"),
        ({"layout": "custom"}, "layout=custom wants both"),
        ({**CUSTOM, "contour_pattern": None}, "layout=custom wants both"),
        ({"image_pattern": "{image}"}, "goes with layout=custom or with mask_pattern"),
        ({"contour_pattern": "{image}"}, "go with layout=custom"),
        ({**CUSTOM, "mask_pattern": "{stem}.png"}, "does not go with layout=custom"),
        ({"mask_values": "1"}, "mask_values"),
        ({"link_file": "a.csv"}, "go with layout=custom"),
        ({**CUSTOM, "image_pattern": "{image}.dcm"}, "lacks {patient}"),
        ({**CUSTOM, "contour_origin": None}, "of a custom layout none is known"),
        ({"structures": "i"}, "structures='i'"),
        ({"classes": ""}, "classes=''"),
        ({"classes": "a;a"}, "different names"),
        ({"classes": "a=b+"}, "class expression 'b[+]'"),
        ({"classes": "a=[b"}, r"the regular expression /\[b/ cannot be read"),
        ({"contour_origin": "centre"}, "allowed are center0, corner0, center1, auto"),
        ({"edge_rule": "outside"}, "choose one of auto, center, inside, half_covered"),
        ({"hole_rule": "odd"}, "choose one of nested, standard, xor, union"),
        ({"fractional_threshold": 1.5}, "allowed is 0.0 to 1.0"),
        ({"fractional_threshold": 0.0}, "more than 0 is wanted, as 0.5"),
        ({"several_annotations": "oldest"}, "choose one of newest, raters, error"),
        ({"include_unannotated": "yes"}, "choose one of no, neighbours, all"),
        ({"fail_on": "magic"}, "fail_on: unknown code 'magic'; known are annotated_"),
        ({"fail_on": "not_dicom,,magic"}, "fail_on: unknown code 'magic'"),
        ({"covered_fraction": "yes"}, "True or False is expected"),
        ({"split": "train:0.5,test:0.1"}, "sum to 1, got 0.6"),
        ({"split": ""}, "split=''"),
        ({"folds": -1}, "folds=-1: allowed is 0 or more"),
        ({"folds": 3, "split": "train"}, "give either split or folds, not both"),
        ({"folds": 1}, "folds=1: 2 or more are wanted"),
        ({"stratify": "age"}, "stratify='age': choose classes or label:NAME"),
        ({"stratify": ""}, "stratify='': choose classes or label:NAME"),
        ({"stratify": "label: ", "labels": "a.csv"}, "choose classes or label:NAME"),
        ({"stratify": "label:age"}, "stratify='label:age' wants labels, a CSV"),
        ({"stratify": "classes", "annotations": "none"}, "there are no classes"),
        ({"patient_from": "name"}, "choose tag, study, folder:REGEX or csv:FILE"),
        ({"patient_from": "folder:"}, "patient_from='folder:'"),
        ({"patient_from": "csv"}, "patient_from='csv'"),
        ({"patient_from": "tag:x"}, "patient_from='tag:x'"),
        ({"patient_from": "folder:(a"}, r"patient_from=.folder:\(a"),
        ({"num_shards": 1.5}, "an int is expected|a int is expected"),
        ({"runner": "spark"}, "runner='spark': choose one of local, beam"),
        ({"beam_args": "--runner=DirectRunner"}, "beam_args goes with runner=beam"),
        ({"runner": "beam", "beam_args": "--a='b"}, "beam_args=.*No closing quotation"),
        ({"runner": "beam", "beam_args": "DirectRunner"}, "flags are wanted, as"),
        ({"beam_timeout": 0}, "beam_timeout=0: allowed is 1 or more"),
        ({"shard_size_mb": 0}, "allowed is 1 or more"),
        ({"compression": "lzma"}, "choose one of none, zlib, gzip"),
        ({"num_workers": -1}, "allowed is 0 or more"),
        ({"on_error": "panic"}, "choose one of skip, fail"),
        ({"max_error_rate": 1.5}, "allowed is 0.0 to 1.0"),
        ({"max_error_rate": float("nan")}, "allowed is 0.0 to 1.0"),
    ],
)
def test_values_that_are_not_allowed(given, words):
    with pytest.raises(ValueError, match=words):
        ConvertOptions(**given)


def test_text_of_flags_becomes_values():
    given = from_command_line(
        "--classes=cavity=inner;myo=outer-inner",
        "--folds=5",
        "--covered_fraction",
        "--max_error_rate=0.2",
        "--layout=sunnybrook",
        "--fractional_threshold=0.5",
        "--fail_on=not_dicom, annotated_again,",
    )
    assert given.classes == "cavity=inner;myo=outer-inner"
    assert (given.folds, given.covered_fraction) == (5, True)
    assert (given.max_error_rate, given.fractional_threshold) == (0.2, 0.5)
    assert given.fail_on_codes == ("not_dicom", "annotated_again")
    assert [layout.name for layout in given.layouts] == ["sunnybrook"]


@pytest.mark.parametrize("code", [*REASONS, *FINDINGS])
def test_every_code_may_make_a_conversion_fail(code):
    assert ConvertOptions(fail_on=code).fail_on_codes == (code,)


@pytest.mark.parametrize(
    ("annotations", "without"), [("none", True), ("auto", False), ("contours", False)]
)
def test_annotations_none_means_no_masks(annotations, without):
    assert ConvertOptions(annotations=annotations).without_masks == without


def test_layouts():
    assert [one.name for one in ConvertOptions().layouts] == [
        "sunnybrook",
        "sunnybrook_original",
    ]
    (custom,) = ConvertOptions(**CUSTOM, link_file="names.csv").layouts
    assert custom.image_pattern == CUSTOM["image_pattern"]
    assert (custom.link_file, custom.origin) == ("names.csv", None)


@pytest.mark.parametrize("split", ["train:A+B,test:C", "train", "patients.csv"])
def test_splits_that_only_the_data_can_refuse(split):
    assert ConvertOptions(split=split).split == split


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
