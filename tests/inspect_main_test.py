import json
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from tests import real_data, source_folders


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect")
    source = source_folders.write_folder(folder / "in")
    source_folders.convert(
        source.root, folder / "out", split="train:0.4,test:0.3,a:0.2,b:0.1"
    )
    return folder / "out"


def main(*arguments):
    """Runs the command: its flags have the names of tfdicom_convert's."""
    return subprocess.run(
        [sys.executable, "-m", "tfdicom.inspect_main", *map(str, arguments)],
        cwd=real_data.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )


def fails(code, words, *arguments):
    done = main(*arguments)
    assert done.returncode == code
    assert re.search(words, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", [[], ["summary"]])
def test_summary(dataset, verb):
    done = main(*verb, f"--data_dir={dataset}")
    assert done.returncode == 0
    assert re.match(r"\nsplit |split ", done.stdout)
    assert "3 left out: no_annotation" in done.stdout


def size_of_sheet(count, tile=240, columns=5):
    columns = min(count, columns)
    rows = -(-count // columns)
    return 6 + columns * (tile + 6), 26 + rows * (tile + 18 + 6) + 6


@pytest.mark.parametrize(
    ("arguments", "count"), [([], 6), (["--count=2"], 2), (["--split=train+test"], 4)]
)
def test_show(dataset, tmp_path, arguments, count):
    out = tmp_path / "sheet.png"
    done = main("show", f"--data_dir={dataset}", f"--out={out}", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert Image.open(out).size == size_of_sheet(count)
    assert done.stdout == f"{count} examples in {out}\n"


def test_show_one_by_its_key(dataset, tmp_path):
    out = tmp_path / "one.png"
    key = source_folders.examples(dataset)[3].key
    main("show", f"--data_dir={dataset}", f"--out={out}", f"--key={key[:9]}")
    assert Image.open(out).size == size_of_sheet(1, 720)


def test_show_of_nothing(dataset, tmp_path):
    show = ("show", f"--data_dir={dataset}", f"--out={tmp_path / 'x.png'}")
    fails(
        1, "no example with a key that begins with 'zz' in any split", *show, "--key=zz"
    )
    splits = ("train", "test", "a", "b")
    (empty,) = (s for s in splits if not any(dataset.glob(f"{s}-*.tfrecord")))
    fails(1, f"there is no example in {empty}", *show, f"--split={empty}")
    fails(1, "no split 'nope'; this data set has train, ", *show, "--split=nope")
    assert not (tmp_path / "x.png").exists()


def test_explain(dataset):
    key = source_folders.examples(dataset)[3].key
    done = main("explain", f"--data_dir={dataset}", f"--key={key[:9]}")
    assert done.returncode == 0
    assert done.stdout.startswith(f"example   {key}\n")


def test_phi_scan(dataset, tmp_path):
    source = dataset.parent / "in"
    scan = ("phi_scan", f"--input_dir={source}")
    done = main(*scan, f"--data_dir={dataset}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing found in 6 records" in done.stdout
    shutil.copytree(dataset, tmp_path / "out")
    (tmp_path / "out" / "log.txt").write_text("doe^scd0000101 was here")
    done = main(*scan, f"--data_dir={tmp_path / 'out'}")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FOUND name of (0010,0010)" in done.stdout
    assert "doe" not in done.stdout
    done = main(*scan, f"--data_dir={tmp_path / 'out'}", "--show_values")
    assert done.returncode == 1 and "doe^scd0000101" in done.stdout


def test_verify(dataset, tmp_path):
    done = main("verify", f"--data_dir={dataset}", "--num_workers=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("split  shards  patients  examples  inner  outer\n")
    assert f"{dataset} is whole: every check passed." in done.stdout
    damaged = shutil.copytree(dataset, tmp_path / "damaged")
    shard = sorted(damaged.glob("*.tfrecord"))[0]
    data = bytearray(shard.read_bytes())
    data[100] ^= 4
    shard.write_bytes(data)
    done = main("verify", f"--data_dir={damaged}")
    assert done.returncode == 1
    assert f"{shard.name}, record 0, key " in done.stdout
    assert re.search(rf"Bad shards \(1 of \d\): {shard.name}", done.stdout)
    fails(1, "there is no dataset.json", "verify", f"--data_dir={tmp_path}")


def test_diff(dataset, tmp_path):
    done = main("diff", dataset, dataset)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The same: 6 examples, byte for byte.\n"
    source = source_folders.write_folder(tmp_path / "in", annotated=3, plain=0)
    source_folders.convert(source.root, tmp_path / "other")
    out = tmp_path / "all.json"
    done = main("diff", dataset, tmp_path / "other", f"--out={out}")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Examples: 6 before, 9 after, 6 in both\n  3 added: " in done.stdout
    assert len(json.loads(out.read_text())["added"]) == 3
    fails(2, "diff wants two folders", "diff", dataset)
    fails(1, "holds no data set", "diff", dataset, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "--data_dir=x"], "explain wants --key=KEY"),
        (["paint"], "'paint': the verbs are summary, report, show"),
        (["report", "--data_dir=x"], "report wants --out=FILE.html"),
        (["export", "--data_dir=x"], "export wants --out=FOLDER"),
        (["export", "--format=gif"], "format"),
        (["show", "me"], "'show me': the verbs are"),
        (["summary"], "--data_dir is wanted"),
        (["show", "--data_dir=x"], "show wants --out=FILE.png"),
        (["show", "--out=x.png"], "--data_dir is wanted"),
    ],
)
def test_wrong_usage(arguments, words):
    fails(2, words, *arguments)


def test_folder_without_a_data_set(tmp_path):
    fails(1, "there is no dataset.json", "summary", f"--data_dir={tmp_path}")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
