import dataclasses
import sys

import pytest

from tests import source_folders
from tfdicom import kept_facts
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.deidentify import Pseudonyms
from tfdicom.dicom import read_header
from tfdicom.privacy_options import FactRules

PSEUDONYMS = Pseudonyms(bytes(32))


@pytest.fixture
def frame(tmp_path):
    path = tmp_path / "1.dcm"
    source_folders.write_image(path, "P1", 1, PatientSex="F", PatientAge="061Y")
    return AnnotatedFrame("1.dcm", read_header(path))


def _kept(frame, **rules):
    (found,) = kept_facts.with_facts([frame], ["who"], FactRules(**rules), PSEUDONYMS)
    return found.header


def test_by_default_the_frames_stay_as_they_are(frame):
    assert _kept(frame) is frame.header
    assert "age_band" not in frame.header.attributes


def test_only_what_is_asked_for_is_passed_on(frame):
    header = _kept(frame, keep=("age_band",))
    assert header.attributes == {**frame.header.attributes, "age_band": "60-64"}
    assert header.facts is None


def test_identifiers_are_those_of_the_source(frame):
    header = _kept(frame, identifiers=True)
    assert header.attributes["source_patient"] == "who"
    for name in ("study", "series", "instance"):
        assert header.attributes[f"source_{name}"] == getattr(frame.header, name)


@pytest.mark.parametrize("value", ["who", "P1", None])
def test_a_column_of_identifiers_is_refused(frame, value):
    value = frame.header.study if value is None else value
    labels = (("grade", "2"), ("number", value))
    frames = [dataclasses.replace(frame, labels=labels)]
    with pytest.raises(ValueError, match="labels: the column 'number' holds ident"):
        kept_facts.check_labels(frames, ["who"])


def test_a_value_that_happens_to_be_an_identifier_is_none(frame):
    frames = [
        dataclasses.replace(frame, labels=(("grade", grade), ("empty", "")))
        for grade in ("P1", "2")
    ]
    kept_facts.check_labels(frames, ["who", "who"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
