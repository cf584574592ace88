"""What the expressions around a list make of it: the same numbers in the same rows, or others.

What is known to leave a list as it is written is listed here, and anything else is said of the list.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from polydesign.identification.changes import called, turns
from polydesign.identification.literals import counts, dotted

Comprehension = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)

_ANOTHER = "makes another list of {}"
_PART = "takes a part of {}"

_CASTS = {
    "array", "as_tensor", "asanyarray", "asarray", "ascontiguousarray", "astype", "constant",
    "convert", "convert_element_type", "convert_to_tensor", "frombuffer", "tensor", "to", "type",
    "type_as", "view",
}  # fmt: skip
"""Functions and methods that may be told a dtype."""

_METHODS = _CASTS | {
    "bfloat16", "clone", "contiguous", "copy", "cpu", "cuda", "detach", "detach_", "double", "expand",
    "flatten", "float", "get", "half", "index", "items", "keys", "numpy", "pin_memory", "ravel",
    "requires_grad_", "reshape", "share_memory_", "squeeze", "tolist", "unbind", "unsqueeze", "values",
}  # fmt: skip
"""Methods of a list or an array that leave its rows as they are."""

_FUNCTIONS = _CASTS | {
    "BFloat16Tensor", "Buffer", "DoubleTensor", "FloatTensor", "HalfTensor", "MappingProxyType",
    "OrderedDict", "Parameter", "ParameterList", "SimpleNamespace", "Tensor", "Variable", "__init__",
    "add_argument", "append", "atleast_2d", "cast", "chain", "copy", "cycle", "deepcopy", "deque",
    "device_put", "dict", "enumerate", "extend", "field", "float", "float32", "float64",
    "from_iterable", "from_numpy", "frozenset", "get", "getattr", "islice", "iter", "len", "list",
    "parametrize", "print", "range", "register_buffer", "repeat", "row_stack", "set", "setattr",
    "setdefault", "stack", "tqdm", "track", "trange", "tuple", "unbind", "update", "vstack", "zip",
    "zip_longest",
}  # fmt: skip
"""Functions and methods that keep a list they are given, or hand on its rows."""

_COMPUTING = {
    "abs", "add", "clip", "cumsum", "div", "divide", "einsum", "filter", "filterfalse", "map",
    "matmul", "mul", "multiply", "neg", "negative", "round", "starmap", "sub", "subtract", "sum",
    "tile", "true_divide",
}  # fmt: skip
"""Functions that make other numbers of those that they are given, wherever they come from."""

_MODULES = {"cp", "cupy", "jax", "jnp", "mx", "np", "numpy", "tf", "torch"}
"""Whose functions compute, but for those above."""


def remakes(node: ast.AST) -> Iterator[tuple[ast.AST, str, bool]]:
    """The parts of an expression whose lists it does not leave as they are: each with what it does to them.

    The words have {} for the list. With them: whether the list may still be what runs, as where a function
    gets it that is not known here.
    """
    if isinstance(node, Comprehension):
        if not _same(node):
            yield from ((one.iter, _ANOTHER, False) for one in node.generators)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Invert)):
        yield node.operand, _ANOTHER, False
    elif isinstance(node, ast.BinOp):
        yield from ((one, _ANOTHER, False) for one in (node.left, node.right) if isinstance(one, ast.Call))
    elif isinstance(node, ast.Subscript):
        if (maybe := _cuts(node.slice)) is not None:
            yield node.value, _PART, maybe
    elif isinstance(node, ast.Call) and not turns(node):
        yield from _called(node)


def core(node: ast.AST) -> ast.AST:
    """What is left of np.array(c), c.float() and [tuple(r) for r in c] without what leaves c as it is: c."""
    while True:
        inner = node
        if isinstance(node, ast.Call) and not turns(node):
            inner = node.args[_maps_same(node)] if node.args else node
            if isinstance(node.func, ast.Attribute) and not dotted(node.func) and called(node) in _METHODS:
                inner = node.func.value
        elif isinstance(node, (ast.ListComp, ast.GeneratorExp)) and _same(node):
            inner = node.generators[0].iter
        elif isinstance(node, ast.Starred) or (isinstance(node, ast.Attribute) and not dotted(node)):
            inner = node.value
        if inner is node or any(part is inner for part, _, _ in remakes(node)):
            return node
        node = inner


def _same(node: Any) -> bool:
    """Whether a comprehension has the rows of what it runs through, all of them."""
    if isinstance(node, (ast.SetComp, ast.DictComp)) or len(node.generators) != 1 or node.generators[0].ifs:
        return False
    return ast.unparse(core(node.elt)).strip("()[]") == ast.unparse(node.generators[0].target).strip("()[]")


def _cuts(index: ast.AST) -> bool | None:
    """Whether c[index] may be all that runs of c; None for one row of it, or all of them."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    slices = [one for one in parts if isinstance(one, ast.Slice) and (one.lower or one.upper or one.step)]
    if any(one.step for one in slices):
        return False
    return True if slices else None


def _called(node: ast.Call) -> Iterator[tuple[ast.AST, str, bool]]:
    name, module = called(node), dotted(node.func).partition(".")[0]
    other = name in _CASTS and counts(node)
    if isinstance(node.func, ast.Attribute) and (
        other or name not in _METHODS or (name in ("reshape", "view") and _wide(node))
    ):
        yield node.func.value, _ANOTHER, False
    given = [*node.args, *(one.value for one in node.keywords)]
    known = (module not in _MODULES or name != "repeat") and name in _FUNCTIONS
    if name == "zip" and any(isinstance(one, ast.Starred) for one in node.args):
        yield from ((one, "puts {} by columns", False) for one in given)
    elif other or (name in _COMPUTING and not _maps_same(node)):
        yield from ((one, _ANOTHER, False) for one in given)
    elif name == "islice" and node.args and isinstance(core(node.args[0]), (ast.List, ast.Tuple, ast.Name)):
        yield node.args[0], _PART, True
    elif not known and name not in _COMPUTING:
        words, maybe = f"passes {{}} to {dotted(node.func) or 'a function'}", True
        if module in _MODULES and name[:1].islower():
            words, maybe = _ANOTHER, False
        yield from ((one, words, maybe) for one in node.args)


def _maps_same(node: ast.Call) -> bool:
    """map(tuple, c)"""
    name = dotted(node.args[0]).rpartition(".")[2] if node.args else ""
    return called(node) == "map" and len(node.args) == 2 and name in _FUNCTIONS


def _wide(node: ast.Call) -> bool:
    """Whether rows get another length than those that quintics and cubics have: reshape(3, 5)."""
    last = node.args[-1] if node.args else None
    last = last.elts[-1] if isinstance(last, (ast.Tuple, ast.List)) and last.elts else last
    return isinstance(last, ast.Constant) and isinstance(last.value, int) and last.value > 3
