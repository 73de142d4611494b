"""The pictures of the browser and the report."""

import re
import sys

import pytest
from PIL import Image

from tests.real_data import REPOSITORY
from tools import pictures


def test_every_picture_is_shown_by_a_page_and_is_small():
    pages = [REPOSITORY / "docs" / name for name in ("browser.md", "report.md")]
    text = "".join(page.read_text() for page in pages)
    assert set(re.findall(r"\]\((\w+)\.png\)", text)) == set(pictures.SIZES)
    for name, (rows, columns) in pictures.SIZES.items():
        path = REPOSITORY / "docs" / f"{name}.png"
        assert path.stat().st_size < 200_000
        assert Image.open(path).size == (columns, rows)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
