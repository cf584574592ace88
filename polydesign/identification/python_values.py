"""What the expressions of a Python text hold: a list that a name gets, or literals deeper inside."""

from __future__ import annotations

import ast
from typing import Any

from polydesign.identification.changes import VIEWS, Known, called, reached, repeats, turns
from polydesign.identification.columns import Assigned
from polydesign.identification.effects import Effects, forget
from polydesign.identification.found import Entry
from polydesign.identification.lists import NOT_READ
from polydesign.identification.literals import Array, bind, dotted
from polydesign.identification.nested import is_number, lettered, whole
from polydesign.identification.remade import remakes
from polydesign.model import InputError

_LITERAL = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.GeneratorExp)
_ROW_LIKE = (ast.List, ast.Tuple, ast.Name, ast.Attribute, ast.Starred, ast.Subscript, ast.BinOp, ast.Call)
_COMPUTED = (ast.ListComp, ast.GeneratorExp, ast.BinOp)
_SKIPPED = (ast.Lambda, ast.JoinedStr)


class Values(Effects):
    """Notes the lists in expressions."""

    def take(self, name: str, node: ast.expr, known: Known, *, keep: bool = True, of: Any = None) -> None:
        """Note what a name gets; what cannot be read ends what was known of it.

        of: the value of the expression, where that is known already.
        """
        value = self.value(node, known) if of is None else of
        key = self.found.key_of(known.get(name)) if keep else None
        mentions = key is not None or (keep and "." in name)
        mentions = mentions and any(dotted(part) == name for part in ast.walk(node))
        if keep:
            forget(name, known)
            self.views(name, node, known)
        if value is None:
            said = f"line {node.lineno} assigns {name} again, by what is not read here"
            if mentions and key is not None:
                self.found.note(key, said, True) if repeats(node, name) else self.note(key, said)
            elif mentions and "." in name:
                self.found.note_later(name, said)
            if isinstance(node, ast.BinOp):
                self.times(node, known, name)
            else:
                self.inside(node, known, name)
            return
        if keep:
            bind(name, value, known)
        if mentions and key is not None:
            self.found.remove(key)  # as it is run: the later list is made of this one
        elif isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return  # the same list under another name, or a part of it
        if isinstance(node, ast.Dict) and not whole(value) and not lettered(value):
            for one, inner in zip(node.keys, node.values, strict=True):
                if isinstance(one, ast.Constant):
                    said = f"{name}[{one.value!r}]" if name else str(one.value)
                    self.take(said, inner, known, keep=False, of=value.get(str(one.value)))
        elif is_number(value):
            self.found.apart.append(Assigned(name, node.lineno, value))
        else:
            derived = isinstance(node, _COMPUTED) and not mentions and bool(self.mentioned(node, known))
            self.found.add(Entry(name, node.lineno, value, self.place, derived=derived))

    def views(self, name: str, node: ast.expr, known: Known) -> None:
        """Note that names get an array that is a view of one, or what is at an index that is not known."""
        names = [one.strip(" ()[]") for one in name.split(",")]
        self.each = {one: held for one, held in self.each.items() if one not in names}
        if isinstance(node, (ast.Subscript, ast.Attribute)) or called(node) in VIEWS:
            held = reached(node, known, self.each)
            self.each |= dict.fromkeys(names, held) if held else {}

    def inside(self, node: ast.AST, known: Known, name: str) -> None:
        """The literals within an expression that is none itself; an argument has its keyword for a name."""
        if isinstance(node, (ast.List, ast.Tuple)) and all(isinstance(one, _ROW_LIKE) for one in node.elts):
            # Of a list of rows a part is another table.
            said = "holds a list of which some part is not read here: paste the list that results"
            self.found.problem = self.found.problem or InputError(f"line {node.lineno}", said)
            return
        before = self.found.count
        found: dict[ast.AST, range] = {}
        for child in ast.iter_child_nodes(node):
            called = name or (_called(node) if isinstance(node, ast.Call) else "")
            first = self.found.count + 1
            if isinstance(child, ast.keyword):
                self.take(f"{child.arg or ''}=", child.value, known, keep=False)
            elif isinstance(child, _LITERAL) and self.value(child, known) is not None:
                self.take(called, child, known, keep=False)
            elif isinstance(child, ast.BinOp):
                self.times(child, known, called)
            elif not isinstance(child, _SKIPPED):
                self.inside(child, known, called)
            found[_within(child)] = range(first, self.found.count + 1)
        self._turned(node, before, name)
        self._remade(node, found)

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

    def _turned(self, node: ast.AST, before: int, name: str) -> None:
        """Note at the lists that were found in an expression, after the first so many, that it turns them."""
        for key in range(before + 1, self.found.count + 1) if turns(node) else ():
            if key in self.found.entries:
                line = getattr(node, "lineno", 1)
                said = f"line {line} puts {name or 'it'} in another order, {NOT_READ}"
                self.found.note(key, said, False)

    def _remade(self, node: ast.AST, found: dict[ast.AST, range]) -> None:
        """Note at the lists that were found in the parts of an expression what it makes of them."""
        for part, words, maybe in remakes(node):
            for key in found.get(part, ()):
                if key in self.found.entries:
                    said = f"line {getattr(node, 'lineno', 1)} {words.format('it')}, {NOT_READ}"
                    self.found.note(key, said, maybe)


def _within(child: ast.AST) -> ast.AST:
    """The expression of a keyword, of a method that is called, and of for … in."""
    if isinstance(child, ast.comprehension):
        return child.iter
    return child.value if isinstance(child, (ast.keyword, ast.Attribute)) else child


def _called(call: ast.Call) -> str:
    """What a literal in a call is known as: the function, or what self.register_buffer("c", …) makes."""
    said = ast.unparse(call.func)
    first = call.args[0] if call.args else None
    if said.endswith(".register_buffer") and isinstance(first, ast.Constant):
        return f"{said.removesuffix('.register_buffer')}.{first.value}"
    return said
