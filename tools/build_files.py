"""Writes the Python packages' BUILD files from the imports in the code.

    python tools/build_files.py            # writes them
    python tools/build_files.py --check    # exits 1 and prints what differs
    python tools/build_files.py --tests_of=tensorflow
                                           # the tests whose imports lead there

Each module is one `py_library`, each `*_test.py` one `py_test`, and their deps are
what they import, also inside functions. A package `p` whose `__init__.py` loads parts
on first use is two libraries: `//p:init`, which every module of the package needs,
and `//p`, which adds those parts. pip packages are the `expect_*_installed` targets
of the top-level BUILD file.
"""

import argparse
import ast
import dataclasses
import difflib
import graphlib
import importlib.util
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

_ROOTS = ("tfdicom", "tests", "tools", "examples", "benchmarks")
# Folders of a package that hold no code.
_DATA_FOLDERS = ("static", "templates")
# Where the name that is imported is not the name that is installed.
_PIP_NAMES = {"PIL": "pillow", "absl": "absl_py", "upath": "universal_pathlib"}
_HEADER = (
    "# Made from the imports. To bring it up to date: python tools/build_files.py\n"
)
# A module named in a string: whole ("-m", "a.b"), or in code for a fresh interpreter.
_MODULE_IN_STRING = re.compile(r"(?:\b(?:import|from) |^)(\w+(?:\.\w+)*)")

# Module name -> names of what it needs: modules, packages' "p.__init__", pip packages
# as "pip:NAME".
Graph = dict[str, set[str]]


@dataclasses.dataclass(frozen=True)
class Module:
    """A Python file and what it imports, as written: `a.b`, or `a.b.c` for a name."""

    path: pathlib.Path
    imports: frozenset[str]
    on_first_use: frozenset[str]
    runs_pytest: bool

    @property
    def is_test(self) -> bool:
        """Whether Bazel and pytest run it."""
        return self.path.name.endswith("_test.py")


def read_modules(root: pathlib.Path) -> dict[str, Module]:
    """Reads every Python file under `root`; packages are named `p.__init__`."""
    paths = [p for top in _ROOTS for p in sorted((root / top).rglob("*.py"))]
    relative = [path.relative_to(root) for path in paths]
    return {
        ".".join(path.with_suffix("").parts): _read_module(root, path)
        for path in relative
    }


def _read_module(root: pathlib.Path, path: pathlib.Path) -> Module:
    source = (root / path).read_text(encoding="utf-8")
    tree = ast.parse(source, filename=str(path))
    package = ".".join(path.parent.parts)
    everything = set(_imports(ast.walk(tree), package))
    is_package = path.name == "__init__.py"
    if is_package or path.name.endswith("_test.py"):
        everything |= set(_modules_in_strings(tree, package if is_package else None))
    eager = set(_imports(tree.body, package)) if is_package else everything
    if not (root / path.parent / "__init__.py").exists():
        eager = {_beside(name, root, path.parent) for name in eager}
    return Module(
        path=path,
        imports=frozenset(eager),
        on_first_use=frozenset(everything - eager if is_package else ()),
        runs_pytest="pytest.main(" in source,
    )


