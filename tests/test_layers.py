"""The rooms of the house: who may import whom, and what a plain import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "polydesign"

# A room imports rooms of a lower number, or itself. No file is exempt.
LEVELS = {
    "model": 0,
    "text": 1,
    "program": 1,
    "approximation": 2,
    "rounding": 2,
    "table": 3,
    "drawing": 3,
    "search": 4,
    "exporters": 4,
    "identification": 5,
    "runtime": 5,
    "verification": 6,
    "optim": 6,
    "designer": 7,
    "reporting": 8,
    "explorer": 9,
    "cli": 10,
    "__main__": 11,
}
TORCH = (
    *("runtime", "verification", "optim"),
    *("search/adam.py", "search/composition.py", "search/descent.py", "search/objectives.py"),
)
APART = [
    ("search", "approximation/certificate"),
    ("search", "exporters"),
    ("approximation/certificate", "exporters"),
]


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name(path):
    return path.relative_to(PACKAGE).as_posix()


@cache
def imported(path):
    return tuple(_imported(path))


def _imported(path):
    """Every module named in an import anywhere in the file, but for those that only type checkers follow."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module):
    """The room of polydesign.x.y; None for the package itself, which gives its version, and to words the verbs that
    are their methods too."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVELS else None


@pytest.mark.parametrize("own", LEVELS)
def test_imports_only_lower_rooms(own):
    found = [path for path in modules() if name(path).partition("/")[0].removesuffix(".py") == own]
    assert found
    for path in found:
        for module in imported(path):
            other = room(module) if module.startswith("polydesign") else None
            if other not in (None, own):
                assert LEVELS[other] < LEVELS[own], f"{name(path)} imports {module}"


def test_the_package_itself_imports_all_else_by_name():
    own = {module for module in imported(PACKAGE / "__init__.py") if module.startswith("polydesign")}
    assert own == {"polydesign.text.lazy", "polydesign.text.lazy.lazy"}


def test_every_room_has_a_level():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert rooms - {"__init__"} == set(LEVELS)


def test_torch_and_matplotlib_stay_in_their_rooms():
    for path, module in [(one, module) for one in modules() for module in imported(one)]:
        if module.split(".")[0] == "torch":
            assert name(path).startswith(TORCH), f"{name(path)} imports torch"
        if module.split(".")[0] == "matplotlib":
            assert name(path).startswith(("reporting", "drawing")), f"{name(path)} imports matplotlib"


@pytest.mark.parametrize(("one", "other"), APART)
def test_rooms_that_only_the_command_line_joins(one, other):
    for here, there in ((one, other), (other, one)):
        for path in modules():
            if name(path).startswith(here):
                forbidden = "polydesign." + there.replace("/", ".")
                assert not any(module.startswith(forbidden) for module in imported(path))


def test_there_are_no_cycles():
    graph = {}
    for path in modules():
        dotted = "polydesign." + name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        # `from polydesign.runtime import ops` inside runtime/ is an import of ops, not of the package.
        graph[dotted] = {
            m for m in imported(path) if m.startswith("polydesign.") and not dotted.startswith(m + ".")
        }
    graph.pop("polydesign.__init__", None)
    done, active = set(), []

    def visit(module):
        if module in done or module not in graph:
            return
        assert module not in active, " -> ".join([*active, module])
        active.append(module)
        for following in graph[module]:
            visit(following)
        active.pop()
        done.add(module)

    for module in graph:
        visit(module)


def loaded_by(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(out.split())


def test_import_polydesign_loads_nothing_heavy():
    loaded = loaded_by("import polydesign")
    assert not loaded & {"numpy", "torch", "matplotlib", "mpmath", "scipy", "jsonschema", "click"}


def test_an_operator_runs_without_the_compiler():
    loaded = loaded_by("import torch; from polydesign.runtime import msign; msign(torch.eye(3, 4))")
    assert "polydesign.runtime.operators" in loaded
    assert not loaded & {"torch._dynamo", "torch.distributed.tensor", "sympy", "matplotlib"}


def test_help_of_search_loads_no_numerical_library():
    loaded = loaded_by("from polydesign.cli import main; main(['search', '--help'], standalone_mode=False)")
    assert "polydesign.designer.methods" in loaded  # the negative control: the fields were read
    assert not loaded & {"numpy", "mpmath", "flint", "scipy"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["search", "--help"], ["search", "--steps", "3", "--dtype", "float32", "-o", "-"]],
)
def test_help_and_search_load_neither_torch_nor_matplotlib(arguments):
    loaded = loaded_by(f"from polydesign.cli import main; main({arguments!r}, standalone_mode=False)")
    assert "polydesign.cli.design" in loaded  # the negative control: the list is not empty
    assert not loaded & {"torch", "matplotlib", "scipy", "jsonschema"}


def test_the_fields_of_strategies_need_no_torch():
    statement = (
        "from polydesign.designer.methods import METHODS; [one.settings() for one in METHODS.values()]"
    )
    loaded = loaded_by(f"import polydesign.designer.sweeping; {statement}")
    assert "polydesign.designer.gradient" in loaded
    assert not loaded & {"torch", "matplotlib", "scipy"}


def test_design_needs_no_torch():
    # In bfloat16, which is searched for in other rooms than float32, with the trust of the tests.
    short = (
        f"sys.path.insert(0, {str(Path(__file__).parent)!r}); import conftest as c; from pytest import "
        "MonkeyPatch as M; c.trust(c.SHORT_TRUST, c.SHORT_TRUST, M())"
    )
    loaded = loaded_by(f"{short}; import polydesign; polydesign.design(degree=5, steps=2)")
    assert "mpmath" in loaded
    assert not loaded & {"torch", "matplotlib"}


def test_the_check_sees_a_forbidden_import(tmp_path):
    """Negative control of the reader of imports."""
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    import torch\n    from polydesign.cli import main\n")
    assert {"torch", "polydesign.cli"} <= set(imported(path))


def test_the_list_of_tables_loads_no_numerical_library():
    """A hundred files are looked at, and not checked."""
    loaded = loaded_by("from polydesign.cli import main; main(['list', '--json'], standalone_mode=False)")
    assert "polydesign.table.catalogue" in loaded
    assert not loaded & {"numpy", "mpmath", "flint", "torch", "matplotlib", "jsonschema"}
