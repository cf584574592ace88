"""Lists that the code changes below: followed and told where the change is arithmetic, else refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import polydesign
from polydesign.identification.pasted import find_lists, read_rows
from polydesign.identification.sources import given
from polydesign.model import InputError, InputWarning

ROWS = [[3.1, -4.2, 1.7], [2.9, -2.3, 0.61]]
LIST = f"c = {ROWS}\n"
ARRAY = f"c = np.array({ROWS})\n"
TENSOR = f"c = torch.tensor({ROWS})\n"

FOLLOWED = {
    "rows in a loop": LIST + "for row in c:\n    row[0] *= 2\n    row[2] /= 4\n",
    "rows that are counted": LIST + "for i, row in enumerate(c):\n    row[1] *= 0.5\n",
    "all rows but the last": LIST + "for row in c[:-1]:\n    row[0] /= 2\n",
    "one number": LIST + "c[0][1] /= 2\n",
    "one number from the end": LIST + "c[-1][-1] *= 2\n",
    "an array": ARRAY + "c *= 2\n",
    "a row of an array": ARRAY + "c[0] /= 4\n",
    "a column of an array": ARRAY + "c[:, 0] *= 2\n",
    "a part of an array": ARRAY + "c[:-1, 1:] *= 2\n",
    "an array twice": ARRAY + "c *= 2\nc[:, 2] -= 1\n",
    "with a name": "s = 2.0\n" + ARRAY + "c[:, 0] /= s\nc[:, 1] /= s**3\n",
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_both_the_changed_list_and_the_written_one_are_told(case):
    """What Python makes of the text is the reference."""
    names: dict[str, Any] = {"np": np}
    exec(FOLLOWED[case], names)
    made = tuple(tuple(map(float, row)) for row in names["c"])
    found = given(FOLLOWED[case])
    assert found.rows == made != tuple(map(tuple, ROWS))
    assert [one.rows for one in found.others] == [tuple(map(tuple, ROWS))]
    assert found.words.startswith("as changed on line")
    assert found.others[0].words.startswith("as written on line")
    with pytest.raises(InputError, match=r"several ways, as changed on lines? \d.*, or as written on line"):
        read_rows(FOLLOWED[case])
    other = FOLLOWED[case].replace("c[", "e[").replace("c *=", "e *=").replace("in c:", "in e:")
    other = other.replace("(c)", "(e)")
    assert read_rows(other) == tuple(map(tuple, ROWS))  # the negative control: another list is changed


NUMBERS = {
    "multiplied": "s = 1.5\ns *= 2\n",
    "after a function that may set it": "s = 1.5\ndef f():\n    global s\n    s = 3.0\nf()\n",
    "in an expression": "s = 1.5\nif (s := 3.0):\n    pass\n",
    "imported": "s = 1.5\nfrom math import e as s\n",
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_is_changed_is_not_what_it_was(case):
    """Python computes with the new one; what is not known is refused."""
    text = NUMBERS[case] + "c = [[3.1 / s, -4.2, 1.7], [2.9, -2.3, 0.61]]\n"
    names: dict[str, Any] = {}
    exec(text, names)
    assert read_rows("s = 1.5\n" + text.splitlines()[-1])[0][0] == 3.1 / 1.5 != names["c"][0][0]
    if case == "multiplied":
        assert read_rows(text) == tuple(map(tuple, names["c"]))
    else:
        with pytest.raises(InputError, match="some part is not read here"):
            read_rows(text)


def test_a_row_of_an_array_changes_with_it():
    text = "row = c[0]\nc *= {}\nd = [row, [2.0, -1.5, 0.5]]\n"
    with pytest.raises(InputError, match="line 3: changes c"):
        read_rows(ARRAY + text.format("s"), "c")
    with pytest.raises(InputError, match="some part is not read here"):
        read_rows(ARRAY + text.format("s"), "d")  # its first row is not known
    assert read_rows(ARRAY + text.replace("c *=", "e *=").format("s"), "d")[0] == (3.1, -4.2, 1.7)


def test_a_row_of_two_lists_is_changed_in_both():
    text = "r = [3.1, -4.2, 1.7]\nc = [r, r]\nr[0] = 2.0\n"
    for name in ("r", "c"):
        with pytest.raises(InputError, match=f"line 3: changes {name}"):
            read_rows(text, name)
    assert read_rows(text.replace("r[0]", "e[0]"), "c") == ((3.1, -4.2, 1.7),) * 2


def test_what_follows_a_loop_without_break_is_read():
    text = LIST + "for row in c:\n    row[0] *= 2\nelse:\n    c[0][0] *= 2\n"
    assert given(text).rows[0][0] == 3.1 * 4
    assert given(text.replace("else:\n    ", "")).rows[0][0] == 3.1 * 4


def test_a_table_of_a_list_that_may_change_comes_with_a_warning(tmp_path):
    path = tmp_path / "muon.py"
    path.write_text(LIST + "if x:\n    c[0][0] = 9.0\n")
    with pytest.warns(InputWarning, match=r"muon.py:1: line 3 changes c, .*as it stands before that"):
        table = polydesign.import_table(path)
    path.write_text(LIST)
    assert polydesign.import_table(path).as_tuples() == table.as_tuples()  # and no warning


def _notebook(*cells: str) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]})


def test_what_another_cell_changes_is_refused():
    for cell in (
        "c.reverse()",
        "x = 1\nfor row in c:\n    row[0] /= 1.01",
        "c = [(a / 2, b, d) for a, b, d in c]",
    ):
        with pytest.raises(InputError, match=r"cell 3: changes c, .*paste the list that results"):
            read_rows(_notebook(LIST, "%load_ext x\nprint(1)", cell))
        assert read_rows(_notebook(LIST, cell.replace("c", "e"))) == tuple(map(tuple, ROWS))


def test_tensors_are_scaled_by_their_methods():
    assert given(TENSOR + "c.mul_(2)").rows[0] == (6.2, -8.4, 3.4)
    assert given(TENSOR + "c[0].div_(2)").rows[1] == tuple(ROWS[1])
    assert read_rows(f"c = np.array({ROWS}) * 2") == ((6.2, -8.4, 3.4), (5.8, -4.6, 1.22))


def test_a_known_table_decides_nothing_where_the_list_is_changed():
    """As written these are Jordan's rows; they run doubled."""
    text = "c = np.array([(3.4445, -4.7750, 2.0315)] * 5)\nc[:, 0] *= 1.5\n"
    found = polydesign.identify(text)
    assert found.words == "as changed on line 2"
    assert found.rows[0][0] == 3.4445 * 1.5
    assert "or read    as written on line 1: 5 rows of 3" in str(found)
    assert polydesign.identify(text.splitlines()[0]).matches[0].name == "jordan_5"  # the negative control


