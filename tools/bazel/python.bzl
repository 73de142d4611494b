"""The Python that runs the tests: a virtual environment's, found when Bazel starts."""

_BUILD = """
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

py_runtime(
    name = "python3",
    interpreter_path = "{python}",
    python_version = "PY3",
    # The default, "/usr/bin/env python", finds nothing where only python3 exists.
    stub_shebang = "#!{python}",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":python3",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

def _environment_python_impl(repository_ctx):
    python = repository_ctx.os.environ.get("TFDICOM_PYTHON")
    python = python or repository_ctx.which("python3")
    if not python:
        fail("No Python: activate a virtual environment, or set TFDICOM_PYTHON.")
    repository_ctx.file("BUILD", _BUILD.format(python = python))

# The interpreter $TFDICOM_PYTHON, or else the first python3 on the PATH.
environment_python = repository_rule(
    implementation = _environment_python_impl,
    environ = ["PATH", "TFDICOM_PYTHON"],
    local = True,
)
