"""``generate`` gives what ``input_fn`` gives, from a data set and from its source."""

import collections
import itertools
import sys

import numpy as np
import pytest

import tfdicom
from tests import source_folders
from tests.real_data import SAMPLE, SUNNYBROOK, needs_sunnybrook

pytestmark = pytest.mark.long

_CONVERT = tfdicom.ConvertOptions(split="train", id_key_file="public")
_READ = {"batch_size": 6, "with_info": True, "unannotated": "ignore"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    output = tmp_path_factory.mktemp("converted") / "out"
    tfdicom.convert(options=_CONVERT, input_dir=str(SAMPLE), output_dir=str(output))
    return output


def _assert_same(batches, others):
    for batch, other in itertools.zip_longest(batches, others):
        for one, two in zip(_leaves(batch), _leaves(other), strict=True):
            np.testing.assert_array_equal(one, two)


def _leaves(batch):
    image, mask, info = batch
    return [image, mask, *(info[name] for name in sorted(info))]


def test_a_data_set_gives_the_batches_of_input_fn(data_dir):
    dataset = tfdicom.input_fn(data_dir, "train", augment="light", **_READ)
    batches = tfdicom.generate(data_dir, "train", augment="light", **_READ)
    _assert_same(batches, dataset.as_numpy_iterator())


def test_a_source_gives_what_its_data_set_gives(data_dir):
    read = {**_READ, "training": False}
    _assert_same(tfdicom.generate(SAMPLE, **read), tfdicom.generate(data_dir, **read))


def test_a_source_is_augmented_as_its_data_set(data_dir):
    read = {**_READ, "batch_size": 1, "augment": "standard", "image_size": 96}

    def by_key(folder):
        return {b[2]["key"][0]: b[0] for b in tfdicom.generate(folder, **read)}

    first, second = by_key(SAMPLE), by_key(data_dir)
    assert first.keys() == second.keys()
    for key, image in first.items():
        np.testing.assert_allclose(image, second[key], atol=1e-4)


def test_epochs_of_a_source_differ_and_repeat():
    def keys(seed):
        batches = tfdicom.generate(
            SAMPLE,
            num_epochs=2,
            batch_size=20,
            seed=seed,
            with_info=True,
            classes="inner",
        )
        return [tuple(info["key"]) for _, _, info in batches]

    first, second = keys(0)
    assert first != second
    assert sorted(first) == sorted(second)
    assert keys(0) == [first, second]
    assert keys(1)[0] != first


@needs_sunnybrook
@pytest.mark.slow
def test_shared_source_with_its_own_split():
    options = tfdicom.ConvertOptions(
        split="train:0.67,test:0.33", id_key_file="public", classes="outer"
    )
    counts = {
        split: sum(
            len(image)
            for image, _ in tfdicom.generate(SUNNYBROOK, split, convert_options=options)
        )
        for split in ("train", "test")
    }
    assert sum(counts.values()) == 28
    assert min(counts.values()) > 0


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    before = sorted(SAMPLE.rglob("*"))
    next(tfdicom.generate(SAMPLE))
    assert sorted(SAMPLE.rglob("*")) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "keywords", "message"),
    [
        ("none", {}, "no such folder"),
        (SAMPLE, {"split": "validation"}, "no split 'validation'; .* has train"),
        (SAMPLE, {"classes": "atrium"}, "no class 'atrium'; .* has inner, outer"),
        (SAMPLE, {"normalize": "zscore_dataset"}, "needs the statistics"),
    ],
    ids=["folder", "split", "class", "statistics"],
)
def test_errors_come_at_the_call(folder, keywords, message, tmp_path):
    folder = tmp_path / folder if folder == "none" else folder
    with pytest.raises(ValueError, match=message):
        tfdicom.generate(folder, **keywords)


def test_it_is_a_generator(data_dir):
    for folder in (data_dir, SAMPLE):
        batches = tfdicom.generate(folder)
        assert isinstance(batches, collections.abc.Generator)
        next(batches)
        batches.close()
        assert list(batches) == []


