"""What others wrote, quoted: short, and so that no terminal and no page obeys it."""

from __future__ import annotations

import reprlib
import unicodedata

MOST_QUOTED = 80
"""Characters of a value in a message."""

_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that are not shown: controls, such as escape sequences; formats, such as overrides of
the direction of writing; halves of pairs; separators of lines."""

_JOINERS = "\u200c\u200d"
"""Formats that Persian, Hindi and emoji are written with."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 4, MOST_QUOTED, MOST_QUOTED, MOST_QUOTED
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = MOST_QUOTED // 3


def obeyed(text: str) -> str | None:
    """The first character of the text that is not shown but obeyed, or None."""
    if text.isprintable():
        return None
    return next((c for c in text if unicodedata.category(c) in _OBEYED and c not in _JOINERS), None)


def not_plain(found: str) -> str:
    """What is wrong with a text that holds this character."""
    return f"holds the character U+{ord(found):04X}, which is not shown but obeyed: leave it out"


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with its escape in place of every character that would be obeyed, but for those of `keep`.

    >>> visible("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or obeyed(c) is None else ascii(c)[1:-1] for c in text)


def shortened(text: str, most: int) -> str:
    """The text, cut where it has more characters than this."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def quoted(value: object) -> str:
    """repr of the value in a line of at most MOST_QUOTED characters.

    >>> quoted("x" * 1000)[-3:], quoted(10**5000), quoted((0.5, "a"))
    ('xx…', 'a number of 16610 bits', "(0.5, 'a')")
    """
    if isinstance(value, str):
        text = repr(value[: MOST_QUOTED + 1])
    elif isinstance(value, int) and value.bit_length() > 4 * MOST_QUOTED:
        text = f"a number of {value.bit_length()} bits"
    elif isinstance(value, (dict, list, tuple, set, frozenset)):
        text = _SHORT.repr(value)
    else:
        text = repr(value)
    return shortened(visible(text), MOST_QUOTED)
