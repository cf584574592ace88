"""What a Python expression holds that is built of literals alone; nothing is run.

Numbers and their arithmetic, lists and tuples, names that are known, slices, comprehensions, of which one may
hold another, and np.array, torch.tensor and the like around them, which can be multiplied by numbers.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any

from polydesign.model import MOST_STEPS

_ARRAYS = ("array", "asarray", "tensor", "as_tensor")
_WRAPPERS = ("list", "tuple", "float", "float32", "float64")
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


_WRITTEN = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.GeneratorExp)
_WHOLE = re.compile(r"^(?:\w+\.)*['\"]?(?:u?int\w*|[iu][1248]|long|short|bool\w*|byte|char)['\"]?$")
_LONGEST = 10 * MOST_STEPS
"""A list that grows beyond this is no table; and so small a text can grow no memory."""


def parsed(text: str, mode: str = "exec") -> Any:
    """The tree of a Python text, without what Python would warn of; raises what ast.parse raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.parse(text, mode=mode)


class UnreadError(Exception):
    """What a node holds is not one of the literals that are read."""


class Array(list[Any]):
    """The rows of an array, for which * and + are those of its numbers, and not of a list.

    Its rows are arrays too, and belong to it alone.
    """

    @classmethod
    def of(cls, value: list[Any]) -> Array:
        """A copy of a list and of the lists in it."""
        return cls(cls.of(inner) if isinstance(inner, list) else inner for inner in value)


def dotted(node: ast.AST) -> str:
    """c, self.c or Muon.c; "" for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def counts(call: ast.Call) -> bool:
    """Whether an array is made of whole numbers or truth values: np.array(c, int), c.to(torch.int32)."""
    said = [ast.unparse(one) for one in call.args if not isinstance(one, _WRITTEN)]
    said += [ast.unparse(one.value) for one in call.keywords if one.arg == "dtype"]
    return any(_WHOLE.search(one) for one in said)


def bind(name: str, value: Any, known: dict[str, Any]) -> bool:
    """Assign a value to a name, or to several with commas between; False where their count differs."""
    parts = [part.strip() for part in name.strip("()[]").split(",") if part.strip()]
    if len(parts) == 1:
        known[name] = value
        return True
    if not isinstance(value, list) or len(value) != len(parts):
        return False
    known |= dict(zip(parts, value, strict=True))
    return True


def value_of(node: ast.AST, known: dict[str, Any]) -> Any:
    """A number, a list or a dict of such. Raises UnreadError for anything that is no literal."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)) and (name := dotted(node)) in known:
        return known[name]
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items: list[Any] = []
        for element in node.elts:
            starred = isinstance(element, ast.Starred)
            value = value_of(element.value if starred else element, known)
            items += value if starred else [value]
            if len(items) > _LONGEST:
                raise UnreadError
        return items
    if isinstance(node, ast.Dict):
        return _dict(node, known)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        value = _number(value_of(node.operand, known))
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _combined(node.op, value_of(node.left, known), value_of(node.right, known))
    if isinstance(node, ast.Subscript):
        held = value_of(node.value, known)
        part = held[_index(node.slice, known)]
        return Array(part) if isinstance(held, Array) and type(part) is list else part
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        return _comprehension(node, known)
    if isinstance(node, ast.Call) and node.args:
        name = dotted(node.func).rpartition(".")[2]
        if name in (*_ARRAYS, *_WRAPPERS):
            if counts(node):
                raise UnreadError
            value = value_of(node.args[0], known)
            return (Array.of(value) if name in _ARRAYS else [*value]) if isinstance(value, list) else value
        if name == "Fraction":
            top, *below = [_number(value_of(argument, known)) for argument in node.args]
            return top / (below[0] if below else 1)
        if name == "zip" and len(node.args) > 1:
            columns = [value_of(argument, known) for argument in node.args]
            return [list(row) for row in zip(*columns, strict=False)]
        if name == "range" and len(node.args) == 1:
            return list(range(min(int(_number(value_of(node.args[0], known))), MOST_STEPS + 1)))
    raise UnreadError


def _dict(node: ast.Dict, known: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in zip(node.keys, node.values, strict=True):
        try:
            found[str(getattr(key, "value", ""))] = value_of(value, known)
        except UnreadError:
            continue  # a preset beside the table may be anything
    return found


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        raise UnreadError
    return value


def _combined(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, Array) and isinstance(right, (int, float)) and type(op) in _ARITHMETIC:
        return Array(_combined(op, one, right) for one in left)
    if isinstance(right, Array) and isinstance(left, (int, float)) and type(op) in _ARITHMETIC:
        return Array(_combined(op, left, one) for one in right)
    if isinstance(left, Array) or isinstance(right, Array):
        raise UnreadError
    if isinstance(left, list) or isinstance(right, list):
        if isinstance(op, ast.Add) and isinstance(left, list) and isinstance(right, list):
            if len(left) + len(right) > _LONGEST:
                raise UnreadError
            return left + right
        times, items = (left, right) if isinstance(right, list) else (right, left)
        if (
            not isinstance(items, list)
            or not isinstance(op, ast.Mult)
            or not isinstance(times, int)
            or times * len(items) > MOST_STEPS
        ):
            raise UnreadError
        return items * times
    if isinstance(op, ast.Pow):
        power = float(_number(left)) ** float(_number(right))  # floats: no integer of a million digits
        return _number(power)
    if type(op) not in _ARITHMETIC:
        raise UnreadError
    result = _ARITHMETIC[type(op)](_number(left), _number(right))
    return result if abs(result) < 2**53 else float(result)


def _index(node: ast.AST, known: dict[str, Any]) -> Any:
    if isinstance(node, ast.Slice):
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else value_of(end, known) for end in ends))
    return value_of(node, known)


def _comprehension(node: ast.ListComp | ast.GeneratorExp, known: dict[str, Any]) -> list[Any]:
    if len(node.generators) != 1 or node.generators[0].ifs:
        raise UnreadError
    inside = [part for part in ast.walk(node.elt) if isinstance(part, (ast.ListComp, ast.GeneratorExp))]
    over = node.generators[0]
    values: Any = value_of(over.iter, known)
    if not isinstance(values, list) or len(inside) > 1 or (inside and len(values) > MOST_STEPS):
        raise UnreadError  # a small text could ask for any number of values
    target, inner = ast.unparse(over.target), dict(known)
    found = []
    for value in values:
        if not bind(target, value, inner):
            raise UnreadError
        found.append(value_of(node.elt, inner))
    return found
