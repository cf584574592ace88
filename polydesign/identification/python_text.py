"""Lists of numbers in Python source: what is assigned, passed, returned, looped over or appended.

Only literals count (literals.py), and nothing is run. Here are the statements; what an expression holds is in
python_values.py, what is done to a list in place in effects.py.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeGuard

from polydesign.identification.changes import GROWING, Known, reached, scaling_call
from polydesign.identification.effects import forget
from polydesign.identification.lists import Listed
from polydesign.identification.literals import Array, UnreadError, bind, dotted, parsed
from polydesign.identification.nested import is_number, rows_of
from polydesign.identification.python_values import Values
from polydesign.model import InputError

_HARMLESS = [
    "array",
    "as_tensor",
    "asarray",
    "chain",
    "cycle",
    "enumerate",
    "islice",
    "iter",
    "len",
    "list",
    "range",
    "repeat",
    "tensor",
    "track",
]
_HARMLESS += [
    "tqdm",
    "trange",
    "tuple",
    "unbind",
    "zip",
    "zip_longest",
    "min",
    "max",
    "items",
    "values",
    "keys",
]
"""What a loop may run through, and still runs the rows of a list."""


def parsed_python(text: str) -> ast.Module | None:
    """The tree of a Python text, or of one whose first line was copied without its indentation; or None."""
    first, _, rest = text.lstrip("\n").partition("\n")
    for one in (text, f"{first.strip()}\n{textwrap.dedent(rest)}"):
        try:
            return parsed(textwrap.dedent(one))
        except (SyntaxError, RecursionError, MemoryError, ValueError):
            continue
    return None


def in_python(tree: ast.Module) -> tuple[list[Listed], InputError | None]:
    """The lists in the order of the text, and the first place where a number cannot be computed."""
    reader = _Reader(tree)
    try:
        reader.block(tree.body, {})
    except RecursionError:
        return [], InputError("text", "is nested too deep to be read: paste the list alone")
    return reader.found.listed(), reader.found.problem


class _Reader(Values):
    """Goes through the statements of a text. Names are known in their block and below, until they change."""

    def block(self, body: Sequence[ast.stmt], known: Known, looped: bool = False) -> None:
        for statement in body:
            self.statement(statement, known, looped)

    def statement(self, node: ast.stmt, known: Known, looped: bool) -> None:
        if (
            isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return))
            and node.value is not None
        ):
            self.effects(node.value, known)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.rebound(target, node.value, node, known)
                self.assign(target, node.value, known, looped)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.assign(node.target, node.value, known, looped)
        elif isinstance(node, ast.AugAssign):
            self.augment(node, known, looped)
        elif isinstance(node, ast.Expr):
            self.expression(node.value, known, looped)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self.loop(node, known, looped)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.function(node, known)
        elif isinstance(node, ast.ClassDef):
            with self.within("class", known):
                self.block(node.body, dict(known))
        elif isinstance(node, ast.Return):
            if node.value is not None:
                self.take("return", node.value, known, keep=False)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            self.block(node.body, known, looped)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for one in node.names:
                forget(one.asname or one.name.partition(".")[0], known)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Subscript):
                    self.lose(target.value, node, known)
                known.pop(ast.unparse(target), None)
        else:
            self.branch(node, known, looped or isinstance(node, ast.While))

    def expression(self, call: ast.expr, known: Known, looped: bool) -> None:
        """A statement that is an expression: a call that changes a list, or a list that stands alone."""
        if _grows(call):
            self.effects(call.args[0], known)
            self.grow(call.func.value, GROWING[call.func.attr], call.args[0], known, looped)
            return
        scaling = None
        if isinstance(call, ast.Call):
            with suppress(UnreadError):
                scaling = scaling_call(call, known)
        if scaling is not None and self.follow(scaling[0], (), *scaling[1:], call, known, looped):
            return
        if self.effects(call, known):
            return
        value = self.value(call, known)
        if value is None:
            self.inside(call, known, "")
        elif not is_number(value):
            self.found.bare[self.found.next()] = call.lineno, value

    def augment(self, node: ast.AugAssign, known: Known, looped: bool) -> None:
        """name += …, and changes of numbers such as c[0] /= 1.01."""
        held = known.get(dotted(node.target))
        if isinstance(node.target, ast.Name):
            self.rebound(node.target, None, node, known)
        if is_number(held):
            value = None if looped else self.value(ast.BinOp(node.target, node.op, node.value), known)
            forget(dotted(node.target), known)
            known |= {dotted(node.target): value} if is_number(value) else {}
            return
        if isinstance(node.target, ast.Subscript) or isinstance(held, Array):
            by = self.value(node.value, known)
            if is_number(by) and self.follow(node.target, (), node.op, by, node, known, looped):
                return
            self.lose(node.target, node, known, numbers=True)
            return
        how = "+=" if isinstance(node.op, ast.Add) else ""
        self.grow(node.target, how, node.value, known, looped)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, known: Known) -> None:
        """Defaults are values of their parameters; inside, lists among them may be changed."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args]
        pairs = [*zip(reversed(named), reversed(arguments.defaults), strict=False)][::-1]
        lists: Known = {}
        for parameter, default in (*pairs, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
            if default is not None:
                value = self.value(default, known)
                self.take(parameter.arg, default, known, keep=False, of=value)
                lists |= {parameter.arg: value} if isinstance(value, list) else {}
        for decorator in node.decorator_list:
            self.inside(decorator, known, "")
        own = {one.arg for one in (*named, *arguments.kwonlyargs)}
        with self.within(f"def {self.found.next()}", known, node):
            self.each = {name: held for name, held in self.each.items() if name not in own}
            outer = {name: value for name, value in known.items() if name not in own}
            self.block(node.body, outer | lists)
        for part in ast.walk(node):
            for name in part.names if isinstance(part, (ast.Global, ast.Nonlocal)) else ():
                forget(name, known)  # it is what it was until somebody calls the function

    def loop(self, node: ast.For | ast.AsyncFor, known: Known, looped: bool) -> None:
        """What is looped over is a list. A loop over known values that appends, or scales, is followed."""
        self.effects(node.iter, known)
        target, over = _target(node.target), node.iter
        called = dotted(over.func) if isinstance(over, ast.Call) else ""
        if called == "enumerate" and isinstance(over, ast.Call) and over.args:
            over = over.args[0]
        if called == "zip" and isinstance(over, ast.Call) and not rows_of(self.value(over, known)):
            for each in over.args:  # such as a count, and rows
                if not isinstance(each, ast.Call):
                    self.take(f"for {target}", each, known, keep=False)
        elif called != "range":
            self.take(f"for {target}", over, known, keep=False)
        if not looped and self.scales(node, over, known):
            self.block(node.orelse, known)
            return
        for part in ast.walk(node.iter) if isinstance(node.iter, ast.Call) else ():
            if isinstance(part, ast.Call) and dotted(part.func).rpartition(".")[2] not in _HARMLESS:
                self.passes(part, known)
        values = self.value(node.iter, known)
        followed = isinstance(values, list) and any(
            _grows(getattr(part, "value", part)) for part in node.body
        )
        if followed and all(isinstance(part, (ast.Expr, ast.Assign)) for part in node.body):
            for value in values:
                bind(target, value, known)
                self.block(node.body, known)
        else:
            names = [part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)]
            with self.each_of(names, over, known):
                forget(target, known)
                self.block(node.body, known, looped=True)
        forget(target, known)
        self.block(node.orelse, known)

    def scales(self, node: ast.For | ast.AsyncFor, over: ast.expr, known: Known) -> bool:
        """for row in c: row[0] /= 1.01; whether it is such a loop, and is followed."""
        name = node.target.elts[-1] if isinstance(node.target, ast.Tuple) else node.target
        changes = []
        for part in node.body:
            if not isinstance(part, ast.AugAssign) or not isinstance(part.target, ast.Subscript):
                return False
            by = self.value(part.value, known)
            if not is_number(by) or dotted(part.target.value) != dotted(name) or not dotted(name):
                return False
            changes.append((part, by))
        rows = (slice(None),) if not isinstance(over, ast.Subscript) else ()
        for part, by in changes:
            inner = part.target.slice if isinstance(part.target, ast.Subscript) else part.target
            if not self.follow(over, (*rows, inner), part.op, by, part, known, False):
                return False
        return bool(changes)

    def branch(self, node: ast.stmt, known: Known, looped: bool) -> None:
        """if, try, while, match and others: values, then blocks. What depends on the branch is forgotten."""
        blocks: list[list[ast.stmt]] = []
        for _, part in ast.iter_fields(node):
            parts = part if isinstance(part, list) else [part]
            blocks += [one.body for one in parts if isinstance(one, (ast.ExceptHandler, ast.match_case))]
            statements = [one for one in parts if isinstance(one, ast.stmt)]
            blocks += [statements] if statements else []
            for one in parts:
                if isinstance(one, ast.expr):
                    self.effects(one, known)
                    self.inside(one, known, "")
        ends = [dict(known) for _ in blocks]
        for statements, inner in zip(blocks, ends, strict=True):
            kind = "while" if isinstance(node, ast.While) else "if"
            with self.within(f"{kind} {self.found.next()}", known):
                self.block(statements, inner, looped)
        for name in {name for inner in ends for name in inner} | (set(known) if ends else set()):
            held = [inner[name] for inner in ends if name in inner]
            lost = name in known and (len(held) < len(ends) or any(one is not known[name] for one in held))
            if lost or any(one is not held[0] for one in held):
                known.pop(name, None)
            else:
                known[name] = held[0]

    def assign(self, target: ast.expr, node: ast.expr, known: Known, looped: bool) -> None:
        """A name, several names, or an item of a list that is known."""
        for part in target.elts if isinstance(target, (ast.Tuple, ast.List)) else ():
            if isinstance(part, ast.Subscript):  # two rows exchanged, for instance
                self.lose(part.value, node, known)
        held = known.get(dotted(target.value)) if isinstance(target, ast.Subscript) else None
        if isinstance(target, ast.Subscript) and isinstance(held, list):
            index, value = self.value(target.slice, known), self.value(node, known)
            within = isinstance(index, int) and -len(held) <= index < len(held)
            if looped or value is None or not within or not self.change_item(held, index, value, known):
                self.lose(target.value, node, known, numbers=isinstance(held, Array))
            return
        if isinstance(target, ast.Subscript):
            if any(ast.unparse(part) == ast.unparse(target) for part in ast.walk(node)):
                self.lose(target, node, known)  # P["ns"] = P["ns"][::-1]
            nested = [one for one in reached(target.value, known, self.each) if isinstance(one, list)]
            if nested or not isinstance(held, dict):
                later = isinstance(target.value, ast.Subscript) or not is_number(self.value(node, known))
                self.lose(target.value, node, known, later=later)
            if nested:
                return
        self.take(_target(target), node, known)

    def grow(self, target: ast.expr, how: str, node: ast.expr, known: Known, looped: bool) -> None:
        """name.append(…), name.extend(…), name += …"""
        name = dotted(target) or ast.unparse(target)
        held, value = known.get(name), self.value(node, known)
        if not isinstance(held, list):
            if reached(target, known, self.each):
                self.lose(target, node, known)
            elif value is not None and how and not looped:
                self.take(name, node, known, keep=False)
            else:
                self.inside(node, known, name)
        elif looped and value is not None and how and not held:  # as often as somebody else says
            self.take(name, node, known, keep=False)
            forget(name, known)
        elif (
            looped
            or value is None
            or not how
            or (how == "+=" and not isinstance(value, list))
            or isinstance(held, Array)
            or not self.change(held, [*held, *([value] if how == "+" else value)], node, known)
        ):
            self.lose(target, node, known, numbers=isinstance(held, Array))


def _target(node: ast.expr) -> str:
    """What stands on the left, without the brackets around several names."""
    said = ast.unparse(node)
    return said[1:-1] if isinstance(node, (ast.Tuple, ast.List)) and said[0] in "([" else said


def _grows(node: ast.AST) -> TypeGuard[Any]:
    """Whether it is a call of append or extend with one argument."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in GROWING
        and len(node.args) == 1
    )
