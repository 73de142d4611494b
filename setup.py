"""Installs tfdicom; what a release was tested with stands in requirements/."""

import pathlib
import re

import setuptools

_HERE = pathlib.Path(__file__).resolve().parent


def _version() -> str:
    """Returns VERSION as written in the code, without importing the package."""
    source = (_HERE / "tfdicom" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^VERSION = "(.+)"$', source, flags=re.MULTILINE)
    if not found:
        raise RuntimeError("tfdicom/version.py does not set VERSION")
    return found[1]


def _readme() -> str:
    path = _HERE / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


setuptools.setup(
    name="tfdicom",
    version=_version(),
    description="DICOM images and their contours to TFRecords, and to tf.data",
    long_description=_readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=setuptools.find_packages(include=["tfdicom", "tfdicom.*"]),
    package_data={
        "tfdicom": ["py.typed", "templates/**"],
        "tfdicom.serving": ["templates/**", "static/**"],
    },
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=1.4",
        "google-crc32c>=1.5",
        "highdicom>=0.25",
        "numpy>=1.26",
        "pillow>=10",
        "pydicom>=3",
        "pyjpegls>=1.4",
        "pylibjpeg>=2",
        "pylibjpeg-openjpeg>=2.3",
        "pylibjpeg-rle>=2",
        "python-gdcm>=3.0.24",
        "tensorflow>=2.15",
        "tqdm>=4.60",
        "universal_pathlib>=0.2",
    ],
    extras_require={
        # tfdicom_convert --runner=beam; not beside TensorFlow 2.15, whose protobuf is
        # too old for it.
        "beam": ["apache-beam>=2.60"],
        # The last TensorFlow with Estimators; Python 3.11 only.
        "estimator": ["tensorflow==2.15.*", "tensorflow-estimator==2.15.*"],
        # Dice, Hausdorff distance and volume: tfdicom.evaluate.
        "evaluate": ["scipy>=1.11"],
        # Google Cloud Storage.
        "gcs": ["gcsfs>=2024.10"],
        # Mask volumes.
        "nifti": ["nibabel>=5"],
        # Amazon S3, and stores that speak its language.
        "s3": ["s3fs>=2024.10"],
        # tfdicom_inspect report.
        "report": ["jinja2>=3"],
        # tfdicom_serve.
        "serve": ["Flask>=3", "gunicorn>=27.0.1"],
        "test": [
            "Flask>=3",
            "SimpleITK",
            "gunicorn>=27.0.1",
            "flask-cors",
            "html5lib",
            "hypothesis",
            "imagecodecs",
            "jax[cpu]",
            "jinja2>=3",
            "matplotlib",
            "mypy",
            "moto[s3]>=5",
            "nibabel",
            "playwright>=1.40",
            "pytest",
            "pytest-xdist",
            "rt-utils",
            "ruff",
            "s3fs>=2024.10",
            "schemathesis>=4",
            "scipy",
            "setuptools>=70.1",
            "tifffile",
        ],
    },
    entry_points={
        "console_scripts": [
            "tfdicom_convert=tfdicom.entry_points:convert",
            "tfdicom_data_service=tfdicom.entry_points:data_service",
            "tfdicom_inspect=tfdicom.entry_points:inspect",
            "tfdicom_serve=tfdicom.entry_points:serve",
        ],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
        "Typing :: Typed",
    ],
)
