import sys

import pytest

from tests.seg_files import make_frame, make_header, make_plane, make_series, named
from tfdicom.sources import seg_sampling
from tfdicom.sources.seg_sampling import Images

# Images 3 mm apart, and a segmentation of 1 mm slices on other pixels.
IMAGES = [make_plane(index) for index in range(3)]
SPACING = (0.8, 0.8)


def slices(*places, thickness=1.0, **more):
    """Frames at millimetres from the first image, on a grid of their own."""
    more["thickness"] = thickness
    return [
        make_frame(number, make_plane(at, step=1.0, spacing=SPACING), **more)
        for number, at in enumerate(places, 1)
    ]


def located(frames, planes=IMAGES, **options):
    series = make_series(planes, **options)
    images = Images(series.headers, tuple(range(len(planes))), True)
    header = make_header(*frames, rows=18, columns=15)
    return {
        frame.number: (location.reason or sorted(location.images))
        for frame, location in seg_sampling.locate(header, frames, images)
    }


def test_each_image_takes_the_nearest_slice():
    found = located(slices(-1, 0.1, 1.1, 2.1, 3.1, 4.1))
    between = "seg_between_images"
    assert found == {1: between, 2: [0], 3: between, 4: between, 5: [1], 6: between}


def test_a_thick_slice_is_taken_by_several_images():
    thick = slices(0.5, thickness=7.1)
    assert located(thick) == {1: [0, 1]}


def test_slices_of_unknown_thickness_are_taken_only_where_they_lie():
    found = located(slices(0.0, 1.4, 3.1, thickness=None))
    assert found == {1: [0], 2: "seg_between_images", 3: "seg_between_images"}


def test_a_slice_far_away_is_on_no_image():
    assert located(slices(0.1, 60.0)) == {1: [0], 2: "seg_on_no_image"}


def test_a_slice_far_from_the_image_that_it_names_is_elsewhere():
    frames = slices(0.1, 6.1, sources=named(3))
    assert located(frames) == {1: "seg_frame_elsewhere", 2: [2]}


def test_another_frame_of_reference_is_not_sampled():
    found = located(slices(0.1), space="another")
    assert found == {1: "seg_other_frame_of_reference"}
    assert located(slices(0.1), space=None) == found


def test_of_images_in_one_place_the_name_decides():
    planes = [IMAGES[0], IMAGES[0], IMAGES[1]]
    assert located(slices(0.1, sources=named(2)), planes) == {1: [1]}
    assert located(slices(0.1), planes) == {1: "seg_frame_ambiguous"}


def test_images_that_are_named_with_or_without_frame_numbers():
    series = make_series(IMAGES)
    images = Images(series.headers, (0, 2), True)
    assert images.named_by(named(1, 2, 3)) == {0, 2}
    assert images.slice_spacing == pytest.approx(6.0, abs=1e-4)
    assert images.on_grid(IMAGES[2], (12, 10)) == {2}
    assert images.on_grid(IMAGES[2], (10, 12)) == set()
    assert images.on_grid(IMAGES[1], (12, 10)) == set()


def test_images_without_planes():
    images = Images(make_series([None, None]).headers, (0, 1), True)
    assert images.on_grid(IMAGES[0], (12, 10)) == set()
    assert images.slice_spacing == 0.0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
