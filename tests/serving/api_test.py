"""The routes that need no TensorFlow, on a little data set and on a real one."""

import gzip
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from tests import served_apps
from tests.served_apps import error_of
from tfdicom import dataset_reading, example_schema


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "little"
    return folder, served_apps.write(folder)


@pytest.fixture
def client(written):
    return served_apps.app_of(written[0]).test_client()


@pytest.fixture(scope="module")
def real(sunnybrook_dataset):
    examples = list(dataset_reading.read_examples(sunnybrook_dataset))
    app = served_apps.app_of(sunnybrook_dataset)
    return app.test_client(), {one.key: one for one in examples}


def test_data_sets(client):
    (found,) = client.get("/v1/datasets").json["datasets"]
    assert (found["name"], found["examples"], found["patients"]) == ("little", 9, 3)
    assert found["splits"]["test"] == {"examples": 2, "patients": 1}
    assert [one["name"] for one in found["classes"]] == ["inner", "outer"]
    assert found["labels"][0]["words"] == ["benign", "malignant"]
    assert found["findings"] == {"mask_touches_border": 2}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 9),
        ("split=train", 7),
        ("split=train%2Btest", 9),
        ("patient=p1", 3),
        ("class=outer", 6),
        ("class=!outer", 0),
        ("finding=mask_touches_border", 2),
        ("finding=any", 2),
        ("q=touches+train", 1),
        ("q=p2", 2),
        ("q=series-p0", 4),
        ("q=nowhere", 0),
        ("split=test&class=inner&patient=p", 2),
    ],
)
def test_search(client, query, count):
    found = client.get(f"/v1/examples?{query}").json
    assert (found["total"], len(found["examples"])) == (count, count)


def test_search_by_label_when_the_records_are_known(client):
    rows = client.get("/v1/examples").json["examples"]  # reads them
    assert {row["labels"]["diagnosis"] for row in rows} == {"benign", "malignant"}
    found = client.get("/v1/examples?label=diagnosis=malignant").json
    assert found["facts_complete"]
    assert {row["patient"] for row in found["examples"]} == {"p1"}
    assert client.get("/v1/examples?q=malignant").json["total"] == 3


def test_rows_say_what_the_records_do(client, written):
    examples = [one for split in written[1].values() for one in split]
    rows = client.get("/v1/examples").json["examples"]
    assert [row["key"] for row in rows] == [one.key for one in examples]
    for row, one in zip(rows, examples, strict=True):
        assert (row["patient"], row["series"]) == (one.patient, one.series)
        assert row["shape"] == list(one.shape)
        pixels = [row["classes"][name]["pixels"] for name in one.classes]
        assert pixels == list(one.pixel_count)
        assert row["slice_index"] == one.slice_index


def test_pages_and_order(client):
    def keys(query):
        found = client.get(f"/v1/examples?{query}").json
        assert found["total"] == 9
        return [row["key"] for row in found["examples"]]

    everything = keys("")
    assert keys("offset=2&limit=3") == everything[2:5]
    assert keys("offset=8") == everything[8:]
    assert keys("offset=100") == []
    assert keys("sort=-order") == everything[::-1]
    assert keys("sort=key") == sorted(everything)
    rows = client.get("/v1/examples?sort=-area").json["examples"]
    areas = [sum(one["pixels"] for one in row["classes"].values()) for row in rows]
    assert areas == sorted(areas, reverse=True)


def test_an_example(real):
    client, examples = real
    for key, one in list(examples.items())[::11]:
        found = client.get(f"/v1/examples/{key}").json
        assert (found["key"], found["patient"]) == (key, one.patient)
        assert found["geometry"]["orientation"] == list(one.orientation)
        assert found["statistics"]["image"]["mean"] == one.image_statistics[0]
        assert found["rules"]["edge_rule"] == one.edge_rule
        pixels = [mask["pixels"] for mask in found["classes"]]
        assert pixels == list(one.pixel_count)
        for line, (structure, points) in zip(
            found["contours"], one.contours, strict=True
        ):
            assert line["structure"] == structure
            np.testing.assert_allclose(line["points"], points, atol=1e-4)


