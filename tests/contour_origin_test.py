import csv
import re
import sys

import numpy as np
import pydicom
import pytest

from tests import real_data
from tfdicom import contour_origin

ANGLE = np.arange(90) / 90 * 2 * np.pi


def disc_sample(rng, patient, origin, *, structure="inner", bias=0.8):
    """A blurred bright disc, and its contour, a little too large, as a file has it."""
    centre, radius = rng.uniform(30, 34, 2), rng.uniform(9, 14)
    rows, columns = np.indices((64, 64))
    distance = np.hypot(columns - centre[0], rows - centre[1]) - radius
    pixels = 200 / (1 + np.exp(distance / 0.7)) + rng.normal(0, 8, (64, 64))
    circle = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1)
    vertices = centre + (radius + bias) * circle - origin
    return contour_origin.ContourSample(patient, pixels, vertices, structure)


def discs(shifts, contours=12):
    rng = np.random.default_rng(3)
    return [
        disc_sample(rng, f"p{number}", shift)
        for _ in range(contours)
        for number, shift in enumerate(shifts)
    ]


def sunnybrook_samples(kinds):
    root = real_data.SUNNYBROOK
    with open(root / "link.csv", encoding="utf-8") as file:
        link = {row["patient_id"]: row["original_id"] for row in csv.DictReader(file)}
    for patient, original in link.items():
        for kind in kinds:
            folder = root / "contourfiles" / original / f"{kind}-contours"
            for file in sorted(folder.glob("IM-0001-*-manual.txt")):
                number = int(re.match(r"IM-0001-(\d+)-", file.name)[1])
                image = pydicom.dcmread(root / "dicoms" / patient / f"{number}.dcm")
                yield contour_origin.ContourSample(
                    patient, image.pixel_array, np.loadtxt(file), kind
                )


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("center0", (0, 0)),
        ("corner0", (-0.5, -0.5)),
        ("center1", (-1, -1)),
        ("auto", None),
        ("-1,0.25", (-1, 0.25)),
        ("1e-1, -2", (0.1, -2)),
    ],
)
def test_parses(text, shift):
    origin = contour_origin.parse_origin(text)
    assert origin == contour_origin.ContourOrigin(text, shift)


@pytest.mark.parametrize("text", ["", "centre0", "1", "1,2,3", "a,b", "nan,0", "0,inf"])
def test_refuses_other_origins(text):
    with pytest.raises(ValueError, match="allowed are center0, corner0, center1, auto"):
        contour_origin.parse_origin(text)


@pytest.mark.parametrize("name", contour_origin.NAMED_SHIFTS)
def test_recovers_a_named_origin(name):
    shift = contour_origin.NAMED_SHIFTS[name]
    default = "center0" if name == "center1" else "center1"
    fit = contour_origin.fit_origin(iter(discs([shift] * 3)), default=default)
    assert (fit.name, fit.shift, fit.fitted) == (name, shift, True)
    assert (fit.patients, fit.contours) == (3, 36)
    assert fit.measured_shift == pytest.approx(shift, abs=0.1)
    for patient in ("p0", "p1", "p2"):
        assert fit.patient_shifts[patient] == pytest.approx(shift, abs=0.15)
    assert f"contour origin {name}: 36 contours of 3 patients" in fit.reason


def test_is_deterministic_and_does_not_need_sorted_patients():
    samples = discs([(-1, -1)] * 3)
    fit = contour_origin.fit_origin(samples, default="center0")
    assert contour_origin.fit_origin(samples, default="center0") == fit
    grouped = sorted(samples, key=lambda sample: sample.patient)
    assert contour_origin.fit_origin(grouped, default="center0") == fit


def test_structures_have_biases_of_their_own():
    rng = np.random.default_rng(5)
    samples = [
        disc_sample(rng, f"p{number % 3}", (-1, -1), structure=name, bias=bias)
        for number in range(30)
        for name, bias in (("inner", 1.5), ("outer", -1.5))
    ]
    fit = contour_origin.fit_origin(samples, default="center0")
    assert fit.name == "center1"
    assert fit.measured_shift == pytest.approx((-1, -1), abs=0.1)


