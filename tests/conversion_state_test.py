import dataclasses
import sys

import pytest

from tfdicom import conversion_state, sealed_json
from tfdicom.conversion_state import (
    STATE,
    WITHOUT_EFFECT,
    ConversionState,
    InputsChanged,
    input_digest,
    option_digests,
    read_state,
    refuse_changes,
    refuse_vanished,
    write_state,
)
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms
from tfdicom.shard_results import CONVERSION
from tfdicom.sharding import FrozenShards

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
OTHER = Pseudonyms(b"another key for tests, not that one")
OPTIONS = ConvertOptions(input_dir="IN", output_dir="OUT", split="train:Ann+,test:Bob")
FIELDS = tuple(field.name for field in dataclasses.fields(ConvertOptions))

#: What shapes records, split, shards or the other files of a data set. Whoever adds an
#: option decides: it comes here, or into WITHOUT_EFFECT.
SHAPING = {
    "allow_pixel_text_risk",
    "annotations",
    "classes",
    "color",
    "compression",
    "contour_origin",
    "contour_pattern",
    "covered_fraction",
    "dates",
    "edge_rule",
    "folds",
    "fractional_threshold",
    "hole_rule",
    "image_pattern",
    "include_unannotated",
    "keep",
    "keep_identifiers",
    "labels",
    "layout",
    "link_file",
    "mask_pattern",
    "mask_table",
    "mask_values",
    "max_frame_pixels",
    "num_shards",
    "patient_from",
    "several_annotations",
    "shard_size_mb",
    "split",
    "split_salt",
    "structures",
}
#: Values that options which check each other may have together.
CHANGED = {
    "allow_pixel_text_risk": True,
    "annotations": "rtstruct",
    "classes": "inner",
    "color": "refuse",
    "compression": "zlib",
    "contour_origin": "center0",
    "covered_fraction": True,
    "edge_rule": "inside",
    "fractional_threshold": 0.25,
    "hole_rule": "xor",
    "include_unannotated": "all",
    "keep": "sex",
    "labels": "labels.csv",
    "mask_table": "masks.csv",
    "max_frame_pixels": 7,
    "num_shards": 3,
    "patient_from": "study",
    "several_annotations": "raters",
    "shard_size_mb": 7,
    "split": "train",
    "split_salt": "salt",
    "structures": "i=inner",
}


def state(**changes):
    fields = {
        "options": option_digests(OPTIONS, PSEUDONYMS),
        "identity_key": PSEUDONYMS.fingerprint,
        "split_table": {"a1": "train", "b2": "test"},
        "buckets": {"train": {"17": 0, "4095": 1}, "test": {"5": 0}, "none": {}},
        "shard_counts": {"train": 2, "test": 1, "none": 0},
        "contour_origin": "center1",
        "contour_shift": (-1.0, 0.1 + 0.2),
        "classes": (("inner", "inner"), ("myo", "outer-inner")),
        "inputs": tuple(sorted(input_digest(PSEUDONYMS, one) for one in ("a", "b/c"))),
        **changes,
    }
    return ConversionState(**fields)


# Options.


def test_every_option_shapes_or_does_not():
    named = SHAPING | WITHOUT_EFFECT
    assert sorted(set(FIELDS) - named) == [], "decide: does it shape a data set?"
    assert sorted(named - set(FIELDS)) == [], "no such option"
    assert not SHAPING & WITHOUT_EFFECT
    assert option_digests(OPTIONS, PSEUDONYMS).keys() == SHAPING


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_option_is_named(name):
    changed = dataclasses.replace(OPTIONS, **{name: CHANGED[name]})
    assert getattr(changed, name) != getattr(OPTIONS, name)
    with pytest.raises(InputsChanged, match=f"other values of --{name};.*--overwrite"):
        refuse_changes(state(), changed, PSEUDONYMS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input_dir": "ELSEWHERE", "output_dir": "/mnt/OUT", "num_workers": 7},
        {"on_error": "fail", "max_error_rate": 0.5, "fail_on": "area_jumps"},
        {"overwrite": True, "dry_run": True, "header_cache": "none"},
        {"id_key_file": "/elsewhere/id.key", "redact_logs": True},
        {"splits_from": "x.csv", "fixed_splits": "test", "stratify": "classes"},
    ],
)
def test_options_without_effect_may_change(changes):
    assert changes.keys() <= WITHOUT_EFFECT
    refuse_changes(state(), dataclasses.replace(OPTIONS, **changes), PSEUDONYMS)


@pytest.mark.parametrize(
    ("name", "here", "there"),
    [
        ("labels", "a/l.csv", "/b/labels.csv"),
        ("mask_table", "a.csv", "b.csv"),
        ("split", "a/s.csv", "b/s.csv"),
        ("patient_from", "csv:a.csv", "csv:/b/a.csv"),
    ],
)
def test_a_table_may_lie_elsewhere(name, here, there):
    one, other = (dataclasses.replace(OPTIONS, **{name: t}) for t in (here, there))
    assert option_digests(one, PSEUDONYMS) == option_digests(other, PSEUDONYMS)
    assert option_digests(one, PSEUDONYMS) != option_digests(OPTIONS, PSEUDONYMS)


def test_all_that_has_changed_is_named():
    changed = dataclasses.replace(OPTIONS, num_shards=3, classes="inner")
    with pytest.raises(InputsChanged, match="other values of --classes, --num_shards;"):
        refuse_changes(state(), changed, PSEUDONYMS)


def test_option_that_was_not_there_yet():
    before = state()
    fewer = {k: v for k, v in before.options.items() if k != "hole_rule"}
    more = {**before.options, "hole_colour": "0123"}
    for options, name in ((fewer, "hole_rule"), (more, "hole_colour")):
        with pytest.raises(InputsChanged, match=f"other values of --{name};"):
            refuse_changes(
                dataclasses.replace(before, options=options), OPTIONS, PSEUDONYMS
            )


