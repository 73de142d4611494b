import json
import shutil
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import dataset_index
from tfdicom.dataset_diff import diff
from tfdicom.manifest import MANIFEST, load_manifest

#: Run once, by pytest alone.
pytestmark = pytest.mark.slow

PATIENTS = source_folders.PATIENTS


def made(source, folder, **options):
    source_folders.convert(source.root, folder, **options)
    return folder


def compared(before, after):
    return diff(before, after, num_workers=1)


@pytest.fixture
def before(source, tmp_path):
    return made(source, tmp_path / "before")


def keys(folder):
    return [one.key for one in dataset_index.read_index(folder)]


def key_of(folder, pixels):
    return source_folders.example_of(folder, pixels).key


def test_the_same_command_gives_no_difference(source, before, tmp_path):
    after = made(source, tmp_path / "after", num_workers=2)
    found = compared(before, after)
    assert found.is_none and found.manifest == {}
    assert str(found) == "The same: 6 examples, byte for byte."
    assert json.loads(found.to_json())["same"] is True
    assert compared(before, before).is_none


def test_other_shards_hold_the_same_records(source, before, tmp_path):
    after = made(source, tmp_path / "after", num_shards=1, compression="zlib")
    found = compared(before, after)
    assert not found.is_none and found.changes.examples == 0
    assert found.manifest["compression"] == ("none", "zlib")
    assert "The records are the same, and stored in other shards." in str(found)


def test_examples_that_came_and_went(source, before, tmp_path):
    after = made(source, tmp_path / "after", include_unannotated="all")
    found = compared(before, after)
    assert sorted([*keys(before), *found.added]) == sorted(keys(after))
    assert len(found.added) == 3 and found.removed == ()
    back = compared(after, before)
    assert (back.removed, back.added) == (found.added, ())
    assert "  3 added: " in str(found) and "  3 removed: " in str(back)
    assert found.manifest["options.include_unannotated"] == ("no", "all")


def test_changed_pixels(source, before, tmp_path):
    path, pixels = source.image(PATIENTS[0], 1), source_folders.draw_pixels(1, 2, 3)
    source_folders.edit(path, pixels=pixels)
    after = made(source, tmp_path / "after")
    found = compared(before, after)
    assert found.changes.examples == 2  # its neighbour's series has other statistics
    assert found.changes.features["image/pixels"].keys == [key_of(after, pixels)]
    assert found.changes.features["image/pixels"].examples == 1
    assert found.changes.features["series/statistics"].examples == 2
    assert found.changes.classes == {}
    assert "    1 in image/pixels: " in str(found)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_changed_masks(source, before, tmp_path, compression):
    path = source.contour(PATIENTS[1], 2)
    source_folders.write_contour(path, source.inner(PATIENTS[1], 2) + (0, 3))
    after = made(source, tmp_path / "after", compression=compression)
    found = compared(before, after)
    key = key_of(after, source_folders.draw_pixels(PATIENTS[1], 2))
    (change,) = found.changes.classes.values()
    masks = [
        source_folders.example_of(
            folder, source_folders.draw_pixels(PATIENTS[1], 2)
        ).masks[0]
        for folder in (before, after)
    ]
    assert list(found.changes.classes) == ["inner"]
    assert (change.examples, change.annotated) == (1, 0)
    assert change.pixels_added == np.count_nonzero(masks[1] & ~masks[0]) > 0
    assert change.pixels_removed == np.count_nonzero(masks[0] & ~masks[1]) > 0
    dice = 2 * np.count_nonzero(masks[0] & masks[1]) / sum(map(np.count_nonzero, masks))
    assert change.worst == [(pytest.approx(dice), key)]
    assert f"Masks of inner: 1 changed, {change.pixels_added} pixels added" in str(
        found
    )
    assert f"least Dice: {key} ({dice:.3f})" in str(found)


def test_classes_that_are_annotated_now(source, before, tmp_path):
    outer = source.outer(PATIENTS[2], 2)
    source_folders.write_contour(source.contour(PATIENTS[2], 2, "o"), outer)
    found = compared(before, made(source, tmp_path / "after"))
    change = found.changes.classes["outer"]
    assert (change.examples, change.annotated, change.pixels_removed) == (1, 1, 0)
    assert change.worst[0][0] == 0
    assert found.changes.features["mask/annotated"].examples == 1


