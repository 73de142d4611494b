import graphlib
import os
import pathlib

import pytest

from tools import build_files

not_in_bazel = pytest.mark.skipif(
    "TEST_SRCDIR" in os.environ, reason="Bazel shows a test only what it depends on"
)


def _tree(root: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    for name, text in {"BUILD": '"numpy", "pillow"', **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _graph(root: pathlib.Path, files: dict[str, str]) -> build_files.Graph:
    return build_files.dependencies(build_files.read_modules(_tree(root, files)))


@not_in_bazel
def test_build_files_are_up_to_date():
    assert build_files.difference() == ""


@not_in_bazel
def test_every_module_of_the_package_is_in_the_import_graph():
    graph = build_files.dependencies(build_files.read_modules(build_files.REPOSITORY))
    here = build_files.REPOSITORY
    files = [p.relative_to(here) for p in (here / "tfdicom").rglob("*.py")]
    assert files
    assert {".".join(p.with_suffix("").parts) for p in files} <= set(graph)


@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("import tfdicom.b", "tfdicom.b"),
        ("from tfdicom import b", "tfdicom.b"),
        ("from tfdicom.b import Name", "tfdicom.b"),
        ("from . import b", "tfdicom.b"),
        ("from .b import Name", "tfdicom.b"),
        ("from tfdicom.sub import c", "tfdicom.sub.c"),
        ("import tfdicom.sub", "tfdicom.sub"),
        ("def f():\n    from tfdicom import b", "tfdicom.b"),
        ("import numpy.typing", "pip:numpy"),
        ("from PIL import Image", "pip:pillow"),
        ("import os.path", None),
    ],
)
def test_imports_become_dependencies(tmp_path, statement, needed):
    files = {
        "tfdicom/a.py": statement,
        "tfdicom/b.py": "",
        "tfdicom/sub/__init__.py": "",
        "tfdicom/sub/c.py": "",
    }
    expected = {needed} if needed else set()
    assert _graph(tmp_path, files)["tfdicom.a"] == expected


def test_package_is_two_libraries(tmp_path):
    init = "from tfdicom.version import V\n_PARTS = {'f': 'tfdicom.a', 'g': '.b'}\n"
    files = {
        "tfdicom/__init__.py": init,
        "tfdicom/version.py": "",
        "tfdicom/a.py": "",
        "tfdicom/b.py": "",
    }
    graph = _graph(tmp_path, files)
    assert graph["tfdicom.__init__"] == {"tfdicom.version"}
    assert graph["tfdicom"] == {"tfdicom.__init__", "tfdicom.a", "tfdicom.b"}
    assert graph["tfdicom.a"] == {"tfdicom.__init__"}
    assert graph["tfdicom.version"] == set()


def test_a_package_has_what_its_pages_are_made_of(tmp_path):
    files = {"tfdicom/web/__init__.py": "", "tfdicom/web/templates/page.html": ""}
    texts = build_files.build_files(_tree(tmp_path, files))
    assert 'data = glob(["templates/**"]),' in texts[pathlib.Path("tfdicom/web/BUILD")]


def test_scripts_import_their_neighbours(tmp_path):
    files = {"examples/train.py": "from unet import make", "examples/unet.py": ""}
    assert _graph(tmp_path, files)["examples.train"] == {"examples.unet"}


def test_tests_need_the_modules_that_they_start(tmp_path):
    files = {
        "tfdicom/__init__.py": "",
        "tfdicom/a.py": "import numpy",
        "tests/conftest.py": "",
        "tests/a_test.py": "run('-m', 'tfdicom.a')\npytest.main([__file__])",
        "tests/b_test.py": "run('-c', 'import tfdicom')\npytest.main([__file__])",
        "tests/sub/c_test.py": "pytest.main([__file__])",
    }
    graph = _graph(tmp_path, files)
    assert graph["tests.a_test"] == {"tfdicom.a", "tests.conftest"}
    assert graph["tests.b_test"] == {"tfdicom", "tests.conftest"}
    assert graph["tests.sub.c_test"] == {"tests.conftest"}
    assert build_files.tests_of("numpy", tmp_path) == ["tests/a_test.py"]


@pytest.mark.parametrize(
    "back", ["import tfdicom.a", "def f():\n    from tfdicom import a"]
)
def test_refuses_import_cycles(tmp_path, back):
    with pytest.raises(graphlib.CycleError, match="tfdicom.a"):
        _graph(tmp_path, {"tfdicom/a.py": "import tfdicom.b", "tfdicom/b.py": back})


def test_refuses_a_test_that_bazel_would_not_run(tmp_path):
    root = _tree(tmp_path, {"tests/a_test.py": "def test_a(): pass"})
    with pytest.raises(ValueError, match=r"a_test.py does not end in pytest\.main"):
        build_files.build_files(root)


def test_refuses_a_pip_package_without_a_target(tmp_path):
    root = _tree(tmp_path, {"tfdicom/a.py": "import scipy"})
    with pytest.raises(ValueError, match=r"pip packages \['scipy'\]"):
        build_files.build_files(root)


def test_writes_labels_as_bazel_wants_them(tmp_path):
    files = {
        "tfdicom/a.py": "import numpy",
        "tfdicom/b.py": "import tfdicom.a, numpy",
        "tests/b_test.py": "from tfdicom import b\npytest.main([__file__])",
    }
    texts = build_files.build_files(_tree(tmp_path, files))
    assert (
        'py_library(\n    name = "b",\n    srcs = ["b.py"],\n    deps = [\n'
        '        ":a",\n        "//:expect_numpy_installed",\n    ],\n)\n'
    ) in texts[pathlib.Path("tfdicom/BUILD")]
    assert (
        'py_test(\n    name = "b_test",\n    srcs = ["b_test.py"],\n'
        '    data = [\n        "//:test_data",\n        ":test_data",\n    ],\n'
        '    deps = ["//tfdicom:b"],\n)\n'
    ) in texts[pathlib.Path("tests/BUILD")]


def test_difference_is_empty_once_written(tmp_path):
    root = _tree(tmp_path, {"tfdicom/a.py": ""})
    assert '+    name = "a",' in build_files.difference(root)
    for path, text in build_files.build_files(root).items():
        (root / path).write_text(text)
    assert build_files.difference(root) == ""


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
