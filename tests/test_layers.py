"""The rooms of the house: who may import whom, and what a plain import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "polydesign"

# A room imports rooms of a lower or the same number. evaluation/ needs the model alone, and a table states
# its cost, so it stands beside table/.
LEVELS = {
    "model": 0,
    "__init__": 0,
    "evaluation": 1,
    "files": 1,
    "sampling": 1,
    "digits": 1,
    "table": 1,
    "similar": 1,
    "approximation": 2,
    "search": 3,
    "export": 3,
    "runtime": 4,
    "verify": 5,
    "report": 6,
    "gradient": 6,
    "clip": 5,
    "finishing": 2,
    "naming": 4,
    "candidates": 5,
    "spending": 6,
    "designer": 6,
    "sweeping": 6,
    "cli": 7,
    "__main__": 7,
}
TORCH = (
    *("runtime", "verify"),
    *("search/adam.py", "search/composition.py", "search/descent.py", "search/objectives.py"),
)
APART = [
    ("search", "approximation/certificate"),
    ("search", "export"),
    ("approximation/certificate", "export"),
]


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name(path):
    return path.relative_to(PACKAGE).as_posix()


def imported(path):
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
    """The level of polydesign.x.y; the package itself gives only its version."""
    parts = module.split(".")
    return LEVELS[parts[1]] if len(parts) > 1 and parts[1] in LEVELS else 0


@pytest.mark.parametrize("path", modules(), ids=name)
def test_imports_only_lower_rooms(path):
    if path == PACKAGE / "__init__.py" or name(path) == "model/table.py":
        return  # lazy by name; and Table.save reaches up to table/ on call
    own = LEVELS[path.relative_to(PACKAGE).parts[0].removesuffix(".py")]
    for module in imported(path):
        if module.startswith("polydesign"):
            assert room(module) <= own, f"{name(path)} (room {own}) imports {module} (room {room(module)})"


def test_the_model_reaches_up_only_to_save():
    reached = {module for path in (PACKAGE / "model").glob("*.py") for module in imported(path)}
    above = {m for m in reached if m.startswith("polydesign") and not m.startswith("polydesign.model")}
    assert above == {"polydesign.table", "polydesign.table.save"}


@pytest.mark.parametrize("path", modules(), ids=name)
def test_torch_and_matplotlib_stay_in_their_rooms(path):
    for module in imported(path):
        if module.split(".")[0] == "torch":
            assert name(path).startswith(TORCH), f"{name(path)} imports torch"
        if module.split(".")[0] == "matplotlib":
            assert name(path).startswith("report"), f"{name(path)} imports matplotlib"


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
    graph["polydesign.model.table"] = set()  # Table.save, on call
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


@pytest.mark.parametrize(
    "arguments", [["--help"], ["search", "--help"], ["search", "--steps", "3", "-o", "-"]]
)
def test_help_and_search_load_neither_torch_nor_matplotlib(arguments):
    loaded = loaded_by(f"from polydesign.cli import main; main({arguments!r}, standalone_mode=False)")
    assert "polydesign.cli.design" in loaded  # the negative control: the list is not empty
    assert not loaded & {"torch", "matplotlib", "scipy", "jsonschema"}


def test_design_needs_no_torch():
    loaded = loaded_by("import polydesign; polydesign.design(degree=5, steps=2)")
    assert "mpmath" in loaded
    assert not loaded & {"torch", "matplotlib"}


def test_the_check_sees_a_forbidden_import(tmp_path):
    """Negative control of the reader of imports."""
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    import torch\n    from polydesign.cli import main\n")
    assert {"torch", "polydesign.cli"} <= set(imported(path))
