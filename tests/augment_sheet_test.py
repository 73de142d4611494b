import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests import real_data, synthetic
from tfdicom import augment_sheet
from tfdicom.augment.augment_options import (
    ARTEFACTS,
    FILTERS,
    MOVES,
    POINTWISE,
    AugmentOptions,
)

pytestmark = pytest.mark.long

TILE, STEP = 64, 64 + 6


def _example(shape=(40, 48, 1)):
    masks = np.zeros((2, *shape[:2]), bool)
    masks[0, 12:20, 14:24], masks[1, 10:24, 12:30] = True, True
    pixels = np.random.default_rng(1).integers(0, 500, shape).astype(np.int16)
    pixels[8:26, 10:32] += 800
    frame = synthetic.Frame(shape=shape, pixels=pixels, masks=masks)
    return synthetic.make_example(frame, 1)


def _tiles(picture, count, columns=6):
    array = np.asarray(picture)
    for number in range(count):
        row, column = divmod(number, columns)
        y, x = 6 + row * (TILE + 18 + 6), 6 + column * STEP
        yield array[y : y + TILE, x : x + TILE].astype(int)


@pytest.fixture(scope="module")
def sheet():
    return augment_sheet.augment_sheet(_example(), tile=TILE)


def test_every_change_is_shown_and_seen(sheet):
    names = (*MOVES, *ARTEFACTS, *FILTERS, *POINTWISE)
    assert all(getattr(augment_sheet.SHOWN, name) for name in names)
    count = len(names) + 1
    rows = -(-count // 6)
    assert sheet.size == (6 + 6 * STEP, 6 + rows * (TILE + 18 + 6))
    first, *others = _tiles(sheet, count)
    assert first.std() > 20
    for name, tile in zip(names, others, strict=True):
        assert abs(tile - first).mean() > 1, name


def test_an_example_without_classes_has_a_sheet_too():
    frame = synthetic.Frame(shape=(40, 48, 1), annotated="")
    bare = synthetic.make_example(frame, 1, classes=())
    masks = np.zeros((2, 40, 48), bool)
    empty = dataclasses.replace(frame, annotated="11", masks=masks)
    options = AugmentOptions(rotation=20, random_crop=1, cutout=0.5, cutout_mask=True)
    first, second = (
        np.asarray(augment_sheet.augment_sheet(one, options=options, tile=TILE))
        for one in (bare, synthetic.make_example(empty, 1))
    )
    np.testing.assert_array_equal(first, second)


def test_same_seed_same_sheet():
    options = AugmentOptions(noise=0.5)
    first, again, other = (
        np.asarray(augment_sheet.augment_sheet(_example(), options=options, seed=seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(again, first)
    assert (other != first).any()


def test_shows_what_is_asked_for():
    options = AugmentOptions(flip_left_right=0.1, noise=0.1, noise_probability=0.0)
    picture = augment_sheet.augment_sheet(_example(), options=options, tile=TILE)
    first, flipped, noisy = _tiles(picture, 3, columns=3)
    np.testing.assert_allclose(flipped, first[:, ::-1], atol=1)
    assert abs(noisy - first).mean() > 1
    assert picture.size[0] == 6 + 3 * STEP


def test_nothing_to_show():
    with pytest.raises(ValueError, match="augment: nothing is changed"):
        augment_sheet.augment_sheet(_example(), options=AugmentOptions())


def test_colour_and_no_mask():
    example = _example((40, 48, 3))
    example = dataclasses.replace(
        example, **synthetic.example_schema.describe_masks(np.zeros((2, 40, 48), bool))
    )
    options = AugmentOptions(foreground_crop=1.0, cutout=0.5)
    picture = augment_sheet.augment_sheet(example, options=options, tile=TILE)
    assert picture.mode == "RGB"


def _main(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdicom.inspect_main", "augment_sheet", *arguments],
        cwd=real_data.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_command_writes_it(tmp_path):
    frames = [synthetic.Frame(shape=(40, 48, 1))]
    synthetic.write_dataset(tmp_path / "data", {"train": {"p": frames}}, shards=1)
    given = (f"--data_dir={tmp_path / 'data'}", f"--out={tmp_path / 'sheet.png'}")
    done = _main(*given, "--augment=standard")
    assert done.returncode == 0, done.stderr
    # As it is, rotation, scale, shift, contrast, brightness, noise.
    assert Image.open(tmp_path / "sheet.png").size == (6 + 6 * 206, 6 + 2 * 224)
    for wrong, words in (
        (["--augment=strong", *given], "no preset 'strong'"),
        (["--batch_size=3", *given], "--batch_size is no flag of augment_sheet"),
        (given[:1], "augment_sheet wants --out=FILE.png"),
    ):
        done = _main(*wrong)
        assert done.returncode == 2 or "preset" in words
        assert words in done.stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
