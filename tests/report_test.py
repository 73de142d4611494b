import os
import re
import shutil
import subprocess
import sys

import html5lib
import numpy as np
import pytest
from PIL import Image

from tests import real_data, screenshots, source_folders, synthetic
from tfdicom import dataset_reading, manifest, report
from tfdicom.label_kinds import LabelInfo

HTML = "{http://www.w3.org/1999/xhtml}"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def sunnybrook(sunnybrook_dataset, tmp_path_factory):
    """The page about the shared Sunnybrook data."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    return out, report.report(sunnybrook_dataset, out, num_workers=1)


def parsed(path):
    """The page's tree; any error that HTML5 knows fails."""
    return html5lib.HTMLParser(strict=True).parse(path.read_text())


def texts(tree):
    return " ".join("".join(tree.itertext()).split())


def sections(tree):
    return [one.get("id") for one in tree.iter(f"{HTML}h2")]


def test_it_is_valid_and_says_what_it_should(sunnybrook):
    out, result = sunnybrook
    tree = parsed(out)
    assert sections(tree) == [
        *("overview", "images", "masks", "greys", "sheets"),
        *("findings", "splits", "files", "made", "reading"),
    ]
    text = texts(tree)
    assert "GE MEDICAL SYSTEMS" in text and "256 x 256 x 1" in text
    assert "No patient, study, series, image or equal pixels are in two splits." in text
    assert "Nothing is annotated on this image." in text
    assert result.examples == 56
    assert result.pictures == len(list(tree.iter(f"{HTML}img"))) > 30
    assert f"{result.examples} examples, {result.pictures} pictures" in str(result)


def test_it_wants_nothing_from_anywhere(sunnybrook):
    text = sunnybrook[0].read_text()
    tree = parsed(sunnybrook[0])
    assert not list(tree.iter(f"{HTML}script")) and not list(tree.iter(f"{HTML}link"))
    for element in tree.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value.startswith(("data:image/webp;base64,", "#"))
    without_names = text.replace("http://www.w3.org/2000/svg", "")
    assert "://" not in without_names and "url(" not in without_names
    assert "default-src 'none'" in text


def test_those_who_do_not_see_it_can_read_it(sunnybrook):
    tree = parsed(sunnybrook[0])
    alts = [one.get("alt") for one in tree.iter(f"{HTML}img")]
    assert all(
        re.match(r"Example \w{8}: patient \w{6}, slice \d+", alt) for alt in alts
    )
    for chart in tree.iter("{http://www.w3.org/2000/svg}svg"):
        assert chart.get("role") == "img" and len(chart.get("aria-label")) > 20
    for table in tree.iter(f"{HTML}table"):
        assert table.find(f"{HTML}caption").text
        heads = table.iter(f"{HTML}th")
        assert all(head.get("scope") in ("row", "col") for head in heads)
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    links = [one.get("href")[1:] for one in tree.iter(f"{HTML}a")]
    assert set(links) <= set(ids)
    levels = [
        int(one.tag[-1]) for one in tree.iter() if re.search(r"}h\d$", str(one.tag))
    ]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert tree.get("lang") == "en"


def test_nobody_is_named(source, tmp_path):
    source_folders.convert(source.root, tmp_path / "out")
    report.report(tmp_path / "out", tmp_path / "r.html", num_workers=1)
    text = (tmp_path / "r.html").read_text()
    for patient in source.patients:
        assert patient not in text and source.original(patient) not in text
    assert "Doe" not in text and "1945" not in text and str(tmp_path) not in text


def test_the_same_data_set_gives_the_same_page(source, tmp_path):
    source_folders.convert(source.root, tmp_path / "out")
    for number, workers in enumerate((1, 2)):
        report.report(
            tmp_path / "out", tmp_path / f"{number}.html", num_workers=workers
        )
    assert (tmp_path / "0.html").read_bytes() == (tmp_path / "1.html").read_bytes()


def test_findings_have_pictures(source, tmp_path):
    patient = source.patients[0]
    source_folders.write_contour(
        source.contour(patient, 1), source_folders.disc(1.0, 18.0, 6.0)
    )
    source_folders.convert(source.root, tmp_path / "out")
    report.report(tmp_path / "out", tmp_path / "r.html", num_workers=1)
    tree = parsed(tmp_path / "r.html")
    pixels = source_folders.draw_pixels(patient, 1)
    key = source_folders.example_of(tmp_path / "out", pixels).key
    title = "contour_leaves_image: 1 example"
    heads = [one for one in tree.iter(f"{HTML}h3") if one.text == title]
    assert len(heads) == 1
    parent = {child: one for one in tree.iter() for child in one}
    after = list(parent[heads[0]])
    shown = after[after.index(heads[0]) + 2]
    (picture,) = shown.iter(f"{HTML}img")
    assert picture.get("alt").startswith(f"Example {key[:8]}:")


def test_leaks_are_told(tmp_path):
    same = synthetic.Frame(pixels=np.arange(192, dtype=np.int16).reshape(12, 16, 1))
    splits = {"train": {"a": [same]}, "test": {"b": [same]}}
    synthetic.write_dataset(tmp_path / "d", splits)
    report.report(tmp_path / "d", tmp_path / "r.html", num_workers=1)
    text = texts(parsed(tmp_path / "r.html"))
    assert "Something is in two splits." in text
    assert "of patient b in split 'test' has the same pixels as" in text


