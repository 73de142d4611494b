"""The pages of the documentation, and the folders and names that their blocks find."""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import source_folders
from tests.real_data import REPOSITORY
from tests.source_folders import PATIENTS, SourceFolder, disc
from tools import snippet_runner, snippets

_PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
#: Names of all pages.
PAGES = [page.name for page in _PAGES]
#: Pages that run beside the others, in a test file of their own.
LONGEST = ("README.md", "tutorial.md")
#: As configs/sunnybrook.flags has it, so that a page's same command goes on with it.
SUNNYBROOK_FLAGS = {
    "annotations": "contours",
    "classes": "inner;outer",
    "contour_origin": "center1",
    "edge_rule": "half_covered",
    "split": "train:0.67,test:0.33",
}


@dataclasses.dataclass(frozen=True)
class Templates:
    """Folders that are made once, and copied for each page that asks for them.

    Attributes:
      root: Where they are made.
    """

    root: pathlib.Path

    def prepare(self, name: str, folder: pathlib.Path) -> None:
        """Fills a folder as a page's ``folder`` note names it.

        Raises:
          KeyError: There is no such template.
        """
        template = self.root / (name or "contours")
        if not template.exists():
            MAKERS[template.name](self.root, template)
        shutil.copytree(template, folder, dirs_exist_ok=True)
        for linked in ("configs", "examples"):
            (folder / linked).symlink_to(REPOSITORY / linked)


def _contours(_: pathlib.Path, folder: pathlib.Path) -> None:
    """IN as the Sunnybrook data are laid out, and OUT made of it."""
    _source(folder)
    source_folders.convert(folder / "IN", folder / "OUT", **SUNNYBROOK_FLAGS)


def _source(folder: pathlib.Path) -> SourceFolder:
    return source_folders.write_folder(folder / "IN", annotated=4, outer=4)


def _clone(_: pathlib.Path, folder: pathlib.Path) -> None:
    """What a clone of the repository has, and nothing else."""
    folder.mkdir()


def _images(folder: pathlib.Path) -> Iterator[tuple[str, list[pathlib.Path]]]:
    """Each patient's images alone, in IN."""
    for patient in PATIENTS:
        paths = [folder / "IN" / patient / f"{number}.dcm" for number in range(1, 5)]
        for number, path in enumerate(paths, 1):
            source_folders.write_image(path, patient, number)
        yield patient, paths


def _structures(_: pathlib.Path, folder: pathlib.Path) -> None:
    """RT Structure Sets of heart and lungs, absent on the last slice; no OUT."""
    outlines = {
        "Heart": disc(24, 20, 5),
        "Lung_L": disc(36, 20, 6),
        "Lung_R": disc(11, 20, 6),
    }
    for patient, paths in _images(folder):
        path = folder / "IN" / patient / f"{patient}-rtstruct.dcm"
        source_folders.write_structure_set(path, paths[:-1], outlines)


def _masks(_: pathlib.Path, folder: pathlib.Path) -> None:
    """IN with images/A-1.dcm and masks/A-1.png, values 1 and 2; no OUT."""
    rows, columns = np.mgrid[: source_folders.ROWS, : source_folders.COLUMNS]
    distance = np.hypot(rows - 20, columns - 24)
    values = np.where(distance < 5, 1, np.where(distance < 9, 2, 0)).astype(np.uint8)
    (folder / "IN" / "masks").mkdir(parents=True)
    for patient in PATIENTS:
        for number in range(1, 4):
            name = f"{patient}-{number}"
            image = folder / "IN" / "images" / f"{name}.dcm"
            source_folders.write_image(image, patient, number)
            Image.fromarray(values).save(folder / "IN" / "masks" / f"{name}.png")


def _volumes(_: pathlib.Path, folder: pathlib.Path) -> None:
    """IN with a folder for each patient: slices, and a volume of their mask; no OUT."""
    import nibabel

    rows_mm, columns_mm = source_folders.SPACING
    along, down = np.reshape(source_folders.ORIENTATION, (2, 3))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along * columns_mm, down * rows_mm
    affine[:3, 2] = source_folders.NORMAL * source_folders.SLICE_MM
    affine[:3, 3] = (3, -4, 5)  # where the first image of a patient lies
    affine[:2] *= -1  # from DICOM's LPS to RAS
    columns, rows = np.mgrid[: source_folders.COLUMNS, : source_folders.ROWS]
    inside = np.hypot(columns - 24, rows - 20) < 8
    for patient, paths in _images(folder):
        voxels = np.repeat(inside[..., np.newaxis], len(paths), axis=2)
        volume = nibabel.Nifti1Image(voxels.astype(np.uint8), affine)
        volume.to_filename(folder / "IN" / patient / "liver.nii.gz")


