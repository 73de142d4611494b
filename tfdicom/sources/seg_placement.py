"""Which frames of a segmentation lie on which images.

Geometry decides where both say it; names are checked against it, and decide between
images that lie in one place, as the phases of a heart beat do.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

from tfdicom.frame_headers import FrameHeader
from tfdicom.sources import plane_grids, seg_sampling
from tfdicom.sources.annotation_objects import LeftItem, Match, Matches
from tfdicom.sources.seg_frames import SegmentFrame
from tfdicom.sources.seg_header import SegmentationHeader
from tfdicom.sources.seg_sampling import Images, Location


def place(
    header: SegmentationHeader, frames: Sequence[FrameHeader], items: Sequence[int]
) -> Matches:
    """Says for each segment on which images it is, and on which it is absent.

    A segment is neither on an image where one of its frames might lie that could not
    be placed.

    Args:
      header: The segmentation.
      frames: Images that may be meant.
      items: Segment numbers.
    """
    images = _annotated_images(header, frames)
    if not images.places:
        return Matches((), (LeftItem(None, None, "seg_without_image"),))
    described = {segment.number for segment in header.segments}
    by_segment = collections.defaultdict(list)
    for frame in header.frames:
        by_segment[frame.segment].append(frame)
    located = _locate_all(header, images)
    placed = {
        item: _place_item(
            item, [*by_segment[item], *by_segment[None]], located, header, images
        )
        for item in items
        if item in described
    }
    left = list(_not_described(by_segment, header))
    if not images.named:  # nothing is known of images on which no frame lies
        found = {at for one in placed.values() for at in one.parts}
        found |= {at for one in located.values() for at in one.images}
        images = dataclasses.replace(images, places=tuple(sorted(found)))
    matches = [
        Match(at, item, tuple(sorted(one.parts.get(at, ()))))
        for item, one in placed.items()
        for at in images.places
        if at not in one.doubtful
    ]
    left += [entry for one in placed.values() for entry in one.left]
    findings = {item: ("seg_resampled",) for item, one in placed.items() if one.sampled}
    return Matches(tuple(matches), tuple(left), findings)


def _not_described(
    by_segment: Mapping[int | None, Sequence[SegmentFrame]], header: SegmentationHeader
) -> Iterator[LeftItem]:
    described = {segment.number for segment in header.segments}
    described |= {entry.item for entry in header.left if entry.item is not None}
    for number, frames in by_segment.items():
        if number is not None and number not in described:
            for frame in frames:
                yield LeftItem(number, frame.number, "seg_segment_not_described")


def _annotated_images(
    header: SegmentationHeader, frames: Sequence[FrameHeader]
) -> Images:
    """Images that it names, or else all that are of its series or its space."""
    every = [
        *header.sources,
        *(one for frame in header.frames for one in frame.sources),
    ]
    by_instance = collections.defaultdict(set)
    for source in every:
        by_instance[source.instance].add(source.frame_number)
    # The frames of a multi-frame image that are named are those that are annotated,
    # unless the object as a whole names the instance without numbers.
    named = tuple(
        at
        for at, frame in enumerate(frames)
        if by_instance[frame.instance] & {None, frame.frame_number}
    )
    if named:
        return Images(tuple(frames), named, True)
    space = header.frame_of_reference
    of_series = [at for at, one in enumerate(frames) if one.series in header.series]
    of_space = [
        at for at, one in enumerate(frames) if space and one.frame_of_reference == space
    ]
    placed = [at for at in of_series or of_space if frames[at].plane is not None]
    return Images(tuple(frames), tuple(placed), False)


@dataclasses.dataclass
class _Placed:
    """A segment: its parts by image, and images of which nothing can be said."""

    parts: dict[int, list[int]]
    doubtful: set[int]
    left: list[LeftItem]
    sampled: bool = False


def _locate_all(header: SegmentationHeader, images: Images) -> dict[int, Location]:
    """Location of each frame by its number; equal ones are worked out once."""

    @functools.cache
    def locate(frame: SegmentFrame) -> Location:
        return _locate(frame, header, images)

    return {
        frame.number: locate(dataclasses.replace(frame, number=0, segment=None))
        for frame in header.frames
    }


def _place_item(
    item: int,
    frames: Sequence[SegmentFrame],
    located: Mapping[int, Location],
    header: SegmentationHeader,
    images: Images,
) -> _Placed:
    placed = _Placed(collections.defaultdict(list), set(), [])
    places = [(frame, located[frame.number]) for frame in frames]
    others = [frame for frame, location in places if location.off_grid]
    sampled = list(seg_sampling.locate(header, others, images))
    for frame, location in (*places, *sampled):
        if location.reason:
            where = tuple(dict.fromkeys(one.instance for one in frame.sources))
            if not where and frame.plane is not None:
                where = (str(frame.plane.position),)
            code, detail = location.reason, location.detail
            left = LeftItem(item, frame.number, code, detail, images=where)
            placed.left.append(left)
            placed.doubtful |= location.images
        else:
            for at in location.images:
                placed.parts[at].append(frame.number)
    placed.sampled = any(
        location.images for _, location in sampled if not location.reason
    )
    return placed


def _locate(
    frame: SegmentFrame, header: SegmentationHeader, images: Images
) -> Location:
    named = images.named_by(frame.sources)
    if frame.problem:
        unknown = named or set(images.places)
        return Location(unknown, "seg_geometry_invalid", frame.problem)
    if frame.plane is None or (named and not any(map(images.plane, named))):
        return _by_name(frame, header, images, named)
    exact = images.on_grid(frame.plane, (header.rows, header.columns))
    if named:
        return _checked(exact, named)
    if frame.sources and images.named:
        return Location(exact, "seg_image_missing")
    if len(exact) > 1:
        return Location(exact, "seg_frame_ambiguous")
    return Location(exact) if exact else Location(off_grid=True)


def _checked(exact: set[int], named: set[int]) -> Location:
    """Where a frame lies that names images which are there."""
    both = exact & named
    if not exact:
        return Location(off_grid=True)
    if not both:
        return Location(exact | named, "seg_frame_elsewhere")
    # A tool that names all images for each frame does not say which phase it means.
    if len(both) > 1 and both != named:
        return Location(both, "seg_frame_ambiguous")
    return Location(both)


def _by_name(
    frame: SegmentFrame,
    header: SegmentationHeader,
    images: Images,
    named: set[int],
) -> Location:
    """Where a frame lies if only names can say it."""
    if not named and frame.sources:
        return Location(set(), "seg_image_missing")
    meant = named or set(images.places)
    if len(meant) > 1:
        return Location(meant, "seg_frame_ambiguous")
    if not frame.aligned:
        return Location(meant, "seg_frame_elsewhere", "it says so itself")
    (at,) = meant
    shape, wanted = images.shape(at), (header.rows, header.columns)
    if shape != wanted:
        detail = f"{wanted[0]}x{wanted[1]}, the image is {shape[0]}x{shape[1]}"
        return Location(meant, "seg_other_size", detail)
    return Location(meant)


def is_same_grid(
    frame: SegmentFrame, header: SegmentationHeader, image: FrameHeader
) -> bool:
    """Whether the frame's pixels are the image's; without a plane, sizes decide."""
    shape = (image.rows, image.columns)
    if shape != (header.rows, header.columns):
        return False
    if frame.plane is None or image.plane is None:
        return True
    return plane_grids.is_same(frame.plane, image.plane, shape)
