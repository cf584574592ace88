"""The brackets of a source text as a tree, in any language."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

_DEEPEST = 30


@dataclass(slots=True)
class Bracket:
    """start, end: of what is inside, in the text. children: the brackets in it."""

    start: int
    end: int = -1
    children: list[Bracket] = field(default_factory=list)


def tree_of(text: str) -> Bracket:
    """The brackets of a text. What closes nothing, or is never closed, counts for nothing."""
    root = Bracket(0)
    stack, opened = [root], [""]
    for found in re.finditer(r"[()\[\]{}]", text):
        if found[0] in "([{":
            one = Bracket(found.end())
            if len(stack) <= _DEEPEST:
                stack[-1].children.append(one)
            stack.append(one)
            opened.append({"(": ")", "[": "]", "{": "}"}[found[0]])
        elif found[0] == opened[-1]:
            stack.pop().end = found.start()
            opened.pop()
        elif len(stack) > 1:  # the innermost was no bracket of this kind, such as one in words
            stack.pop()
            opened.pop()
    root.end = len(text)
    return root


def block_at(text: str, node: Bracket, place: int) -> Bracket:
    """The innermost block in braces around a place, or the text."""
    index = bisect_right(node.children, place, key=lambda child: child.start) - 1
    if index < 0 or place >= node.children[index].end:
        return node
    child = node.children[index]
    inner = block_at(text, child, place)
    return node if inner is child and text[child.start - 1] != "{" else inner
