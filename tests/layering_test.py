"""The two halves meet only in plain modules: which of them need what, by trying.

A worker that converts must not pay for TensorFlow (some 500 MiB and 4 s), and a
training job must run where no pydicom is installed.
"""

import functools
import json
import os
import pathlib
import subprocess
import sys

import pytest

import tfdicom

PACKAGE = pathlib.Path(tfdicom.__file__).parent

# The only modules that may need TensorFlow; a new one is added here on purpose.
READERS = (
    "tfdicom.augment",
    "tfdicom.augment_sheet",
    "tfdicom.data_service",
    "tfdicom.doctor",
    "tfdicom.epoch_callback",
    "tfdicom.epoch_order",
    "tfdicom.example_parser",
    "tfdicom.frame_batch",
    "tfdicom.input_pipeline",
    "tfdicom.kernel",
    "tfdicom.label_forms",
    "tfdicom.label_values",
    "tfdicom.labelling",
    "tfdicom.losses",
    "tfdicom.numpy_batches",
    "tfdicom.pixel_work",
    "tfdicom.preprocess",
    "tfdicom.record_reading",
    "tfdicom.serving.batch_answers",
    "tfdicom.serving.batch_maker",
    "tfdicom.split_in_memory",
)

# Imports each module with some packages out of reach, and notes who reaches for them.
_PROBE = """
import importlib, json, sys

modules, blocked = json.loads(sys.argv[1]), set(json.loads(sys.argv[2]))
wanted, broken = [], {}

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            wanted.append(module)
            raise ModuleNotFoundError(f"{name} is out of reach", name=name)

sys.meta_path.insert(0, Finder)
for module in modules:
    try:
        importlib.import_module(module)
    except Exception as error:
        if module not in wanted:
            broken[module] = repr(error)
    if "absl.flags" in sys.modules:  # no two programs run in one process
        values = sys.modules["absl.flags"].FLAGS
        for flag in values.get_flags_for_module(module):
            delattr(values, flag.name)
print(json.dumps([sorted(set(wanted)), broken]))
"""


def _run(*arguments: str) -> str:
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def _modules() -> list[str]:
    paths = [path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")]
    names = {".".join(path.with_suffix("").parts) for path in paths}
    return sorted(name.removesuffix(".__init__") for name in names)


@functools.cache
def _that_want(*packages: str) -> tuple[set[str], dict[str, str]]:
    """Modules that import one of the packages, and those that fail otherwise."""
    wanted, broken = json.loads(
        _run("-c", _PROBE, json.dumps(_modules()), json.dumps(packages))
    )
    return set(wanted), broken


# The one module in which the halves meet: it decodes a source for the reader.
BRIDGE = "tfdicom.source_batches"


def _is_reader(module: str) -> bool:
    return any(f"{module}.".startswith(f"{reader}.") for reader in READERS)


def test_modules_are_found():
    assert {"tfdicom", "tfdicom.manifest", "tfdicom.version"} <= set(_modules())


def test_only_the_reader_needs_tensorflow():
    wanted, broken = _that_want("tensorflow", "keras", "tf_keras")
    assert broken == {}
    others = (module for module in wanted if not _is_reader(module))
    assert sorted(others) == [BRIDGE]


def test_the_reader_needs_no_pydicom():
    wanted, broken = _that_want("pydicom", "highdicom")
    assert broken == {}
    assert sorted(filter(_is_reader, wanted)) == []


def test_one_module_needs_both():
    with_tensorflow, _ = _that_want("tensorflow", "keras", "tf_keras")
    with_pydicom, _ = _that_want("pydicom", "highdicom")
    assert sorted(with_tensorflow & with_pydicom) == [BRIDGE]


def test_what_both_halves_share_needs_neither():
    wanted = _that_want("pydicom", "highdicom")[0]
    shared = {"manifest", "example_schema", "files", "options", "classes", "splits"}
    assert {f"tfdicom.{name}" for name in shared} & wanted == set()


def test_importing_the_package_is_quick():
    heavy = "{'tensorflow', 'keras', 'pydicom', 'numpy', 'absl', 'fsspec'}"
    code = f"import tfdicom, sys; print(sorted({heavy} & sys.modules.keys()))"
    assert _run("-c", code) == "[]"


def test_the_probe_sees_who_wants_what():
    # 'sqlite3' wants 'datetime'; 'this_is_no_module' wants nothing and fails.
    names = ["math", "sqlite3", "this_is_no_module", "bisect"]
    wanted, broken = json.loads(
        _run("-S", "-c", _PROBE, json.dumps(names), json.dumps(["_sqlite3"]))
    )
    assert wanted == ["sqlite3"]
    assert list(broken) == ["this_is_no_module"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
