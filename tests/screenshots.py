"""Where tests keep pictures of pages, for people to look at."""

from __future__ import annotations

import os
import pathlib

from tests.real_data import REPOSITORY


def folder() -> pathlib.Path:
    """The same for every run: Bazel's for outputs, or one in the checkout's cache."""
    found = _place()
    found.mkdir(parents=True, exist_ok=True)
    return found


def line(since: float) -> str:
    """Where those are that were taken since a time; empty if none was."""
    found = _place()
    taken = [one for one in found.glob("*.png") if one.stat().st_mtime >= since]
    return f"screenshots: {len(taken)} in {found}" if taken else ""


def _place() -> pathlib.Path:
    kept = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR") or REPOSITORY / ".cache"
    return pathlib.Path(kept) / "screenshots"
