"""What Python code does to a list that is not followed, but must not be overlooked."""

from __future__ import annotations

import ast

_IN_PLACE = {"clear", "insert", "pop", "remove", "reverse", "sort"}
"""Methods of list that change it, beside append and extend, which are computed; those of tensors end in _."""

_TURNS = {"flip", "fliplr", "flipud", "permute", "reversed", "roll", "rot90", "sorted", "swapaxes"}
_TURNS |= {"t", "transpose"}
"""Functions and methods that put rows or columns in another order."""


def changed_name(target: ast.AST) -> str:
    """The list of which a part is assigned or deleted: c of c[0], c[1:3] and c[0][2]; "" for others."""
    if not isinstance(target, ast.Subscript):
        return ""
    while isinstance(target, ast.Subscript):
        target = target.value
    return ast.unparse(target)


def changed_in_place(call: ast.AST) -> str:
    """The list whose method changes it, c of c.reverse(); "" for any other expression."""
    method = call.func if isinstance(call, ast.Call) else None
    if isinstance(method, ast.Attribute) and (method.attr in _IN_PLACE or method.attr.endswith("_")):
        return ast.unparse(method.value)
    return ""


def turns(node: ast.AST) -> bool:
    """Whether the expression has what is within it in another order, as reversed(…) or ….flip(0)."""
    if isinstance(node, ast.Attribute):
        return node.attr in ("T", "mT")
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func).rpartition(".")[2]
    along = {one.arg for one in node.keywords} & {"axis", "dim"}
    return name in _TURNS or (name == "stack" and bool(along))
