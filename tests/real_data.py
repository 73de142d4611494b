"""Where the shared real data lies, if it lies anywhere.

``TFDICOM_SHARED_DATA`` names its folder; without it the folder ``shared/data`` beside
the checkout is tried. Tests that want it skip, with a reason, where it is absent.
"""

import os
import pathlib

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(
    os.environ.get("TFDICOM_SHARED_DATA") or REPOSITORY.parent / "shared" / "data"
)
SUNNYBROOK = SHARED / "sunnybrook"
SAMPLE = REPOSITORY / "examples" / "sample"

needs_sunnybrook = pytest.mark.skipif(
    not SUNNYBROOK.is_dir(), reason=f"no shared data at {SUNNYBROOK}"
)


def needs_shared(folder: str) -> pytest.MarkDecorator:
    """Skips a test where ``shared/data/<folder>`` is absent."""
    path = SHARED / folder
    return pytest.mark.skipif(not path.is_dir(), reason=f"no shared data at {path}")
