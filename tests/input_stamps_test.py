import os
import uuid

import pytest

from tests import source_folders
from tests.folder_contents import files_of
from tests.source_folders import convert
from tfdicom import conversion, files, input_stamps
from tfdicom.input_stamps import UNKNOWN, InputStamps

NAMES = ["a", "b/c", "d"]


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    place = tmp_path
    if request.param == "memory":
        place = files.path_of(f"memory://{uuid.uuid4().hex}")
    for name in NAMES:
        files.write_text(_made(place / name), f"content of {name}")
    return place


def _made(path):
    files.make_folder(path.parent)
    return path


def test_each_file_has_a_stamp_of_eight_bytes(folder):
    stamps = InputStamps(folder, files.walk(folder))
    assert {len(stamps.of(name)) for name in NAMES} == {8}
    assert len({stamps.of(name) for name in NAMES} - {UNKNOWN}) == 3
    assert stamps.of("b") == stamps.of("z") == UNKNOWN
    joined = stamps.joined(["a", "gone", "d"])
    found = input_stamps.by_path(["a", "gone", "d"], joined)
    assert found == {"a": stamps.of("a"), "d": stamps.of("d")}
    assert input_stamps.by_path(["a"], b"") == {}
    with pytest.raises(ValueError):
        input_stamps.by_path(["a"], joined)


def test_changed_files_are_named(folder):
    paths = files.walk(folder)
    before = input_stamps.by_path(paths, InputStamps(folder, paths).joined(paths))
    assert input_stamps.changed(folder, before) == []
    (folder / "a").write_bytes(b"CONTENT OF a")
    (folder / "d").unlink()
    assert input_stamps.changed(folder, before) == ["a", "d"]
    assert input_stamps.changed(folder, {}) == []


def test_a_time_of_zero_is_known_and_no_version_is_not(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    os.utime(tmp_path / "a", ns=(0, 0))
    assert InputStamps(tmp_path, ["a"]).of("a") != UNKNOWN
    assert InputStamps(tmp_path, ["absent"]).of("absent") == UNKNOWN
    assert input_stamps.stamp(3, "") == UNKNOWN


@pytest.mark.parametrize("kind", ["image", "contour"])
def test_a_file_that_changes_after_the_plan_ends_it_and_is_taken_next(
    source, tmp_path, monkeypatch, kind
):
    # The pixels lie 200 bytes further on, where the plan does not look for them.
    patient, output, write = source.patients[1], tmp_path / "out", conversion.run_shards
    path = getattr(source, kind)(patient, 2)

    def change(*arguments, **keywords):
        if kind == "image":
            source_folders.edit(path, ImageComments="x" * 200)
        else:
            source_folders.write_contour(path, source.inner(patient, 1))
        return write(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "run_shards", change)
        with pytest.raises(ValueError, match=f"{path.name}: changed while converting"):
            convert(source.root, output)
    assert not list(output.glob("*.tfrecord")) + list(output.glob("dataset.*"))
    convert(source.root, output)
    convert(source.root, tmp_path / "anew")
    assert files_of(output) == files_of(tmp_path / "anew")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
