"""What is said where a store cannot be reached, or does not let one in."""

import errno
import http.server
import sys
import threading

import pytest

from tests import source_folders
from tfdicom import beam_folder, files, folder_lock, output_folder, stores

DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>InvalidAccessKeyId</Code>
<Message>The AWS Access Key Id you provided does not exist in our records.</Message>
</Error>"""


class _Refuses(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.send_response(403)
        self.send_header("Content-Length", str(len(DENIED)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(DENIED)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, *arguments):
        pass


@pytest.fixture
def refusing():
    """The address of a server that knows nobody."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["closed port", "wrong key"])
def store(request, monkeypatch, tmp_path):
    """A bucket that gives nothing, and what is said of it."""
    s3fs = pytest.importorskip("s3fs")
    url, words = "http://127.0.0.1:9", "Could not connect to the endpoint URL"
    if request.param == "wrong key":
        url, words = request.getfixturevalue("refusing"), "Permission denied"
    for name, value in {
        "ENDPOINT_URL": url,
        "ACCESS_KEY_ID": "no",
        "SECRET_ACCESS_KEY": "no",
        "DEFAULT_REGION": "us-east-1",
        "MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    yield files.path_of("s3://nowhere/here"), words
    s3fs.S3FileSystem.clear_instance_cache()


WAYS = {
    "exists": lambda path: files.exists(path / "a"),
    "walk": files.walk,
    "read": lambda path: files.read_bytes(path / "a"),
    "write": lambda path: files.write_text(path / "a", "x"),
    "lease": lambda path: folder_lock.Lease(path).acquire(),
    "foreign": lambda path: output_folder.refuse_foreign(path, overwrite=False),
    "place": output_folder.take_place,
    "beam": lambda path: list(beam_folder.results(path)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_whatever_asks_it_says_what_to_check(store, way):
    path, words = store
    with pytest.raises(OSError) as told:
        way(path)
    assert str(told.value.filename).startswith("s3://nowhere/here")
    for one in (words, "check the bucket's name", "AWS_ENDPOINT_URL"):
        assert one in told.value.strerror
    assert told.value.errno in (errno.EIO, errno.EACCES)


def test_a_conversion_says_it_of_its_input_and_of_its_output(store, source, tmp_path):
    path, words = store
    for source_dir, output in (path, tmp_path / "out"), (source.root, path):
        with pytest.raises((OSError, ValueError), match=words) as told:
            source_folders.convert(source_dir, output)
        assert "s3://nowhere/here" in str(told.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [KeyError("x"), TimeoutError(), OSError(22, "no")])
def test_errors_of_clients_are_of_the_usual_kind(error):
    path = files.path_of("memory://a/b")
    with pytest.raises(OSError, match="check the address.*memory://a/b"):
        with stores.told(path):
            raise error


@pytest.mark.parametrize(
    "error", [OSError(28, "full"), OSError(2, "gone", "a"), ValueError("x")]
)
def test_errors_that_say_it_already_stay(error):
    with pytest.raises(type(error)) as told, stores.told(files.path_of("memory://a")):
        raise error
    assert told.value is error


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
