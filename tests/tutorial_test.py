"""The pictures of the tutorial."""

import sys

import pytest
from PIL import Image

from tests.real_data import REPOSITORY
from tools import snippets, tutorial


def test_every_picture_is_made_by_a_block_and_is_small():
    code = "".join(snippet.code for snippet in snippets.read(tutorial._PAGE))
    assert len(tutorial.pictures()) == 3
    for name in tutorial.pictures():
        assert f"--out={name}.png" in code
        path = REPOSITORY / "docs" / f"tutorial_{name}.png"
        assert path.stat().st_size < 200_000
        assert Image.open(path).width > 1000


def test_a_picture_of_few_colours_looks_the_same(tmp_path):
    grey = Image.linear_gradient("L").convert("RGB")
    grey.putpixel((3, 3), (230, 159, 0))
    grey.save(tmp_path / "a.png")
    small = Image.open(tutorial.small(tmp_path / "a.png", tmp_path / "b.png"))
    pairs = zip(grey.getdata(), small.convert("RGB").getdata(), strict=True)
    assert max(abs(a[1] - b[1]) for a, b in pairs) < 8


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