@pytest.mark.parametrize(
    ("shifts", "contours", "reason"),
    [
        ([(-1, -1)] * 2, 20, "40 contours of 2 patients agree on center1, 30 of 3"),
        ([(-1, -1)] * 3, 9, "27 contours of 3 patients agree on center1, 30 of 3"),
        ([(-1, -1)] * 3, 4, "0 contours of 0 patients .* show no common shift"),
        ([(0, 0), (-0.5, -0.5), (-1, -1)], 12, "contours of 1 patients agree"),
        ([(-1, -1)] * 5 + [(-0.5, -0.5)] * 2, 6, "only 5 of these patients agree"),
        ([(-1.8, -1.5)] * 3, 12, "more than 0.5 pixel from every named origin"),
        ([(9, 9)] * 3, 12, "contour origin corner0 kept unchecked"),
    ],
)
def test_keeps_the_default(shifts, contours, reason):
    fit = contour_origin.fit_origin(discs(shifts, contours), default="corner0")
    assert (fit.name, fit.shift, fit.fitted) == ("corner0", (-0.5, -0.5), False)
    assert re.search(reason, fit.reason), fit.reason


@pytest.mark.parametrize("noise", [0, 5])
def test_keeps_the_default_where_images_have_no_edges(noise):
    rng = np.random.default_rng(7)
    samples = [
        contour_origin.ContourSample(
            sample.patient,
            np.full((64, 64), 100, np.int16) + rng.normal(0, noise, (64, 64)),
            sample.vertices,
            sample.structure,
        )
        for sample in discs([(-1, -1)] * 5)
    ]
    fit = contour_origin.fit_origin(samples, default="0.25,-0.25")
    assert (fit.name, fit.shift, fit.fitted) == ("0.25,-0.25", (0.25, -0.25), False)
    assert "kept unchecked" in fit.reason


def test_nothing_to_fit():
    fit = contour_origin.fit_origin([], default="center1")
    assert (fit.name, fit.patients, fit.measured_shift) == ("center1", 0, None)


@pytest.mark.parametrize(
    "vertices",
    [np.empty((0, 2)), np.ones((2, 2)), np.full((9, 2), 3.0), np.full((9, 2), np.nan)],
)
def test_contours_without_an_outline_are_no_evidence(vertices):
    samples = discs([(-1, -1)] * 3)
    bad = contour_origin.ContourSample("p0", samples[0].pixels, vertices, "inner")
    fit = contour_origin.fit_origin([bad, *samples], default="center0")
    assert fit == contour_origin.fit_origin(samples, default="center0")


def test_refuses():
    with pytest.raises(ValueError, match="must have a shift, got 'auto'"):
        contour_origin.fit_origin([], default="auto")
    volume = contour_origin.ContourSample("p7", np.ones((2, 8, 8)), np.eye(2), "inner")
    with pytest.raises(ValueError, match=r"'p7' must have shape .* got \[2, 8, 8\]"):
        contour_origin.fit_origin([volume], default="center0")


@real_data.needs_sunnybrook
@pytest.mark.parametrize(("kinds", "measured"), [("i", (-0.99, -0.88)), ("io", None)])
def test_sunnybrook_counts_pixels_from_one(kinds, measured):
    fit = contour_origin.fit_origin(sunnybrook_samples(kinds), default="center0")
    assert (fit.name, fit.fitted, fit.patients) == ("center1", True, 3)
    assert fit.measured_shift == pytest.approx(measured or (-1, -1), abs=0.2)


@real_data.needs_sunnybrook
def test_sunnybrook_outer_contours_alone_do_not_decide():
    fit = contour_origin.fit_origin(sunnybrook_samples("o"), default="center1")
    assert (fit.name, fit.fitted) == ("center1", False)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
