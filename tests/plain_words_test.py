import sys

import pytest

from tfdicom.plain_words import is_plain, words_of


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", True),
        ("train:0.75,test:.25", True),
        ("the images of 12 patients", True),
        ("max_error_rate", True),
        ("contour_malformed", True),
        ("Krause", False),
        ("images of Krause", False),
        ("19450823", False),
        ("4711", False),
        ("山田", False),
        ("scar", False),
    ],
)
def test_plain_texts(text, plain):
    assert is_plain(text) == plain
    assert is_plain(f"{text} scar", {"scar"}) == plain or text == "scar"


def test_words():
    assert words_of("Max_Error 12 x-RATE") == ["max", "error", "x", "rate"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
