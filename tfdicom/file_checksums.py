"""``.conversion/files.json``: checksums of what stands beside the shards of a data set.

A letter that has changed in the ledger or the manifest may leave them well formed, and
in agreement with all else: only a checksum tells. Those of shards are in the manifest.
"""

from __future__ import annotations

import hashlib
import pathlib

from tfdicom import files, sealed_json
from tfdicom.dataset_index import INDEX
from tfdicom.manifest import LEDGER, MANIFEST, Manifest
from tfdicom.shard_results import CONVERSION

CHECKSUMS = f"{CONVERSION}/files.json"


def write_manifest(folder: pathlib.Path, manifest: Manifest) -> None:
    """Writes checksums and, last, ``dataset.json``; index and ledger are there.

    Equal data sets give equal bytes.
    """
    text = manifest.to_json()
    _write(folder, hashlib.sha256(text.encode()).hexdigest())
    files.write_text(folder / MANIFEST, text)


def add_checksums(folder: pathlib.Path) -> None:
    """Writes those of a data set, found whole, that has none; else does nothing."""
    if not files.exists(folder / CHECKSUMS):
        _write(folder, files.sha256_of(folder / MANIFEST))


def _write(folder: pathlib.Path, of_manifest: str) -> None:
    checksums = {name: files.sha256_of(folder / name) for name in (INDEX, LEDGER)}
    checksums[MANIFEST] = of_manifest
    sealed_json.write(folder / CHECKSUMS, checksums, indent=1)


def wrong_files(folder: pathlib.Path) -> list[str]:
    """Files of a data set that are there and not what was written, by their checksums.

    The file of the checksums is one itself. Without it nothing is known, nor wrong.
    """
    try:
        checksums = sealed_json.read(folder / CHECKSUMS)
    except FileNotFoundError:
        return []
    except ValueError:
        return [CHECKSUMS]
    return [
        name
        for name, checksum in checksums.items()
        if files.exists(folder / name) and files.sha256_of(folder / name) != checksum
    ]
