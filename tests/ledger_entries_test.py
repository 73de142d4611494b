import sys

import pytest

from tfdicom.ledger_entries import count_entries, left_entry
from tfdicom.manifest import LedgerEntry
from tfdicom.reasons import REASONS
from tfdicom.sources.candidates import KINDS, LeftFile


@pytest.mark.parametrize("code", REASONS)
def test_what_became_of_a_candidate_follows_from_the_reason(code):
    left = LeftFile("Ann/a.dcm", "image", code, "Ann's")
    status = "skipped" if REASONS[code].fault else "left_out"
    assert left_entry("0123", left) == LedgerEntry("0123", "image", status, code)
    entry = left_entry("0123", left, "who")
    assert entry.patient == "who"
    assert "Ann" not in repr(entry)


def test_both_kinds_of_reasons_exist():
    statuses = {
        left_entry("", LeftFile("", "image", code)).status: code for code in REASONS
    }
    assert statuses.keys() == {"skipped", "left_out"}


def test_entries_are_counted_by_kind_reason_and_finding():
    odd = ("contour_leaves_image", "area_jumps")
    entries = [
        LedgerEntry("a", "object", "converted"),
        LedgerEntry("b", "contour", "converted", findings=odd),
        LedgerEntry("c", "contour", "skipped", "contour_empty", findings=odd[:1]),
        LedgerEntry("d", "contour", "skipped", "contour_empty"),
        LedgerEntry("e", "image", "left_out", "no_annotation"),
        LedgerEntry("f", "image", "converted"),
    ]
    counts = count_entries(entries)
    assert counts == {
        "image": {"converted": 1, "left_out": 1},
        "contour": {"converted": 1, "skipped": 2},
        "object": {"converted": 1},
        "reasons": {"contour_empty": 2, "no_annotation": 1},
        "findings": {"area_jumps": 1, "contour_leaves_image": 2},
    }
    # The manifest has them in this order, whatever that of the entries.
    assert repr(count_entries(reversed(entries))) == repr(counts)
    kinds = [kind for kind in counts if kind in KINDS]
    assert kinds == sorted(kinds, key=KINDS.index)


def test_no_entries():
    assert count_entries([]) == {"reasons": {}, "findings": {}}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
