"""The pages as people use them: real data, a real server, a real browser.

Screenshots are kept, and the end of the run says where.
"""

import base64
import io
import json
import sys
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from tests import screenshots, synthetic
from tfdicom import dataset_reading
from tools import web_browser
from tools.web_server import WebServer

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
)
expect = sync_api.expect

_TOKEN = "a token that nobody guesses".replace(" ", "-")
_PREFIX = "/cases/heart"
_SIZE = {"width": 1440, "height": 900}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    if web_browser.place() is None:
        pytest.skip(f"no browser on PATH: {', '.join(web_browser.NAMES)}")
    with web_browser.opened() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(sunnybrook_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    found = WebServer(folder, f"--data_dir={sunnybrook_dataset}", "--workers=1")
    yield found.url
    found.end()


@pytest.fixture(scope="module")
def guarded(sunnybrook_dataset, tmp_path_factory):
    """With a token, and below a prefix."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text(_TOKEN + "\n")
    found = WebServer(
        folder,
        f"--data_dir={sunnybrook_dataset}",
        "--workers=1",
        f"--token_file={folder / 'token'}",
        f"--url_prefix={_PREFIX}",
    )
    yield found.url
    found.end()


@pytest.fixture(scope="module")
def examples(sunnybrook_dataset):
    return {one.key: one for one in dataset_reading.read_examples(sunnybrook_dataset)}


@pytest.fixture
def complaints():
    """What the console says; a test takes out what it wants to be there."""
    return []


@pytest.fixture
def page(browser, complaints):
    """A page that must not complain, and must ask nobody but the server."""
    context = browser.new_context(viewport=_SIZE, color_scheme="dark")
    opened = context.new_page()
    addresses: set[str] = set()
    opened.on("console", lambda line: complaints.append(f"{line.type}: {line.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda one: addresses.add(urllib.parse.urlsplit(one.url)[1]))
    yield opened
    context.close()
    assert complaints == []
    assert len(addresses - {""}) == 1


@pytest.fixture(scope="session")
def screenshot():
    folder = screenshots.folder()

    def take(page, name, **how):
        path = folder / f"{name}.png"
        page.screenshot(path=path, **how)
        assert path.stat().st_size > 10_000, "an empty picture"

    return take


def _drawn(page):
    """What the canvas shows, float32 ``[rows, columns, 3]``."""
    text = page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() =>
          setTimeout(() => done(document.querySelector("canvas").toDataURL()))))"""
    )
    picture = Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2])))
    return np.asarray(picture.convert("RGB"), np.float32)


def _open(page, url, key, query=""):
    page.goto(f"{url}/examples/{key}{query}")
    page.wait_for_selector(f"canvas[data-shown='{key}']")
    expect(page.locator("#where")).to_contain_text("slices here")


def _with_both(examples):
    """An example with both contours, in the middle of its series."""
    found = [one for one in examples.values() if min(one.pixel_count) > 1000]
    return found[len(found) // 2]


def _shown_key(page):
    return page.locator("canvas").get_attribute("data-shown")


def test_search(page, server, examples, screenshot):
    page.goto(server)
    expect(page.get_by_role("status")).to_contain_text(f"of {len(examples)} examples")
    cards = page.locator("#grid li")
    expect(cards).to_have_count(48)
    page.wait_for_function(
        "() => [...document.images].slice(0, 12).every((one) => one.naturalWidth)"
    )
    screenshot(page, "browse")
    page.get_by_role("link", name="Next").click()
    expect(cards).to_have_count(len(examples) - 48)

    page.goto(server)
    outer = [one for one in examples.values() if one.pixel_count[1]]
    page.get_by_label("Class", exact=True).select_option("outer")
    expect(page.get_by_role("status")).to_contain_text(f"{len(outer)} examples")
    page.get_by_label("Order").select_option(label="largest masks first")
    expect(page).to_have_url(f"{server}/?class=outer&sort=-area")
    largest = max(outer, key=lambda one: sum(one.pixel_count))
    assert largest.key in cards.first.locator("a").get_attribute("href")

    page.get_by_label("Search", exact=True).fill(largest.key[:10])
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1 example")
    expect(cards.first).to_contain_text(f"{largest.pixel_count[1]:,} px")
    page.get_by_label("Search", exact=True).fill("nothing is called this")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_be_visible()


def test_keys_walk_over_the_pictures(page, server):
    page.goto(server)
    cards = page.locator("#grid a")
    cards.first.focus()
    page.keyboard.press("ArrowRight")
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    place = page.evaluate("document.activeElement.getBoundingClientRect().x")
    assert place == cards.nth(1).bounding_box()["x"]
    page.keyboard.press("Enter")
    page.wait_for_url("**/examples/*")


def test_window_by_dragging(page, server, examples, screenshot):
    example = _with_both(examples)
    _open(page, server, example.key)
    screenshot(page, "example")
    before, width = _drawn(page), float(page.locator("#width").input_value())
    box = page.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 200, y, steps=4)
    page.mouse.up()
    after = _drawn(page)
    wider = float(page.locator("#width").input_value())
    assert wider == pytest.approx(width * 2**0.5, rel=0.01)
    assert abs(after - before).mean() > 3
    expect(page.locator("#preset")).to_have_value("")
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query)
    page.wait_for_url("**window=*")
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query)
    assert float(query["window"][0].split(",")[1]) == pytest.approx(wider, abs=1)

    page.reload()
    page.wait_for_selector("canvas[data-shown]")
    np.testing.assert_allclose(_drawn(page), after, atol=1)
    page.get_by_role("button", name="Reset view").click()
    np.testing.assert_array_equal(_drawn(page), before)
    page.locator("#preset").select_option("All values")
    assert float(page.locator("#width").input_value()) == np.ptp(example.image)


