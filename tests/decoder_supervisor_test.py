import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from tests import source_folders
from tfdicom import decoder_supervisor, dicom
from tfdicom.decoder_supervisor import DecoderSupervisor
from tfdicom.reasons import InputSkipped

# A child whose decoder misbehaves where the file's name says so.
_CHILD = """
import ctypes, os, sys, time
import numpy as np
from tfdicom import decoder_process

decode = decoder_process.decode

def misbehave(path, index, syntax):
    name = os.path.basename(path)
    if name == "crash":
        ctypes.string_at(0)
    if name == "exit":
        os._exit(3)
    if name == "hang":
        time.sleep(1000)
    if name == "spin":  # no other thread of Python gets on
        ctypes.PyDLL(None).sleep(1000)
    if name == "greedy":
        return np.ones(1 << 32)
    if name == "large":
        return np.ones((1 << 20,), np.uint8)
    if name == "chatty":
        os.write(1, b"noise" * 20000)
        os.write(2, b"noise" * 20000)
    return decode(path, index, syntax)

decoder_process.decode = misbehave
decoder_process.main()
"""


@pytest.fixture
def supervisor():
    made = DecoderSupervisor(2 << 30, [sys.executable, "-c", _CHILD])
    yield made
    made._end()


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    source_folders.write_image(path, "P1", 1)
    return path


def ask(supervisor, path, **arguments):
    plain = {"syntax": ExplicitVRLittleEndian, "size": 1 << 16, "seconds": 60}
    return supervisor.decode(path, 0, **{**plain, **arguments})


def skipped(supervisor, path, **arguments):
    with pytest.raises(InputSkipped) as error:
        ask(supervisor, path, **arguments)
    return error.value


@pytest.mark.parametrize(
    ("name", "code", "detail"),
    [
        ("crash", "decoder_crashed", "SIGSEGV"),
        ("exit", "decoder_crashed", "exit status 3"),
        ("hang", "decoder_hung", ""),
        ("greedy", "decoder_out_of_memory", ""),
        ("large", "pixels_unreadable", "1048576 bytes of pixels, where at most 65536"),
        ("none", "pixels_unreadable", "No such file"),
    ],
)
def test_child_that_misbehaves_is_replaced(supervisor, image, name, code, detail):
    expected = pydicom.dcmread(image).pixel_array
    np.testing.assert_array_equal(ask(supervisor, image), expected)
    started = time.monotonic()
    seconds = 1 if name == "hang" else 60
    error = skipped(supervisor, image.parent / name, seconds=seconds)
    assert error.code == code
    assert detail in error.detail
    assert time.monotonic() - started < 30
    np.testing.assert_array_equal(ask(supervisor, image), expected)


def test_what_libraries_print_goes_nowhere(supervisor, image, capfd):
    chatty = image.rename(image.parent / "chatty")
    expected = pydicom.dcmread(chatty).pixel_array
    np.testing.assert_array_equal(ask(supervisor, chatty), expected)
    assert capfd.readouterr() == ("", "")


def test_child_that_was_killed_meanwhile_is_replaced(supervisor, image):
    ask(supervisor, image)
    supervisor._child.kill()
    supervisor._child.wait()
    ask(supervisor, image)


def test_child_cannot_start(image):
    broken = DecoderSupervisor(2 << 30, [sys.executable, "-c", "raise SystemExit(7)"])
    error = skipped(broken, image)
    assert (error.code, error.detail) == ("decoder_crashed", "exit status 7")


def _state(pid):
    """State of a process as the kernel has it; None where there is none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    return text.rpartition(")")[2].split()[0]


needs_proc = pytest.mark.skipif(
    not pathlib.Path("/proc/self/stat").exists(), reason="no /proc"
)


@needs_proc
def test_no_zombie_is_left(supervisor, image):
    ask(supervisor, image)
    pid = supervisor._child.pid
    assert _state(pid) is not None
    supervisor._end()
    assert _state(pid) is None


def _decode_and_tell(path, queue):
    dicom.read_frame(path)
    (child,) = [
        one
        for key, one in decoder_supervisor._supervisors.items()
        if key[0] == os.getpid()
    ]
    queue.put(child._child.pid)


@needs_proc
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_each_worker_has_a_child_that_ends_with_it(image, method):
    compressed = pydicom.dcmread(image)
    plugin = {"encoding_plugin": "pydicom", "generate_instance_uid": False}
    compressed.compress(RLELossless, **plugin)
    compressed.save_as(image)
    dicom.read_frame(image)  # so that there is one to inherit
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    worker = context.Process(target=_decode_and_tell, args=(image, queue))
    worker.start()
    pid = queue.get(timeout=60)
    worker.join(60)
    assert worker.exitcode == 0
    assert _state(pid) in (None, "Z")  # who has no parent waits for another one
    dicom.read_frame(image)  # the one of this process is as it was


@needs_proc
@pytest.mark.parametrize("name", ["image", "hang", "spin"])
def test_child_ends_at_once_when_its_process_is_killed(image, name):
    code = (
        "import pathlib, sys, threading, time\n"
        "from tfdicom.decoder_supervisor import DecoderSupervisor\n"
        f"supervisor = DecoderSupervisor(2 << 30, [sys.executable, '-c', {_CHILD!r}])\n"
        "def decode(path):\n"
        "    supervisor.decode(pathlib.Path(path), 0, size=1 << 16, seconds=60,\n"
        f"        syntax={str(ExplicitVRLittleEndian)!r})\n"
        f"decode({str(image)!r})\n"
        "print(supervisor._child.pid, flush=True)\n"
        f"decode({str(image.with_name(name))!r})\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(20):
        if _state(pid) in (None, "Z"):
            return
        time.sleep(0.1)
    raise AssertionError("the child lives on")


def test_child_does_not_need_tensorflow(image):
    code = "import tfdicom.decoder_process, sys; print('tensorflow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"False\n"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
