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

    shutil.rmtree(tmp_path / "one")  # as it is while another is copied there
    for path in ("/v1/examples", "/v1/batch", "/v1/datasets"):
        answer = client.get(path)
        assert (answer.status_code, error_of(answer)["code"]) == (503, "busy")
        assert "'one' has changed" in error_of(answer)["message"]
        assert int(answer.headers["Retry-After"]) > 0
        assert str(tmp_path) not in answer.text
    assert client.get("/v1/examples?dataset=two").json["total"] == 9

    frames = synthetic.frames(3)
    synthetic.write_dataset(tmp_path / "one", {"train": {"p": frames}})
    assert client.get("/v1/examples").json["total"] == 3
    assert first.closed.is_set()


def test_a_process_that_begins_while_a_data_set_is_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        served_apps.app_of(tmp_path / "d")
    options = ServeOptions(data_dir=str(tmp_path / "d"))
    client = create_app(options, may_wait=True).test_client()
    assert client.get("/v1/examples").status_code == 503
    assert client.get("/healthz").status_code == 200
    served_apps.write(tmp_path / "d")
    assert client.get("/v1/examples").json["total"] == 9


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
