import sys
import types

import pytest

from tfdicom import withdrawal_proof
from tfdicom.label_kinds import CLASS, NUMBER, LabelInfo


def _results(**labels):
    """What came of a shard, as far as labels go: by patient, then by label."""
    patients = [
        types.SimpleNamespace(
            patient=patient,
            content=types.SimpleNamespace(labels={k: {v: 1} for k, v in one.items()}),
        )
        for patient, one in labels.items()
    ]
    return [types.SimpleNamespace(patients=patients)]


RESULTS = _results(
    ours={"grade": "rare", "side": "left", "age": "71"},
    other={"grade": "usual", "side": "left", "age": "70"},
)


def test_words_that_only_the_patient_had_go():
    labels = [
        LabelInfo("grade", CLASS, ("declared", "rare", "usual")),
        LabelInfo("side", CLASS, ("left", "rare")),
        LabelInfo("age", NUMBER),
    ]
    grade, side, age = withdrawal_proof.left_labels(labels, RESULTS, "ours")
    assert grade.vocabulary == ("declared", "usual")
    assert side.vocabulary == ("left", "rare")  # a word of the table, and nobody's
    assert age == labels[2]
    assert withdrawal_proof.left_labels(labels, RESULTS, "nobody") == tuple(labels)


def test_label_that_nobody_else_has():
    labels = [LabelInfo("grade", CLASS, ("rare",))]
    with pytest.raises(ValueError, match="nobody else has a value of label 'grade'"):
        withdrawal_proof.left_labels(labels, RESULTS, "ours")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
