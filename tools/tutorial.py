"""Makes the pictures of docs/tutorial.md, by running the page.

  PYTHONPATH=. python tools/tutorial.py

Every block runs as it stands there, in a temporary folder that has what a clone has;
each picture NAME.png that a block writes becomes docs/tutorial_NAME.png. It takes some
minutes.
"""

from __future__ import annotations

import pathlib
import re
import sys
import tempfile

from PIL import Image

from tools import snippet_runner, snippets

ROOT = pathlib.Path(__file__).resolve().parent.parent
_PAGE = ROOT / "docs" / "tutorial.md"
_PICTURE = re.compile(r"\]\(tutorial_(\w+)\.png\)")


def _clone(_: str, folder: pathlib.Path) -> None:
    for name in ("configs", "examples"):
        (folder / name).symlink_to(ROOT / name)


def make_pictures(target: pathlib.Path) -> list[pathlib.Path]:
    """Runs the page and writes its pictures to a folder.

    Raises:
      AssertionError: A block did not end or print as the page says.
    """
    with tempfile.TemporaryDirectory() as top:
        page = snippet_runner.PageRun(pathlib.Path(top), _clone, {}, shortened=False)
        with page.running():
            for snippet in snippets.read(_PAGE):
                page.run(snippet)
            return [
                small(page.folder / f"{name}.png", target / f"tutorial_{name}.png")
                for name in pictures()
            ]


def pictures() -> list[str]:
    """The pictures that the page shows, as its blocks call them."""
    return _PICTURE.findall(_PAGE.read_text(encoding="utf-8"))


def small(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Few colours suffice for grey images with lines, and take half of the bytes."""
    few = (
        Image.open(source)
        .convert("RGB")
        .quantize(method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    )
    few.save(target, optimize=True)
    return target


def main() -> int:
    """Writes the pictures; returns the exit code."""
    for path in make_pictures(ROOT / "docs"):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
