"""The batch that is made before anybody asks."""

import sys
import threading

import pytest

from tests import served_apps
from tfdicom.serving import warming


def test_the_first_batch_is_made_ahead(tmp_path):
    served_apps.write(tmp_path / "little")
    app = served_apps.app_of(tmp_path / "little", warm_up=True)
    (thread,) = (one for one in threading.enumerate() if one.name == "warm up")
    thread.join(120)
    makers = app.extensions["tfdicom"].data_set(None).kept["makers"]
    (ready,) = makers._found.values()
    assert app.test_client().get("/v1/batch?seed=3&step=1").status_code == 200
    assert [one.maker for one in makers._found.values()] == [ready.maker]


def test_what_cannot_be_made_ahead_is_told(tmp_path, caplog):
    served_apps.write(tmp_path / "little")
    app = served_apps.app_of(tmp_path / "little", max_batch_pixels=1)
    warming.warm_up(app.extensions["tfdicom"])
    assert "no batch could be made ahead: 8 examples of 12 x 16" in caplog.text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