def test_digests_say_nothing_and_depend_on_the_key():
    mine, others = (option_digests(OPTIONS, one) for one in (PSEUDONYMS, OTHER))
    assert not set(mine.values()) & set(others.values())
    assert "Ann" not in repr(mine)
    # Equal values of two options have different digests.
    assert len(set(mine.values())) == len(mine)


# Key and version.


def test_another_key_is_refused():
    with pytest.raises(InputsChanged, match="another key.*--id_key_file") as error:
        refuse_changes(state(), OPTIONS, OTHER)
    assert PSEUDONYMS.fingerprint in str(error.value)
    assert OTHER.fingerprint in str(error.value)


@pytest.mark.parametrize("change", [{"version": "0.0.1"}, {"schema_version": 0}])
def test_another_version_is_refused(change):
    with pytest.raises(InputsChanged, match="was made by tfdicom .*--overwrite"):
        refuse_changes(state(**change), OPTIONS, PSEUDONYMS)


# Inputs.


def digests(*paths):
    return [input_digest(PSEUDONYMS, one) for one in paths]


def test_more_files_are_welcome():
    refuse_vanished(state(), digests("a", "b/c", "d"), OPTIONS, {})
    refuse_vanished(state(), digests("b/c", "a"), OPTIONS, {})


def test_files_that_are_gone():
    words = "1 files that OUT is made of are no longer in IN: candidate "
    with pytest.raises(InputsChanged, match=words) as error:
        refuse_vanished(state(), digests("a", "d"), OPTIONS, {})
    assert "--withdraw=PATIENT" in str(error.value)
    names = dict(zip(digests("b/c"), ["b/c"], strict=True))
    with pytest.raises(InputsChanged, match="no longer in IN: b/c. Put them back"):
        refuse_vanished(state(), digests("a", "d"), OPTIONS, names)


def test_only_the_first_few_are_named():
    paths = [f"{number}.dcm" for number in range(7)]
    before = state(inputs=tuple(digests(*paths)))
    names = dict(zip(digests(*paths), paths, strict=True))
    with pytest.raises(InputsChanged, match="^7 files .*, [.]{3}[.] Put") as error:
        refuse_vanished(before, [], OPTIONS, names)
    assert sum(one in str(error.value) for one in paths) == 5


# The file.


def test_state_is_read_back_exactly(tmp_path):
    for one in (state(), state(replaces=True), state(contour_origin="", inputs=())):
        write_state(tmp_path, one)
        assert read_state(tmp_path) == one


def test_equal_states_give_equal_bytes_whatever_they_replace(tmp_path):
    path = tmp_path / CONVERSION / STATE
    write_state(tmp_path, state())
    first = path.read_bytes()
    backwards = dict(reversed(state().split_table.items()))
    write_state(tmp_path, state(split_table=backwards, replaces=True))
    assert path.read_bytes() == first
    assert read_state(tmp_path).replaces
    write_state(tmp_path, state())
    assert path.read_bytes() == first
    assert [one.name for one in path.parent.iterdir()] == [STATE]


def test_shards_that_are_frozen():
    assert state().shards == {
        "train": FrozenShards(2, {17: 0, 4095: 1}),
        "test": FrozenShards(1, {5: 0}),
        "none": FrozenShards(0, {}),
    }


def test_no_state(tmp_path):
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"contour_shift": 1}', "\0"])
def test_state_that_cannot_be_read(tmp_path, text):
    (tmp_path / CONVERSION).mkdir()
    (tmp_path / CONVERSION / STATE).write_text(text)
    with pytest.raises(ValueError, match=r"state\.json cannot .*--overwrite"):
        read_state(tmp_path)


def test_field_of_another_version(tmp_path):
    write_state(tmp_path, state())
    path = tmp_path / CONVERSION / STATE
    sealed_json.write(path, {**sealed_json.read(path), "colour": "blue"}, indent=1)
    with pytest.raises(ValueError, match="cannot be read .*colour"):
        read_state(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "known", "told"),
    [
        ('"4095": 1', '"4095": 0', ("ab" * 16,), ""),
        ('"abab', '"abax', (), "no longer known"),
        ('"withdrawn"', "", (), "no longer known"),
    ],
)
def test_who_was_withdrawn_is_known_while_it_can_be(
    tmp_path, capsys, old, new, known, told
):
    assert conversion_state.withdrawn_in(tmp_path) == ()
    write_state(tmp_path, state(withdrawn=("ab" * 16,)))
    assert conversion_state.withdrawn_in(tmp_path) == ("ab" * 16,)
    path = tmp_path / CONVERSION / STATE
    path.write_text(path.read_text().replace(old, new))
    assert conversion_state.withdrawn_in(tmp_path) == known
    assert told in capsys.readouterr().err
    assert conversion_state.read_unfinished(tmp_path) is None


def test_state_in_which_a_digit_has_changed(tmp_path):
    write_state(tmp_path, state())
    path = tmp_path / CONVERSION / STATE
    text = path.read_text()
    assert '"4095": 1' in text
    path.write_text(text.replace('"4095": 1', '"4095": 0'))
    with pytest.raises(ValueError, match="checksum.*tfdicom_inspect repair"):
        read_state(tmp_path)


def test_names_of_patients_and_files_are_not_in_it(tmp_path):
    write_state(tmp_path, state())
    text = (tmp_path / CONVERSION / STATE).read_text()
    assert "Ann" not in text and "Bob" not in text and "b/c" not in text
    assert conversion_state.VERSION in text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