def test_a_source_tells_once_what_it_leaves_out(source, capfd):
    source.image(source.patients[0], 1).write_text("no image")
    source.contour(source.patients[1], 2).write_text("")
    found = list(
        tfdicom.generate(source.root, num_epochs=2, batch_size=1, classes="inner")
    )
    # Of the image that is no image, nothing; of the empty contour's, nothing.
    assert len(found) == 2 * 4
    messages = capfd.readouterr().err
    for words in ("1 skipped: not_dicom", "1 skipped: contour_empty"):
        assert messages.count(words) == 1, words
    assert "1.dcm: no DICM prefix" in messages


@pytest.mark.parametrize("epochs", [1, None])
def test_a_source_of_which_nothing_can_be_converted_says_why(source, epochs):
    for path in source.root.rglob("*contour-manual.txt"):
        path.write_text("")
    batches = tfdicom.generate(source.root, num_epochs=epochs)
    words = "none of the images could be converted\n.*contour_empty.*\n.*-0001-"
    with pytest.raises(ValueError, match=words):
        next(batches)


def test_a_source_that_changes_is_read_no_further(source):
    batches = tfdicom.generate(source.root, training=False)
    path = source.image(source.patients[1], 2)
    source_folders.edit(path, ImageComments="x" * 200)
    with pytest.raises(ValueError, match=f"{path.name}: changed while converting"):
        next(batches)


def test_a_source_without_a_usable_image_says_why(source):
    for path in source.root.rglob("*.dcm"):
        path.write_text("no image")
    with pytest.raises(ValueError, match="none of the 9 files found") as error:
        tfdicom.generate(source.root)
    assert "9 skipped: not_dicom" in str(error.value)
    assert "dicoms/SCD0000101/1.dcm: no DICM prefix" in str(error.value)


def test_ct_needs_a_data_set_or_another_way(source):
    for path in source.root.rglob("*.dcm"):
        source_folders.edit(path, Modality="CT")
    with pytest.raises(ValueError, match="run tfdicom_convert first.*window:40:400"):
        tfdicom.generate(source.root)
    next(tfdicom.generate(source.root, normalize="window:40:400"))


def test_each_call_begins_anew(data_dir):
    def keys(epochs):
        batches = tfdicom.generate(
            data_dir, num_epochs=epochs, batch_size=1, with_info=True
        )
        return [info["key"][0] for _, _, info in batches]

    first = keys(1)
    assert keys(1) == first
    two = keys(2)
    assert two[: len(first)] == first != two[len(first) :]


def _batch_keys(**fields):
    batches = tfdicom.generate(SAMPLE, jit_compile=False, **{**_READ, **fields})
    return [tuple(info["key"]) for _, _, info in batches]


def test_a_source_starts_where_it_is_told():
    whole = _batch_keys(num_epochs=2)
    assert _batch_keys(num_epochs=2, start_step=4) == whole[4:]
    # With one epoch a pass, a start after the first pass is in the second epoch.
    second = _batch_keys(start_step=4)
    every = [key for keys in whole for key in keys]
    assert [key for keys in second for key in keys] == every[len(every) // 2 :]
    assert _batch_keys(start_step=4, training=False) == []


def test_an_endless_source_goes_on():
    fields = {"batch_size": 15, "jit_compile": False, "unannotated": "ignore"}
    batches = tfdicom.generate(SAMPLE, num_epochs=None, start_step=1, **fields)
    assert [len(image) for image, _ in itertools.islice(batches, 3)] == [15] * 3


@pytest.mark.parametrize("field", [{"weights": "1"}, {"positive_fraction": 0.5}])
def test_a_source_cannot_be_balanced(field):
    (name,) = field
    with pytest.raises(ValueError, match=f"{name} needs a converted data set: run"):
        tfdicom.generate(SAMPLE, **field)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
