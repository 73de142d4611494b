import io
import pathlib
import subprocess
import sys
import uuid

import pytest

from tests import s3_server
from tfdicom import files, output_folder, remote_files

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture(params=["memory", "s3"])
def store(request):
    if request.param == "memory":
        return files.path_of(f"memory://{uuid.uuid4().hex}")
    return request.getfixturevalue("server").path()


@pytest.mark.parametrize("known", [True, False])
def test_it_reads_as_a_local_file_does(store, known):
    (store / "a").write_bytes(CONTENT)
    size = len(CONTENT) if known else None
    remote, local = remote_files.RemoteFile(store / "a", size=size), io.BytesIO(CONTENT)
    steps = [
        ("read", 10),
        ("read", 0),
        ("read", 40_000),
        ("seek", 100),
        ("read", 5),
        ("seek", 200_000),
        ("read", 1),
        ("seek", -3, io.SEEK_CUR),
        ("read", 100_000),
        ("read", 1),
        ("seek", 300_000),
        ("read", 7),
        ("seek", -20, io.SEEK_END),
        ("read",),
        ("tell",),
        ("seek", 0),
        ("read",),
    ]
    for name, *arguments in steps:
        assert getattr(remote, name)(*arguments) == getattr(local, name)(*arguments)


def test_readinto_fills_the_buffer(store):
    (store / "a").write_bytes(CONTENT)
    buffer = bytearray(50_000)
    with files.opened(store / "a") as file:
        file.seek(len(CONTENT) - 40_000)
        assert file.readinto(buffer) == 40_000
    assert buffer[:40_000] == CONTENT[-40_000:]


@pytest.mark.parametrize("known", [True, False])
def test_an_empty_file_is_read(store, known):
    (store / "a").write_bytes(b"")
    assert (
        remote_files.RemoteFile(store / "a", size=0 if known else None).read(5) == b""
    )


def test_errors_are_of_the_usual_kind_and_name_the_path(store):
    with pytest.raises(FileNotFoundError, match="absent") as told:
        files.opened(store / "absent").read(1)
    assert told.value.strerror == "No such file or directory"


def test_a_store_that_is_not_there_is_an_oserror(monkeypatch, server):
    folder = server.path()
    (folder / "a").write_bytes(CONTENT)
    monkeypatch.setattr(folder.fs, "cat_file", _fails)
    with pytest.raises(OSError, match=r"KeyError: 'of the client'.*s3://bucket"):
        files.opened(folder / "a").read(1)


def _fails(*arguments, **keywords):
    raise KeyError("of the client")


def test_a_bucket_that_is_not_there_is_told_apart_from_a_file(server):
    missing = files.path_of("s3://missing/out")
    with pytest.raises(FileNotFoundError, match="bucket does not exist.*check"):
        files.walk(missing)
    with (
        pytest.raises(ValueError, match="cannot be written to.*bucket does not exist"),
        output_folder.workspace(missing),
    ):
        pytest.fail("there is no such bucket")


def test_a_header_costs_one_request(server):
    folder = server.path()
    (folder / "a").write_bytes(CONTENT)
    server.requests()
    with files.opened(folder / "a") as file:
        file.read(200)
        file.seek(remote_files.FIRST_BLOCK - 5)
        file.read(5)
    assert server.requests() == {"GET": 1}


def test_reading_on_takes_ever_larger_blocks(server):
    folder = server.path()
    (folder / "a").write_bytes(CONTENT)
    server.requests()
    with files.opened(folder / "a") as file:
        data = b"".join(iter(lambda: file.read(1000), b""))
    assert data == CONTENT
    assert server.requests()["GET"] <= 5


def _filled(folder, count):
    contents = {f"{n}.dcm": CONTENT[: n * 20_000] for n in range(count)}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return contents


def test_heads_are_read_once_and_together(store):
    contents = _filled(store, 5)
    sizes = {name: len(data) for name, data in contents.items()}
    with remote_files.with_heads(store, sizes):
        for name, data in contents.items():
            (store / name).unlink()
            with files.opened(store / name) as file:
                assert file.read(remote_files.FIRST_BLOCK) == data[:32768]
                assert file.seek(0, io.SEEK_END) == len(data)
    with pytest.raises(FileNotFoundError):
        files.opened(store / "1.dcm").read(1)