def _seg(root: pathlib.Path, folder: pathlib.Path) -> None:
    """Images and SEG objects, as write_seg makes them; no OUT."""
    import tfdicom

    with_data_set = folder.with_name("seg source")
    Templates(root).prepare("", with_data_set)
    masks = {
        example.key: np.moveaxis(example.masks, 0, -1).astype(np.uint8)
        for example in source_folders.examples(with_data_set / "OUT")
    }
    tfdicom.write_seg(
        folder / "IN" / "segmentations",
        masks,
        source_dir=with_data_set / "IN",
        classes=["inner", "outer"],
        id_key_file="public",
    )
    shutil.copytree(with_data_set / "IN" / "dicoms", folder / "IN" / "images")


def _source_alone(_: pathlib.Path, folder: pathlib.Path) -> None:
    """IN as the Sunnybrook data are laid out; no OUT."""
    folder.mkdir()
    _source(folder)


def _table(_: pathlib.Path, folder: pathlib.Path) -> None:
    """IN, and a table of labels; no OUT."""
    folder.mkdir()
    _source(folder)
    rows = ["patient_id,diagnosis:benign|malignant,age,grade:class"]
    values = zip(PATIENTS, ("benign", "malignant", "benign"), (61, 48, 70), strict=True)
    rows += [f"{patient},{word},{age},1" for patient, word, age in values]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")


MAKERS: dict[str, Callable[[pathlib.Path, pathlib.Path], None]] = {
    "clone": _clone,
    "contours": _contours,
    "masks": _masks,
    "seg": _seg,
    "source": _source_alone,
    "structures": _structures,
    "table": _table,
    "volumes": _volumes,
}


def names() -> dict[str, Any]:
    """What Python blocks find: modules, ``data_dir``, and a little ``model``.

    The model takes images of one channel, of any size, and gives two classes.
    """
    import tensorflow as tf

    import tfdicom

    keras = tf.keras
    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.Conv2D(2, 3, padding="same", activation="sigmoid")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy")
    known = {"tf": tf, "keras": keras, "np": np, "tfdicom": tfdicom}
    return {**known, "model": model, "data_dir": "OUT", "__name__": "page"}


def estimator_names() -> dict[str, Any]:
    """What blocks for Estimators find besides: an ``estimator``, and steps ``done``."""
    import tensorflow as tf

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        logits = tf.compat.v1.layers.conv2d(features, 2, 3, padding="same")
        loss = tf.compat.v1.losses.sigmoid_cross_entropy(labels, logits)
        step = tf.compat.v1.train.get_global_step()
        descent = tf.compat.v1.train.GradientDescentOptimizer(0.1)
        train = descent.minimize(loss, global_step=step)
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train)

    return {"estimator": tf.estimator.Estimator(model_fn), "done": 1}


@functools.cache
def page_snippets(name: str) -> tuple[snippets.Snippet, ...]:
    """The blocks of a page."""
    (path,) = (page for page in _PAGES if page.name == name)
    return tuple(snippets.read(path))


def run_page(
    blocks: Sequence[snippets.Snippet],
    folder: pathlib.Path,
    templates: Templates,
    *,
    estimator: bool = False,
) -> list[str]:
    """Runs blocks in order; returns what was left out, and why.

    Args:
      blocks: What to run.
      folder: Where.
      templates: The folders that they may ask for.
      estimator: Whether they find an Estimator.

    Raises:
      AssertionError: One did not end or print as the page says.
    """
    found = {**names(), **(estimator_names() if estimator else {})}
    run = snippet_runner.PageRun(folder, templates.prepare, found)
    with run.running():
        for block in blocks:
            run.run(block)
    for place, seconds in run.seconds.items():
        print(f"{place}: {seconds:.1f} s")
    return run.left_out


def shorten_training(patch: pytest.MonkeyPatch) -> None:
    """Pages train for many epochs; one shows that it works."""
    import tensorflow as tf

    whole = tf.keras.Model.fit

    def fit(self: Any, *args: Any, **keywords: Any) -> Any:
        last = keywords.get("initial_epoch", 0) + 1
        keywords["epochs"] = min(keywords.get("epochs", 1), last)
        return whole(self, *args, **{"verbose": 0, **keywords})

    patch.setattr(tf.keras.Model, "fit", fit)
