"""Makes the pictures of docs/browser.md and docs/report.md.

  PYTHONPATH=. python tools/pictures.py [FOLDER]

It converts the Sunnybrook data of FOLDER (default: the shared data, else the sample in
examples/sample), serves them, and takes pictures of the pages in chromium without a
screen: playwright and chromium are wanted. It takes a minute. Look at what it made.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from tools import tutorial, web_browser
from tools.web_server import WebServer

ROOT = pathlib.Path(__file__).resolve().parent.parent
_SHARED = os.environ.get("TFDICOM_SHARED_DATA") or ROOT.parent / "shared" / "data"
_SOURCES = (pathlib.Path(_SHARED) / "sunnybrook", ROOT / "examples" / "sample")
#: The picture's name, and rows and columns of the window that it shows.
SIZES = {
    "browser_examples": (740, 1280),
    "browser_example": (740, 1280),
    "browser_augmentation": (690, 1180),
    "browser_statistics": (860, 1280),
    "report": (1340, 1000),
}
_SECONDS = 120


def make_pictures(source: pathlib.Path, target: pathlib.Path) -> list[pathlib.Path]:
    """Converts a folder, and writes the pictures of it to another."""
    with tempfile.TemporaryDirectory() as top:
        folder = pathlib.Path(top)
        data, report = folder / "sunnybrook", folder / "report.html"
        _run(
            *("convert", f"--flagfile={ROOT / 'configs' / 'sunnybrook.flags'}"),
            *(f"--input_dir={source}", f"--output_dir={data}"),
        )
        _run("inspect", "report", f"--data_dir={data}", f"--out={report}")
        server = WebServer(folder, f"--data_dir={data}", "--workers=1")
        try:
            with web_browser.opened() as browser:
                for name, page in _pages(browser, server.url, report.as_uri()):
                    page.screenshot(path=folder / f"{name}.png")
                    page.close()
        finally:
            server.end()
        names = [f"{name}.png" for name in SIZES]
        return [tutorial.small(folder / name, target / name) for name in names]


def _run(program: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"tfdicom.{program}_main", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _pages(browser: Any, url: str, report: str) -> Iterator[tuple[str, Any]]:
    """Each picture's name, and the page that shows what is to be in it."""

    def opened(name: str, address: str, *, scheme: str = "dark") -> Any:
        rows, columns = SIZES[name]
        page = browser.new_page(
            viewport={"width": columns, "height": rows}, color_scheme=scheme
        )
        page.goto(address)
        return page

    page = opened("browser_examples", f"{url}/?class=outer&sort=-area")
    _wait_for_images(page)
    # A slice with both contours in the middle of a heart.
    place = page.locator("#grid a").nth(9).get_attribute("href").partition("?")[0]
    yield "browser_examples", page

    page = opened("browser_example", f"{url}{place}")
    page.wait_for_selector("canvas[data-shown]")
    box = page.locator("canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.keyboard.down("Control")
    for _ in range(6):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    yield "browser_example", page

    page = opened(
        "browser_augmentation", f"{url}{place}/augmented?changes=contrast%3D1"
    )
    _wait_for_images(page)
    yield "browser_augmentation", page

    yield "browser_statistics", opened("browser_statistics", f"{url}/statistics")

    page = opened("report", report, scheme="light")
    chart = page.locator("figure", has_text="Grey values of all pixels")
    chart.first.evaluate("one => { one.scrollIntoView(); scrollBy(0, -20); }")
    yield "report", page


def _wait_for_images(page: Any) -> None:
    page.wait_for_function(
        "() => [...document.images].slice(0, 12).every((one) => one.naturalWidth > 9)",
        timeout=1000 * _SECONDS,
    )


def main() -> int:
    """Writes the pictures; returns the exit code."""
    given = [pathlib.Path(one) for one in sys.argv[1:]]
    source = next(one for one in (*given, *_SOURCES) if one.is_dir())
    for path in make_pictures(source, ROOT / "docs"):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