def _imports(nodes: Iterable[ast.AST], package: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(name, package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _beside(imported: str, root: pathlib.Path, folder: pathlib.Path) -> str:
    """A script finds the modules in its own folder by their bare names."""
    sibling = folder / f"{imported.split('.')[0]}.py"
    if (root / sibling).exists():
        return ".".join((*folder.parts, imported))
    return imported


def _modules_in_strings(tree: ast.Module, package: str | None) -> Iterator[str]:
    """Internal names only; in a package, a string may name a sibling bare or dotted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in _MODULE_IN_STRING.findall(node.value):
                if name.split(".")[0] in _ROOTS:
                    yield name
            if package:
                yield f"{package}.{node.value.removeprefix('.')}"


def dependencies(modules: dict[str, Module]) -> Graph:
    """Returns the import graph.

    Raises:
        graphlib.CycleError: If imports go round in a circle.
    """
    graph: Graph = {}
    for name, module in modules.items():
        graph[name] = _resolved(module.imports, modules) - {name}
        if name.endswith(".__init__"):
            package = name.removesuffix(".__init__")
            parts = _resolved(module.on_first_use, modules)
            graph[package] = parts - {package} | {name}
    initialised = {name: reachable(graph, name) for name in graph if "__init__" in name}
    for name, module in modules.items():
        for init in _inits_above(module, initialised):
            if name != init and name not in initialised[init]:
                graph[name].add(init)
        if module.is_test:
            graph[name] |= set(_conftests_above(module, modules))
    graphlib.TopologicalSorter(graph).prepare()
    return graph


def _resolved(imports: Iterable[str], modules: dict[str, Module]) -> set[str]:
    return {name for i in imports if (name := _resolve(i, modules))}


def _resolve(imported: str, modules: dict[str, Module]) -> str | None:
    parts = imported.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if name in modules or f"{name}.__init__" in modules:
            return name
    top = parts[0]
    if top in sys.stdlib_module_names or top in _ROOTS:
        return None
    return f"pip:{_PIP_NAMES.get(top, top)}"


def _inits_above(module: Module, inits: Iterable[str]) -> list[str]:
    """The nearest `__init__` above: it needs the others in its turn."""
    names = [".".join((*p.parts, "__init__")) for p in module.path.parents]
    own = ".".join(module.path.with_suffix("").parts)
    return [name for name in names if name in inits and name != own][:1]


def _conftests_above(module: Module, modules: dict[str, Module]) -> list[str]:
    names = [".".join((*p.parts, "conftest")) for p in module.path.parents]
    return [name for name in names if name in modules]


def reachable(graph: Graph, start: str) -> set[str]:
    """Returns all that `start` needs, directly or not."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def tests_of(package: str, root: pathlib.Path = REPOSITORY) -> list[str]:
    """Returns the paths of the tests whose imports lead to a pip package."""
    modules = read_modules(root)
    graph = dependencies(modules)
    return [
        module.path.as_posix()
        for name, module in modules.items()
        if module.is_test and f"pip:{package}" in reachable(graph, name)
    ]


def build_files(root: pathlib.Path = REPOSITORY) -> dict[pathlib.Path, str]:
    """Returns the text of each BUILD file, by its path relative to `root`.

    Raises:
        ValueError: If a test would pass without being run, or the top-level BUILD
            file lacks a pip package.
    """
    modules = read_modules(root)
    graph = dependencies(modules)
    _check_tests_run(modules)
    _check_pip_packages(graph, (root / "BUILD").read_text(encoding="utf-8"))
    folders: dict[pathlib.Path, list[str]] = {}
    for name in sorted(modules):
        folders.setdefault(modules[name].path.parent, []).append(name)
    return {
        folder / "BUILD": _build_file(root, folder, names, modules, graph)
        for folder, names in folders.items()
    }


def _check_tests_run(modules: dict[str, Module]) -> None:
    for module in modules.values():
        if module.is_test and not module.runs_pytest:
            raise ValueError(
                f"{module.path} does not end in pytest.main: Bazel would run nothing "
                "and call it passed. Add: if __name__ == '__main__': "
                "raise SystemExit(pytest.main([__file__]))"
            )


def _check_pip_packages(graph: Graph, top_level: str) -> None:
    needed = {d[4:] for deps in graph.values() for d in deps if d.startswith("pip:")}
    missing = sorted(name for name in needed if f'"{name}"' not in top_level)
    if missing:
        raise ValueError(
            f"the top-level BUILD file does not list the pip packages {missing}: add "
            "them there, to setup.py and to requirements/, or drop the import"
        )


def _build_file(
    root: pathlib.Path,
    folder: pathlib.Path,
    names: list[str],
    modules: dict[str, Module],
    graph: Graph,
) -> str:
    in_tests = folder.parts[0] == "tests"
    rules = [_HEADER, 'package(default_visibility = ["//visibility:public"])\n']
    if in_tests:
        rules.append(
            'filegroup(\n    name = "test_data",\n    testonly = True,\n'
            '    srcs = glob(\n        ["**"],\n'
            '        exclude = ["**/*.py", "**/*.pyc", "BUILD"],\n    ),\n)\n'
        )
    for name in names:
        deps = _labels(graph[name], folder, modules)
        stem = _target(name)
        if modules[name].is_test:
            inputs = ["//:test_data", ":test_data"] if in_tests else ["//:test_data"]
            rules.append(_rule("py_test", stem, modules[name].path.name, deps, inputs))
        else:
            file = modules[name].path.name
            data = _package_data(root / folder) if stem == "init" else None
            rules.append(
                _rule("py_library", stem, file, deps, testonly=in_tests, files=data)
            )
        if stem == "init":
            deps = _labels(graph[".".join(folder.parts)], folder, modules)
            rules.append(_rule("py_library", folder.name, None, deps, (), in_tests))
    return "\n".join(rules)


def _package_data(folder: pathlib.Path) -> str | None:
    """What a package's modules read beside the code."""
    patterns = [f"{one}/**" for one in _DATA_FOLDERS if (folder / one).is_dir()]
    listed = ", ".join(f'"{pattern}"' for pattern in patterns)
    return f"glob([{listed}])" if patterns else None


def _target(name: str) -> str:
    return "init" if name.endswith("__init__") else name.rpartition(".")[2]


def _labels(
    names: set[str], folder: pathlib.Path, modules: dict[str, Module]
) -> list[str]:
    def label(name: str) -> str:
        if name.startswith("pip:"):
            return f"//:expect_{name[4:]}_installed"
        if name not in modules:  # A package with all its parts.
            return "//" + name.replace(".", "/")
        target, where = _target(name), modules[name].path.parent
        return f":{target}" if where == folder else f"//{where.as_posix()}:{target}"

    return sorted(map(label, names), key=lambda text: (text[0] != ":", text))


def _rule(
    kind: str,
    name: str,
    source: str | None,
    deps: list[str],
    data: Iterable[str] = (),
    testonly: bool = False,
    files: str | None = None,
) -> str:
    lines = [f"{kind}(", f'    name = "{name}",']
    if testonly:
        lines.append("    testonly = True,")
    if source:
        lines.append(f'    srcs = ["{source}"],')
    if files:
        lines.append(f"    data = {files},")
    for attribute, labels in (("data", data), ("deps", deps)):
        quoted = [f'"{label}",' for label in labels]
        if len(quoted) == 1:
            lines.append(f"    {attribute} = [{quoted[0][:-1]}],")
        elif quoted:
            lines += [
                f"    {attribute} = [",
                *(f"        {q}" for q in quoted),
                "    ],",
            ]
    return "\n".join([*lines, ")\n"])


def difference(root: pathlib.Path = REPOSITORY) -> str:
    """Returns a unified diff from the BUILD files that lie there to the right ones."""
    lines: list[str] = []
    for path, text in build_files(root).items():
        file = root / path
        found = file.read_text(encoding="utf-8") if file.exists() else ""
        lines += difflib.unified_diff(
            found.splitlines(keepends=True),
            text.splitlines(keepends=True),
            f"{path} (found)",
            f"{path} (from the imports)",
        )
    return "".join(lines)


def main() -> int:
    """Writes or checks the BUILD files; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--tests_of", metavar="PACKAGE", help="list tests instead")
    arguments = parser.parse_args()
    try:
        if arguments.tests_of:
            print("\n".join(tests_of(arguments.tests_of)))
        elif arguments.check:
            if found := difference():
                print(found + "\nRun: python tools/build_files.py")
                return 1
        else:
            for path, text in build_files().items():
                (REPOSITORY / path).write_text(text, encoding="utf-8")
    except (ValueError, graphlib.CycleError) as error:
        print(f"tools/build_files.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
