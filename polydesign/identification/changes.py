"""What Python code does to a list in place: which lists it reaches, and what becomes of the numbers.

Lists are told apart as Python does it, by identity: a row that is changed changes every list that holds it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from polydesign.identification.literals import Array, UnreadError, dotted, value_of

Known = dict[str, Any]

GROWING = {"append": "+", "extend": "+="}
"""Methods that are computed, with the operator that they are like."""

_IN_PLACE = {"clear", "fill", "insert", "itemset", "pop", "remove", "resize", "reverse", "sort"}
"""Methods that change a list or an array; those of tensors end in _."""

_HARMLESS = {"detach_", "requires_grad_", "share_memory_"}
"""Methods of tensors that end in _ and leave the numbers as they are."""

_FUNCTIONS = {"copyto", "heapify", "insort", "place", "put", "putmask", "setitem", "shuffle"}
"""Functions that change what they are given first."""

VIEWS = {"T", "data", "detach", "flat", "mT", "ravel", "reshape", "select", "unbind", "view"}
"""Attributes and methods of an array that are the same numbers."""

_TURNS = {"flip", "fliplr", "flipud", "permute", "reversed", "roll", "rot90", "sorted", "swapaxes"}
_TURNS |= {"t", "transpose"}
"""Functions and methods that put rows or columns in another order."""

_COMPUTING = {"add", "div", "divide", "einsum", "map", "mul", "multiply", "sub", "subtract", "true_divide"}
"""Functions that make other numbers of those that they are given."""

_CONVERSIONS = {
    "array",
    "as_tensor",
    "asarray",
    "float",
    "float32",
    "float64",
    "int",
    "len",
    "list",
    "tensor",
}
_CONVERSIONS |= {"tuple"}
_SCALING: dict[str, type[ast.operator]] = {
    "mul_": ast.Mult,
    "multiply_": ast.Mult,
    "div_": ast.Div,
    "divide_": ast.Div,
    "add_": ast.Add,
    "sub_": ast.Sub,
}


def called(node: ast.AST) -> str:
    """The last name of what is called: flip of torch.flip(…) and of x.flip(…); "" for what is no call."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)


def root_of(node: ast.AST) -> str:
    """The name before all subscripts: c of c[0][2]; "" for others."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return dotted(node)


def turns(node: ast.AST) -> bool:
    """Whether the expression has what is within it in another order, as reversed(…) or ….flip(0)."""
    if isinstance(node, ast.Attribute):
        return node.attr in ("H", "T", "mH", "mT")
    if not isinstance(node, ast.Call):
        return False
    along = {one.arg for one in node.keywords} & {"axis", "dim"}
    if any(one.arg == "reverse" and getattr(one.value, "value", None) is True for one in node.keywords):
        return True
    return called(node) in _TURNS or (called(node) == "stack" and bool(along))


def changed_by(node: ast.Call) -> list[tuple[ast.AST, bool]]:
    """What a call changes: c of c.reverse(), c.mul_(2), shuffle(c) and np.multiply(c, s, out=c).

    With each whether the numbers in it may change, and not its order alone.
    """
    name = called(node)
    found: list[tuple[ast.AST, bool]] = [(one.value, True) for one in node.keywords if one.arg == "out"]
    tensors = name[-1:] == "_" and name[:2] != "__" and name not in _HARMLESS
    special = name in ("__setitem__", "__delitem__") or (name[:3] == "__i" and name != "__init__")
    ordered = name in _IN_PLACE or name in GROWING
    if isinstance(node.func, ast.Attribute) and (tensors or special or ordered):
        found.append((node.func.value, tensors or special or name not in (*GROWING, "reverse", "sort")))
    if node.args and (tensors or name in _FUNCTIONS or (ordered and dotted(node.func) == f"list.{name}")):
        found.append((node.args[0], True))
    return found


def reached(node: ast.AST, known: Known, each: dict[str, list[Any]]) -> list[Any]:
    """The very lists that an expression may be; all that it may be, where an index is not known.

    each: what the names of loops may be.
    """
    name = dotted(node)
    if name and (name in known or name in each or name.rpartition(".")[2] not in VIEWS):
        held = known.get(name)
        return [held] if isinstance(held, (list, dict)) else each.get(name, [])
    if isinstance(node, ast.Call):  # enumerate(c), zip(a, b), P.items()
        inside = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
        return [one for part in inside for one in reached(part, known, each)]
    if isinstance(node, ast.Attribute) and node.attr in VIEWS:
        return reached(node.value, known, each)
    if not isinstance(node, ast.Subscript):
        return []
    found: list[Any] = []
    for base in reached(node.value, known, each):
        key = getattr(node.slice, "value", None)
        if isinstance(base, dict) and str(key) in base:
            found.append(base[str(key)])
        elif isinstance(base, list) and isinstance(key, int) and key < len(base):
            found.append(base[key])
        elif isinstance(base, list) and isinstance(node.slice, ast.UnaryOp):  # the last
            found += (
                [*base[-1:], *all_within(base)][:1] if ast.unparse(node.slice) == "-1" else all_within(base)
            )
        else:
            found += [base, *all_within(base)]
    return [one for one in found if isinstance(one, (list, dict))]


def all_within(value: Any) -> Iterator[Any]:
    """The lists and dicts inside a value, at any depth."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, (list, dict)):
            yield inner
            yield from all_within(inner)