def test_moved_patients(source, before, tmp_path):
    names = dict(zip(PATIENTS, ("test", "test", "train"), strict=True))
    table = tmp_path / "split.csv"
    lines = ["patient_id,split", *(f"{one},{split}" for one, split in names.items())]
    table.write_text("\n".join(lines))
    after = made(source, tmp_path / "after", split=str(table))
    found = compared(before, after)
    tables = [load_manifest(one).split_table for one in (before, after)]
    moved = {one for one in tables[0] if tables[0][one] != tables[1][one]}
    assert moved and set(found.moved) == moved
    for patient, (old, new) in found.moved.items():
        assert (old, new) == (tables[0][patient], tables[1][patient])
    assert found.changes.examples == 0
    assert "Patients moved from " in str(found)


def test_patients_that_came_and_went(source, before, tmp_path):
    shutil.rmtree(source.image(PATIENTS[0], 1).parent)
    shutil.rmtree(source.contour(PATIENTS[0], 1).parents[1])
    after = made(source, tmp_path / "after")
    gone = set(load_manifest(before).split_table) - set(
        load_manifest(after).split_table
    )
    found = compared(before, after)
    assert set(found.patients_removed) == gone and len(gone) == 1
    assert found.patients_added == {} and len(found.removed) == 2
    assert set(compared(after, before).patients_added) == gone
    assert "Patients removed from " in str(found)


def test_with_another_identity_key_pixels_decide(source, before, tmp_path):
    path = source.contour(PATIENTS[1], 1)
    source_folders.write_contour(path, source.inner(PATIENTS[1], 1) + (0, 2))
    after = made(source, tmp_path / "after", id_key_file=str(tmp_path / "id.key"))
    found = compared(before, after)
    assert found.matched_by == "pixels"
    assert (found.added, found.removed) == ((), ())
    # The two keys rank no patient differently, so that nobody moved.
    assert (found.moved, found.patients_added, found.patients_removed) == ({}, {}, {})
    assert found.changes.examples == 1
    assert set(found.changes.classes) == {"inner"}
    assert "example/key" not in found.changes.features
    assert "options.identity_key" not in found.manifest
    assert found.manifest["options.identifiers"] == ("public", "keyed")
    assert "matched by their pixels" in str(found)


def test_options_and_versions(source, before, tmp_path):
    after = made(source, tmp_path / "after", edge_rule="center")
    text = (after / MANIFEST).read_text().replace('"pydicom": "', '"pydicom": "9.')
    (after / MANIFEST).write_text(text)
    found = compared(before, after)
    assert found.manifest["options.edge_rule"] == ("half_covered", "center")
    assert found.manifest["versions.pydicom"][1].startswith("9.")
    assert found.changes.features["annotation/edge_rule"].examples == 6
    assert "  options.edge_rule: half_covered -> center" in str(found)


def test_classes(source, before, tmp_path):
    after = made(source, tmp_path / "after", classes="ring=outer-inner;inner")
    found = compared(before, after)
    names = [[one["name"] for one in classes] for classes in found.manifest["classes"]]
    assert names == [["inner", "outer"], ["ring", "inner"]]
    assert found.changes.classes == {}  # inner is what it was, in another place
    assert found.changes.features["mask/classes"].examples == 6


def test_labels(source, tmp_path):
    tables = []
    for number in (1, 2):
        path = tmp_path / f"{number}.csv"
        rows = [f"{one},{number * (one == PATIENTS[0])}" for one in PATIENTS]
        path.write_text("\n".join(["patient_id,age", *rows]))
        tables.append(made(source, tmp_path / f"with {number}", labels=str(path)))
    found = compared(*tables)
    assert found.changes.examples == 2
    assert list(found.changes.features) == ["label/values"]


def test_json_has_all_of_it(source, before, tmp_path):
    after = made(source, tmp_path / "after", edge_rule="center")
    found = json.loads(compared(before, after).to_json())
    assert found["same"] is False and found["examples_after"] == 6
    assert len(found["changes"]["features"]["annotation/edge_rule"]["keys"]) == 6
    assert found["manifest"]["options.edge_rule"] == ["half_covered", "center"]


def test_folders_that_cannot_be_read(before, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        compared(before, tmp_path)
    other = shutil.copytree(before, tmp_path / "other")
    text = (other / MANIFEST).read_text()
    shard = next(other.glob("train-*"))
    data = bytearray(shard.read_bytes())
    data[30] ^= 1
    shard.write_bytes(data)
    sha = load_manifest(other).splits["train"].shards[0].sha256
    (other / MANIFEST).write_text(text.replace(sha, "0" * 64))
    with pytest.raises(ValueError, match="record 0: damaged"):
        compared(before, other)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