def test_what_the_budget_does_not_hold_is_named(monkeypatch, source, tmp_path):
    source_folders.convert(source.root, tmp_path / "out")
    monkeypatch.setattr("tfdicom.report_pictures.PAGE_BUDGET", 1000)
    result = report.report(tmp_path / "out", tmp_path / "r.html", num_workers=1)
    assert result.pictures == 0
    key = source_folders.examples(tmp_path / "out")[0].key
    text = texts(parsed(tmp_path / "r.html"))
    assert "no room" in text and key[:12] in text


@pytest.mark.parametrize("case", ["plain", "no spacing", "labels", "sizes", "strange"])
def test_data_sets_of_all_kinds(tmp_path, case):
    fields, frames = {}, synthetic.frames(3)
    if case == "no spacing":
        frames = synthetic.frames(3, spacing=None, slice_index=None)
    if case == "labels":
        fields = {"classes": (), "labels": [LabelInfo("age", "number")]}
        frames = [synthetic.Frame(annotated="", labels=("41",))] * 2
    if case == "sizes":
        frames.append(synthetic.Frame(shape=(20, 10, 3), dtype="uint8"))
    if case == "strange":
        fields = {"classes": ('<b>"&', "…")}
    synthetic.write_dataset(tmp_path / "d", {"train": {"p": frames}, "x": {}}, **fields)
    report.report(tmp_path / "d", tmp_path / "r.html", num_workers=1)
    tree = parsed(tmp_path / "r.html")
    assert ("masks" in sections(tree)) == (case != "labels")
    assert ("labels" in sections(tree)) == (case == "labels")
    if case == "strange":
        assert 'Split train, class <b>"&' in texts(tree)


@pytest.mark.parametrize("case", ["masks", "labels", "sizes"])
def test_the_code_that_it_shows_reads_the_data_set(monkeypatch, tmp_path, case):
    fields, frames = {}, synthetic.frames(3)
    if case == "labels":
        fields = {"classes": (), "labels": [LabelInfo("age", "number")]}
        frames = [synthetic.Frame(annotated="", labels=("41",))] * 2
    if case == "sizes":
        frames.append(synthetic.Frame(shape=(20, 10, 1)))
    synthetic.write_dataset(tmp_path / "d", {"train": {"p": frames}}, **fields)
    code = report.reading_code(manifest.load_manifest(tmp_path / "d"), "d")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert names["image"].shape[0] == len(frames)


def test_nothing_to_report(tmp_path):
    synthetic.write_dataset(tmp_path, {"train": {}})
    with pytest.raises(ValueError, match="holds no example"):
        report.report(tmp_path, tmp_path / "r.html")
    with pytest.raises(FileNotFoundError, match=r"there is no dataset\.json"):
        report.report(tmp_path / "no", tmp_path / "r.html")


def test_without_jinja_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ValueError, match=r"pip install 'tfdicom\[report\]'"):
        report.report(tmp_path, tmp_path / "r.html")


@pytest.mark.slow
def test_ten_thousand_examples_take_less_than_ten_megabytes(tmp_path):
    random = np.random.default_rng(0)
    codes = ["contour_leaves_image", "area_jumps", "contour_duplicate"]

    def frames(first):
        for number in range(first, first + 25):
            masks = np.zeros((2, 64, 64), bool)
            masks[:, 9 : 11 + number % 40, 5 : 9 + number % 50] = True
            pixels = random.integers(0, 900, (64, 64, 1), np.int16)
            yield synthetic.Frame(pixels=pixels, shape=pixels.shape, masks=masks)

    splits = {
        split: {f"{split}{n}": list(frames(n * 25)) for n in range(count)}
        for split, count in (("train", 280), ("validation", 60), ("test", 60))
    }
    synthetic.write_dataset(tmp_path / "d", splits)
    with (tmp_path / "d" / "ledger.jsonl").open("w") as ledger:
        for one in dataset_reading.read_examples(tmp_path / "d"):
            line = '{"key": "%s", "findings": ["%s"]}\n'
            ledger.write(line % (one.key, codes[one.key_hash % 3]))
    result = report.report(tmp_path / "d", tmp_path / "r.html", examples=30)
    assert result.examples == 10_000 and result.pictures > 600
    assert result.size < 10_000_000
    parsed(tmp_path / "r.html")


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no chromium")
def test_a_browser_shows_it(sunnybrook, tmp_path):
    picture = screenshots.folder() / "report.png"
    picture.unlink(missing_ok=True)
    subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,6000"),
            *(f"--screenshot={picture}", sunnybrook[0].as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    page = np.asarray(Image.open(picture).convert("RGB"), int)
    assert page.shape == (6000, 1200, 3)
    # The tint of the first class in pictures, and the first line of the charts.
    orange = (page[..., 0] - page[..., 2] > 60).sum()
    blue = (np.abs(page - (0, 114, 178)).sum(axis=-1) < 12).sum()
    assert orange > 20_000 and blue > 2_000


def test_command(source, tmp_path):
    source_folders.convert(source.root, tmp_path / "out")
    out = tmp_path / "r.html"
    command = [sys.executable, "-m", "tfdicom.inspect_main", "report"]
    done = subprocess.run(
        [*command, f"--data_dir={tmp_path / 'out'}", f"--out={out}", "--examples=1"],
        cwd=real_data.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{out}: 6 examples, ")
    parsed(out)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