def test_grey_values_are_the_window(page, server, examples):
    """Without masks and smoothing, the middle of each pixel has its value's grey."""
    example = _with_both(examples)
    query = "?window=200,300&mask=0&contour=0&smooth=0"
    _open(page, server, example.key, query)
    seen = _greys(page, example, aspect=1)[..., 0]
    wanted = np.clip((example.image[..., 0] - 50.0) / 300, 0, 1) * 255
    differ = np.abs(seen - wanted) > 1
    assert differ.mean() < 0.001


def test_opacity_and_classes(page, server, examples):
    example = _with_both(examples)
    _open(page, server, example.key, "?contour=0")
    tinted = _drawn(page)
    page.get_by_role("slider", name="Masks").fill("0")
    plain = _drawn(page)
    assert (plain[..., 0] == plain[..., 2]).all(), "grey"
    colored = (tinted != plain).any(axis=2).mean()
    page.get_by_role("slider", name="Masks").fill("35")
    np.testing.assert_array_equal(_drawn(page), tinted)
    page.get_by_role("checkbox", name="outer").uncheck()
    inner = (_drawn(page) != plain).any(axis=2).mean()
    share = example.pixel_count[0] / (example.masks.any(axis=0).sum())
    assert inner / colored == pytest.approx(share, rel=0.03)
    page.wait_for_url("**hide=outer*")
    page.get_by_role("slider", name="Contours").fill("100")
    lines = (_drawn(page) != plain).any(axis=2).mean()
    assert inner < lines < colored
    page.get_by_role("slider", name="Image").fill("0")
    assert np.median(_drawn(page)[..., :3]) == 0


def _series(examples, example):
    return [one for one in examples.values() if one.series == example.series]


def test_steps_through_the_series(page, server, examples, screenshot):
    series = _series(examples, _with_both(examples))
    places = {one.key: (one.slice_index, one.phase_index) for one in series}
    slices = sorted({place[0] for place in places.values()})
    first = min(places, key=places.get)
    _open(page, server, first)
    expect(page.locator("#where")).to_contain_text(f"1 of {len(slices)} slices here")

    def wait_for(wanted_slice, phase=None):
        keys = [k for k, (s, p) in places.items() if s == wanted_slice]
        if phase is not None:
            keys = [k for k in keys if places[k][1] == phase]
        chosen = ",".join(f"canvas[data-shown='{one}']" for one in keys)
        page.wait_for_selector(chosen)
        page.wait_for_url(f"**/{_shown_key(page)}*")

    before = _drawn(page)
    page.keyboard.press("ArrowRight")
    wait_for(slices[1])
    assert abs(_drawn(page) - before).mean() > 1
    page.keyboard.press("ArrowLeft")
    wait_for(slices[0])
    np.testing.assert_array_equal(_drawn(page), before)
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    for number in (1, 2):
        page.mouse.wheel(0, 100)
        wait_for(slices[number])
    page.mouse.wheel(0, -100)
    wait_for(slices[1])
    screenshot(page, "stepped")

    both = next(s for s in slices if sum(p[0] == s for p in places.values()) == 2)
    low, high = sorted(p for s, p in places.values() if s == both)
    page.locator("#slice").fill(str(slices.index(both)))
    wait_for(both)
    page.locator("canvas").focus()
    for _ in range(2):  # after the last phase comes the first
        other = high if places[_shown_key(page)][1] == low else low
        page.keyboard.press("ArrowUp")
        wait_for(both, other)
    page.get_by_role("button", name="Slice →").click()
    wait_for(slices[slices.index(both) + 1])


