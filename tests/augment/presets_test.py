import dataclasses
import subprocess
import sys

import pytest

from tfdicom.augment import presets
from tfdicom.augment.augment_options import ARTEFACTS, FILTERS, MOVES, POINTWISE
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
        (
            "edge=reflect,elastic_grid=8,gamma_keeps_mean=true,cutout_mask=False",
            AugmentOptions(edge="reflect", elastic_grid=8, gamma_keeps_mean=True),
        ),
        (AugmentOptions(scale=0.3), AugmentOptions(scale=0.3)),
    ],
)
def test_parses(value, expected):
    assert parse_augment(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "strong",
            "no preset 'strong'; known are none, light, standard, heavy, mr, ct",
        ),
        ("rotation=1,light", "no change 'light'; known are rotation"),
        ("rotate=15", "no change 'rotate'; known are rotation, rotation_probability"),
        ("rotation=much", "rotation: 'much' is no number"),
        ("rotation=", "rotation: '' is no number"),
        ("elastic_grid=4.5", "elastic_grid: '4.5' is no whole number"),
        ("cutout_mask=perhaps", "cutout_mask: 'perhaps' is no true or false"),
        ("edge=mirror", "edge='mirror': choose one of constant, nearest, reflect"),
        ("image_interpolation=nearest", "choose one of linear, cubic"),
        ("mask_interpolation=cubic", "choose one of linear, nearest"),
        ("elastic_grid=2", "elastic_grid=2: allowed is 3 to 32"),
        ("rotation=200", "rotation=200.0: allowed is 0 to 180"),
        ("shift=1.5", "shift=1.5: allowed is 0 to 1"),
        ("gibbs=1", "gibbs=1.0: allowed is 0 to 0.9"),
        ("brightness=-1", "brightness=-1.0: allowed is 0 to 10"),
        ("noise_probability=1.5", "noise_probability=1.5: allowed is 0 to 1"),
        ("scale=nan", "scale=nan: allowed is 0 to 9"),
        ("contrast=inf", "contrast=inf: allowed is 0 to 9"),
        ("flip_up_down=2", "flip_up_down=2.0: allowed is 0 to 1"),
        ("foreground_crop_classes=inner", "'inner:3;outer:1' is wanted"),
        ("foreground_crop_classes=inner:1;inner:2", "each class once"),
        ("foreground_crop_classes=inner:0", "with a number above 0"),
        (3, "augment=3: text, AugmentOptions or None"),
    ],
)
def test_refuses(value, message):
    with pytest.raises(ValueError, match=message):
        parse_augment(value)


def test_options_take_numbers_by_keyword_only():
    with pytest.raises(TypeError):
        AugmentOptions(15)
    with pytest.raises(ValueError, match="augment: rotation='15': a float"):
        AugmentOptions(rotation="15")


def test_presets_never_flip_or_turn():
    for options in presets.PRESETS.values():
        assert not options.any_of(("flip_left_right", "flip_up_down", "rotate_90"))


def test_every_change_is_in_one_group():
    groups = (*MOVES, *ARTEFACTS, *FILTERS, *POINTWISE)
    assert len(set(groups)) == len(groups)
    fields = {field.name for field in dataclasses.fields(AugmentOptions)}
    how = {"elastic_grid", "image_interpolation", "mask_interpolation", "edge"}
    how |= {"gamma_keeps_mean", "cutout_count", "cutout_mask"}
    how.add("foreground_crop_classes")
    shares = {name for name in fields if name.endswith("_probability")}
    assert set(groups) == fields - how - shares


def test_help_names_every_field():
    for field in dataclasses.fields(AugmentOptions):
        assert f"\n  {field.name} (default" in AugmentOptions.__doc__


@pytest.mark.parametrize(
    ("options", "moves", "changes"),
    [
        (AugmentOptions(), False, False),
        (AugmentOptions(flip_up_down=0.5), True, False),
        (AugmentOptions(contrast=0.5), False, True),
        (AugmentOptions(contrast=0.5, contrast_probability=0), False, False),
        (AugmentOptions(gibbs=0.5), False, True),
        (AugmentOptions(blur=0.5), False, True),
        (AugmentOptions(foreground_crop=0.5), True, False),
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
