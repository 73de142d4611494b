"""Little data sets behind the application, for tests of the server."""

import json
import pathlib

import flask

from tests import synthetic
from tfdicom import manifest
from tfdicom.label_kinds import LabelInfo
from tfdicom.serving.app import create_app
from tfdicom.serving.serve_options import ServeOptions

TOKEN = "a-token-of-the-tests"
LABELS = (LabelInfo("diagnosis", "class", ("benign", "malignant")),)


def write(folder: pathlib.Path, **fields) -> dict:
    """Two splits, three patients, one of whose examples lacks a class; a ledger."""
    plain = {"labels": ("benign",)}
    written = synthetic.write_dataset(
        folder,
        {
            "train": {
                "p0": synthetic.frames(4, **plain),
                "p1": synthetic.frames(3, annotated="10", labels=("malignant",)),
            },
            "test": {"p2": synthetic.frames(2, **plain)},
        },
        labels=LABELS,
        **fields,
    )
    lines = []
    for split, examples in written.items():
        for number, one in enumerate(examples):
            entry = {"candidate": one.instance, "kind": "image", "key": one.key}
            entry |= {"status": "converted", "split": split, "patient": one.patient}
            if number == 1:
                entry["findings"] = ["mask_touches_border"]
            lines.append(json.dumps(entry) + "\n")
    (folder / manifest.LEDGER).write_text("".join(lines))
    return written


def app_of(folder: pathlib.Path, **options) -> flask.Flask:
    """The application of one data set."""
    return create_app(ServeOptions(data_dir=str(folder), **options))


def error_of(response) -> dict:
    """The error that an answer says, which must be JSON."""
    assert response.content_type == "application/json", response.content_type
    (name,) = response.json
    assert name == "error"
    assert set(response.json["error"]) == {"code", "message", "hint"}
    return response.json["error"]
