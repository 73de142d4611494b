"""Texts of a query become values, or a 400 that says what is allowed."""

import sys

import pytest

from tfdicom.serving.errors import ApiError
from tfdicom.serving.parameters import Parameter, read_query

SIZE = Parameter(name="size", doc="", kind=int, default=8, lower=1, upper=99)
SHARE = Parameter(name="share", doc="", kind=float, lower=0, upper=1)
YES = Parameter(name="yes", doc="", kind=bool, default=False)
WORD = Parameter(name="word", doc="", choices=("one", "two"))
KEY = Parameter(name="key", doc="", pattern="[0-9a-f]{4}")


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (SIZE, "1", 1),
        (SIZE, "99", 99),
        (SHARE, "0.25", 0.25),
        (SHARE, "1e-3", 0.001),
        (YES, "true", True),
        (YES, "0", False),
        (WORD, "two", "two"),
        (KEY, "00ff", "00ff"),
    ],
)
def test_values(parameter, text, value):
    found = parameter.read(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        *(
            (SIZE, text)
            for text in ("0", "100", "1.5", "", "x", " 1", "1_0", "١", "+1")
        ),
        *((SHARE, text) for text in ("nan", "inf", "-1", "1.1", "1e999", "0x1", "")),
        *((YES, text) for text in ("yes", "TRUE", "", "2")),
        *((WORD, text) for text in ("three", "", "one,two")),
        *((KEY, text) for text in ("00FF", "00f", "00ff\n", "../../etc")),
        *((Parameter(name="q", doc=""), text) for text in ("a\0b", "x" * 501)),
    ],
)
def test_refusals(parameter, text):
    with pytest.raises(ApiError) as caught:
        parameter.read(text)
    assert caught.value.status == 400
    assert caught.value.message.startswith(f"{parameter.name}=")
    assert caught.value.hint.startswith(f"{parameter.name}: ")


def test_a_query_gets_defaults():
    assert read_query([SIZE, YES], [("yes", "1")]) == {"size": 8, "yes": True}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ([("sise", "1")], "there is no parameter 'sise' here"),
        ([("size", "1"), ("size", "2")], "size is given twice"),
    ],
)
def test_queries_that_are_refused(query, words):
    with pytest.raises(ApiError, match=words):
        read_query([SIZE, YES], query)


def test_openapi_says_the_same():
    found = SIZE.to_openapi()
    schema = {"type": "integer", "minimum": 1, "maximum": 99, "default": 8}
    assert (found["name"], found["in"], found["schema"]) == ("size", "query", schema)
    assert WORD.to_openapi()["schema"] == {"type": "string", "enum": ["one", "two"]}
    assert KEY.to_openapi()["schema"]["pattern"] == "^([0-9a-f]{4})$"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
