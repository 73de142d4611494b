"""The catalog says what index, ledger and records do; also without what may lack."""

import json
import shutil
import sys
import time

import numpy as np
import pytest

from tests import served_apps
from tfdicom import dataset_index, dataset_reading, example_schema, files
from tfdicom.manifest import LEDGER, load_manifest
from tfdicom.serving import catalog, searching
from tfdicom.serving.data_sets import Served
from tfdicom.serving.serve_options import ServeOptions
from tfdicom.serving.served import open_data_set
from tfdicom.shard_results import CONVERSION


def served(folder):
    return open_data_set(str(folder))


def test_columns(tmp_path):
    written = served_apps.write(tmp_path / "d")
    one = served(tmp_path / "d")
    found, examples = one.catalog, [e for s in written.values() for e in s]
    assert [key.decode() for key in found.keys] == [e.key for e in examples]
    assert [one.split_of(place) for place in range(9)] == ["train"] * 7 + ["test"] * 2
    for place, example in enumerate(examples):
        assert found.places[example.key] == place
        assert found.annotated[place].tolist() == [a > 0 for a in example.annotated]
        assert found.present[place].tolist() == [n > 0 for n in example.pixel_count]
        assert one.example(place) == example_schema.decode(
            example_schema.encode(example)
        )
    assert found.finding_codes == ("mask_touches_border",)
    assert np.flatnonzero(found.findings).tolist() == [1, 8]


def test_facts_are_read_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    served_apps.write(tmp_path / "d")
    first = served(tmp_path / "d")
    assert not first.catalog.facts.complete
    first.read_facts()
    assert first.catalog.facts.complete and first.catalog.facts_file.exists()
    again = served(tmp_path / "d")
    assert again.catalog.facts.complete
    for place in range(9):
        assert again.catalog.facts.label_texts(place) == (
            first.catalog.facts.label_texts(place)
        )
    assert (again.catalog.facts.pixels == first.catalog.facts.pixels).all()
    first.catalog.facts_file.write_bytes(b"damaged")
    assert not served(tmp_path / "d").catalog.facts.complete


@pytest.mark.parametrize("without", [[], [LEDGER], [CONVERSION], [LEDGER, CONVERSION]])
def test_series_are_found_without_what_may_lack(
    sunnybrook_dataset, tmp_path, without, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "copy"
    shutil.copytree(sunnybrook_dataset, folder)
    for name in without:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    one = served(folder)
    examples = list(dataset_reading.read_examples(folder))
    for place in (0, 20, len(examples) - 1):
        around = one.series_around(place)
        wanted = [
            at for at, e in enumerate(examples) if e.series == examples[place].series
        ]
        assert around.tolist() == wanted
    if CONVERSION not in without:
        series = {e.series for e in examples}
        assert set(one.catalog.facts.words["series"]) == series


def test_index_and_manifest_that_differ(tmp_path):
    served_apps.write(tmp_path / "d")
    path = tmp_path / "d" / dataset_index.INDEX
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match=r"differ: 8 and 9 examples; copy both again"):
        served(tmp_path / "d")


def test_two_of_one_name(tmp_path):
    for name in ("a", "b"):
        served_apps.write(tmp_path / name / "d")
    options = ServeOptions(data_dir=f"{tmp_path}/a/d,{tmp_path}/b/d")
    with pytest.raises(ValueError, match="two data sets are called 'd'"):
        Served(options)
    shutil.move(tmp_path / "b" / "d", tmp_path / "b" / "e")
    options = ServeOptions(data_dir=f"{tmp_path}/a/d,{tmp_path}/b/e")
    assert Served(options).names == ("d", "e")


@pytest.mark.slow
def test_a_hundred_thousand_examples(tmp_path):
    """Searching them takes no time that a person notices."""
    served_apps.write(tmp_path / "d")
    whole = load_manifest(tmp_path / "d")
    shard = next(iter(whole.splits["train"].shards))
    count = 100_000
    keys = [f"{number * 7919:032x}" for number in range(count)]
    lines = [f"{key}\t{shard.file}\t0\t9\t11\t1{n % 2}\n" for n, key in enumerate(keys)]
    index = dataset_index.HEADER + "\n" + "".join(lines)
    files.write_text(tmp_path / "d" / dataset_index.INDEX, index)
    ledger = [
        json.dumps({"key": key, "patient": f"p{n // 100}", "findings": ["odd"]})
        for n, key in enumerate(keys)
    ]
    files.write_text(tmp_path / "d" / LEDGER, "\n".join(ledger))
    object.__setattr__(whole.splits["train"], "examples", count)
    object.__setattr__(whole.splits["test"], "examples", 0)
    found = catalog.read_catalog(tmp_path / "d", whole)
    began = time.perf_counter()
    asked = searching.Question(shows="outer", q="p99", sort="-findings")
    places = searching.search(found, whole.class_names, ("diagnosis",), asked)
    assert time.perf_counter() - began < 1
    assert len(places) == 50 * sum("p99" in f"p{n}" for n in range(1000))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
