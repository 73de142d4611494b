"""What a user gets from `pip install`: a wheel, away from the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.real_data import REPOSITORY

pytestmark = pytest.mark.slow

_SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "tfdicom")


def _run(
    *command: str | pathlib.Path, cwd: pathlib.Path
) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def _succeed(*command: str | pathlib.Path, cwd: pathlib.Path) -> str:
    done = _run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """Built from a copy, so that the checkout gets no build folder."""
    source = tmp_path_factory.mktemp("source")
    for name in _SOURCES:
        path = REPOSITORY / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, source / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    _succeed(*pip, "--wheel-dir", source / "wheels", source, cwd=source)
    (path,) = (source / "wheels").glob("tfdicom-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> pathlib.Path:
    """A new environment's scripts; dependencies are those of the running one."""
    environment = tmp_path_factory.mktemp("installed") / "environment"
    _succeed(
        *(sys.executable, "-m", "venv", "--without-pip", environment),
        cwd=environment.parent,
    )
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps")
    _succeed(*pip, wheel, cwd=environment.parent)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    # Read after the environment's own folder, and without the .pth files found there.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment / "bin"


def test_wheel_holds_every_module_and_the_type_marker(wheel):
    there = {name for name in zipfile.ZipFile(wheel).namelist()}
    modules = (REPOSITORY / "tfdicom").rglob("*.py")
    wanted = {path.relative_to(REPOSITORY).as_posix() for path in modules}
    for name in ("templates", "static"):  # what the pages are made of
        for path in (REPOSITORY / "tfdicom" / "serving" / name).rglob("*.*"):
            wanted.add(path.relative_to(REPOSITORY).as_posix())
    data = {"tfdicom/py.typed", "tfdicom/templates/report.html"}
    assert wanted | data <= there
    assert not {name for name in there if name.startswith(("tests", "tools"))}


def test_import_is_of_the_wheel_and_does_not_load_tensorflow(installed, tmp_path):
    code = (
        "import sys, tfdicom; print(tfdicom.__file__); print(tfdicom.__version__); "
        "print('tensorflow' in sys.modules)"
    )
    output = _succeed(installed / "python", "-c", code, cwd=tmp_path)
    file, version, has_tensorflow = output.split("\n")[:3]
    assert pathlib.Path(file).is_relative_to(installed.parent)
    assert version == "0.1.0"
    assert has_tensorflow == "False"


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("tfdicom_convert", "--input_dir"),
        ("tfdicom_data_service", "--role"),
        ("tfdicom_inspect", "--data_dir"),
        ("tfdicom_serve", "--token_file"),
    ],
)
def test_command_explains_itself(installed, tmp_path, command, flag):
    done = _run(installed / command, "--help", cwd=tmp_path)
    assert flag.lstrip("-") in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