REFUSED = {
    "by an unknown factor": LIST + "for row in c:\n    row[0] /= s\n",
    "in two loops": LIST + "for row in c:\n    for j in range(3):\n        row[j] /= s\n",
    "by an unknown factor, an array": ARRAY + "c *= s\n",
    "a row": ARRAY + "c[0] /= s\n",
    "through a row's name": LIST + "row = c[0]\nrow[0] *= 2\n",
    "through a view": ARRAY + "view = c[0]\nview *= 2\n",
    "out=": ARRAY + "np.multiply(c, 2, out=c)\n",
    "pop": LIST + "last = c.pop()\n",
    "shuffle": LIST + "random.shuffle(c)\n",
    "exchanged": LIST + "c[0], c[1] = c[1], c[0]\n",
    "in a dict": f"P = {{'ns': {ROWS}}}\nP['ns'].reverse()\n",
    "in every list of a dict": f"P = {{'ns': {ROWS}}}\nfor rows in P.values():\n    rows.reverse()\n",
    "by a function": LIST + "def fold(rows, s):\n    for row in rows:\n        row[0] /= s\nfold(c, 1.01)\n",
    "by a function further up": "def fold():\n    for row in c:\n        row[0] /= 2\n" + LIST + "fold()\n",
    "by a method": f"class A:\n    def __init__(self):\n        self.c = {ROWS}\n    def f(self):\n        self.c[0][0] *= 2\n",
    "again by a method": f"class A:\n    def __init__(self):\n        self.c = {ROWS}\n    def f(self):\n        self.c = g(self.c)\n",
    "reversed in a loop": LIST + "for a, b, c_ in reversed(c):\n    pass\n",
    "backwards in a loop": LIST + "for a, b, c_ in c[::-1]:\n    pass\n",
    "a copy that is turned": LIST + "d = list(c)\nd.reverse()\n",
    "another list": LIST + "d = [(a / s, b, c_) for a, b, c_ in c]\n",
    "another array": ARRAY + "d = c * s\n",
    "numbers that a loop takes": LIST + "for a, b, d in c:\n    a, b, d = a / 1.01, b / 1.01**3, d / 1.01**5\n",
    "a row that a loop takes": LIST + "for i, row in enumerate(c):\n    row = [x / s for x in row]\n",
    "through a function": LIST + "for a, b, d in fold(c, 1.01):\n    pass\n",
    "numbers of a row": "a, b, d = 3.1, -4.2, 1.7\na /= 1.01\n",
    "constants": "a = 3.1\nb = -4.2\nc = 1.7\na = a * s\n",
    "mapped": LIST + "d = list(map(lambda r: (r[0] / s, r[1], r[2]), c))\n",
    "run backwards": ARRAY + "X, _ = jax.lax.scan(body, X, c, reverse=True)\n",
    "in a loop of a method": f"class A:\n    def __init__(self):\n        self.c = {ROWS}\n    def f(self):\n        for row in self.c:\n            row[0] /= 2\n",
    "a default": f"def f(G, c={ROWS}, s=1.01):\n    c = [(a / s, b, e) for a, b, e in c]\n",
    "a default, backwards": f"def f(G, c={ROWS}):\n    for a, b, e in c[::-1]:\n        pass\n",
    "rows that are one list": "c = [[3.1, -4.2, 1.7]] * 3\nfor row in c:\n    row[0] /= 1.01\n",
    "an item by itself": f"P = {{'ns': {ROWS}}}\nP['ns'] = P['ns'][::-1]\n",
    "through a view of a column": ARRAY + "view = c[:, 0]\nview *= 2\n",
    "through a view of another shape": ARRAY + "view = c.reshape(-1)\nview[0] = 2\n",
    "data": TENSOR + "c.data *= 2\n",
    "in a comprehension": LIST + "[row.reverse() for row in c]\n",
    "as long as something holds": LIST + "i = 0\nwhile i < 2:\n    c[i][0] *= 2\n    i += 1\n",
    "numbers by an index": LIST + "for k in range(2):\n    a, b, e = c[k]\n    a /= 1.05\n",
    "both": LIST + "for row in c:\n    row[0] /= 2\n    row[0] /= s\n",
    "as often as asked": ARRAY + "for _ in range(n):\n    c *= 2\n",
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_followed_is_refused_with_its_line(case):
    with pytest.raises(
        InputError, match=r"line \d+: (changes|puts|makes|assigns)? ?.*paste the list that results"
    ):
        given(REFUSED[case])


def test_what_may_happen_is_told():
    for text, said in (
        (LIST + "if x:\n    c.append((2, -1.5, 0.5))\n", "line 3 changes c"),
        (ARRAY + "if x:\n    c *= 2\n", "line 3 changes c"),
        (LIST + "for a, b, d in c[1:]:\n    pass\n", "line 2 takes c[1:], a part of c"),
        (f"class A:\n    C = {ROWS}\n    def f(self):\n        self.C.reverse()\n", "line 4 changes self.C"),
        (f"class A:\n    c = {ROWS}\nA.c[0][0] = 9.0\n", "line 3 changes A.c"),
        (f"def f(c={ROWS}, n=2):\n    c = c[:n]\n", "line 2 assigns c again"),
        (LIST + "for a, b, d in c:\n    X = a / 1.01 * X\n", "line 3 computes a / 1.01, of c"),
    ):
        found = given(text)
        assert found.rows == tuple(map(tuple, ROWS))
        assert found.remarks[0].startswith(said)


def test_a_list_that_is_made_of_another_is_not_passed_over():
    """As it is no step it would not count, were it not for its origin."""
    text = LIST + "d = [(a * 9, b, e) for a, b, e in c]\n"
    with pytest.raises(
        InputError, match=r"several lists, c \(line 1\), d \(line 2\): name one with which=NAME"
    ):
        read_rows(text)
    assert read_rows(text, "c") == tuple(map(tuple, ROWS))
    assert read_rows(text, "d")[0] == (27.900000000000002, -4.2, 1.7)


@pytest.mark.parametrize(
    "below",
    [
        "def f(c):\n    c.reverse()\n",
        "def f():\n    c = [1, 2]\n    c.reverse()\n",
        "t = torch.tensor(c)\nt.requires_grad_()\n",
        "d = np.array(c)\nfor row in d:\n    f(row[0] * s)\n",
        "print(c)\nX = msign(M, c)\nfor a, b, e in c[:steps]:\n    X = a * X\n",
        "d = [tuple(float(x) for x in row) for row in c]\n",
    ],
)
def test_what_leaves_the_list_as_it_is_is_no_change(below):
    assert {one.rows for one in find_lists(LIST + below)[0]} == {tuple(map(tuple, ROWS))}
    assert read_rows(LIST + below) == tuple(map(tuple, ROWS))


BRACES = "{{3.1f, -4.2f, 1.7f}, {2.9f, -2.3f, 0.61f}}"
CHANGED_ELSEWHERE = {
    "JavaScript, a number": f"const c = {ROWS};\nc[0][0] *= 2;\n",
    "JavaScript, reversed": f"const c = {ROWS};\nc.reverse();\n",
    "JavaScript, rows": f"const c = {ROWS};\nfor (const r of c) r[0] *= 2;\n",
    "JavaScript, each row": f"const c = {ROWS};\nc.forEach(r => {{ r[0] *= 2; }});\n",
    "JavaScript, mapped": f"const c = {ROWS};\nconst d = c.map(([a, b, e]) => [a / s, b, e]);\n",
    "JavaScript, a field": f"class A {{ constructor() {{ this.c = {ROWS}; }}\n f() {{ this.c.reverse(); }} }}\n",
    "C, a loop": f"float c[2][3] = {BRACES};\nvoid f() {{ for (int i = 0; i < 2; i++) c[i][0] /= s; }}\n",
    "C++, rows": f"float c[2][3] = {BRACES};\nfor (auto& r : c) r[0] *= s;\n",
    "C++, numbers": f"float c[2][3] = {BRACES};\nfor (auto& r : c) for (auto& x : r) x *= 1.01f;\n",
    "C++, reversed": f"std::array<A, 2> c = {BRACES};\nstd::reverse(c.begin(), c.end());\n",
    "CUDA, a column": "float A[2] = {3.1f, 2.9f};\nfloat B[2] = {-4.2f, -2.3f};\nfloat C[2] = {1.7f, .61f};\nvoid f() { A[0] *= 2; }\n",
    "Rust": f"let mut c = vec!{ROWS};\nfor r in c.iter_mut() {{ r[0] *= s; }}\n",
    "Go": f"var c = [][]float64{BRACES.replace('f', '')}\nfor _, r := range c {{ r[0] *= s }}\n",
    "Julia, reversed": "c = [3.1 -4.2 1.7; 2.9 -2.3 0.61]\nreverse!(c)\n",
    "Julia, a column": "c = [3.1 -4.2 1.7; 2.9 -2.3 0.61]\nc[:, 1] .*= 2\n",
    "Julia, again": "c = [3.1 -4.2 1.7; 2.9 -2.3 0.61]\nc = c .* s\n",
    "MATLAB": "C = [3.1 -4.2 1.7; 2.9 -2.3 0.61];\nC(:,1) = C(:,1) * 2;\n",
    "R": "m <- rbind(c(3.1, -4.2, 1.7), c(2.9, -2.3, 0.61))\nm[,1] <- m[,1] / s\n",
    "Julia, scaled": "c = [3.1 -4.2 1.7; 2.9 -2.3 0.61] ./ 1.01\n",
    "Julia, scaled from the left": "c = 1.5 .* [3.1 -4.2 1.7; 2.9 -2.3 0.61]\n",
    "Lua": f"local c = {BRACES.replace('f', '')}\nfor _, r in ipairs(c) do r[1] = r[1] * s end\n",
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGED_ELSEWHERE)
def test_changes_in_other_languages_are_refused_with_their_line(case):
    with pytest.raises(
        InputError, match=r"line \d+: (changes|assigns|makes another list of) .*paste the list"
    ):
        read_rows(CHANGED_ELSEWHERE[case])


def test_rows_beside_one_with_names_are_no_list():
    text = f"#define S 1.01f\nfloat c[2][3] = {BRACES};\n"
    assert read_rows(text) == tuple(map(tuple, ROWS))
    with pytest.raises(InputError, match="line 2: holds rows that are not numbers alone"):
        read_rows(text.replace("3.1f", "3.1f/S"))


def test_a_product_with_a_number_is_followed_in_other_languages():
    found = given("c = [3.1 -4.2 1.7; 2.9 -2.3 0.61]\nc .*= 2\n")
    assert (found.rows[0], found.words) == ((6.2, -8.4, 3.4), "as changed on line 2")
    assert [one.rows for one in found.others] == [tuple(map(tuple, ROWS))]


@pytest.mark.parametrize(
    "text",
    [
        f"const c = {ROWS};\nfor (const [a, b, d] of c) {{ X = a*X + (b*A + d*A*A)*X; }}\nx[0] *= 2; e.reverse();",
        f"float c[2][3] = {BRACES};\nfloat s = c[0][0] * x + c[0][1] * y;\nreturn c;",
        f"const float c[2][3] = {BRACES};\nvoid f(float* c) {{\n  c[0] *= 2;\n}}\n",
        f"const float c[2][3] = {BRACES};\nvoid f() {{\n  float c = 2;\n  c *= 2;\n}}\n",
        f"void g() {{ const float c[2][3] = {BRACES}; }}\nvoid f() {{\n  c *= 2;\n}}\n",
        f'const c = {ROWS};\nlog("c.reverse()");  // c[0] = 1\n',
    ],
)
def test_what_leaves_a_list_of_another_language_is_no_change(text):
    assert read_rows(text) == tuple(map(tuple, ROWS))