def test_neighbours_walk_through_a_series(real):
    client, examples = real
    first = next(iter(examples.values()))
    keys = client.get(f"/v1/series/{first.series}").json["keys"]
    assert keys == [k for k, one in examples.items() if one.series == first.series]
    walked = [keys[0]]
    while True:
        around = client.get(f"/v1/examples/{walked[-1]}").json["neighbours"]
        assert (around["index"], around["count"]) == (len(walked) - 1, len(keys))
        if around["next"] is None:
            break
        walked.append(around["next"])
    assert walked == keys


def test_pixels_and_masks(real):
    client, examples = real
    key, one = next(iter(examples.items()))
    answer = client.get(f"/v1/examples/{key}/pixels")
    assert answer.headers["X-Tfdicom-Shape"] == "256,256,1"
    values = np.frombuffer(answer.data, answer.headers["X-Tfdicom-Dtype"])
    wanted = one.image * one.rescale_slope + one.rescale_intercept
    np.testing.assert_array_equal(values.reshape(one.shape), wanted)
    answer = client.get(f"/v1/examples/{key}/pixels?form=stored")
    assert answer.headers["X-Tfdicom-Dtype"] == one.dtype
    assert answer.data == one.pixels
    assert float(answer.headers["X-Tfdicom-Slope"]) == one.rescale_slope
    answer = client.get(f"/v1/examples/{key}/masks")
    planes = np.frombuffer(answer.data, np.uint8).reshape(one.masks.shape)
    np.testing.assert_array_equal(planes, one.masks)
    packed = client.get(f"/v1/examples/{key}/masks?form=packed").data
    assert packed == example_schema.pack_planes(one.masks)


def test_gzip_where_it_is_wanted(real):
    client, examples = real
    path = f"/v1/examples/{next(iter(examples))}/pixels"
    answer = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.data) == client.get(path).data


def test_pictures(real):
    client, examples = real
    key, one = next((k, e) for k, e in examples.items() if e.masks.all(axis=0).any())

    def picture(query):
        answer = client.get(f"/v1/examples/{key}.png?{query}")
        assert answer.content_type == "image/png"
        return np.asarray(Image.open(io.BytesIO(answer.data)).convert("RGB"), int)

    plain = picture("")
    assert plain.shape == (256, 256, 3)
    assert (plain[..., 0] == plain[..., 2]).all()
    tinted = picture("mask=0.5")
    changed = (tinted != plain).any(axis=2)
    assert changed[one.masks.any(axis=0)].mean() > 0.99
    assert not changed[~one.masks.any(axis=0)].any()
    assert picture("contours=1&size=512").shape == (512, 512, 3)
    assert (picture("contours=1") != plain).any()
    cropped = picture("crop=1")
    assert max(cropped.shape) < 256
    values = one.image[..., 0] * one.rescale_slope + one.rescale_intercept
    window = picture("window=200,100")[..., 0]
    assert (window[values <= 150] == 0).all() and (window[values >= 250] == 255).all()