def test_value_under_the_pointer(page, server, examples):
    example = _with_both(examples)
    _open(page, server, example.key)
    box = page.locator("canvas").bounding_box()
    page.keyboard.press("0")
    page.mouse.move(box["x"] + box["width"] / 2 + 1, box["y"] + box["height"] / 2 + 1)
    row, column = (n // 2 for n in example.shape[:2])
    value = example.image[row, column, 0]
    text = page.locator("#value")
    expect(text).to_contain_text(f"column {column}, row {row}: {value}")

    inside = np.argwhere(example.masks[0]).mean(axis=0).round().astype(int)
    size = min(box["width"] / example.shape[1], box["height"] / example.shape[0])
    down, across = (inside + 0.5 - np.array(example.shape[:2]) / 2) * size
    page.mouse.move(
        box["x"] + box["width"] / 2 + across, box["y"] + box["height"] / 2 + down
    )
    expect(text).to_contain_text(f"column {inside[1]}, row {inside[0]}")
    expect(text).to_contain_text("inner")

    page.keyboard.down("Control")
    for _ in range(6):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    expect(text).to_contain_text(f"column {inside[1]}, row {inside[0]}")
    page.wait_for_url("**zoom=*")
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 40, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(text).to_contain_text(f"column {inside[1]}, row {inside[0]}")


def test_facts_history_and_picture(
    page, server, examples, sunnybrook_dataset, tmp_path
):
    example = _with_both(examples)
    _open(page, server, example.key)
    side = page.locator("#facts")
    expect(side).to_contain_text(f"{example.pixel_count[1]:,} px")
    expect(side).to_contain_text(example.edge_rule)
    expect(side).to_contain_text(f"{example.shape[0]} × {example.shape[1]} × 1, int16")
    page.get_by_text("How the mask came to be").click()
    history = page.locator("#history-lines")
    expect(history).to_contain_text("contours enclose")
    assert "/" not in history.inner_text()
    assert str(sunnybrook_dataset) not in page.content()

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download PNG").click()
    waiting.value.save_as(tmp_path / "picture.png")
    assert waiting.value.suggested_filename == f"tfdicom-{example.key[:8]}.png"
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    page.get_by_role("link", name=example.patient[:16]).click()
    patients = [one for one in examples.values() if one.patient == example.patient]
    expect(page.get_by_role("status")).to_contain_text(f"{len(patients)} examples")


def test_augmentation(page, server, examples, screenshot):
    example = _with_both(examples)
    _open(page, server, example.key)
    page.get_by_role("link", name="Augmentation").click()
    pictures = page.locator("#pictures img")
    expect(pictures).to_have_count(12)
    loaded = "() => [...document.images].every((one) => one.naturalWidth > 100)"
    page.wait_for_function(loaded, timeout=120_000)
    expect(page.locator("#progress")).to_have_text("")
    screenshot(page, "augmented")
    same = page.evaluate(
        """async () => {
          const sent = async (one) => {
            const answer = await fetch(one.dataset.src);
            return [...new Uint8Array(await answer.arrayBuffer())].join();
          };
          const all = [...document.querySelectorAll("#pictures img")];
          const texts = await Promise.all(all.slice(0, 3).map(sent));
          return [new Set(texts).size, texts[0] === await sent(all[0])];
        }"""
    )
    assert same == [3, True]
    page.get_by_label("Preset").select_option("none")
    page.get_by_label("Seeds").fill("1")
    page.get_by_role("button", name="Show").click()
    expect(pictures).to_have_count(4)
    page.wait_for_function(loaded, timeout=120_000)


def test_statistics(page, server, examples, screenshot):
    page.goto(server)
    page.get_by_role("link", name="Statistics").click()
    train = page.locator("#splits").locator("..").get_by_role("img")
    expect(train).to_have_count(1)
    assert f"{len(examples)} examples" in page.locator(".figures").inner_text()
    pixels = sum(one.pixel_count[0] for one in examples.values())
    page.locator("section", has_text="Classes").get_by_text("Numbers").first.click()
    cells = page.locator("#classes").locator("..").locator("tbody tr")
    totals = [
        int(row.locator("td").last.inner_text().replace(",", ""))
        for row in cells.all()
        if row.locator("th").inner_text() == "inner"
    ]
    assert sum(totals) == pixels
    for chart in page.get_by_role("img").all():
        assert chart.get_attribute("aria-label")
    screenshot(page, "statistics", full_page=True)
    page.get_by_role("button", name="Light or dark").click()
    screenshot(page, "statistics-light", full_page=True)


def test_token_and_prefix(page, guarded, examples, complaints, screenshot):
    example = _with_both(examples)
    root = f"{guarded}{_PREFIX}"
    page.goto(f"{root}/examples/{example.key}")
    expect(page).to_have_url(f"{root}/login")
    screenshot(page, "login")
    page.get_by_label("Token").fill("not the token at all")
    with page.expect_response("**/login") as answer:
        page.get_by_role("button", name="Open").click()
    assert answer.value.status == 401
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    assert len(complaints) == 1, complaints
    assert "401" in complaints[0]
    complaints.clear()
    page.get_by_label("Token").fill(_TOKEN)
    page.get_by_role("button", name="Open").click()
    expect(page).to_have_url(f"{root}/")
    page.wait_for_function("() => document.images[0].naturalWidth > 100")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert (cookie["path"], _TOKEN in json.dumps(cookie)) == (_PREFIX, False)
    page.locator("#grid a").first.click()
    page.wait_for_selector("canvas[data-shown]")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"{root}/examples/*")
    page.get_by_role("link", name="Statistics").click()
    expect(page).to_have_url(f"{root}/statistics")


