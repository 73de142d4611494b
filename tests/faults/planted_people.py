"""People who are planted in headers, folder names and file names, and looked for.

python -m tests.faults.planted_people
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import tempfile
from typing import Any

import pydicom

from tests import real_data, source_folders
from tfdicom import (
    dataset_texts,
    example_schema,
    manifest,
    phi_scan,
    source_values,
    tfrecord_file,
)

LONG_TEXT = " ".join(f"Ward {number} says that she is well." for number in range(40))
PATIENTS = ("KrauseHilde", "LehmannB", "SchulzeC")


def plant(path: pathlib.Path, patient: str) -> None:
    """Writes a person into every kind of place that a header has."""
    image = pydicom.dcmread(path)
    image.SpecificCharacterSet = "ISO_IR 144"
    image.PatientID = f"MRN7788{PATIENTS.index(patient)}"
    image.PatientName = "Zwingli^Ulrike"
    image.PatientBirthDate = "19450823"
    image.StudyDate, image.AcquisitionDate = "20031205", "20031206"
    image.PatientAge, image.PatientSex, image.PatientWeight = "058Y", "F", "71.6"
    image.InstitutionName = "Spital Musterberg"
    image.Manufacturer = "Ulrike Zwingli"
    image.ManufacturerModelName = "19450823"
    image.RescaleType = "Zwingli^Ulrike"[:16]
    block = image.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "LO", "Geheim Zwetschge")
    block.add_new(0x02, "UN", "Hürlimann^Jürg".encode("utf-16-le"))
    block.add_new(0x03, "OB", b"\2\0" + "Наполеон".encode("iso8859_5"))
    item = pydicom.Dataset()
    item.RequestedProcedureDescription = "for Dr. Quitte"
    image.RequestAttributesSequence = [item]
    image.ImageComments = LONG_TEXT
    image.save_as(path)


VALUES = [
    "Zwingli^Ulrike",
    "ZWINGLI",
    "Ulrike Zwingli",
    "19450823",
    "1945-08-23",
    "23.08.1945",
    "MRN77881",
    "Spital Musterberg",
    "Geheim Zwetschge",
    "Hürlimann",
    "Наполеон",
    LONG_TEXT[5:160],
    "for Dr. Quitte",
    "KrauseHilde",
    "krause",
    source_folders.uid("KrauseHilde", "study"),
]


def into_manifest(folder: pathlib.Path, value: str) -> None:
    """Leaks into an option of the manifest."""
    path = folder / "dataset.json"
    fields = json.loads(path.read_text())
    fields["options"]["layout"] = f"like {value}!"
    path.write_text(json.dumps(fields))


def into_ledger(folder: pathlib.Path, value: str) -> None:
    """Leaks into a line of the ledger."""
    with (folder / "ledger.jsonl").open("a") as file:
        file.write(json.dumps({"candidate": value}) + "\n")


def into_index(folder: pathlib.Path, value: str) -> None:
    """Leaks into a line of the index."""
    with (folder / "dataset.index").open("a") as file:
        file.write(f"{value}\t{value}.tfrecord\t1\t2\t11\t11\n")


def into_state(folder: pathlib.Path, value: str) -> None:
    """Leaks into a file beside the shards."""
    (folder / ".conversion").mkdir(exist_ok=True)
    text = json.dumps({"inputs": [value]})
    (folder / ".conversion" / "more.json").write_text(text)


def into_stray_file(folder: pathlib.Path, value: str) -> None:
    """Leaks into a file of another origin."""
    (folder / "log.txt").write_bytes(f"\0\1 saw {value}\n".encode())


def into_file_name(folder: pathlib.Path, value: str) -> None:
    """Leaks into a file's name."""
    (folder / f"{value.replace('/', '')}.txt").write_text("x")


def change_record(folder: pathlib.Path, **fields: Any) -> None:
    """Changes the last record of the first shard, which is compressed."""
    path = sorted(folder.glob("train-*.tfrecord"))[0]
    records = list(tfrecord_file.read_records(path, compression="zlib"))
    with path.open("wb") as file:
        writer = tfrecord_file.TFRecordWriter(file, compression="zlib")
        for number, data in enumerate(records):
            if number == len(records) - 1:
                example = example_schema.decode(data)
                data = example_schema.encode(dataclasses.replace(example, **fields))
            writer.write(data)
        writer.finish()


def into_record(folder: pathlib.Path, value: str) -> None:
    """Leaks into a field of a record."""
    change_record(folder, model=f"of {value}")


LEAKS = [
    into_manifest,
    into_ledger,
    into_index,
    into_state,
    into_stray_file,
    into_file_name,
    into_record,
]


def write_planted(root: pathlib.Path) -> source_folders.SourceFolder:
    """An input folder with people in every kind of place."""
    folder = source_folders.write_folder(root, patients=PATIENTS)
    for patient in PATIENTS:
        for number in (1, 2, 3):
            plant(folder.image(patient, number), patient)
    return folder


def main() -> int:
    """Prints what the search finds; fails where it misses or invents something."""
    with tempfile.TemporaryDirectory() as base:
        root, output = pathlib.Path(base) / "in", pathlib.Path(base) / "out"
        write_planted(root)
        source_folders.convert(root, output, compression="zlib")
        clean = len(phi_scan.phi_scan(output, root).hits)
        print(f"real output of planted people: {clean} found (none is to be found)")
        search = phi_scan.Search(source_values.collect(root)[0])
        found = tried = 0
        for leak in LEAKS:
            for value in VALUES:
                copy = pathlib.Path(base) / "copy"
                shutil.copytree(output, copy)
                leak(copy, value)
                known = manifest.load_manifest(copy)
                found += bool(search.find(dataset_texts.pieces(copy, known)))
                tried += 1
                shutil.rmtree(copy)
        print(f"values leaked on purpose: {found} of {tried} found")
        if real_data.SUNNYBROOK.is_dir():
            real = pathlib.Path(base) / "sunnybrook"
            source_folders.convert(real_data.SUNNYBROOK, real, split="train")
            hits = len(phi_scan.phi_scan(real, real_data.SUNNYBROOK).hits)
            print(f"real data: {hits} found (none is to be found)")
            clean += hits
    return 0 if found == tried and not clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
