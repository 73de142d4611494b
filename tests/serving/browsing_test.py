"""Filters, cards and links of the first page."""

import sys

import pytest

from tests import served_apps
from tfdicom.serving import browsing, descriptions


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browsing") / "little"
    served_apps.write(folder)
    return served_apps.app_of(folder)


def _one(app):
    return app.extensions["tfdicom"].data_set(None)


def test_choices(app):
    found = browsing.choices(_one(app))
    assert found["split"] == [("", "any"), ("train", "train (7)"), ("test", "test (2)")]
    assert [word for word, _ in found["class"]] == [
        *("", "inner", "outer", "!inner", "!outer")
    ]
    assert [word for word, _ in found["finding"]] == ["", "any", "mask_touches_border"]


def test_choices_are_what_the_api_understands(app):
    known = {one.name: one for one in browsing.parameters()}
    found = browsing.choices(_one(app))
    for name in ("sort", "show"):
        for word, _ in found[name]:
            assert not word or known[name].accepts(word), word


def test_card(app):
    one = _one(app)
    row = descriptions.row(one, 5)  # without the outer class
    with app.test_request_context():
        card = browsing.card(one, row, {"dataset": None, "show": "near"})
    assert card["link"] == f"/examples/{row['key']}"
    assert "crop=1" in card["picture"] and "mask=0.35" in card["picture"]
    assert card["alt"] == "MR image, slice 1: shows inner"
    pixels = row["classes"]["inner"]["pixels"]
    assert [seen["text"] for seen in card["classes"]] == [f"inner {pixels} px"]


@pytest.mark.parametrize(
    ("total", "offset", "limit", "number", "steps"),
    [
        (0, 0, 48, ("1", "1"), [None, None, None, None]),
        (48, 0, 48, ("1", "1"), [None, None, None, None]),
        (49, 0, 48, ("1", "2"), [None, None, 48, 48]),
        (100_000, 48_000, 48, ("1,001", "2,084"), [0, 47_952, 48_048, 99_984]),
        (100, 96, 48, ("3", "3"), [0, 48, None, None]),
        (100, 10, 48, ("1", "3"), [0, 0, 58, 96]),
    ],
)
def test_page(app, total, offset, limit, number, steps):
    examples = [None] * max(min(limit, total - offset), 0)
    found = {"total": total, "examples": examples}
    with app.test_request_context("/?split=train&offset=3&q="):
        page = browsing.page(found, {"offset": offset, "limit": limit})
    assert (page["number"], page["count"]) == number
    links = [link for _, _, link in page["links"]]
    for link, step in zip(links, steps, strict=True):
        if step is None:
            assert link is None
        else:
            wanted = "/?split=train" + (f"&offset={step}" if step else "")
            assert link == wanted


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