def test_what_is_not_there(page, server, complaints):
    response = page.goto(f"{server}/examples/{'0' * 32}")
    assert response.status == 404
    expect(page.get_by_role("alert")).to_contain_text("there is no example")
    response = page.goto(f"{server}/?class=liver")
    assert response.status == 404
    expect(page.get_by_role("alert")).to_contain_text("there is no class 'liver'")
    assert all("404" in line for line in complaints)
    complaints.clear()


#: What the pages have to have, found without a tool: names, labels, contrast.
_FAULTS = """() => {
  const faults = [];
  const seen = (one) => one.checkVisibility({visibilityProperty: true});
  const all = (what) => [...document.querySelectorAll(what)].filter(seen);
  const say = (what, one) => faults.push(`${what}: ${one.outerHTML.slice(0, 120)}`);
  for (const one of document.images) if (!one.alt.trim()) say("no alt", one);
  for (const one of all("svg:not([aria-hidden])")) {
    const name = one.getAttribute("role") === "img" && one.getAttribute("aria-label");
    if (!name) say("no name", one);
  }
  for (const one of all("input:not([type=hidden]), select")) {
    const texts = [...one.labels].map((label) => label.textContent.trim());
    if (!texts.some(Boolean)) say("no label", one);
  }
  for (const one of all("a, button, summary")) {
    if (!one.textContent.trim()) say("no text", one);
  }
  for (const one of all("[tabindex]")) if (one.tabIndex > 0) say("tab order", one);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  if (new Set(ids).size !== ids.length) faults.push("an id is there twice");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (!document.documentElement.lang) faults.push("no lang");
  if (!document.querySelector("main")) faults.push("no main");

  const channel = (value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) =>
    0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const found = numbers(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !seen(one)) continue;
    if (one.closest(".readout, script, noscript")) continue;
    const style = getComputedStyle(one);
    const pair = [numbers(one.closest("svg") ? style.fill : style.color), ground(one)];
    const [low, high] = pair.map(light).sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) say(`contrast ${contrast.toFixed(2)}`, one);
  }
  return faults;
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_accessible(page, server, examples, screenshot, scheme):
    example = _with_both(examples)
    page.emulate_media(color_scheme=scheme)
    for name, path in (
        ("browse", "/?class=inner"),
        ("example", f"/examples/{example.key}"),
        ("augmented", f"/examples/{example.key}/augmented?seeds=1&epochs=1"),
        ("statistics", "/statistics"),
    ):
        page.goto(server + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate(_FAULTS) == [], path
        screenshot(page, f"{name}-{scheme}")


def test_tab_order(page, server, examples):
    """The first key leads past the menu; the image comes before its fields."""
    _open(page, server, _with_both(examples).key)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    order = [reached.index(name) for name in ("canvas", "slice", "center", "preset")]
    assert order == sorted(order)


@pytest.fixture(scope="module")
def other_images(tmp_path_factory):
    """A CT whose pixels are not square, and a picture in colours."""
    folder = tmp_path_factory.mktemp("other images")
    random = np.random.default_rng(5)
    colors = random.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    tissue = random.integers(900, 1200, (12, 16, 1)).astype(np.int16)
    scaled = {"modality": "CT", "intercept": -1024.0, "slope": 2.0}
    frames = {
        "ct": [synthetic.Frame(pixels=tissue, spacing=(1.0, 2.0), **scaled)],
        "colors": [synthetic.Frame(pixels=colors, dtype="uint8", modality="XC")],
    }
    written = synthetic.write_dataset(folder / "d", {"train": frames})
    server = WebServer(folder, f"--data_dir={folder / 'd'}", "--workers=1")
    yield server.url, {one.patient: one for one in written["train"]}
    server.end()


def _greys(page, example, aspect):
    """The colour in the middle of each pixel, float32 ``[rows, columns, 3]``."""
    drawn = _drawn(page)
    rows, columns, _ = example.shape
    down = min(drawn.shape[0] / rows, drawn.shape[1] / (columns * aspect))
    sizes = np.array([down, down * aspect])
    corner = (np.array(drawn.shape[:2]) - sizes * (rows, columns)) / 2
    places = [
        (start + (np.arange(count) + 0.5) * size).astype(int)
        for start, count, size in zip(corner, (rows, columns), sizes, strict=True)
    ]
    return drawn[np.ix_(*places)]


def test_ct_in_its_units(page, other_images):
    url, examples = other_images
    one = examples["ct"]
    page.goto(f"{url}/examples/{one.key}?mask=0&smooth=0")
    page.wait_for_selector("canvas[data-shown]")
    page.locator("#preset").select_option("Bone")
    expect(page.locator("#window-shown")).to_contain_text("C 480 W 2500")
    values = one.image[..., 0] * 2.0 - 1024
    wanted = np.clip((values - (480 - 1250)) / 2500, 0, 1) * 255
    seen = _greys(page, one, aspect=2.0)
    np.testing.assert_allclose(seen, np.repeat(wanted[..., None], 3, 2), atol=1)


def test_inverted(page, other_images):
    """MONOCHROME1 is shown as it is meant: high values are dark."""
    url, examples = other_images
    one = examples["ct"]

    def invert(route):
        answer = route.fetch()
        said = answer.json()
        said["image"]["photometric_interpretation"] = "MONOCHROME1"
        route.fulfill(response=answer, json=said)

    query = "?mask=0&smooth=0&window=1000,1000"
    page.goto(f"{url}/examples/{one.key}{query}")
    page.wait_for_selector("canvas[data-shown]")
    plain = _greys(page, one, aspect=2.0)
    page.route(f"**/v1/examples/{one.key}", invert)
    page.reload()
    page.wait_for_selector("canvas[data-shown]")
    np.testing.assert_allclose(_greys(page, one, aspect=2.0), 255 - plain, atol=1)


def test_a_busy_server_is_asked_again(page, other_images, complaints):
    url, examples = other_images
    one = examples["ct"]
    asked = []

    def busy_once(route):
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={})
        else:
            route.continue_()

    page.route("**/pixels*", busy_once)
    page.goto(f"{url}/examples/{one.key}")
    page.wait_for_selector("canvas[data-shown]")
    assert len(asked) >= 2
    assert all("503" in line for line in complaints)
    complaints.clear()


def test_what_the_server_says_is_shown(page, other_images, complaints):
    url, examples = other_images
    error = {"code": "failed", "message": "the record is damaged", "hint": "verify"}
    page.route(
        "**/masks*", lambda route: route.fulfill(status=500, json={"error": error})
    )
    page.goto(f"{url}/examples/{examples['ct'].key}")
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("the record is damaged: verify")
    assert all("500" in line for line in complaints)
    complaints.clear()


def test_colors(page, other_images):
    url, examples = other_images
    one = examples["colors"]
    page.goto(f"{url}/examples/{one.key}?mask=0&smooth=0")
    page.wait_for_selector("canvas[data-shown]")
    seen = _greys(page, one, aspect=1.25 / 1.5)
    np.testing.assert_allclose(seen, one.image, atol=1)


@pytest.mark.parametrize("width", [390, 820])
def test_narrow_screens(page, server, examples, screenshot, width):
    page.set_viewport_size({"width": width, "height": 800})
    for name, path in (
        ("browse", "/"),
        ("example", None),
        ("statistics", "/statistics"),
    ):
        if path is None:
            _open(page, server, _with_both(examples).key)
        else:
            page.goto(server + path)
        screenshot(page, f"{name}-{width}")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, name


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
