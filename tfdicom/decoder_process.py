"""The child process that decodes pixels: libraries in C may crash or hang, it may die.

``decoder_supervisor`` starts it as ``python -m tfdicom.decoder_process``. It answers
on its standard output each line of JSON that it gets on its standard input: with a
line of JSON, and the decoded pixels behind it. It never unpickles anything, and what
it sends is never unpickled.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import warnings
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom import uid
from pydicom.encaps import get_frame
from pydicom.pixels import apply_color_lut, get_decoder, pixel_array

READY = {"ready": True}
_PALETTE = (
    *range(0x00281101, 0x00281104),  # descriptors of the palette's three tables
    *range(0x00281201, 0x00281204),  # the tables
    *range(0x00281221, 0x00281224),  # the tables, segmented
)
# JPEG with 12 bits, sequential and progressive: GDCM decodes them, and pydicom does
# not let it. The last two are retired (PS3.6 A).
_JPEG_12 = frozenset(
    {uid.JPEGExtended12Bit, "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"}
)


class Undecoded(Exception):  # noqa: N818 - the answer to a request, not a defect
    """A frame that is not decoded: a reason code, and what was found."""

    def __init__(self, code: str, detail: str) -> None:
        """Takes both."""
        super().__init__(code, detail)
        self.code, self.detail = code, detail


def decode(path: str, index: int, syntax: str) -> np.ndarray:
    """Decodes one frame.

    Args:
      path: A local file.
      index: Of the frame, from 0.
      syntax: Transfer Syntax UID.

    Returns:
      What pydicom's ``pixel_array`` gives, colors as RGB: ``[rows, columns]`` or
      ``[rows, columns, 3]``.

    Raises:
      Undecoded: Nothing that is installed decodes the transfer syntax.
    """
    if syntax in _JPEG_12:
        plain = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        if plain.BitsStored > 8:
            return _decode_jpeg_12(path, index, plain)
    _check_decoder(syntax)
    header, pixels = _decoded(path, index, syntax)
    if header.get("PhotometricInterpretation") == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, header)
    return pixels


def _decoded(path: str, index: int, syntax: str) -> tuple[pydicom.Dataset, np.ndarray]:
    """Elements of the Image Pixel module, and the frame."""
    if syntax == uid.DeflatedExplicitVRLittleEndian:  # it inflates only as a whole
        return _decoded_of_whole(path, index, syntax)
    header = pydicom.Dataset()
    found: dict[str, Any] = {"ds_out": header, "specific_tags": list(_PALETTE)}
    try:
        return header, pixel_array(
            path, index=index, transfer_syntax_uid=syntax, **found
        )
    except MemoryError:
        raise
    except Exception as problem:
        # Reading frame by frame minds small faults that reading the whole does not.
        try:
            return _decoded_of_whole(path, index, syntax)
        except Exception as error:
            raise problem from error


def _decoded_of_whole(
    path: str, index: int, syntax: str
) -> tuple[pydicom.Dataset, np.ndarray]:
    dataset = pydicom.dcmread(path, force=True)
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    is_packed = dataset.get("BitsAllocated") == 1 and not uid.UID(syntax).is_compressed
    if is_packed and int(dataset.get("NumberOfFrames") or 1) > 1:
        # Alone, a frame that begins within a byte lacks its last bits in pydicom 3.0.
        return dataset, np.array(pixel_array(dataset)[index])
    return dataset, pixel_array(dataset, index=index)


def _check_decoder(syntax: str) -> None:
    name = uid.UID(syntax).name
    try:
        decoder = get_decoder(uid.UID(syntax))
    except NotImplementedError as error:
        raise Undecoded("transfer_syntax_unsupported", name) from error
    if not decoder.is_available:
        raise Undecoded("decoder_missing", name)


def _decode_jpeg_12(path: str, index: int, header: pydicom.Dataset) -> np.ndarray:
    """Decodes JPEG of 12 bits by GDCM itself."""
    try:
        gdcm = importlib.import_module("gdcm")
    except ImportError as error:
        raise Undecoded("decoder_missing", "JPEG with 12 bits") from error
    frames = int(header.get("NumberOfFrames") or 1)
    encoded = pydicom.dcmread(path, force=True).PixelData
    image = _gdcm_image(
        gdcm, header, get_frame(encoded, index, number_of_frames=frames)
    )
    decoded = image.GetBuffer().encode("utf-8", "surrogateescape")
    pixels = np.frombuffer(decoded, "<u2").reshape(header.Rows, header.Columns)
    if header.PixelRepresentation == 0:
        return pixels
    unused = 16 - int(header.BitsStored)
    return (pixels.astype(np.int16) << unused) >> unused


def _gdcm_image(gdcm: Any, header: pydicom.Dataset, frame: bytes) -> Any:
    """An image of GDCM that holds one encoded frame of one sample a pixel."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((header.Columns, header.Rows, 1))
    stored = int(header.BitsStored)
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, 0))
    color = gdcm.PhotometricInterpretation
    image.SetPhotometricInterpretation(
        color(color.GetPIType(str(header.PhotometricInterpretation)))
    )
    syntax = gdcm.TransferSyntax
    image.SetTransferSyntax(syntax(syntax.GetTSType(str(uid.JPEGExtended12Bit))))
    image.SetDataElement(element)
    return image


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The line and the pixels that answer a request."""
    try:
        pixels = decode(request["path"], request["index"], request["syntax"])
    except Undecoded as undecoded:
        return {"code": undecoded.code, "detail": undecoded.detail}, b""
    except MemoryError:
        return {"code": "decoder_out_of_memory", "detail": ""}, b""
    except Exception as error:  # decoders raise anything
        lines = str(error).splitlines() or [type(error).__name__]
        return {"code": "pixels_unreadable", "detail": lines[0]}, b""
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return {"dtype": little.dtype.str, "shape": little.shape}, little.tobytes()


def _limit_memory(size: int) -> None:
    """Sets a limit to the address space, where the system has such limits."""
    try:
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, OSError, ValueError):
        pass


def _end_with_supervisor(lifeline: int) -> None:
    """Lets the system end this process when the other end of a pipe is closed.

    A signal ends also a decoder that hangs, which no thread could do. Where the system
    knows none for pipes, the end of standard input and the alarm are all there is.
    """
    try:
        fcntl = importlib.import_module("fcntl")
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        if os.read(lifeline, 1) == b"":  # it was closed before
            raise SystemExit
    except (AttributeError, ImportError, OSError):  # with nothing to read, too
        pass


def _set_alarm(seconds: float) -> None:
    """Ends this process in time even if its supervisor is gone; 0 takes it back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until there are no more."""
    _send(answers, READY, b"")
    for line in requests:
        request = json.loads(line)
        _set_alarm(request["seconds"])
        _send(answers, *answer(request))
        _set_alarm(0)


def _send(answers: BinaryIO, line: dict[str, Any], pixels: bytes) -> None:
    answers.write(json.dumps({**line, "size": len(pixels)}).encode() + b"\n" + pixels)
    answers.flush()


def main() -> None:
    """Serves standard input and output; what libraries print goes elsewhere."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    _end_with_supervisor(int(sys.argv[2]))
    _limit_memory(int(sys.argv[1]))
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
