"""What Python statements do to the lists that a text has made: followed where it is plain, else noted."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from polydesign.identification.changes import (
    Known,
    all_within,
    changed_by,
    makes_rows,
    names_in,
    parameters_changed,
    path_to,
    reached,
    root_of,
    scaled,
    shares,
    turns,
)
from polydesign.identification.found import Findings, Place
from polydesign.identification.lists import NOT_READ
from polydesign.identification.literals import Array, UnreadError, dotted, value_of
from polydesign.identification.nested import is_number
from polydesign.identification.remade import Comprehension, core, remakes
from polydesign.model import InputError

_LONGEST = 1000
_EXPRESSIONS = (ast.expr, ast.keyword, ast.comprehension, ast.Starred)


class Effects:
    """Values of expressions, and changes of what they hold, in the functions and branches of a text."""

    def __init__(self, tree: ast.Module) -> None:
        self.found = Findings()
        self.place: Place = ()
        self.each: dict[str, list[Any]] = {}
        self._loops: dict[str, list[str]] = {}  # a name in a loop over lists that are not known here: theirs
        self._outer: list[Known] = []
        self._functions: list[ast.AST] = []
        self._locals: dict[ast.AST, set[str]] = {}
        self._tree = tree
        self._changing: dict[str, list[str]] | None = None

    @contextmanager
    def within(self, part: str, known: Known, function: ast.AST | None = None) -> Iterator[None]:
        """Inside a function or a branch; known: what is known around it."""
        place, each = self.place, self.each
        self.place = (*place, part)
        self._outer.append(known)
        self._functions += [function] if function is not None else []
        yield
        if function is not None:
            self._functions.pop()
        self._outer.pop()
        self.place, self.each = place, each

    @contextmanager
    def each_of(self, names: Sequence[str], over: ast.AST, known: Known) -> Iterator[None]:
        """Inside a loop, whose names are any of the lists in what is looped over."""
        rows = [one for held in reached(over, known, self.each) for one in all_within(held)]
        before, loops = self.each, self._loops
        self.each = {**before, **dict.fromkeys(names, rows)}
        roots = [name for name in names_in(over) if name not in known]
        if not rows and roots:
            over_all = [name for root in roots for name in loops.get(root, [root])]
            self._loops = {**loops, **dict.fromkeys(names, over_all)}
        yield
        self.each, self._loops = before, loops

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
            self.found.problem = self.found.problem or InputError(
                line, f"cannot be computed ({problem}): {cure}"
            )
            return None

    def effects(self, node: ast.AST, known: Known) -> bool:
        """Note what an expression does to known lists; whether it changes one in place."""
        inner = [part for part in _parts(node) if isinstance(part, ast.comprehension)]
        with ExitStack() as stack:
            for one in inner:
                names = [part.id for part in ast.walk(one.target) if isinstance(part, ast.Name)]
                stack.enter_context(self.each_of(names, one.iter, known))
            return self._effects(node, known)

    def _effects(self, node: ast.AST, known: Known) -> bool:
        changes = False
        for part in _parts(node):
            if isinstance(part, ast.NamedExpr):
                forget(part.target.id, known)
            if isinstance(part, ast.Call):
                for target, numbers in (*changed_by(part), *self._passed(part)):
                    changes |= self.lose(target, part, known, numbers=numbers)
            if turns(part):
                self._say("puts {} in another order", self.mentioned(part, known), part)
            elif isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Slice):
                self._part(part, known)
            if makes_rows(part) and core(part) is part and self.value(part, known) is None:
                self._say("makes another list of {}", self.mentioned(part, known), part)
                self._made_of_members(part, known)
            else:
                self._beside(part, known)
            if isinstance(part, ast.BinOp) and isinstance(part.op, (ast.Mult, ast.Div)):
                self._scaled(part, known)
        if isinstance(node, ast.BinOp) and self.value(node, known) is None:
            arrays = [one for one in self.mentioned(node, known) if isinstance(one, Array)]
            self._say("makes another list of {}", arrays, node)
        return changes

    def rebound(self, target: ast.AST, value: ast.AST | None, node: ast.AST, known: Known) -> None:
        """Note where a loop changes what it takes from a list, as in a = a / s, or code a number of a row."""
        names = {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        if value is not None:
            if not any(name in self.each or name in self._loops or name in known for name in names):
                return
            names &= {dotted(part) for part in _parts(value)}
        line = getattr(node, "lineno", 1)
        for name in names:
            self._say(f"changes {name}, which is of {{}}", self.each.get(name, []), node)
            if name in self._loops:
                for over in self._loops[name]:
                    said = f"line {line} changes {name}, which is of {over}, {NOT_READ}"
                    self.found.note_later(over, said)
            elif is_number(known.get(name)):
                self.found.numbers.append((name, line))

    def mentioned(self, node: ast.AST, known: Known) -> list[Any]:
        """The known lists of rows whose names stand in an expression."""
        held = [known[name] for part in _parts(node) if (name := dotted(part)) in known]
        return [one for one in held if isinstance(one, list) and one and isinstance(one[0], list)]

    def lose(
        self, target: ast.AST, node: ast.AST, known: Known, *, numbers: bool = False, later: bool = True
    ) -> bool:
        """Note that known lists are changed by what is not read, under all of their names; False for none.

        target: what is changed. numbers: whether arrays that are views of it change with it. later: whether
        it may be a list that stands elsewhere.
        """
        objects = reached(target, known, self.each)
        if not objects and isinstance(target, ast.Subscript):
            objects = reached(target.value, known, self.each)
        if numbers:
            objects += [one for held in objects for one in all_within(held) if isinstance(one, Array)]
        if not objects:
            root = root_of(target)
            for one in self._loops.get(root, [root]) if later and root else ():
                away = self._functions and not any(map(self._is_local(one), self._functions))
                if away or "." in one:
                    said = f"line {getattr(node, 'lineno', 1)} changes {one}, {NOT_READ}"
                    self.found.note_later(one, said)
            return False
        said = self._say("changes {}", objects, node)
        lost = {id(one) for one in objects}
        for names in (known, *self._outer):
            for name, value in [*names.items()]:
                if isinstance(value, (list, dict)) and any(
                    id(one) in lost for one in (value, *all_within(value))
                ):
                    forget(name, names)
        return said

    def follow(
        self,
        target: ast.AST,
        more: Sequence[Any],
        op: ast.operator,
        by: float,
        node: ast.AST,
        known: Known,
        looped: bool,
    ) -> bool:
        """Multiply numbers of a list, or so, where it is made in the same block; whether that is followed.

        more: indices behind those of the target: for every row of it, of which the last stands in the text.
        """
        held = known.get(root_of(target))
        key = self.found.key_of(held)
        if looped or key is None or self.found.entries[key].place != self.place:
            return False
        if self.found.holding([held, *all_within(held)]) != {key} or shares(held):
            return False  # other lists hold its rows, or it itself holds one twice
        try:
            path = path_to(target, known)
            if not more and not isinstance(held, Array) and any(isinstance(one, slice) for one in path):
                return False  # a list times a number is the list several times
            inner = [one for part in more for one in (self._indices(part, known))]
            value = scaled(held, [*path, *inner], op, by)
        except (UnreadError, LookupError, TypeError, ValueError, ArithmeticError):
            return False
        entry = self.found.entries[key]
        if not entry.lines:
            entry.before = held
        line = getattr(node, "lineno", 1)
        entry.lines += [] if line in entry.lines else [line]
        self._replace(key, held, value, known)
        return True

    def change(self, held: Any, value: list[Any], node: ast.AST, known: Known) -> bool:
        """Give a list that is made in the same block another value; whether it is."""
        key = self.found.key_of(held)
        if key is None or len(value) > _LONGEST or self.found.entries[key].place != self.place:
            return False
        if self.found.holding([held]) != {key}:
            return False  # another list holds it, as a row
        if not held:
            self.found.entries[key].line = getattr(node, "lineno", 1)
        self._replace(key, held, value, known)
        return True

    def change_item(self, held: Any, index: int, value: Any, known: Known) -> bool:
        """The same for one item of it."""
        items = [*held]
        items[index] = Array.of(value) if isinstance(held, Array) and isinstance(value, list) else value
        return self.change(held, type(held)(items), ast.Pass(), known)

    def note(self, key: int, said: str) -> None:
        """What the text makes of a list that is not read; under a condition where a branch is around that."""
        around = self.found.entries[key].place
        inner = self.place[len(around) :] if self.place[: len(around)] == around else self.place
        self.found.note(key, said, any(part.startswith("if") for part in inner))

    def passes(self, call: ast.Call, known: Known) -> None:
        """Note that a loop runs over what a function makes of a list."""
        held = [known[dotted(one)] for one in call.args if dotted(one) in known]
        said = f"passes {{}} to {dotted(call.func) or 'a function'}"
        self._say(said, [one for one in held if isinstance(one, list)], call)

    def _say(self, what: str, objects: Sequence[Any], node: ast.AST) -> bool:
        keys = self.found.holding(objects)
        for key in keys:
            name = self.found.entries[key].name or "it"
            self.note(key, f"line {getattr(node, 'lineno', 1)} {what.format(name)}, {NOT_READ}")
        return bool(keys)

    def _part(self, node: ast.Subscript, known: Known) -> None:
        """c[1:], c[:3] and c[::-1] beside c: which of them runs is not known."""
        held, part = self.value(node.value, known), self.value(node, known)
        if not isinstance(held, list) or not isinstance(part, list) or part == held:
            return
        if part == held[::-1]:
            self._say("puts {} in another order", [held], node)
            return
        for key in self.found.holding([held]):
            said = f"line {node.lineno} takes {ast.unparse(node)}, a part of {self.found.entries[key].name}"
            self.found.note(key, said, True)

    def _beside(self, node: ast.AST, known: Known) -> None:
        """torch.tensor(c).mul(1.01) beside c: which of them runs is not known."""
        for part, words, maybe in remakes(node):
            held = known.get(dotted(core(part)))
            objects = [held] if isinstance(held, list) else []
            if isinstance(node, Comprehension):
                objects += self.mentioned(part, known)
            if maybe or not objects or self.value(node, known) is not None:
                continue
            for key in self.found.holding(objects):
                said = words.format(self.found.entries[key].name or "it")
                self.found.note(key, f"line {getattr(node, 'lineno', 1)} {said}, {NOT_READ}", True)

    def _made_of_members(self, node: ast.AST, known: Known) -> None:
        """[(a / s, b, c) for a, b, c in self.C], of a list of the class, or of what another method makes."""
        for over in [one.iter for one in ast.walk(node) if isinstance(one, ast.comprehension)]:
            for name in names_in(over):
                if "." in name and name not in known:
                    said = f"line {getattr(node, 'lineno', 1)} makes another list of {name}, {NOT_READ}"
                    self.found.note_later(name, said)

    def _scaled(self, node: ast.BinOp, known: Known) -> None:
        """a / 1.01 of a row that a loop takes, or C[k][0] / 1.01: whether that runs is not known."""
        for one, other in ((node.left, node.right), (node.right, node.left)):
            taken = isinstance(one, ast.Subscript) or dotted(one) in self.each
            by = self.value(other, known) if taken and self.value(one, known) is None else None
            for key in self.found.holding(reached(one, known, self.each)) if is_number(by) else ():
                said = f"line {node.lineno} computes {ast.unparse(node)}, of {self.found.entries[key].name}"
                self.found.note(key, said, True)

    def _passed(self, call: ast.Call) -> list[tuple[ast.AST, bool]]:
        """Arguments that a function of the text changes in place."""
        if not call.args and not call.keywords:
            return []
        if self._changing is None:
            self._changing = parameters_changed(self._tree)
        names = self._changing.get(dotted(call.func).rpartition(".")[2], [])
        found = [one for name, one in zip(names, call.args, strict=False) if name]
        found += [one.value for one in call.keywords if one.arg in names and one.arg]
        return [(one, True) for one in found if dotted(one)]

    def _indices(self, part: Any, known: Known) -> list[Any]:
        return [part] if isinstance(part, slice) else path_to(ast.Subscript(ast.Name(""), part), known)

    def _is_local(self, name: str) -> Callable[[ast.AST], bool]:
        """Whether a name is a parameter of a function, or assigned in it."""

        def of(function: ast.AST) -> bool:
            if function not in self._locals:
                parts = [*ast.walk(function)]
                shared = {
                    one
                    for part in parts
                    if isinstance(part, (ast.Global, ast.Nonlocal))
                    for one in part.names
                }
                stored = {
                    one.id for one in parts if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
                }
                given = {one.arg for one in parts if isinstance(one, ast.arg)}
                self._locals[function] = (stored - shared) | given
            return name in self._locals[function]

        return of

    def _replace(self, key: int, held: Any, value: Any, known: Known) -> None:
        self.found.change(key, value)
        for names in (known, *self._outer):
            names |= {name: value for name, one in names.items() if one is held}


def forget(name: str, known: Known) -> None:
    """The names of a target are no longer what they were."""
    for part in name.strip("()[]").split(","):
        known.pop(part.strip(" ()[]"), None)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """The node and the expressions in it, without constants, of which tables are full."""
    stack = [node]
    while stack:
        one = stack.pop()
        yield one
        for name in () if type(one) is ast.Name else one._fields:
            held = getattr(one, name, None)
            parts = held if isinstance(held, list) else [held]
            stack += [
                part for part in parts if isinstance(part, _EXPRESSIONS) and type(part) is not ast.Constant
            ]