def test_a_head_that_cannot_be_had_is_told_at_opening(store):
    contents = _filled(store, 3)
    sizes = {**{name: len(data) for name, data in contents.items()}, "absent": 7}
    with remote_files.with_heads(store, sizes):
        assert files.opened(store / "2.dcm").read() == contents["2.dcm"]
        with pytest.raises(FileNotFoundError):
            files.opened(store / "absent").read(1)


def test_copies_are_near_while_they_last(store):
    contents = _filled(store, 4)
    with remote_files.with_copies(store, list(contents)):
        stamps = {name: files.stamp(store / name) for name in contents}
        for name, data in contents.items():
            (store / name).unlink()
            assert files.opened(store / name).read() == data
            assert files.stamp(store / name) == stamps[name]
            with remote_files.local_copy(store / name) as near:
                assert near.read_bytes() == data
    assert not near.exists()
    with pytest.raises(FileNotFoundError):
        files.opened(store / "1.dcm").read(1)


def test_a_copy_that_cannot_be_had_is_told_at_opening(store):
    contents = _filled(store, 2)
    with remote_files.with_copies(store, [*contents, "absent"]):
        assert files.opened(store / "1.dcm").read() == contents["1.dcm"]
        with pytest.raises(FileNotFoundError):
            files.opened(store / "absent").read(1)


def test_a_local_file_is_its_own_copy(tmp_path):
    with (
        remote_files.with_copies(tmp_path, ["a"]),
        remote_files.local_copy(tmp_path / "a") as near,
    ):
        assert near == tmp_path / "a"


def test_a_single_copy_is_gone_afterwards(store):
    (store / "a").write_bytes(CONTENT)
    with remote_files.local_copy(store / "a") as near:
        assert isinstance(near, pathlib.Path)
        assert near.read_bytes() == CONTENT
    assert not near.exists()


def test_a_large_file_is_uploaded_in_pieces_and_seen_when_it_is_whole(server):
    path = server.path() / "shard"
    path.write_bytes(b"before")
    data = bytes(range(256)) * (20 << 12)  # 20 MiB
    server.requests()
    with files.written_whole(path) as file:
        file.write(data)
        file.flush()
        assert path.read_bytes() == b"before"
    requests = server.requests()
    assert (requests["PUT"], requests["POST"]) == (3, 2)  # three pieces, begin and end
    assert files.read_bytes(path) == data
    assert files.walk(path.parent) == ["shard"]


def test_nothing_is_uploaded_after_an_exception(store):
    with pytest.raises(KeyboardInterrupt), files.written_whole(store / "a") as file:
        file.write(CONTENT)
        raise KeyboardInterrupt
    assert files.walk(store) == []


def test_a_file_that_moves_replaces_another(store):
    (store / "a").write_bytes(b"new")
    (store / "b").write_bytes(b"old")
    files.move(store / "a", store / "b")
    assert files.walk(store) == ["b"]
    assert files.read_bytes(store / "b") == b"new"
    with pytest.raises(FileNotFoundError):
        files.move(store / "a", store / "b")


def test_removing_a_folder_takes_nothing_with_it(store):
    (store / "deep" / "a").write_bytes(b"new")
    files.remove_folder(store / "deep")
    assert files.walk(store) == ["deep/a"]
    assert files.is_folder(store / "deep")
    assert files.sizes(store / "deep") == {"a": 3}


def test_what_another_process_writes_is_listed(server):
    folder = server.path()
    assert files.walk(folder) == [] == list(folder.glob("*"))
    script = f"import tfdicom.files as f; f.write_text(f.path_of('{folder}/a'), 'x')"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert files.walk(folder) == ["a"]
    assert [path.name for path in folder.glob("*")] == ["a"]


def test_a_stamp_changes_with_the_content(store):
    (store / "a").write_bytes(b"one")
    before = files.stamp(store / "a")
    assert files.stamp(store / "a") == before
    (store / "a").write_bytes(b"two")
    store.fs.invalidate_cache()
    assert files.stamp(store / "a") != before
    with pytest.raises(FileNotFoundError):
        files.stamp(store / "absent")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
