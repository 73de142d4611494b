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
        ("classes", ";", "classes=';': name each class once"),
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
        ("target_spacing", "fine", "target_spacing='fine': '1.5' or '1.25,1.5'"),
        ("target_spacing", (1, 2, 3), r"target_spacing=\(1, 2, 3\)"),
        ("target_spacing", 0, "target_spacing=0: .* above 0"),
        ("target_spacing", "1,-1", "target_spacing='1,-1'"),
        ("target_spacing", "nan", "target_spacing='nan'"),
        ("target_spacing", float("inf"), "target_spacing=inf"),
        ("target_spacing", True, "target_spacing=True"),
        ("image_fill", "white", "image_fill='white': minimum or a number"),
        ("image_fill", float("nan"), "image_fill=nan"),
        ("unannotated", "keep", "choose one of drop, weight, ignore"),
        ("label_form", "hot", "choose one of planes, label_map, one_hot, soft"),
        ("label_priority", "inner;outer", "label_form='planes' keeps classes apart"),
        ("distance_limit", 0, "distance_limit=0: allowed is 1 to 254"),
        ("distance_limit", 255, "distance_limit=255: allowed is 1 to 254"),
        ("distance_limit", 16, "label_form='planes' has no distances"),
        ("class_weights", "rare", "choose one of none, inverse, inverse_sqrt"),
        ("with_info", 1, "with_info=1: True or False"),
        ("cache_memory_mb", 0, "cache_memory_mb=0: allowed is 1"),
        ("cache_memory_mb", 1.5, "cache_memory_mb=1.5: a int is expected"),
        ("on_corrupt", "warn", "on_corrupt='warn': choose one of fail, skip"),
        ("positive_fraction", -0.1, "positive_fraction=-0.1: allowed is"),
        ("positive_fraction", 1.01, "positive_fraction=1.01: allowed is"),
        ("positive_fraction", float("nan"), "positive_fraction=nan"),
        ("positive_fraction", "half", "positive_fraction='half'"),
        ("weights", "", "weights='': a number above 0 for each data set"),
        ("weights", "0.5;0.5", "weights='0.5;0.5': a number above 0"),
        ("weights", [1, 0], r"weights=\[1, 0\]: a number above 0"),
        ("weights", [1, -1], r"weights=\[1, -1\]: "),
        ("weights", "1,inf", "weights='1,inf': "),
        ("weights", "1,nan", "weights='1,nan': "),
        ("weights", 0.5, "weights=0.5: a number above 0"),
        ("class_map", "inner", "class_map='inner'|name each class once"),
        ("class_map", "inner=", "class_map=.*: "),
        ("class_map", "=inner", "class_map='=inner': .* is wanted"),
        ("class_map", "a=b;a=c", "class_map='a=b;a=c': .*each class once"),
        ("class_map", "a=b|b", "class_map='a=b|b': .* is wanted, each class once"),
        ("class_map", {"a": [1]}, r"class_map=\{'a': \[1\]\}: .* is wanted"),
        ("class_map", "", "class_map='': 'cavity=inner"),
        ("class_map", {}, "class_map={}: "),
        ("class_map", 3, "class_map=3: "),
        ("class_map", ["a"], r"class_map=\['a'\]: "),
    ],
)
def test_refuses(field, value, message):
    with pytest.raises(ValueError, match=message):
        InputOptions(**{field: value})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label_form": "soft", "label_priority": "a"}, "label_map and one_hot do"),
        ({"label_form": "one_hot", "label_priority": "a;a"}, "name each class once"),
        ({"label_form": "label_map", "distance_limit": 9}, "distance has"),
        (
            {"label_form": "distance", "class_weights": "inverse"},
            "a distance is of no class",
        ),
    ],
)
def test_refuses_what_a_label_form_has_no_use_for(fields, message):
    with pytest.raises(ValueError, match=message):
        InputOptions(**fields)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("inner", ("inner",)),
        ("outer; inner", ("outer", "inner")),
        ("outer,inner", ("outer", "inner")),
        (["outer"], ("outer",)),
        ("", ()),
        (" ", ()),
        ((), ()),
    ],
)
def test_reads_classes(value, expected):
    assert InputOptions(classes=value).class_names == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ("age", [("age", ())]),
        ("sex:f|m; age", [("sex", ("f", "m")), ("age", ())]),
        (["sex: f, or |m"], [("sex", ("f, or", "m"))]),
    ],
)
def test_reads_labels(value, expected):
    found = InputOptions(labels=value).asked_labels
    assert [(one.name, one.vocabulary) for one in found] == expected


@pytest.mark.parametrize("value", ["", ";", "age;age", "age;age:a|b", "age:a|a", [3]])
def test_refuses_labels(value):
    with pytest.raises(ValueError, match="labels=.* each label and each word once"):
        InputOptions(labels=value)


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
    ("value", "expected"),
    [
        (None, None),
        ("1.5", (1.5, 1.5)),
        ("1.25, 1.5", (1.25, 1.5)),
        (2, (2.0, 2.0)),
        ([0.7, 1], (0.7, 1.0)),
    ],
)
def test_reads_target_spacing(value, expected):
    assert InputOptions(target_spacing=value).spacing == expected


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        ("cavity=inner", {"cavity": ("inner",)}),
        (
            "cavity = inner | LV; myo=myocardium;",
            {"cavity": ("inner", "LV"), "myo": ("myocardium",)},
        ),
        ({"cavity": ["inner", "LV"]}, {"cavity": ("inner", "LV")}),
        ({"cavity": "inner|LV"}, {"cavity": ("inner", "LV")}),
    ],
)
def test_reads_class_map(value, expected):
    assert InputOptions(class_map=value).other_names == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("0.75,0.25", (0.75, 0.25)),
        ("3, 1", (0.75, 0.25)),
        ([1, 1, 2], (0.25, 0.25, 0.5)),
        ((5,), (1.0,)),
    ],
)
def test_reads_weights_as_shares(value, expected):
    assert InputOptions(weights=value).shares == expected


@pytest.mark.parametrize("value", [0, 1, 0.25, None])
def test_takes_any_fraction(value):
    assert InputOptions(positive_fraction=value).positive_fraction == value


def test_flags_of_several_data_sets():
    values = _flags(
        "--class_map=cavity=inner|LV",
        "--weights=0.5,0.5",
        "--positive_fraction=0.5",
        "--on_corrupt=skip",
        "--cache_memory_mb=7",
    )
    assert input_options.input_options_from_flags(values) == InputOptions(
        class_map="cavity=inner|LV",
        weights="0.5,0.5",
        positive_fraction=0.5,
        on_corrupt="skip",
        cache_memory_mb=7,
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
