"""What a source finds: plain values that the plan and the workers pass on."""

from __future__ import annotations

import dataclasses

IMAGE, CONTOUR, OTHER = "image", "contour", "other"


@dataclasses.dataclass(frozen=True)
class ContourFile:
    """A file that outlines one structure of one image. ``path`` is relative."""

    path: str
    structure: str


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image and the contour files that name it. ``path`` is relative."""

    path: str
    contours: tuple[ContourFile, ...] = ()


@dataclasses.dataclass(frozen=True)
class LeftFile:
    """A file that becomes no part of an example, and why.

    Attributes:
      path: Relative path.
      kind: ``image``, ``contour`` or ``other``.
      reason: A reason code.
      detail: What exactly was found; for the terminal only.
    """

    path: str
    kind: str
    reason: str
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class SourceListing:
    """Everything below an input folder: each file once.

    Attributes:
      images: Images, with their contours or without, by path.
      left: Files that are already known to become nothing.
      layout: Name of the layout found.
      default_origin: Contour origin that the layout is known to have; None if none
        is known.
      decimals: Digits after the point in the contour files.
    """

    images: tuple[ImageFile, ...]
    left: tuple[LeftFile, ...]
    layout: str
    default_origin: str | None
    decimals: int
