import sys

import pytest

from tfdicom.identifying_values import IdentifyingValues, SourceValue, counts

VALUE = SourceValue("description", "here")


def test_short_values_and_words_for_nobody_are_left_out():
    values = IdentifyingValues()
    for text in ("abc", " ab ", "Anonymous", "", "山"):
        values.add(text, VALUE)
    assert len(values) == 0
    values.add("山田", VALUE)
    values.add(" abcd\0", VALUE)
    assert set(values.patterns) == {"山田".encode(), b"abcd"}
    assert counts(values) == {"description": 2}


@pytest.mark.parametrize("length", [512, 513, 3000])
def test_long_texts_are_looked_for_whole_or_in_parts(length):
    text = " ".join(f"word{number}" for number in range(500))[:length]
    values = IdentifyingValues()
    values.add(text, VALUE)
    if length == 512:
        assert list(values.patterns) == [text.encode()]
    else:
        assert all(16 <= len(one) <= 64 for one in values.patterns)
        assert all(one in text.encode() for one in values.patterns)
        assert sum(len(one) + 1 for one in values.patterns) > length - 17


def test_long_texts_without_spaces_are_cut_too():
    values = IdentifyingValues()
    values.add("0123456789abcdef" * 50, VALUE)
    assert max(map(len, values.patterns)) == 64


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
