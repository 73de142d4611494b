"""What every peer gets and does.

Each gets the images in memory, decoded and from 0 to 1, and two worker processes (or
threads, where it has those) that use one thread each. The jobs: ``affine``, a rotation
by up to 15 degrees, a zoom by up to 10 % and a shift by up to 5 %, the image linear and
the mask nearest, as is usual with them; ``full``, then brightness, contrast and
Gaussian noise too.
"""

from __future__ import annotations

import importlib
import os
import pathlib
from typing import Any

import numpy as np

ANGLE, ZOOM, SHIFT = 15.0, 0.1, 0.05
BRIGHTNESS, CONTRAST, NOISE = 0.1, 0.1, 0.1
AFFINE, FULL = "affine", "full"
WORKERS = 2
_ENDLESS = 10**9


class Arrays:
    """Images ``[n, rows, columns]``, masks ``[n, rows, columns, classes]``, endless."""

    def __init__(self, images: np.ndarray, masks: np.ndarray) -> None:
        """Takes float32 images and uint8 masks."""
        self.images, self.masks = images, masks
        self.size = images.shape[1]

    def __len__(self) -> int:
        """So many that no epoch ends while we measure."""
        return _ENDLESS

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One image and its mask."""
        at = index % len(self.images)
        return self.images[at], self.masks[at]


def package(name: str) -> Any:
    """A module of a peer."""
    # Not by import statements: nothing here is one of tfdicom's own dependencies.
    return importlib.import_module(name)


def processor_seconds(process: int | None = None) -> float:
    """Time on all cores of a process, by default this one, and its running children."""
    process = process or os.getpid()
    folder = pathlib.Path(f"/proc/{process}")
    try:
        fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        threads = (folder / "task").glob("*/children")
        children = {child for thread in threads for child in thread.read_text().split()}
    except OSError:  # it ended meanwhile
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_seconds(int(child)) for child in children)
