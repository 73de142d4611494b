"""One peer does the same job, as JSON: images a second, or why it was skipped.

python benchmarks/peers.py monai --job=affine --arrays=arrays.npz

``peer_job`` says what each gets and does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import graph_peers
import numpy as np
import torch_peers
from peer_job import AFFINE, FULL, Arrays, processor_seconds

PEERS: dict[str, Callable[[Arrays, str, int], Iterator[Any]]] = {
    "albumentations": torch_peers.albumentations,
    "batchgeneratorsv2": torch_peers.batchgeneratorsv2,
    "dali": graph_peers.dali,
    "monai": torch_peers.monai,
    "torchio": torch_peers.torchio,
    "keras_generator": graph_peers.keras_generator,
    "keras_layers": graph_peers.keras_layers,
}
_WARM_UP = 1.0  # seconds


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Images a second and processor ms an image, or the package that is missing."""
    with np.load(arguments.arrays) as stored:
        arrays = Arrays(stored["images"], stored["masks"])
    try:
        batches = PEERS[name](arrays, arguments.job, arguments.batch_size)
        _count_for(batches, min(_WARM_UP, arguments.seconds))
    except ModuleNotFoundError as error:
        return {"skipped": f"not installed: {error.name}"}
    before = processor_seconds()
    count, taken = _count_for(batches, arguments.seconds)
    images, used = count * arguments.batch_size, processor_seconds() - before
    return {"rate": images / taken, "cost": 1000 * used / images}


def _count_for(batches: Iterator[Any], seconds: float) -> tuple[int, float]:
    start = time.perf_counter()
    for count in itertools.count(1):
        next(batches)
        taken = time.perf_counter() - start
        if taken >= seconds:
            return count, taken
    raise AssertionError("counting does not end")


def main() -> None:
    """Measures one peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--job", choices=(AFFINE, FULL), default=AFFINE)
    parser.add_argument("--arrays", required=True)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.name, arguments)), flush=True)


if __name__ == "__main__":
    main()
