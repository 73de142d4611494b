import json
import sys

import pytest

from tfdicom import sealed_json

FIELDS = {"b": [1, 0.1 + 0.2], "a": {"text": "ö}", "none": None}}


@pytest.mark.parametrize("indent", [None, 1])
def test_it_is_read_back_exactly_and_is_json(tmp_path, indent):
    path = tmp_path / "file.json"
    sealed_json.write(path, FIELDS, indent=indent)
    assert sealed_json.read(path) == FIELDS
    first = path.read_bytes()
    assert json.loads(first).keys() == {*FIELDS, "crc32c"}
    sealed_json.write(path, dict(reversed(FIELDS.items())), indent=indent)
    assert path.read_bytes() == first


@pytest.mark.parametrize("indent", [None, 1])
def test_damage_anywhere_is_noticed(tmp_path, indent):
    path = tmp_path / "file.json"
    sealed_json.write(path, FIELDS, indent=indent)
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="not that of its content"):
            sealed_json.read(path)
        path.write_bytes(whole[:place])
        with pytest.raises(ValueError, match="not that of its content"):
            sealed_json.read(path)


def test_file_without_a_checksum(tmp_path):
    path = tmp_path / "file.json"
    for indent in (None, 1):
        path.write_text(json.dumps(FIELDS, indent=indent) + "\n")
        with pytest.raises(sealed_json.NoChecksum) as told:
            sealed_json.read(path)
    told = sealed_json.unreadable(path, tmp_path, told.value)
    assert "made by an earlier tfdicom, without checksums" in str(told)
    path.write_text(json.dumps(FIELDS)[:-1])
    with pytest.raises(ValueError, match="not that of its content"):
        sealed_json.read(path)
    with pytest.raises(FileNotFoundError):
        sealed_json.read(tmp_path / "other.json")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
