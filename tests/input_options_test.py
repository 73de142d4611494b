import dataclasses
import sys

import pytest
from absl import flags

from tfdicom import input_options
from tfdicom.augment.presets import AugmentOptions
from tfdicom.input_options import InputOptions


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("classes", "", "classes='': name each class once"),
        ("classes", "inner;inner", "name each class once"),
        ("classes", [1, 2], r"classes=\[1, 2\]: names are wanted"),
        ("batch_size", 0, "batch_size=0: allowed is 1 or more"),
        ("batch_size", 2.0, "batch_size=2.0: a int is expected"),
        ("training", "yes", "training='yes': True or False"),
        ("seed", -1, "seed=-1: allowed is 0"),
        ("seed", 2**63, "seed=9223372036854775808"),
        ("num_epochs", -1, "num_epochs=-1: allowed is 0 or more"),
        ("normalize", "zscore", "normalize='zscore': choose auto, zscore_series"),
        ("augment", "strong", "no preset 'strong'"),
        ("image_size", "big", "image_size='big': '128' or '128,160'"),
        ("image_size", (1, 2, 3), "image_size="),
        ("image_size", "0", "image_size='0'"),
        ("image_size", 12.5, "image_size=12.5"),
        ("image_fill", "white", "image_fill='white': minimum or a number"),
        ("image_fill", float("nan"), "image_fill=nan"),
        ("unannotated", "keep", "choose one of drop, weight, ignore"),
        ("with_info", 1, "with_info=1: True or False"),
        ("shuffle_memory_mb", 0, "shuffle_memory_mb=0: allowed is 1"),
    ],
)
def test_refuses(field, value, message):
    with pytest.raises(ValueError, match=message):
        InputOptions(**{field: value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("inner", ("inner",)),
        ("outer; inner", ("outer", "inner")),
        ("outer,inner", ("outer", "inner")),
        (["outer"], ("outer",)),
    ],
)
def test_reads_classes(value, expected):
    assert InputOptions(classes=value).class_names == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("128", (128, 128)),
        ("128, 160", (128, 160)),
        (96, (96, 96)),
        ((96, 64), (96, 64)),
    ],
)
def test_reads_image_size(value, expected):
    assert InputOptions(image_size=value).size == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("minimum", None), ("-1.5", -1.5), (0, 0.0)]
)
def test_reads_image_fill(value, expected):
    assert InputOptions(image_fill=value).fill == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1), (3, 3), (0, None), (None, None)]
)
def test_reads_num_epochs(value, expected):
    assert InputOptions(num_epochs=value).epochs == expected


def test_takes_whole_augment_options():
    wanted = AugmentOptions(rotation=5)
    assert InputOptions(augment=wanted).augmentation == wanted


def test_is_frozen_and_by_keyword():
    with pytest.raises(dataclasses.FrozenInstanceError):
        InputOptions().seed = 1
    with pytest.raises(TypeError):
        InputOptions("inner")


def _flags(*arguments: str) -> flags.FlagValues:
    values = flags.FlagValues()
    input_options.define_input_flags(values)
    values(["program", *arguments])
    return values


def test_flags_have_the_defaults_of_the_options():
    assert input_options.input_options_from_flags(_flags()) == InputOptions()


def test_flags_become_options_and_overrides_win():
    values = _flags(
        "--classes=inner",
        "--batch_size=16",
        "--num_epochs=0",
        "--augment=light,flip_left_right=0.5",
        "--image_size=128,160",
        "--image_fill=0",
        "--notraining",
        "--unannotated=ignore",
        "--nojit_compile",
    )
    found = input_options.input_options_from_flags(values, batch_size=4)
    assert found == InputOptions(
        classes="inner",
        batch_size=4,
        num_epochs=0,
        augment="light,flip_left_right=0.5",
        image_size="128,160",
        image_fill="0",
        training=False,
        unannotated="ignore",
        jit_compile=False,
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
