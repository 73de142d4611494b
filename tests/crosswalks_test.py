import sys

import pytest

from tfdicom import crosswalks, deidentify
from tfdicom.deidentify import load_pseudonyms


@pytest.fixture
def pseudonyms(tmp_path):
    return load_pseudonyms(str(tmp_path / "keys" / "id.key"))[0]


def _write(pseudonyms, place, *candidates):
    """A crosswalk of a data set at a place, and the flagfile that goes with it."""
    path = deidentify.crosswalk_path(pseudonyms, str(place))
    rows = [(one, "patient", "MRN1", f"{one}.dcm") for one in candidates]
    deidentify.write_crosswalk(path, rows)
    record = deidentify.private_path(pseudonyms, str(place), "conversion")
    record.with_name(f"{record.name}.flags").write_text(f"--output_dir={place}\n")
    return path


def test_one_that_knows_the_files_is_found(pseudonyms, tmp_path):
    own = _write(pseudonyms, tmp_path / "own", "a", "b")
    other = _write(pseudonyms, tmp_path / "other", "c", "d")
    place = str(tmp_path / "own")
    assert crosswalks.find(pseudonyms, place, {"a"}).path == own
    found = crosswalks.find(pseudonyms, place, {"c", "d"})
    assert (found.path, found.sources["c"]) == (other, "c.dcm")
    assert found.patients == {"patient": "MRN1"}
    assert crosswalks.find(pseudonyms, str(tmp_path / "moved"), {"b"}).path == own
    assert crosswalks.find(pseudonyms, place, {"x"}).path is None
    assert crosswalks.find(load_pseudonyms("public")[0], place, {"a"}).path is None


def test_those_of_a_data_set_that_was_moved(pseudonyms, tmp_path):
    place = tmp_path / "now"
    own = _write(pseudonyms, place, "a")
    before = _write(pseudonyms, tmp_path / "before", "a", "b")
    _write(pseudonyms, tmp_path / "less", "c")
    there = tmp_path / "there"
    _write(pseudonyms, there, "a", "b")
    there.mkdir()
    (there / "dataset.json").write_text("{}")
    assert crosswalks.of_data_set(pseudonyms, str(place), {"a"}) == [own, before]
    assert crosswalks.of_data_set(pseudonyms, str(tmp_path / "new"), {"b"}) == [before]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
