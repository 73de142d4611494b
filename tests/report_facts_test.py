import dataclasses
import sys

import numpy as np
import pytest

from tests import source_folders, synthetic
from tfdicom import image_signature, manifest, report_facts
from tfdicom.report_facts import ALL_PIXELS


@pytest.fixture
def written(tmp_path):
    """Three patients in two splits, and the examples that were written."""
    splits = {
        "train": {"a": synthetic.frames(3), "b": synthetic.frames(2, annotated="10")},
        "test": {"c": synthetic.frames(2, spacing=None)},
    }
    return tmp_path, synthetic.write_dataset(tmp_path, splits)


def gather(folder, **options):
    return report_facts.gather(folder, manifest.load_manifest(folder), **options)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_example_is_there_in_order(written, workers):
    folder, examples = written
    found = gather(folder, num_workers=workers).examples
    wanted = [(s, one) for s, members in examples.items() for one in members]
    assert [(one.split, one.key) for one in found] == [(s, w.key) for s, w in wanted]
    for one, (_, source) in zip(found, wanted, strict=True):
        assert one.pixels == source.pixel_count
        assert one.pixel_hash == image_signature.pixel_hash(source.image)
        for place, mask in enumerate(source.masks):
            if not mask.any():
                assert one.centres[place] is None
                continue
            rows, columns = np.nonzero(mask)
            centre = (columns.mean(), rows.mean())
            np.testing.assert_allclose(one.centres[place], centre)


def test_areas_are_in_square_millimetres_where_the_spacing_is_known(written):
    found = gather(written[0], num_workers=1).examples
    first = next(one for one in found if one.split == "train")
    assert first.area(0) == pytest.approx(first.pixels[0] * 1.5 * 1.25)
    assert next(one for one in found if one.split == "test").area(0) is None


def test_grey_values_are_those_of_the_manifest(sunnybrook_dataset):
    whole = manifest.load_manifest(sunnybrook_dataset)
    greys = gather(sunnybrook_dataset).greys
    for split, info in whole.splits.items():
        statistics = greys[split, "MR (no units)", ALL_PIXELS].statistics()
        wanted = info.intensities["all"]
        # Of each shard counts are rounded; sums are not.
        assert statistics.count == wanted.count
        assert statistics.mean == pytest.approx(wanted.mean)
        assert statistics.deviation == pytest.approx(wanted.deviation)
        for name, frequency in info.classes.items():
            assert greys[split, "MR (no units)", name].count == frequency.pixels


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_offsets_are_those_of_the_index(tmp_path, compression):
    from tfdicom import dataset_index

    synthetic.write_dataset(
        tmp_path, {"train": {"a": synthetic.frames(4)}}, compression=compression
    )
    found = gather(tmp_path, num_workers=1).examples
    wanted = {one.key: one.offset for one in dataset_index.read_index(tmp_path)}
    assert {one.key: one.offset for one in found} == wanted


def test_flat_images_are_not_compared(tmp_path):
    flat = synthetic.Frame(pixels=np.full((12, 16, 1), 7, np.int16))
    synthetic.write_dataset(tmp_path, {"train": {"a": [flat]}})
    (one,) = gather(tmp_path, num_workers=1).examples
    assert one.pixel_hash is None and one.signature is None


def test_equipment_and_places(tmp_path):
    example = synthetic.make_example(synthetic.Frame(), 1)
    named = dataclasses.replace(
        example, manufacturer="Acme", model="One", field_strength=1.5, slice_spacing=8.0
    )
    assert report_facts._equipment(named) == "Acme One 1.5 T"
    assert report_facts._equipment(example) == "not known"
    assert report_facts._place(named) == "1.500 x 1.250, slices 8"
    bare = dataclasses.replace(named, pixel_spacing=None)
    assert report_facts._place(bare) == "not known"


def test_a_damaged_record_is_named(written):
    folder, _ = written
    shard = sorted(folder.glob("train-*.tfrecord"))[0]
    data = bytearray(shard.read_bytes())
    data[100] ^= 4
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=f"{shard.name}, record 0"):
        gather(folder, num_workers=1)


def test_findings_by_key(source, tmp_path):
    # A contour that leaves its image is cut off, and said to be odd.
    patient = source.patients[0]
    source_folders.write_contour(
        source.contour(patient, 1), source_folders.disc(1.0, 18.0, 6.0)
    )
    source_folders.convert(source.root, tmp_path / "out")
    found = report_facts.findings_by_key(tmp_path / "out")
    pixels = source_folders.draw_pixels(patient, 1)
    key = source_folders.example_of(tmp_path / "out", pixels).key
    assert "contour_leaves_image" in found[key]


def test_without_a_ledger_nothing_is_odd(written):
    assert report_facts.findings_by_key(written[0]) == {}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
