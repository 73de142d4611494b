import dataclasses
import subprocess
import sys

import pytest

from tfdicom.augment import presets
from tfdicom.augment.presets import AugmentOptions, parse_augment


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, AugmentOptions()),
        ("none", AugmentOptions()),
        ("", AugmentOptions()),
        ("standard", presets.PRESETS["standard"]),
        ("rotation=15,shift=0.1", AugmentOptions(rotation=15, shift=0.1)),
        (" rotation = 15 ", AugmentOptions(rotation=15)),
        (
            "light,flip_left_right=0.5",
            dataclasses.replace(presets.PRESETS["light"], flip_left_right=0.5),
        ),
        (AugmentOptions(scale=0.3), AugmentOptions(scale=0.3)),
    ],
)
def test_parses(value, expected):
    assert parse_augment(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("strong", r"no preset 'strong'; known are none, light, standard"),
        ("rotation=1,light", "no change 'light'; known are rotation"),
        ("rotate=15", "no change 'rotate'; known are rotation, scale"),
        ("rotation=much", "'much' is no number"),
        ("rotation=200", "rotation=200.0: allowed is 0 to 180"),
        ("shift=1.5", "shift=1.5: allowed is 0 to 1"),
        ("brightness=-1", "brightness=-1.0: allowed is 0 or more"),
        ("scale=nan", "scale=nan"),
        ("contrast=inf", "contrast=inf"),
        ("flip_up_down=2", "flip_up_down=2.0: allowed is 0 to 1"),
        (3, "augment=3: text, AugmentOptions or None"),
    ],
)
def test_refuses(value, message):
    with pytest.raises(ValueError, match=message):
        parse_augment(value)


def test_options_take_numbers_by_keyword_only():
    with pytest.raises(TypeError):
        AugmentOptions(15)
    with pytest.raises(ValueError, match="rotation='15': a number"):
        AugmentOptions(rotation="15")


def test_presets_never_flip():
    for options in presets.PRESETS.values():
        assert options.flip_left_right == options.flip_up_down == 0


@pytest.mark.parametrize(
    ("options", "moves", "changes"),
    [
        (AugmentOptions(), False, False),
        (AugmentOptions(flip_up_down=0.5), True, False),
        (AugmentOptions(contrast=0.5), False, True),
        (presets.PRESETS["light"], True, True),
    ],
)
def test_knows_what_is_to_be_done(options, moves, changes):
    assert (options.moves, options.changes_intensity) == (moves, changes)


def test_imports_no_tensorflow():
    code = (
        "import sys, tfdicom.augment.presets, tfdicom.input_options, "
        "tfdicom.input_plan; assert not {'tensorflow', 'pydicom'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
