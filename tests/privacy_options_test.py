import sys

import pytest

from tfdicom.convert_options import ConvertOptions
from tfdicom.privacy_options import FactRules, applied_options, parse_keep


def test_words_are_kept_in_one_order():
    assert parse_keep(" weight, age_band ,weight") == ("age_band", "weight")
    assert parse_keep("") == ()


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="'name' is none of age_band, sex, weight"):
        ConvertOptions(keep="sex,name")


def test_a_published_key_hides_no_dates():
    with pytest.raises(ValueError, match="dates=shift with id_key_file=public"):
        ConvertOptions(dates="shift", id_key_file="public")


@pytest.mark.parametrize(
    ("rules", "codes"),
    [
        (FactRules(), ["113100"]),
        (FactRules(dates="shift"), ["113100", "113107"]),
        (FactRules(keep=("sex",)), ["113100", "113108"]),
        (FactRules("shift", ("sex",)), ["113100", "113107", "113108"]),
        (FactRules("shift", ("sex",), identifiers=True), []),
    ],
)
def test_only_what_is_true_is_claimed(rules, codes):
    assert [one.split()[0] for one in applied_options(rules)] == codes


def test_nothing_is_kept_by_default():
    assert ConvertOptions().fact_rules == FactRules()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
