import dataclasses
import sys

import pytest

from tfdicom.input_options import InputOptions
from tfdicom.manifest import SplitInfo
from tfdicom.output_grid import OutputGrid, output_grid

EMPTY = SplitInfo(
    examples=0,
    patients=(),
    shards=(),
    frames=(),
    classes={},
    intensities={},
    pixel_spacing=None,
)


def _splits(*spacings):
    return [
        dataclasses.replace(EMPTY, examples=3, pixel_spacing=spacing)
        for spacing in spacings
    ]


def _grid(*spacings, size=(100, 200), **fields):
    options = InputOptions(**fields)
    return output_grid([*_splits(*spacings), EMPTY], size, options, split="a+b")


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0), (0.7, 1.3)])
def test_without_target_the_sources_size_or_that_asked_for(spacing):
    assert _grid(spacing) == OutputGrid((100, 200), (1.0, 1.0))
    assert _grid(spacing, image_size="64") == OutputGrid((64, 64), (1.0, 1.0))


@pytest.mark.parametrize(
    ("spacings", "target", "size", "step"),
    [
        ([(1.5, 1.5)], 1, (150, 300), (1 / 1.5, 1 / 1.5)),
        ([(1.5, 1.5)], "3,2", (50, 150), (2, 4 / 3)),
        ([(0.5, 0.5), (0.5, 0.5)], 0.7, (71, 143), (1.4, 1.4)),
        ([(1.0, 1.0001)], 1, (100, 200), (1, 1)),  # the same number of pixels
        ([(1.0, 1.0)], 500, (1, 1), (500, 500)),
    ],
)
def test_size_and_step_follow_from_one_spacing(spacings, target, size, step):
    found = _grid(*spacings, target_spacing=target)
    assert found.size == size
    assert found.longest_step == pytest.approx(step)


def test_with_a_size_spacings_may_differ():
    found = _grid((0.7, 0.9), (0.5, 2.0), target_spacing="1,2", image_size="64,48")
    assert found == OutputGrid((64, 48), (2.0, 4.0), (0.5, 1.0))


@pytest.mark.parametrize(
    ("spacings", "message"),
    [
        ([(0.7, 0.9)], "'a\\+b' measure 0.7 to 0.9 mm .* choose image_size"),
        ([(1.0, 1.0), (1.1, 1.1)], "measure 1 to 1.1 mm"),
        ([None], "images of split 'a\\+b' do not say .*\\(0028,0030\\)"),
        ([(1.0, 1.0), None], "do not say their pixel spacing"),
        ([], "do not say their pixel spacing"),
    ],
)
def test_what_does_not_follow_is_refused(spacings, message):
    with pytest.raises(ValueError, match=f"target_spacing='1.25': .*{message}"):
        _grid(*spacings, target_spacing="1.25")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
