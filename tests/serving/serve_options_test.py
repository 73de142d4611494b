"""What the server can be told, and what is refused."""

import sys

import pytest

from tfdicom.serving.serve_options import ServeOptions


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url_prefix": "/a/"}, "url_prefix='/a/': a path as '/tfdicom'"),
        ({"url_prefix": "a"}, "url_prefix"),
        ({"url_prefix": "/.."}, "url_prefix"),
        ({"token": "short"}, "the token has 5 characters: at least 16"),
        ({"token": "with blanks in the middle"}, "visible ASCII"),
        ({"workers": 0}, "workers=0"),
        ({"port": 70000}, "port=70000"),
        ({"max_batch_size": 0}, "max_batch_size=0"),
    ],
)
def test_refusals(fields, words):
    with pytest.raises(ValueError, match=words):
        ServeOptions(**fields)


def test_folders():
    assert ServeOptions(data_dir=" a/b, c ,").data_dirs == ("a/b", "c")
    for nothing in (None, "", " , "):
        with pytest.raises(ValueError, match="name a data set: --data_dir"):
            _ = ServeOptions(data_dir=nothing).data_dirs


def test_the_token_is_not_shown():
    assert "secret" not in repr(ServeOptions(token="secret-of-sixteen-letters"))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
