"""The pages, as a client without a browser gets them."""

import html.parser
import re
import sys

import numpy as np
import pytest

from tests import served_apps, synthetic
from tfdicom.label_kinds import LabelInfo
from tfdicom.serving.app import create_app
from tfdicom.serving.serve_options import ServeOptions

HTML = {"Accept": "text/html"}
_VOID = {"meta", "link", "input", "img", "br"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / "little"
    return folder, served_apps.write(folder)


@pytest.fixture(scope="module")
def client(written):
    return served_apps.app_of(written[0]).test_client()


class _Balanced(html.parser.HTMLParser):
    """Fails at an element that is not closed, or a script or style in the page."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        assert "style" not in names
        assert not any(name.startswith("on") for name in names), names
        assert tag != "style" and (tag != "script" or names["src"])
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            assert not data.strip()


def _get(client, address, status=200):
    answer = client.get(address, headers=HTML)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "text/html; charset=utf-8"
    reader = _Balanced()
    reader.feed(answer.text)
    assert reader.open == []
    return answer.text


def _keys(text):
    return re.findall(r'href="/examples/([0-9a-f]{32})', text)


def test_every_page_is_whole_and_names_no_place(client, written):
    folder, examples = written
    key = examples["train"][0].key
    paths = ["/", "/?q=none", "/statistics", f"/examples/{key}"]
    for path in (*paths, f"/examples/{key}/augmented"):
        text = _get(client, path)
        assert str(folder) not in text and str(folder.parent) not in text


def test_search(client, written):
    _, examples = written
    every = [one.key for split in examples.values() for one in split]
    assert _keys(_get(client, "/")) == every
    assert _keys(_get(client, "/?split=test&class=&q=")) == every[-2:]
    assert _keys(_get(client, f"/?q={every[4][:9]}")) == [every[4]]
    assert "Nothing fits" in _get(client, "/?q=nothing")
    assert "1 to 4 of 9 examples" in _get(client, "/?limit=4")
    text = _get(client, "/?limit=4&offset=4&split=train%2Btest")
    assert _keys(text) == every[4:8]
    links = re.findall(r'class="button" href="([^"]+)" rel="(\w+)"', text)
    assert [rel for _, rel in links] == ["prev", "next"]
    after = links[1][0].replace("&amp;", "&")
    assert _keys(_get(client, after)) == every[8:]


def test_findings_and_labels_are_offered(client):
    text = _get(client, "/?finding=any")
    assert text.count('class="badge"') == 2
    assert "mask_touches_border (2)" in text
    assert '<option value="diagnosis=benign">diagnosis: benign' in text
    shown = _get(client, "/?label=diagnosis%3Dmalignant")
    assert len(_keys(shown)) == 3
    assert 'value="diagnosis=malignant" selected' in shown


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/?class=liver", 404, "there is no class &#39;liver&#39;"),
        ("/?offset=-1", 400, "offset=&#39;-1&#39; is not allowed"),
        ("/?nothing=1", 400, "there is no parameter &#39;nothing&#39;"),
        ("/statistics?dataset=other", 404, "there is no data set &#39;other&#39;"),
        (f"/examples/{'0' * 32}", 404, "there is no example"),
        ("/examples/../../etc/passwd/augmented", 404, "nothing at this address"),
        (f"/examples/{'0' * 32}/augmented?seeds=99", 400, "seeds=&#39;99&#39;"),
    ],
)
def test_what_is_refused(client, address, status, words):
    assert words in _get(client, address, status)
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "*/*"}):
        answer = client.get(address, headers=headers)
        assert answer.status_code == status
        message = served_apps.error_of(answer)["message"]
        assert words.replace("&#39;", "'") in message


def test_texts_of_a_data_set_are_no_html(tmp_path):
    evil = "<script>alert(1)</script>"
    frames = {"p": synthetic.frames(2, labels=(evil,))}
    label = LabelInfo("<b>", "class", (evil,))
    classes = ("<i>x</i>", "y&z")
    synthetic.write_dataset(
        tmp_path / "d", {"train": frames}, classes=classes, labels=(label,)
    )
    client = served_apps.app_of(tmp_path / "d").test_client()
    for path in ("/", "/?q=%3Cscript%3E", "/statistics"):
        text = _get(client, path)
        assert "<script>alert" not in text and "<i>x" not in text
        assert "&lt;i&gt;x" in text


def test_several_data_sets(tmp_path):
    for name in ("one", "two"):
        served_apps.write(tmp_path / name)
    folders = f"{tmp_path / 'one'},{tmp_path / 'two'}"
    client = create_app(ServeOptions(data_dir=folders)).test_client()
    text = _get(client, "/?dataset=two")
    assert "<option selected>two</option>" in text
    assert re.search(r'href="/examples/[0-9a-f]{32}\?dataset=two"', text)
    key = _keys(text)[0]
    assert 'data-dataset="two"' in _get(client, f"/examples/{key}?dataset=two")


def test_views_in_an_address_are_for_the_browser(client, written):
    key = written[1]["train"][0].key
    text = _get(client, f"/examples/{key}?window=40,400&zoom=2&hide=inner&at=1,2")
    assert f'data-key="{key}"' in text


def test_links_of_augmentation(client, written):
    key = written[1]["train"][0].key
    query = "preset=light&changes=contrast%3D0.3&seed=5&seeds=2&epoch=7&epochs=2"
    text = _get(client, f"/examples/{key}/augmented?{query}")
    links = re.findall(r'data-src="([^"]+)"', text)
    found = [tuple(map(int, re.findall(r"(?:seed|epoch)=(\d+)", one))) for one in links]
    assert found == [(5, 7), (5, 8), (6, 7), (6, 8)]
    assert all("augment=light,contrast%3D0.3" in one for one in links), links


def test_links_have_the_prefix(written):
    app = served_apps.app_of(written[0], url_prefix="/p/q")
    text = app.test_client().get("/p/q/", headers=HTML).text
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', text)
    assert links and all(one.startswith("/p/q/") for one in links)


def test_statistics(client, written):
    _, examples = written
    text = _get(client, "/statistics")
    train = examples["train"]
    assert "<strong>9</strong> examples" in text
    pixels = sum(one.pixel_count[0] for one in train)
    assert f"<td>{pixels:,}</td>" in text
    mean = np.concatenate([one.image for one in train]).mean()
    assert f"<td>{mean:,.4g}</td>" in text
    names = re.findall(r'<svg class="plot"[^>]*aria-label="([^"]+)"', text)
    assert len(names) == 5
    assert any(f"train {len(train)}" in name for name in names)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
