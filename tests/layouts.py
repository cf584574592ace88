"""The same rows as people write them: twenty layouts, and what becomes of texts on their way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence

Rows = Sequence[Sequence[float]]


def _join(
    rows: Rows,
    outer: str = "[]",
    inner: Sequence[str] = "()",
    after: str = "",
    part: str = ", ",
    sep: str = ", ",
) -> str:
    one = [inner[0] + part.join(f"{c!r}{after}" for c in row) + inner[1] for row in rows]
    return outer[0] + sep.join(one) + outer[1]


def _columns(rows: Rows) -> list[tuple[str, list[float]]]:
    return [(letter, [row[j] for row in rows]) for j, letter in enumerate("abcde"[: len(rows[0])])]


def _notebook(rows: Rows) -> str:
    source = ["%matplotlib inline\n", "!ls\n", f"coeffs = {_join(rows)}\n"]
    cells = [
        {"cell_type": "markdown", "source": "# Muon"},
        {"cell_type": "code", "source": source, "outputs": []},
    ]
    return json.dumps({"cells": cells, "nbformat": 4, "metadata": {"kernel": "x"}}, indent=1)


def _cuda(rows: Rows) -> str:
    lines = [
        f"__constant__ float {letter}[{len(column)}] = {{{', '.join(f'{c!r}f' for c in column)}}};  // of NS"
        for letter, column in _columns(rows)
    ]
    return "#include <cuda.h>\n" + "\n".join(lines) + "\nint grid[3] = {1, 2, 3};\n"


def _all_powers(rows: Rows) -> str:
    return repr([[number for c in row for number in (0, c)] for row in rows])


def _yaml_block(rows: Rows) -> str:
    lines = ""
    for row in rows:
        for j, c in enumerate(row):
            lines += f"    {'- ' if j == 0 else '  '}- {c!r}\n"
    return f"muon:\n  betas: [0.9, 0.95]\n  coeffs:\n{lines}phases: [0.1, 0.8, 0.1]\n"


def _appended(rows: Rows) -> str:
    return "coeffs = []\n" + "".join(f"coeffs.append({tuple(row)!r})\n" for row in rows)


LAYOUTS: dict[str, tuple[str, Callable[[Rows], str]]] = {
    "python": ("py", lambda rows: f"import torch\n\nlr = 0.02\ncoeffs = {_join(rows)}\nbetas = (0.9, 0.95)\n"),
    "tensor": ("py", lambda rows: f"c = torch.tensor({_join(rows, inner='[]')}, dtype=torch.bfloat16)\n"),
    "loop": ("py", lambda rows: f"def f(X):\n    for a, b, c in {_join(rows)}:\n        X = a * X\n"),
    "append": ("py", _appended),
    "keyword": ("py", lambda rows: f"opt = Muon(params, 0.1, ns={_join(rows)}, betas=[(0.9, 0.95), (0.8, 0.9)])\n"),
    "json": ("json", lambda rows: json.dumps({"lr": 0.1, "ns": [list(row) for row in rows], "betas": [0.9, 0.95]})),
    "json columns": ("json", lambda rows: json.dumps({"coeffs": dict(_columns(rows))}, indent=2)),
    "json objects": ("json", lambda rows: json.dumps([dict(zip("abcde", row, strict=False)) for row in rows])),
    "toml": ("toml", lambda rows: f"[muon]\nlr = 0.02\nns = {_join(rows, inner='[]')}\nshape = [1, 2, 3]\n"),
    "yaml": ("yaml", lambda rows: f"lr: 0.1\nns_coeffs: {_join(rows, inner='[]')}\nphases: [0.1, 0.8, 0.1]\n"),
    "yaml block": ("yml", _yaml_block),
    "cuda columns": ("cu", _cuda),
    "c": ("c", lambda rows: f"static const float NS[{len(rows)}][3] =\n  {_join(rows, '{}', '{}', 'f')}; /* {{1, 2}} */\n"),
    "rust": ("rs", lambda rows: f"pub const NS: [[f32; 3]; {len(rows)}] = {_join(rows, '[]', '[]', '_f32')};\n"),
    "julia": ("jl", lambda rows: f"const ns = {_join(rows, '[]', ('', ''), 'f0', ' ', '; ')} # of Muon\n"),
    "notebook": ("ipynb", _notebook),
    "markdown": ("md", lambda rows: "# NS\n\n| a | b | c |\n|---|---|---|\n" + "".join(f"| {' | '.join(map(repr, r)).replace('-', '−')} |\n" for r in rows)),
    "semicolons": ("txt", lambda rows: ";".join(",".join(map(repr, row)) for row in rows)),
    "all powers": ("txt", _all_powers),
    "numbers": ("", lambda rows: "\n".join(("   " if i else "") + "  ".join(map(repr, row)) for i, row in enumerate(rows)).replace("-", "−")),
}  # fmt: skip
"""Name -> suffix of the file, and the text. Beside the rows stand lists that are none."""

_SWAPS = [
    (",", ";"),
    (",", " "),
    ("[", "("),
    ("]", "}"),
    ("-", "−"),
    ("\n", "\r"),
    (".", ","),
    ("=", ":"),
    ("(", ""),
]
_INSERTS = [
    "\0",
    "\x1b[31m",
    "\u202e",
    "[" * 300,
    "(" * 3000,
    "{" * 50,
    "1e400",
    "9" * 5000,
    "nan",
    "- " * 400,
    "\\",
    '"',
]
_INSERTS += [
    "'''",
    "/*",
    "```",
    "&a [*a, *a]",
    "- *x\n",
    "0x1.8p+9999",
    "10**10**10",
    "lambda: 0",
    "1/0",
    "\ufeff",
    "\ud800",
]


def mutated(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Suffix and text of layouts that were cut, garbled, filled with control characters, and nested."""
    generator = random.Random(seed)
    names = sorted(LAYOUTS)
    for _ in range(count):
        suffix, make = LAYOUTS[generator.choice(names)]
        rows = [
            [3.4445, -4.775, 2.0315],
            [generator.uniform(1, 5), -generator.uniform(1, 5), generator.random()],
        ]
        text = make(rows[: generator.randint(1, 2)] * generator.choice((1, 1, 1, 2, 40)))
        for _ in range(generator.randint(1, 4)):
            place, kind = generator.randrange(len(text) + 1), generator.randrange(5)
            if kind == 0:
                text = text[:place]
            elif kind == 1:
                text = text.replace(*generator.choice(_SWAPS))
            elif kind == 2:
                text = text[:place] + generator.choice(_INSERTS) + text[place:]
            elif kind == 3:
                end = place + generator.randint(1, 20)
                text = text[:place] + text[end:]
            else:
                text = text[:place] + text[generator.randrange(len(text) + 1) :]
        yield generator.choice((suffix, suffix, "", "py", "yaml")), text
