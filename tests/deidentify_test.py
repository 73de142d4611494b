import csv
import hmac
import os
import pathlib
import re
import stat
import sys

import pytest

from tfdicom import deidentify
from tfdicom.deidentify import Pseudonyms

KEY = bytes(range(32))


def _mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o000, 0o077], ids=lambda mask: f"umask{mask:03o}")
def any_umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("patient", "SC-HF-I-01"), b"patient\0SC-HF-I-01"),
        (("instance", "1.2.3", "4"), b"instance\x001.2.3\x004"),
        (("patient", "Müller^Ö"), b"patient\0M\xc3\xbcller^\xc3\x96"),
        (("file", os.fsdecode(b"caf\xe9.dcm")), b"file\0caf\xe9.dcm"),
    ],
)
def test_pseudonyms_are_keyed_hashes(parts, message):
    expected = hmac.digest(KEY, message, "sha256").hex()[:32]
    assert Pseudonyms(KEY).of(*parts) == expected


def test_kinds_parts_and_keys_are_kept_apart():
    made = [
        Pseudonyms(KEY).of("patient", "1"),
        Pseudonyms(KEY).of("study", "1"),
        Pseudonyms(KEY).of("patient", "1", ""),
        Pseudonyms(KEY).of("patient", "2"),
        Pseudonyms(KEY[1:]).of("patient", "1"),
    ]
    assert len(set(made)) == len(made)


def test_published_key_is_the_same_for_everybody(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    pseudonyms, made = deidentify.load_pseudonyms("public")
    assert (made, pseudonyms.path) == (False, None)
    # Data sets are published with these: they never change.
    assert pseudonyms.of("patient", "SC-HF-I-01") == "84bc42067add67a160fbceccb63f644c"
    assert list(tmp_path.iterdir()) == []


def test_key_is_made_once(tmp_path, any_umask):
    path = tmp_path / "new" / "folder" / "my.key"
    first, made = deidentify.load_pseudonyms(str(path))
    again, made_again = deidentify.load_pseudonyms(str(path))
    assert (made, made_again) == (True, False)
    assert first == again
    assert first.path == path
    assert re.fullmatch("[0-9a-f]{64}\n", path.read_text())
    assert first.key == bytes.fromhex(path.read_text())
    assert _mode(path) == 0o600
    assert _mode(path.parent) & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["my.key"]


def test_no_two_keys_are_equal(tmp_path):
    paths = [tmp_path / f"{n}.key" for n in range(8)]
    keys = {deidentify.load_pseudonyms(str(path))[0].key for path in paths}
    assert len(keys) == 8


@pytest.mark.parametrize("given", [None, ""])
def test_default_key_is_in_the_configuration_folder(monkeypatch, tmp_path, given):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    pseudonyms, _ = deidentify.load_pseudonyms(given)
    assert pseudonyms.path == tmp_path / "xdg" / "tfdicom" / "id.key"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    pseudonyms, _ = deidentify.load_pseudonyms(given)
    assert pseudonyms.path == tmp_path / "home" / ".config" / "tfdicom" / "id.key"


def test_asking_for_the_path_makes_no_key(tmp_path):
    path = tmp_path / "a.key"
    assert deidentify.key_path(str(path)) == path
    assert deidentify.key_path("public") is None


@pytest.mark.parametrize(
    "name", ["s3://bucket/id.key", "gs://b/k", "file:///k", "s3:/b"]
)
def test_keys_stay_on_this_machine(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for read in (deidentify.load_pseudonyms, deidentify.existing_pseudonyms):
        with pytest.raises(ValueError, match=f"{name}.*name a local path"):
            read(name)
    assert not list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for given in ("~/a.key", "a.key"):
        assert deidentify.load_pseudonyms(given)[0].path == tmp_path / "a.key"


@pytest.mark.parametrize("text", ["00ff" * 8, "00 FF " * 8 + "\n", "ab" * 100])
def test_reads_keys_made_elsewhere(tmp_path, text):
    path = tmp_path / "a.key"
    path.write_text(text)
    path.chmod(0o600)
    assert deidentify.load_pseudonyms(str(path))[0].key == bytes.fromhex(text)


@pytest.mark.parametrize(
    "content", [b"", b"secret", b"00ff" * 7 + b"0", b"00ff" * 7, b"\xff\xfe\0\0" * 20]
)
def test_refuses_a_file_without_a_key(tmp_path, content):
    path = tmp_path / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=r"a\.key: 32 or more hex.*--id_key_file"):
        deidentify.load_pseudonyms(str(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_refuses_a_key_that_others_may_read(tmp_path, mode):
    path = tmp_path / "a.key"
    path.write_text("00ff" * 8)
    path.chmod(mode)
    words = rf"a\.key: others may read .*mode {mode:04o}.*chmod 600"
    with pytest.raises(ValueError, match=words):
        deidentify.load_pseudonyms(str(path))


def test_key_is_not_shown():
    shown = repr(Pseudonyms(KEY, pathlib.Path("a.key")))
    assert "a.key" in shown
    assert KEY.hex() not in shown and repr(KEY)[2:20] not in shown


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("0" * 32, 0),
        ("0" * 15 + "1" + "f" * 16, 1),
        ("7" + "f" * 31, 2**63 - 1),
        ("8" + "0" * 31, -(2**63)),
        ("f" * 32, -1),
        ("0123456789abcdef" * 2, 0x0123456789ABCDEF),
    ],
)
def test_first_64_bits_are_signed(key, expected):
    assert deidentify.signed_64_bits(key) == expected


def test_crosswalk_lies_beside_the_key(tmp_path):
    pseudonyms = Pseudonyms(KEY, tmp_path / "id.key")
    paths = {deidentify.crosswalk_path(pseudonyms, name) for name in ("/a", "/b")}
    assert len(paths) == 2
    for path in paths:
        assert path.parent == tmp_path
        assert re.fullmatch(r"crosswalk-[0-9a-f]{12}\.csv", path.name)
    assert deidentify.crosswalk_path(pseudonyms, "/a") in paths


def test_public_data_has_no_crosswalk():
    pseudonyms, _ = deidentify.load_pseudonyms(deidentify.PUBLIC)
    assert deidentify.crosswalk_path(pseudonyms, "/a") is None


ROWS = [
    ("c1", "p1", "Müller^Ö", "a/1.dcm"),
    ("c2", "p1", 'say "hi", x', os.fsdecode(b"caf\xe9/2.dcm")),
]


def _read(path: pathlib.Path) -> list[tuple[str, ...]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [tuple(row) for row in csv.reader(file)]


def test_crosswalk_is_for_its_owner_only(tmp_path, any_umask):
    path = tmp_path / "crosswalk-1.csv"
    for rows in (ROWS[:1], ROWS):  # a second conversion replaces it
        deidentify.write_crosswalk(path, iter(rows))
        assert _mode(path) == 0o600
        header = ("candidate", "patient", "source_patient", "source_path")
        assert _read(path) == [header, *rows]
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_crosswalk_is_not_left_in_part(tmp_path):
    path = tmp_path / "crosswalk-1.csv"
    deidentify.write_crosswalk(path, ROWS)
    before = path.read_bytes()

    def rows():
        yield ROWS[0]
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        deidentify.write_crosswalk(path, rows())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_rest_of_a_killed_run_is_replaced(tmp_path):
    path = tmp_path / "crosswalk-1.csv"
    rest = path.with_name(f"{path.name}.partial")
    rest.touch(mode=0o644)
    deidentify.write_crosswalk(path, ROWS)
    assert _mode(path) == 0o600
    assert not rest.exists()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