def test_statistics(real):
    client, examples = real
    found = client.get("/v1/statistics").json
    assert found["examples"] == len(examples)
    train = [one for one in examples.values() if one.annotated]
    pixels = sum(
        split["classes"]["inner"]["pixels"] for split in found["splits"].values()
    )
    assert pixels == sum(one.pixel_count[0] for one in train)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/examples/" + "0" * 32, 404, "no_example"),
        ("/v1/examples/" + "0" * 32 + ".png", 404, "no_example"),
        ("/v1/examples/abc", 404, "not_found"),
        ("/v1/examples/..%2f..%2fdataset.json", 404, "not_found"),
        ("/v1/examples/%2e%2e/dataset.json", 404, "not_found"),
        ("/static/..%2f..%2fapp.py", 404, "not_found"),
        ("/static/../app.py", 404, "not_found"),
        ("/dataset.json", 404, "not_found"),
        ("/v1/series/nobody", 404, "no_series"),
        ("/v1/datasets?dataset=other", 400, "unknown_parameter"),
        ("/v1/examples?dataset=other", 404, "no_data_set"),
        ("/v1/examples?dataset=../little", 404, "no_data_set"),
        ("/v1/examples?split=nowhere", 404, "no_split"),
        ("/v1/examples?class=nothing", 404, "no_class"),
        ("/v1/examples?label=nothing=1", 404, "no_label"),
        ("/v1/examples?finding=nothing", 404, "no_finding"),
        ("/v1/examples?limit=1e3", 400, "bad_parameter"),
        ("/v1/examples?limit=9999", 400, "bad_parameter"),
        ("/v1/examples?offset=-1", 400, "bad_parameter"),
        ("/v1/examples?sort=price", 400, "bad_parameter"),
        ("/v1/examples?q=" + "x" * 5000, 400, "too_long"),
    ],
)
def test_refusals(client, written, path, status, code):
    client.get("/v1/examples")  # reads all records
    answer = client.get(path)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (status, code)
    assert str(written[0].parent) not in answer.text


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_only_get_and_head(client, method):
    for path in ("/v1/datasets", "/", "/static/style.css"):
        answer = getattr(client, method)(path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert error_of(answer)["code"] == "method_not_allowed"


def test_head(client):
    answer = client.head("/v1/datasets")
    assert (answer.status_code, answer.data) == (200, b"")


def test_history_says_no_place(real, sunnybrook_dataset):
    client, examples = real
    one = next(one for one in examples.values() if min(one.pixel_count))
    found = client.get(f"/v1/examples/{one.key}/history").json
    topics = [topic for topic, _ in found["lines"]]
    drawn = ["image", "contour", "contour", "rules", "outline", "outline"]
    assert topics == [*drawn, "class", "class"]
    text = dict(found["lines"])
    assert text["class"].startswith(f"outer: {one.pixel_count[1]} pixels")
    assert "edge rule half_covered" in text["rules"]
    assert "/" not in str(found["lines"])


def test_series_says_slices_and_phases(real):
    client, examples = real
    one = next(iter(examples.values()))
    found = client.get(f"/v1/series/{one.series}").json
    wanted = [other for other in examples.values() if other.series == one.series]
    assert found["keys"] == [other.key for other in wanted]
    assert found["slices"] == [other.slice_index for other in wanted]
    assert found["phases"] == [other.phase_index for other in wanted]


def test_damage_is_no_secret_and_tells_no_place(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "damaged"
    examples = served_apps.write(folder)
    (shard, *_) = sorted(folder.glob("train-*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[40] ^= 1  # in the first record
    shard.write_bytes(data)
    for shard_of_test in folder.glob("test-*.tfrecord"):
        shard_of_test.unlink()
    app = served_apps.app_of(folder)
    client = app.test_client()
    damaged = [examples["train"][0].key, *(one.key for one in examples["test"])]
    rows = client.get("/v1/examples?q=train").json["examples"]
    rows += client.get("/v1/examples?split=test").json["examples"]
    assert [one["key"] for one in rows if one["damaged"]] == damaged
    assert rows[0]["shape"] == [] and rows[1]["shape"] == [12, 16, 1]
    for path in ("", ".png", "/pixels", "/history"):
        answer = client.get(f"/v1/examples/{damaged[0]}{path}")
        assert (answer.status_code, error_of(answer)["code"]) == (500, "damaged")
        assert "tfdicom_inspect repair" in error_of(answer)["hint"]
        assert str(tmp_path) not in answer.text
    page = client.get(f"/examples/{damaged[0]}", headers={"Accept": "text/html"})
    assert page.status_code == 500 and f"example {damaged[0]} is damaged" in page.text
    assert client.get("/").text.count('class="lost"') == 3
    assert client.get("/statistics").status_code == 200
    series = client.get("/v1/series/" + rows[1]["series"])
    assert damaged[0] not in series.json["keys"] and len(series.json["keys"]) == 3
    app.extensions["tfdicom"].data_set(None).read_facts()
    assert client.get("/v1/datasets").json["datasets"][0]["facts_complete"]
    assert shard.name in caplog.text  # the log says it


def test_the_document_has_every_route(client):
    document = client.get("/openapi.json").json
    rules = {
        rule.rule.replace("<", "{").replace(">", "}")
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
    }
    assert set(document["paths"]) == rules
    assert json.dumps(document)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
