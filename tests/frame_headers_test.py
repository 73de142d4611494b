import pickle
import sys

import pytest

from tests import enhanced_images, source_folders
from tfdicom import dicom, dicom_file
from tfdicom.frame_headers import frame_headers
from tfdicom.reasons import InputSkipped


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.dcm"


def test_one_header_for_each_frame(path):
    enhanced_images.write_enhanced(path)
    headers = frame_headers(dicom_file.open_header(path))
    assert [one.frame_number for one in headers] == [1, 2, 3]
    assert {one.frame_count for one in headers} == {3}
    assert {one.instance for one in headers} == {source_folders.uid("P1", 1)}
    assert {(one.rows, one.columns) for one in headers} == {(7, 5)}
    place = source_folders.uid("P1", "place")
    assert {one.frame_of_reference for one in headers} == {place}
    for header, pixels in zip(headers, enhanced_images.pixels(), strict=True):
        assert (dicom.read_frame(path, header).pixels == pixels).all()


def test_frames_of_one_instance_stay_together_in_time(path):
    orders = []
    for number in (1, 2):
        enhanced_images.write(path, InstanceNumber=number)
        orders += [one.temporal_order for one in dicom.read_headers(path)]
    assert orders == sorted(set(orders))


def test_header_goes_to_other_processes(path):
    source_folders.write_image(path, "P1", 1, Modality="PT", Units="GML")
    data = path.read_bytes()
    path.write_bytes(data[144 + data[140] :])  # without meta information
    header = dicom.read_header(path)
    pickled = pickle.dumps(header)
    assert b"pydicom" not in pickled  # plain values only
    copy = pickle.loads(pickled)
    assert copy == header
    assert (
        dicom.read_frame(path, copy).pixels == dicom.read_frame(path, header).pixels
    ).all()


def test_palettes_are_three_samples(path):
    source_folders.write_image(path, "P1", 1, PhotometricInterpretation="PALETTE COLOR")
    header = dicom.read_header(path)
    assert (header.samples, header.bytes_per_pixel) == (3, 6)
    assert header.attributes["photometric_interpretation"] == "RGB"
    assert header.native is None


def test_data_set_that_comes_from_no_file(path):
    import pydicom

    source_folders.write_image(path, "P1", 1)
    (header,) = frame_headers(pydicom.dcmread(path))
    assert (header.rows, header.native) == (40, None)


@pytest.mark.parametrize(
    ("elements", "detail"),
    [
        ({"NumberOfFrames": "-1"}, "(0028,0008) 'Number of Frames': a count is"),
        ({"NumberOfFrames": "1e400"}, "(0028,0008) 'Number of Frames'"),
    ],
)
def test_counts_that_are_none(path, elements, detail):
    source_folders.write_image(path, "P1", 1, NumberOfFrames="12345")
    (value,) = elements.values()
    data = path.read_bytes().replace(b"12345 ", value.encode().ljust(6))
    path.write_bytes(data)
    with pytest.raises(InputSkipped) as error:
        dicom.read_headers(path)
    assert error.value.code == "header_invalid"
    assert detail in error.value.detail


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