def shares(value: Any) -> bool:
    """Whether one list is in it twice, as in [[a, b, c]] * 5: a change of one row is then one of all."""
    inner = [id(one) for one in all_within(value)]
    return len(inner) > len({*inner})


def repeats(node: ast.AST, name: str) -> bool:
    """Whether it is a part of a list, or a row as often as is not known here: c[:n], [c] * n."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Slice) and dotted(node.value) == name
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
        return False
    lists = [one for one in (node.left, node.right) if isinstance(one, (ast.List, ast.Tuple))]
    return any(len(one.elts) == 1 and dotted(one.elts[0]) == name for one in lists)


def names_in(node: ast.AST) -> Iterator[str]:
    """The names of what an expression may be made of: self.c and S of zip(self.c, S)."""
    if name := dotted(node):
        yield name
        return
    inner = ast.iter_child_nodes(node)
    if isinstance(node, ast.Call):
        inner = [*([node.func.value] if isinstance(node.func, ast.Attribute) else []), *node.args]
    for one in inner:
        yield from names_in(one)


def scaling_call(call: ast.Call, known: Known) -> tuple[ast.AST, ast.operator, float] | None:
    """The array, the operator and the number of C.mul_(1.01) and C[0].div_(s); None for other calls."""
    if not isinstance(call.func, ast.Attribute) or len(call.args) != 1 or call.keywords:
        return None
    op = _SCALING.get(call.func.attr)
    value = value_of(call.args[0], known) if op else None
    return (call.func.value, op(), value) if op and isinstance(value, (int, float)) else None


def path_to(node: ast.AST, known: Known) -> list[Any]:
    """The indices of c[0][1], [0, 1]; slices among them. Raises UnreadError where one is not known."""
    if not isinstance(node, ast.Subscript):
        return []
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [*path_to(node.value, known), *(_place(part, known) for part in parts)]


def _place(node: ast.AST, known: Known) -> Any:
    if isinstance(node, ast.Slice):
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else value_of(end, known) for end in ends))
    value = value_of(node, known)
    if not isinstance(value, int):
        raise UnreadError
    return value


def scaled(value: Any, path: Sequence[Any], op: ast.operator, by: float) -> Any:
    """The value with the numbers at a path multiplied, or so, by a number.

    Raises UnreadError where a list is reached for which * is no arithmetic, and LookupError where nothing is.
    """
    if path:
        items = [*value]
        places = [*range(len(items))[path[0]]] if isinstance(path[0], slice) else [path[0]]
        for place in places:
            items[place] = scaled(items[place], path[1:], op, by)
        return type(value)(items)
    if isinstance(value, list) and not isinstance(value, Array):
        raise UnreadError
    made = ast.BinOp(ast.Name("value"), op, ast.Name("by"))
    return value_of(made, {"value": value, "by": by})


def makes_rows(node: ast.AST) -> bool:
    """Whether it computes rows: [(a * s, b, c) for a, b, c in C], map(lambda row: …, C), torch.mul(C, s)."""
    if isinstance(node, ast.Call):
        return called(node) in _COMPUTING and len(node.args) > 1
    if not isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        return False
    inner = node.elt
    if any(one.ifs for one in node.generators) and isinstance(inner, (ast.Name, ast.List, ast.Tuple)):
        return True  # some of the rows
    while (
        called(inner) in ("list", "tuple", "tensor", "array") and isinstance(inner, ast.Call) and inner.args
    ):
        inner = inner.args[0]
    if not isinstance(inner, (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp)):
        return False
    parts = [*ast.walk(inner)]
    return any(
        isinstance(part, ast.BinOp) or (isinstance(part, ast.Call) and called(part) not in _CONVERSIONS)
        for part in parts
    )


def parameters_changed(tree: ast.AST) -> dict[str, list[str]]:
    """Function -> its parameters, as called, with "" for those that it does not change in place itself."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            changed = _changed_names(node)
            names = names[1:] if names[:1] in (["self"], ["cls"]) else names
            if changed & {*names}:
                found[node.name] = [name if name in changed else "" for name in names]
    return found


def _changed_names(function: ast.AST) -> set[str]:
    """Names that are changed in place in a function, loops over them included."""
    changed: set[str] = set()
    loops: list[tuple[set[str], set[str]]] = []
    for node in ast.walk(function):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.Delete)):
            targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
            changed |= {root_of(one) for one in targets if isinstance(one, ast.Subscript)}
            if isinstance(node, ast.AugAssign):
                changed.add(dotted(node.target))
        elif isinstance(node, ast.Call):
            changed |= {root_of(one) for one, _ in changed_by(node)}
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            names = [
                {part.id for part in ast.walk(one) if isinstance(part, ast.Name)}
                for one in (node.target, node.iter)
            ]
            loops.append((names[0], names[1]))
    for targets, over in reversed(loops):
        changed |= over if targets & changed else set()
    return changed
