import sys

import numpy as np
import pytest

from tfdicom.bytes_as_text import texts_in


@pytest.mark.parametrize(
    ("data", "charsets", "text"),
    [
        (b"\0\1Zwingli\0", (), "Zwingli"),
        ("Jürg".encode(), (), "Jürg"),
        (b"\xff\xfe" + "Jürg".encode("utf-16-le"), (), "Jürg"),
        ("山田太郎".encode("utf-16-be"), (), "山田太郎"),
        ("山田".encode(), (), "山田"),
        ("山田".encode("iso2022_jp"), ("iso8859", "iso2022_jp"), "山田"),
        (b"\1\2\3" + "Иванов".encode("iso8859_5"), ("iso8859_5",), "Иванов"),
        ("Größe".encode("latin-1"), (), "Größe"),
        (b"name: " + "Größe".encode("latin-1") + bytes(9000), (), "name"),
    ],
)
def test_texts_are_found(data, charsets, text):
    assert any(text in one for one in texts_in(data, charsets))


def test_every_text_is_one():
    assert texts_in(b"Zwingli\0") == ["Zwingli"]
    assert texts_in(b"\0" * 64) == texts_in(b"") == []


def test_noise_is_mostly_no_text():
    noise = np.random.default_rng(0).integers(0, 256, 60_000, np.uint8).tobytes()
    found = texts_in(noise, ("iso8859_5",))
    assert 0 < sum(one.isascii() for one in found) < 1000
    assert sum(not one.isascii() for one in found) < 1500
    for pixels in (np.arange(4000, dtype="<i2"), np.full(4000, 300, "<u2")):
        assert sum(not one.isascii() for one in texts_in(pixels.tobytes())) < 20


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
