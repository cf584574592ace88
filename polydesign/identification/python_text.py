"""Lists of numbers in Python source: what is assigned, passed, returned, looped over or appended.

Only literals count (literals.py), and nothing is run.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import replace
from typing import Any, TypeGuard

from polydesign.identification.changes import changed_in_place, changed_name, turns
from polydesign.identification.columns import Assigned, put_together
from polydesign.identification.lists import (
    Listed,
    Reading,
    in_value,
    is_number,
    lettered,
    listed,
    rows_of,
    whole,
)
from polydesign.identification.literals import Array, UnreadError, bind, parsed, value_of
from polydesign.model import InputError

_LITERAL = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.GeneratorExp)
_ROW_LIKE = (ast.List, ast.Tuple, ast.Name, ast.Attribute, ast.Starred, ast.Subscript, ast.BinOp, ast.Call)
_GROWING = {"append": "+", "extend": "+="}
_SKIPPED = (ast.Lambda, ast.JoinedStr)
_LONGEST = 1000

Known = dict[str, Any]


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
    reader = _Reader()
    try:
        reader.block(tree.body, {})
    except RecursionError:
        return [], InputError("text", "is nested too deep to be read: paste the list alone")
    return reader.found(), reader.problem


class _Reader:
    """Goes through the statements of a text. Names are known in their block and below, until they change."""

    def __init__(self) -> None:
        self.lists: dict[int, tuple[str, int, Any]] = {}
        self.bare: dict[int, tuple[int, Any]] = {}
        self.apart: list[Assigned] = []
        self.made: dict[str, int] = {}
        self.changed: dict[int, tuple[str, bool]] = {}
        self.problem: InputError | None = None
        self.branches = 0
        self.count = 0

    def found(self) -> list[Listed]:
        apart, lists = list(self.apart), []
        for key, (name, line, value) in self.lists.items():
            changed, maybe = self.changed.get(key, ("", False))
            for inner, rows, words in in_value(name, value):
                one = Listed(inner, line, (Reading(rows, words),)) if words else listed(inner, line, rows)
                lists.append(replace(one, changed=changed, maybe=maybe))
            if isinstance(value, list) and value and all(map(is_number, value)):
                apart.append(Assigned(name, line, value))
        apart.sort(key=lambda one: one.line)
        groups, used = put_together(apart)
        columns = {(apart[index].name, apart[index].line) for index in used}
        lists = [one for one in lists if (one.name, one.line) not in columns]
        if self.bare:  # lines of tuples without brackets around them are one table
            bare = [found for _, value in self.bare.values() for _, found, _ in in_value("", value)]
            line = next(iter(self.bare.values()))[0]
            lists += [listed("", line, tuple(row for rows in bare for row in rows))] if bare else []
        return sorted([*lists, *groups], key=lambda one: one.line)

    def block(self, body: list[ast.stmt], known: Known, looped: bool = False) -> None:
        for statement in body:
            self.statement(statement, known, looped)

    def statement(self, node: ast.stmt, known: Known, looped: bool) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, node.value, known, looped)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.assign(node.target, node.value, known, looped)
        elif isinstance(node, ast.AugAssign):
            how = "+=" if isinstance(node.op, ast.Add) else ""
            if self.lose(changed_name(node.target), node, known):
                return
            self.grow(ast.unparse(node.target), how, node.value, known, looped)
        elif isinstance(node, ast.Expr):
            call = node.value
            if _grows(call):
                self.grow(ast.unparse(call.func.value), _GROWING[call.func.attr], call.args[0], known, looped)
            elif self.lose(changed_in_place(call), node, known):
                return
            elif (value := self.value(call, known)) is None:
                self.inside(call, known, "")
            elif not is_number(value):
                self.bare[self.next()] = call.lineno, value
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self.loop(node, known)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.function(node, known)
        elif isinstance(node, ast.ClassDef):
            self.block(node.body, dict(known))
        elif isinstance(node, ast.Return):
            if node.value is not None:
                self.take("return", node.value, known, keep=False)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            self.block(node.body, known, looped)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                self.lose(changed_name(target), node, known)
                known.pop(ast.unparse(target), None)
        else:
            self.branch(node, known, looped or isinstance(node, ast.While))

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, known: Known) -> None:
        """Defaults are values of their parameters, of which nothing is known inside."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args]
        pairs = [*zip(reversed(named), reversed(arguments.defaults), strict=False)][::-1]
        for parameter, default in (*pairs, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
            if default is not None:
                self.take(parameter.arg, default, known, keep=False)
        for decorator in node.decorator_list:
            self.inside(decorator, known, "")
        own = {one.arg for one in (*named, *arguments.kwonlyargs)}
        self.block(node.body, {name: value for name, value in known.items() if name not in own})

    def loop(self, node: ast.For | ast.AsyncFor, known: Known) -> None:
        """What is looped over is a list. A loop over known values that only appends is followed."""
        target, over = _target(node.target), node.iter
        called = ast.unparse(over.func) if isinstance(over, ast.Call) else ""
        if called == "enumerate" and isinstance(over, ast.Call) and over.args:
            over = over.args[0]
        if called == "zip" and isinstance(over, ast.Call) and not rows_of(self.value(over, known)):
            for each in over.args:  # such as a count, and rows
                if not isinstance(each, ast.Call):
                    self.take(f"for {target}", each, known, keep=False)
        elif called != "range":
            self.take(f"for {target}", over, known, keep=False)
        values = self.value(node.iter, known)
        followed = isinstance(values, list) and any(
            _grows(getattr(part, "value", part)) for part in node.body
        )
        if followed and all(isinstance(part, (ast.Expr, ast.Assign)) for part in node.body):
            for value in values:
                bind(target, value, known)
                self.block(node.body, known)
        else:
            _forget(target, known)
            self.block(node.body, known, looped=True)
        _forget(target, known)
        self.block(node.orelse, known)

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
                    self.inside(one, known, "")
        self.branches += 1
        ends = [dict(known) for _ in blocks]
        for statements, inner in zip(blocks, ends, strict=True):
            self.block(statements, inner, looped)
        self.branches -= 1
        for name in {name for inner in ends for name in inner} | (set(known) if ends else set()):
            held = [inner[name] for inner in ends if name in inner]
            lost = name in known and (len(held) < len(ends) or any(one is not known[name] for one in held))
            if lost or any(one is not held[0] for one in held):
                known.pop(name, None)
            else:
                known[name] = held[0]

    def assign(self, target: ast.expr, node: ast.expr, known: Known, looped: bool) -> None:
        """A name, several names, or an item of a list that is known."""
        if isinstance(target, ast.Subscript) and isinstance(known.get(changed_name(target)), list):
            name = ast.unparse(target.value)
            held, index, value = known.get(name), self.value(target.slice, known), self.value(node, known)
            within = isinstance(held, list) and isinstance(index, int) and -len(held) <= index < len(held)
            if looped or value is None or not within or name not in self.made:
                self.lose(changed_name(target), node, known)
            else:
                changed = [*known[name]]
                changed[index] = value
                self.change(name, changed, node, known)
            return
        self.take(_target(target), node, known)

    def take(self, name: str, node: ast.expr, known: Known, *, keep: bool = True) -> None:
        """Note what a name gets; what cannot be read ends what was known of it."""
        value = self.value(node, known)
        again = keep and any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
        again = again and name in self.made and name in known
        if keep:
            _forget(name, known)
        if value is None:
            if again:
                self.unread(name, node, "assigns {} again")
            if isinstance(node, ast.BinOp):
                self.times(node, known, name)
            else:
                self.inside(node, known, name)
            return
        if keep:
            bind(name, value, known)
        if again:
            self.lists.pop(self.made[name], None)  # as it is run: the later list is made of this one
        elif isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return  # the same list under another name, or a part of it
        if isinstance(node, ast.Dict) and not whole(value) and not lettered(value):
            for key, inner in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    said = f"{name}[{key.value!r}]" if name else str(key.value)
                    self.take(said, inner, known, keep=False)
        elif is_number(value):
            self.apart.append(Assigned(name, node.lineno, value))
        else:
            key = self.next()
            self.lists[key] = name, node.lineno, value
            if keep:
                self.made[name] = key

    def grow(self, name: str, how: str, node: ast.expr, known: Known, looped: bool) -> None:
        """name.append(…), name.extend(…), name += …"""
        held, value = known.get(name), self.value(node, known)
        if not isinstance(held, list):
            if value is not None and how and not looped:
                self.take(name, node, known, keep=False)
            else:
                self.inside(node, known, name)
        elif looped and value is not None and how and not held:  # as often as somebody else says
            self.take(name, node, known, keep=False)
            _forget(name, known)
        elif (
            looped
            or value is None
            or not how
            or (how == "+=" and not isinstance(value, list))
            or isinstance(held, Array)
        ):
            self.lose(name, node, known)
        else:
            self.change(name, [*held, *([value] if how == "+" else value)], node, known)

    def change(self, name: str, value: list[Any], node: ast.expr, known: Known) -> None:
        """Note what has become of a list."""
        if len(value) > _LONGEST:
            self.unread(name, node, "changes {}")
            _forget(name, known)
            return
        key = self.made.get(name, 0)
        line = self.lists[key][1] if key in self.lists and self.lists[key][2] else node.lineno
        known[name] = value
        self.made[name] = key or self.next()
        self.lists[self.made[name]] = name, line, value

    def lose(self, name: str, node: ast.stmt | ast.expr, known: Known) -> bool:
        """Note that a known list is changed by what is not read, under all of its names; False for none."""
        held = known.get(name)
        if not isinstance(held, list):
            return False
        for one in [one for one, value in known.items() if value is held]:
            self.unread(one, node, "changes {}")
            _forget(one, known)
        return True

    def inside(self, node: ast.AST, known: Known, name: str) -> None:
        """The literals within an expression that is none itself; an argument has its keyword for a name."""
        if isinstance(node, (ast.List, ast.Tuple)) and all(isinstance(one, _ROW_LIKE) for one in node.elts):
            # Of a list of rows a part is another table.
            said = "holds a list of which some part is not read here: paste the list that results"
            self.problem = self.problem or InputError(f"line {node.lineno}", said)
            return
        before = self.count
        for child in ast.iter_child_nodes(node):
            called = name or (ast.unparse(node.func) if isinstance(node, ast.Call) else "")
            if isinstance(child, ast.keyword):
                self.take(f"{child.arg or ''}=", child.value, known, keep=False)
            elif isinstance(child, _LITERAL) and self.value(child, known) is not None:
                self.take(called, child, known, keep=False)
            elif isinstance(child, ast.BinOp):
                self.times(child, known, called)
            elif not isinstance(child, _SKIPPED):
                self.inside(child, known, called)
        if turns(node):
            said = f"line {getattr(node, 'lineno', 1)} puts {name or 'it'} in another order, "
            said += "by what is not read here"
            for key in range(before + 1, self.count + 1):
                self.changed.setdefault(key, (said, False))

    def times(self, node: ast.BinOp, known: Known, name: str) -> None:
        """A product or a sum that is a list; and [(a, b, c)] * steps, a row as often as somebody says.

        Of other sums a part is no list.
        """
        if isinstance(self.value(node, known), list):
            self.take(name, node, known, keep=False)
            return
        sides = [node.left, node.right]
        values = [self.value(side, known) for side in sides]
        if isinstance(node.op, ast.Mult) and values.count(None) == 1:
            side, value = next((s, v) for s, v in zip(sides, values, strict=True) if v is not None)
            if isinstance(value, list) and len(value) == 1 and not isinstance(value, Array):
                self.take(name, side, known, keep=False)

    def value(self, node: ast.AST, known: Known) -> Any:
        """The value of an expression; None where it is not read, with the problem where it cannot be."""
        try:
            return value_of(node, known)
        except UnreadError:
            return None
        except (LookupError, TypeError, ValueError):
            return None  # such as a key that is no text
        except ArithmeticError as problem:
            line = f"line {getattr(node, 'lineno', 1)}"
            cure = "paste the list that it makes"
            self.problem = self.problem or InputError(line, f"cannot be computed ({problem}): {cure}")
            return None

    def unread(self, name: str, node: ast.stmt | ast.expr, what: str) -> None:
        """Note at the list of this name that the text makes something else of it."""
        key = self.made.get(name, 0)
        if key in self.lists and key not in self.changed:
            said = f"line {node.lineno} {what.format(name)}, by what is not read here"
            self.changed[key] = said, self.branches > 0

    def next(self) -> int:
        self.count += 1
        return self.count


def _target(node: ast.expr) -> str:
    """What stands on the left, without the brackets around several names."""
    said = ast.unparse(node)
    return said[1:-1] if isinstance(node, (ast.Tuple, ast.List)) and said[0] in "([" else said


def _forget(name: str, known: Known) -> None:
    """The names of a target are no longer what they were."""
    for part in name.strip("()[]").split(","):
        known.pop(part.strip(" ()[]"), None)


def _grows(node: ast.AST) -> TypeGuard[Any]:
    """Whether it is a call of append or extend with one argument."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _GROWING
        and len(node.args) == 1
    )
