"""The client: the batches of a server as a plain iterator and in tf.data."""

import contextlib
import http.server
import json
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from werkzeug.serving import make_server

import tfdicom
from tests import served_apps
from tests.served_apps import TOKEN

pytestmark = pytest.mark.long


@contextlib.contextmanager
def served(app):
    """An application on a free port, in threads of this process."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("client") / "little"
    served_apps.write(found)
    return found


@pytest.fixture(scope="module")
def url(folder):
    with served(served_apps.app_of(folder, url_prefix="/tf", token=TOKEN)) as address:
        yield f"{address}/tf"


def assert_same(found, wanted):
    found, wanted = list(found), list(wanted)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_each_pass_is_the_next_epoch(url, folder):
    batches = tfdicom.remote_batches(url, batch_size=3, seed=2, token=TOKEN)
    dataset = tfdicom.input_fn(folder, batch_size=3, seed=2)
    for _ in range(3):
        assert_same(batches, dataset.as_numpy_iterator())
    assert batches.steps_per_epoch == 2


def test_options_and_structure(url, folder):
    options = {"unannotated": "weight", "classes": "outer;inner"}
    batches = tfdicom.remote_batches(
        url, "train", batch_size=4, token=TOKEN, image_size=(8, 10), **options
    )
    wanted = tfdicom.generate(folder, batch_size=4, image_size=(8, 10), **options)
    assert_same(batches, wanted)
    image, masks, weights = next(iter(batches))
    assert list(masks) == list(weights) == ["outer", "inner"]


def test_steps_and_where_they_begin(url, folder):
    everything = list(tfdicom.generate(folder, batch_size=2, num_epochs=5))
    batches = tfdicom.remote_batches(
        url, batch_size=2, steps=3, start_step=4, token=TOKEN, prefetch=1
    )
    assert_same(batches, everything[4:7])
    assert_same(batches, everything[7:10])
    rest = tfdicom.remote_batches(url, batch_size=2, start_step=1, token=TOKEN)
    assert_same(rest, everything[1:2])
    assert_same(rest, everything[2:4])


def test_in_tf_data(url, folder):
    batches = tfdicom.remote_batches(url, batch_size=3, token=TOKEN)
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=batches.output_signature
    )
    image, mask = dataset.element_spec
    assert image.shape.as_list() == [None, 12, 16, 1] and image.dtype == tf.float32
    assert mask.shape.as_list() == [None, 12, 16, 2] and mask.dtype == tf.uint8
    wanted = tfdicom.generate(folder, batch_size=3)
    assert_same(dataset.as_numpy_iterator(), wanted)


def test_half_a_pass_leaves_nothing_running(url):
    before = threading.active_count()
    batches = tfdicom.remote_batches(url, batch_size=1, steps=50, token=TOKEN)
    passing = iter(batches)
    next(passing)
    passing.close()
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(30)
    assert threading.active_count() <= before + 2  # the server's


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"token": "wrong"}, PermissionError, "401: the token is missing or wrong"),
        ({"token": None}, PermissionError, "Authorization: Bearer TOKEN"),
        ({"augment": "none such"}, ValueError, "400: augment='none such'"),
        ({"split": "nowhere"}, ValueError, "no split 'nowhere'"),
        ({"sise": 3}, ValueError, "there is no parameter 'sise' here. known are"),
        ({"batch_size": 0}, ValueError, "batch_size='0' is not allowed"),
        ({"num_epochs": 0}, ValueError, "say how many"),
        ({"num_epochs": None}, ValueError, "say how many"),
    ],
)
def test_refusals(url, fields, kind, words):
    with pytest.raises(kind, match=words):
        list(tfdicom.remote_batches(url, **{"token": TOKEN, **fields}))


@pytest.mark.parametrize("wrong", ["127.0.0.1:8080", "ftp://x", "", "http://"])
def test_addresses_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="as 'http://host:8080' is wanted"):
        tfdicom.remote_batches(wrong)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="give token=") as caught:
        tfdicom.remote_batches("http://user:secret@localhost:8080")
    assert "secret" not in str(caught.value)


def test_nobody_answers():
    with pytest.raises(ConnectionError, match=r"after 2 requests .*does tfdicom_serve"):
        list(tfdicom.remote_batches("http://127.0.0.1:1", retries=1))


class _Moody(http.server.BaseHTTPRequestHandler):
    """Too busy, gone, half an answer, and then as the application says."""

    protocol_version = "HTTP/1.1"
    moods: list = []
    client = None

    def do_GET(self):
        mood = self.moods.pop(0) if self.moods else "well"
        if mood == "gone":
            self.close_connection = True
            return
        if isinstance(mood, int):
            body = json.dumps({"error": {"code": "", "message": "no", "hint": ""}})
            self._send(mood, body.encode(), {"Retry-After": "0"})
            return
        answer = self.client.get(self.path)
        body, headers = answer.data, dict(answer.headers)
        if mood == "half":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self._send(answer.status_code, body, headers)

    def _send(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    "moods", [[503], [429, 503], ["gone"], ["half"], [502, "gone"]]
)
def test_trouble_that_passes(folder, moods):
    client = served_apps.app_of(folder).test_client()
    handler = type("Handler", (_Moody,), {"moods": list(moods), "client": client})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        found = tfdicom.remote_batches(url, batch_size=2, prefetch=1)
        assert_same(found, tfdicom.generate(folder, batch_size=2))
        assert not handler.moods
    finally:
        server.shutdown()
        server.server_close()


def test_trouble_that_stays(folder):
    handler = type("Handler", (_Moody,), {"moods": [503] * 99})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(ConnectionError, match=r"after 3 requests \(503: no\)"):
            list(tfdicom.remote_batches(url, retries=2))
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
