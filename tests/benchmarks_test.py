import json
import subprocess
import sys

import numpy as np
import pydicom
import pytest

from tests.real_data import REPOSITORY, SAMPLE

pytestmark = pytest.mark.slow

FOLDER = REPOSITORY / "benchmarks"


def _run(script, *arguments):
    done = subprocess.run(
        [sys.executable, FOLDER / script, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _tables(text):
    """Each table as rows of cells, its header first."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        for lines in blocks
    ]


def test_smoke():
    tables = "speed,sizes,batches,passes,first_batch,memory"
    only = "raw,plain,no augmentation,albumentations"
    flags = ("--smoke", f"--tables={tables}", f"--only={only}", "--peers_python=absent")
    found = _tables(_run("reader.py", *flags))
    assert len(found) == 6
    rates = {row[0]: row[1] for row in found[0][2:]}
    assert rates.pop("albumentations (OpenCV), 2 workers: affine").startswith(
        "skipped: not installed: no absent"
    )
    del rates["albumentations (OpenCV), 2 workers: affine + intensity + noise"]
    assert list(rates) == [
        "raw TFRecordDataset, compact files",
        "plain tf.data, byte masks with ZLIB",
        "plain tf.data, byte masks in ZLIB files",
        "tfdicom, no augmentation, read anew",
        "tfdicom, no augmentation, cached",
    ]
    assert all(float(rate.replace(",", "")) > 0 for rate in rates.values())
    assert [row[1] for row in found[1][2:]] == ["16 x 16", "32 x 32"]
    assert [row[1] for row in found[2][2:]] == ["2", "4"]
    assert [row[0] for row in found[3][2:]] == ["cache=none", "cache=memory"]
    assert [row[1] for row in found[4][2:]] == ["yes", "no"]
    assert all(float(cell.replace(",", "")) > 0 for cell in found[5][2][1:])


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # of the sample
def test_convert_smoke(tmp_path):
    flags = ("--smoke", "--peers_python=absent", f"--data_dir={tmp_path}")
    (table,) = _tables(_run("convert.py", *flags))
    assert table[0][0].startswith("40 files, 0.0056 GB, in memory")
    rates = {row[0]: row[1] for row in table[2:]}
    absent = [name for name, rate in rates.items() if rate.startswith("skipped")]
    assert absent == ["MONAI, PydicomReader", "MONAI, ITKReader"]
    for name in absent:
        del rates[name]
    assert list(rates) == [
        "tfdicom, scan, 1 worker",
        "tfdicom, scan, 2 workers",
        "tfdicom, scan with cached headers, 1 worker",
        "tfdicom, scan with cached headers, 2 workers",
        "tfdicom, conversion, 1 worker",
        "tfdicom, conversion, 2 workers",
        "tfdicom, conversion, every image an example, 1 worker",
        "tfdicom, conversion, every image an example, 2 workers",
        "pydicom, dcmread(stop_before_pixels=True)",
        "pydicom, dcmread().pixel_array",
        "SimpleITK, ReadImage",
    ]
    assert all(float(rate.replace(",", "")) > 0 for rate in rates.values())

    sources = {path.stem: path for path in SAMPLE.rglob("*.dcm")}
    copies = sorted(tmp_path.rglob("*.dcm"))
    read = [pydicom.dcmread(path) for path in copies]
    assert len(sources) == 20
    for number, image in zip(copies, read, strict=True):
        source = pydicom.dcmread(sources[number.stem])
        np.testing.assert_array_equal(image.pixel_array, source.pixel_array)
        assert image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID
    taken = {pydicom.dcmread(path).SOPInstanceUID for path in sources.values()}
    instances = {image.SOPInstanceUID for image in read}
    assert len(instances) == 40
    assert not instances & taken
    for keyword in ("PatientID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert len({image[keyword].value for image in read}) == 2


def test_convert_cold_and_only():
    flags = ("--smoke", "--cold", "--only=pixel_array", "--workers=1")
    (table,) = _tables(_run("convert.py", *flags))
    assert table[0][0].endswith("not in memory")
    assert [row[0] for row in table[2:]] == ["pydicom, dcmread().pixel_array"]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # of the sample
@pytest.mark.parametrize("annotations", ["rtstruct", "contours"])
def test_scale_smoke(annotations):
    found, growth = _tables(_run("scale.py", "--smoke", f"--annotations={annotations}"))
    assert found[0][0] == f"slices, {annotations}, 2 workers"
    jobs = ["dcmread loop", "plan", "plan, cached headers", "conversion"]
    assert [row[:2] for row in found[2:]] == [
        [slices, job] for slices in ("20", "40") for job in jobs
    ]
    for row in found[2:]:
        assert all(float(row[place].replace(",", "")) > 0 for place in (3, 4, 6, 8))
    assert found[2][5] == "1.00 (1.00)"
    assert [row[0] for row in growth[2:]] == jobs


def test_scale_of_some_jobs():
    flags = ("--smoke", "--slices=7", "--per_series=3", "--only=plan")
    (table,) = _tables(_run("scale.py", *flags))
    assert [row[:2] for row in table[2:]] == [
        ["9", "plan"],
        ["9", "plan, cached headers"],
    ]
    assert [row[5] for row in table[2:]] == ["", ""]  # nothing to compare with


def test_many_slices_are_what_they_say(tmp_path):
    write = (
        "import pathlib, sys, many_slices\n"
        "many_slices.write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]),"
        " series=3, per_series=4, annotations='rtstruct')\n"
    )
    header = SAMPLE / "dicoms" / "SCD0000301" / "200.dcm"
    subprocess.run(
        [sys.executable, "-c", write, tmp_path, header], cwd=FOLDER, check=True
    )
    images = [pydicom.dcmread(path) for path in sorted(tmp_path.rglob("[0-9]*.dcm"))]
    assert len({one.SOPInstanceUID for one in images}) == len(images) == 12
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert len({one[keyword].value for one in images}) == 3
    assert len({one.pixel_array.tobytes() for one in images}) == 12
    assert images[0].pixel_array.shape == (16, 16)
    (drawn, *_) = sorted(tmp_path.rglob("structures.dcm"))
    contours = pydicom.dcmread(drawn).ROIContourSequence[0].ContourSequence
    outlined = {
        one.ContourImageSequence[0].ReferencedSOPInstanceUID for one in contours
    }
    assert outlined == {
        one.SOPInstanceUID for one in images if one.PatientID == images[0].PatientID
    }


@pytest.fixture
def arrays(tmp_path):
    random = np.random.default_rng(0)
    images = random.random((6, 32, 32), np.float32)
    masks = random.integers(0, 2, (6, 32, 32, 2), np.uint8)
    path = tmp_path / "arrays.npz"
    np.savez(path, images=images, masks=masks)
    return path


@pytest.mark.parametrize("name", ["keras_generator", "keras_layers"])
def test_a_peer_that_runs_beside_tfdicom(arrays, name):
    flags = ("--job=full", f"--arrays={arrays}", "--batch_size=4", "--seconds=0.1")
    found = json.loads(_run("peers.py", name, *flags).splitlines()[-1])
    assert found["rate"] > 0
    assert found["cost"] > 0


def test_a_peer_that_is_not_installed(arrays):
    found = json.loads(_run("peers.py", "dali", f"--arrays={arrays}").splitlines()[-1])
    assert found == {"skipped": "not installed: nvidia"}


def test_beam_is_compared_by_what_it_writes_and_uses():
    # Beam itself is tested where its runner is.
    runs, kinds = _tables(_run("beam.py", "--files=20", "--ways=local,local"))
    assert [row[0] for row in runs[2:]] == ["local", "local"]
    assert runs[2][2] == runs[3][2] and len(runs[2][2]) == 64
    assert {row[1] for row in kinds[2:]} == {"tfdicom_convert"}
    assert all(float(cell) > 0 for row in kinds[2:] for cell in row[2:])


def test_serve():
    pytest.importorskip("gunicorn")
    batches, pages = _tables(_run("serve.py", "--smoke"))[-2:]
    assert [row[:2] for row in batches[2:]] == [
        ["plain", "bytes"],
        ["plain", "arrays"],
        ["standard", "bytes"],
        ["standard", "arrays"],
    ]
    assert all(float(row[3]) > 0 for row in batches[2:])
    assert len(pages) == 9


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
