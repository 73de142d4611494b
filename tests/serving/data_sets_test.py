"""Data sets that change while they are served."""

import shutil
import sys

import pytest

from tests import served_apps, synthetic
from tests.served_apps import error_of
from tfdicom.manifest import MANIFEST
from tfdicom.serving import data_sets
from tfdicom.serving.app import create_app
from tfdicom.serving.data_sets import check_data_sets
from tfdicom.serving.serve_options import ServeOptions


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(data_sets, "_LOOK_SECONDS", 0.0)


def test_a_data_set_that_is_replaced(tmp_path):
    for name in ("one", "two"):
        served_apps.write(tmp_path / name)
    folders = f"{tmp_path / 'one'},{tmp_path / 'two'}"
    app = create_app(ServeOptions(data_dir=folders))
    client = app.test_client()
    assert client.get("/v1/examples").json["total"] == 9
    first = app.extensions["tfdicom"].data_set("one")
    assert app.extensions["tfdicom"].data_set("one") is first
    too_large = "/v1/batch?image_size=9999"
    assert client.get(too_large).status_code == 413
    assert client.get(f"{too_large}&dataset=two").status_code == 413
    plans = app.extensions["tfdicom"].data_set("two").kept["plans"]

    shutil.rmtree(tmp_path / "one")  # as it is while another is copied there
    for path, operation in client.get("/openapi.json").json["paths"].items():
        answer = client.get(path.format(key=first.catalog.keys[0].decode(), series="s"))
        assert str(answer.status_code) in operation["get"]["responses"], path
        if not path.startswith("/v1/"):
            continue
        assert (answer.status_code, error_of(answer)["code"]) == (503, "busy")
        assert "'one' has changed" in error_of(answer)["message"]
        assert int(answer.headers["Retry-After"]) > 0
        assert str(tmp_path) not in answer.text
    assert client.get("/v1/examples?dataset=two").json["total"] == 9

    frames = synthetic.frames(3)
    synthetic.write_dataset(tmp_path / "one", {"train": {"p": frames}})
    assert client.get("/v1/examples").json["total"] == 3
    assert first.closed.is_set()
    # What was made of the other one is kept.
    assert "plans" not in first.kept
    assert app.extensions["tfdicom"].data_set("two").kept["plans"] is plans


def test_what_fails_is_not_tried_by_every_request(tmp_path, monkeypatch, caplog):
    def fail(text):
        tried.append(text)
        raise KeyError("a field that nobody foresaw")

    served_apps.write(tmp_path / "d")
    client = served_apps.app_of(tmp_path / "d").test_client()
    tried: list[str] = []
    monkeypatch.setattr(data_sets, "open_data_set", fail)
    monkeypatch.setattr(data_sets, "_LOOK_SECONDS", 60.0)
    (tmp_path / "d" / MANIFEST).unlink()
    statuses = [client.get("/v1/examples").status_code for _ in range(3)]
    assert statuses == [500, 503, 503] and len(tried) == 1
    assert caplog.text.count("d has changed: it is read again") == 1


def test_a_process_that_begins_while_a_data_set_is_written(tmp_path, caplog):
    with pytest.raises(FileNotFoundError):
        served_apps.app_of(tmp_path / "d")
    options = ServeOptions(data_dir=str(tmp_path / "d"))
    client = create_app(options, may_wait=True).test_client()
    assert client.get("/v1/examples").status_code == 503
    assert client.get("/healthz").status_code == 200
    served_apps.write(tmp_path / "d")
    assert client.get("/v1/examples").json["total"] == 9
    assert "has changed" not in caplog.text


@pytest.mark.parametrize("missing", ["dataset.index", MANIFEST])
def test_what_serving_needs_is_checked_first(tmp_path, missing):
    served_apps.write(tmp_path / "d")
    options = ServeOptions(data_dir=str(tmp_path / "d"))
    check_data_sets(options)
    (tmp_path / "d" / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        check_data_sets(options)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
