import dataclasses
import os
import stat
import sys

import pytest

from tfdicom import conversion_record
from tfdicom.convert_options import ConvertOptions


def test_options_come_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ConvertOptions(
        input_dir="in put",
        output_dir="s3://bucket/out",
        classes="lung=/lung_(l|r)/;heart=heart # no comment",
        fractional_threshold=0.25,
        covered_fraction=True,
        num_shards=3,
        id_key_file="public",
        labels="table.csv",
        split="splits.csv",
        patient_from="csv:who.csv",
    )
    path = tmp_path / "private" / "conversion.flags"
    conversion_record.write(path, options)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    there = str(tmp_path)
    expected = dataclasses.replace(
        options,
        input_dir=os.path.join(there, "in put"),
        labels=os.path.join(there, "table.csv"),
        split=os.path.join(there, "splits.csv"),
        patient_from="csv:" + os.path.join(there, "who.csv"),
    )
    assert conversion_record.read(path) == expected


def test_what_is_of_one_run_alone_is_not_kept(tmp_path):
    path = tmp_path / "conversion.flags"
    options = ConvertOptions(overwrite=True, num_workers=7, withdraw="Ann", folds=3)
    conversion_record.write(path, options)
    assert conversion_record.read(path).folds == 3
    assert "Ann" not in path.read_text()
    read = conversion_record.read(path)
    assert (read.overwrite, read.num_workers, read.withdraw) == (False, 0, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"--colour=red\n", "Unknown command line flag"),
        (b"--folds=many\n", "folds"),
        (b"--folds=-1\n", "folds"),
        (b"folds\n", "'folds' is no flag"),
        (b"--classes=\xff\n", "is no flagfile"),
        (None, "is no flagfile"),
    ],
)
def test_what_is_no_flagfile(tmp_path, content, words):
    path = tmp_path / "conversion.flags"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        conversion_record.read(path)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
