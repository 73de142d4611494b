"""Content of mask files: read once, and kept while a series is worked on."""

from __future__ import annotations

import collections
import pathlib
import threading

from tfdicom import files
from tfdicom.reasons import InputSkipped
from tfdicom.sources import mask_files, nifti
from tfdicom.sources.mask_files import MaskPixels
from tfdicom.sources.mask_listing import is_volume as is_volume_name
from tfdicom.sources.nifti import Volume

# A series has up to some hundred volumes, one for each organ, and each of its frames
# asks for all; of each only the box around the organ is kept.
_KEPT_BYTES = 2**28

_kept: collections.OrderedDict[tuple, MaskPixels | Volume] = collections.OrderedDict()
_lock = threading.Lock()


def opened(path: pathlib.Path) -> MaskPixels | Volume:
    """Pages of a file, or a volume where its name says NIfTI.

    A file that changed since is read again.

    Raises:
      InputSkipped: It cannot be read.
    """
    try:
        key = (str(path), files.stamp(path))
    except OSError as error:
        raise InputSkipped("file_unreadable", error.strerror or "") from error
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    is_volume = is_volume_name(path.name)
    mask = nifti.read_volume(path) if is_volume else mask_files.read_pixels(path)
    with _lock:
        _kept[key] = mask
        _forget_oldest()
    return mask


def _forget_oldest() -> None:
    size = sum(mask.nbytes for mask in _kept.values())
    while size > _KEPT_BYTES and len(_kept) > 1:
        size -= _kept.popitem(last=False)[1].nbytes
