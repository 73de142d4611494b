import sys

import numpy as np
import pytest

from tfdicom.reasons import InputSkipped
from tfdicom.sources import mask_files, opened_masks

SHAPE = (20, 30)


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(opened_masks, "_kept", type(opened_masks._kept)())


def save(path, value):
    np.save(path, np.full(SHAPE, value))
    return path


def test_a_file_is_read_once(tmp_path, monkeypatch):
    path = save(tmp_path / "m.npy", 3)
    first = opened_masks.opened(path)
    monkeypatch.setattr(mask_files, "read_pixels", None)
    assert opened_masks.opened(path) is first


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "m.npy"
    for value in (3, 70000, 4):
        assert opened_masks.opened(save(path, value)).numbers() == [value]


def test_the_oldest_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(opened_masks, "_KEPT_BYTES", 2 * SHAPE[0] * SHAPE[1])
    paths = [save(tmp_path / f"{number}.npy", number) for number in (1, 2, 3)]
    first, second = (opened_masks.opened(path) for path in paths[:2])
    assert opened_masks.opened(paths[0]) is first
    opened_masks.opened(paths[2])
    assert opened_masks.opened(paths[0]) is first
    assert opened_masks.opened(paths[1]) is not second


def test_one_that_is_larger_than_all_is_kept_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(opened_masks, "_KEPT_BYTES", 10)
    path = save(tmp_path / "m.npy", 1)
    assert opened_masks.opened(path) is opened_masks.opened(path)


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(InputSkipped) as skipped:
        opened_masks.opened(tmp_path / "m.npy")
    assert skipped.value.code == "file_unreadable"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
