"""What people have: lists as codebases and configurations hold them, and what may be taken for another list."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.identification.lists import ALL_POWERS, COLUMNS, readings
from polydesign.identification.pasted import find_lists, read_rows
from polydesign.identification.scanning import inventory
from polydesign.identification.sources import given, read
from polydesign.model import InputError
from polydesign.table.published import published

JORDAN = (3.4445, -4.775, 2.0315)
TWO = (JORDAN, (2.0, -1.5, 0.5))
PADE = (2.1875, -2.1875, 1.3125, -0.3125)

READ = {
    "CUDA by columns": ("float a[2]={3.4445,2}; float b[2]={-4.7750,-1.5}; float c[2]={2.0315,.5};", TWO),
    "CUDA by columns, named": ("const float NS_A[] = {3.4445f, 2.f};\nconst float NS_B[] = {-4.775f, -1.5f};\nconst float NS_C[] = {2.0315f, .5f};", TWO),
    "semicolons end rows": ("3.4445,-4.7750,2.0315;2,-1.5,0.5", TWO),
    "semicolons after blanks": ("3.4445 -4.7750 2.0315; 2 -1.5 0.5", TWO),
    "MATLAB": ("C = [3.4445 -4.7750 2.0315; 2 -1.5 0.5];", TWO),
    "semicolons alone part numbers": ("3.4445; -4.7750; 2.0315", (JORDAN,)),
    "decimal commas": ("3,4445; -4,7750; 2,0315", (JORDAN,)),
    "decimal commas, blanks": ("3,4445 -4,7750 2,0315", (JORDAN,)),
    "a key a list": ("ns_coeffs: [3.4445, -4.7750, 2.0315]\nphases: [0.1, 0.8, 0.1]", (JORDAN,)),
    "an array a list": ("float ns[3] = {3.4445f, -4.7750f, 2.0315f}; float phases[3] = {0.1f, 0.8f, 0.1f};", (JORDAN,)),
    "all powers": ("[0, 2.1875, 0, -2.1875, 0, 1.3125, 0, -0.3125]", (PADE,)),
    "all powers, from x": ("[2.1875, 0, -2.1875, 0, 1.3125, 0, -0.3125]", (PADE,)),
    "all powers, the highest first": ("[-0.3125, 0, 1.3125, 0, -2.1875, 0, 2.1875, 0]", (PADE,)),
    "all powers, rows": ("[[0, 3.4445, 0, -4.775, 0, 2.0315], [0, 2, 0, -1.5, 0, 0.5]]", TWO),
    "loop": ("for a, b, c in [(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]:\n    X = step(X, a, b, c)", TWO),
    "loop with a count": ("for i, (a, b, c) in enumerate([(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]):\n    pass", TWO),
    "betas below": ("ns = [(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]\nBETAS = [(0.9, 0.95), (0.8, 0.99)]", TWO),
    "minus signs": ("(3.4445, \u22124.7750, 2.0315)", (JORDAN,)),
    "dashes": ("3.4445 \u20134.7750 2.0315", (JORDAN,)),
    "block YAML": ("muon:\n  coeffs:\n  - - 3.4445\n    - -4.7750\n    - 2.0315\n  - [2, -1.5, 5e-1]\n", TWO),
    "YAML dicts": ("steps:\n- {a: 3.4445, b: -4.7750, c: 2.0315}\n- a: 2\n  b: -1.5\n  c: 0.5\n", TWO),
    "YAML by number": ("steps:\n  2: [2, -1.5, 0.5]\n  1: [3.4445, -4.7750, 2.0315]\n", TWO),
    "append": ("c = []\nc.append((3.4445, -4.7750, 2.0315))\nc.append((2, -1.5, 0.5))", TWO),
    "extend": ("c = [(3.4445, -4.7750, 2.0315)]\nc += [(2, -1.5, 0.5)]", TWO),
    "set in place": ("c = [(3.4445, -4.7750, 2.0315), (9, -9, 1)]\nc[1] = (2, -1.5, 0.5)", TWO),
    "append in a loop": ("c = []\nfor row in [(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]:\n    c.append(row)", TWO),
    "append as often as asked": ("c = []\nfor _ in range(steps):\n    c.append((3.4445, -4.7750, 2.0315))", (JORDAN,)),
    "times what is asked": ("c = [(3.4445, -4.7750, 2.0315)] * steps", (JORDAN,)),
    "columns in JSON": ('{"a": [3.4445, 2], "b": [-4.7750, -1.5], "c": [2.0315, 0.5]}', TWO),
    "columns, squarely": ('{"a": [3.4445, 2, 2], "b": [-4.775, -1.5, -1.5], "c": [2.0315, 0.5, 0.5]}', (*TWO, TWO[1])),
    "columns without names": ("[[3.4445, 2], [-4.7750, -1.5], [2.0315, 0.5]]", TWO),
    "columns in Python": ("a_s = [3.4445, 2]\nb_s = [-4.7750, -1.5]\nc_s = [2.0315, 0.5]", TWO),
    "zip": ("for a, b, c in zip([3.4445, 2], [-4.7750, -1.5], [2.0315, 0.5]):\n    pass", TWO),
    "a=… b=… c=…": ("a=3.4445 b=-4.7750 c=2.0315", (JORDAN,)),
    "options": ("--ns-a 3.4445 --ns-b -4.7750 --ns-c 2.0315", (JORDAN,)),
    "the other way round": ("float c[2]={2.0315,.5}; float b[2]={-4.7750,-1.5}; float a[2]={3.4445,2};", TWO),
    "a column that counts": ("1 3.4445 -4.7750 2.0315\n2 2 -1.5 0.5", TWO),
    "tabs": ("a\tb\tc\n3.4445\t-4.7750\t2.0315\n2\t-1.5\t0.5", TWO),
    "Julia's letters": ("# step\nconst a, b, c = 3.4445f0, -4.7750f0, 2.0315f0;", (JORDAN,)),
    "a sentence": ("The coefficients are a=3.4445, b=-4.7750 and c=2.0315.", (JORDAN,)),
    "zip with a count": ("for i, (a, b, c) in zip(range(2), [(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]):\n    pass", TWO),
    "a part again": ("C = [(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]\na, b, c = C[0]", TWO),
    "constants": ("NS_A = 3.4445\nNS_B = -4.7750\nNS_C = 2.0315", (JORDAN,)),
    "macros": ("#define NS_A 3.4445f\n#define NS_B -4.7750f\n#define NS_C (2.0315f)", (JORDAN,)),
    "numbered constants": ("a1 = 3.4445\nb1 = -4.775\nc1 = 2.0315\na2 = 2\nb2 = -1.5\nc2 = 0.5", TWO),
    "indented from line two": ("a, b, c = 3.4445, -4.7750, 2.0315\n    X = G\n    for _ in range(5):\n        X = a * X", (JORDAN,)),
    "rows indented from line two": ("(3.4445, -4.7750, 2.0315),\n    (2, -1.5, 0.5),", TWO),
    "C++": ("constexpr std::array<std::array<float, 3>, 2> k = {{{3.4445f, -4.7750f, 2.0315f}, {2.f, -1.5f, .5f}}};", TWO),
    "Rust": ("const C: [[f32; 3]; 2] = [[3.4445, -4.7750, 2.0315], [2.0_f32, -1.5, 0.5]];", TWO),
    "R": ("coeffs <- rbind(c(3.4445, -4.7750, 2.0315), c(2, -1.5, 0.5))", TWO),
    "JavaScript": ("const C = [{a: 3.4445, b: -4.7750, c: 2.0315}, {a: 2, b: -1.5, c: 0.5}];", TWO),
    "numbered rows": ("double ns_1[3] = {3.4445, -4.7750, 2.0315};\ndouble ns_2[3] = {2, -1.5, .5};", TWO),
    "columns with a head": ("| step | degree | a | b | c |\n|--|--|--|--|--|\n| 1 | 5 | 3.4445 | -4.7750 | 2.0315 |\n| 2 | 5 | 2 | -1.5 | 0.5 |", TWO),
    "fractions": ("float c[3] = {15.0f/8.0f, -10.0f/8, 3.f/8};", ((1.875, -1.25, 0.375),)),
    "hexadecimal": ("double c[3] = {0x1.8p+1, -0x1.2p+2, 0x1p+1};", ((3.0, -4.5, 2.0),)),
    "LaTeX": ("\\begin{tabular}{ccc}\n$a$ & $b$ & $c$ \\\\\n$3.4445$ & $-4.7750$ & $2.0315$ \\\\\n2 & -1.5 & 0.5 \\\\\n\\end{tabular}", TWO),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_what_people_have(case):
    text, rows = READ[case]
    assert [pytest.approx(row, rel=1e-15) for row in rows] == list(read_rows(text))


def test_rows_that_stand_by_columns_are_told_and_proved_as_steps():
    """Five steps of degree 5, not three of degree 9; and a misprint is seen in that layout too."""
    for name in ("jordan_5", "dmuon_documentation_MISPRINT"):
        columns = zip(*published(name).rows, strict=True)
        text = "\n".join(
            f"float {letter}[5] = {{{', '.join(map(repr, column))}}};"
            for letter, column in zip("abc", columns, strict=True)
        )
        found = polydesign.identify(text)
        assert (found.matches[0].name, found.words) == (name, COLUMNS)
        assert "read       by columns" in str(found)
        assert ("misprint   this table is known to be wrong" in str(found)) == ("MISPRINT" in name)


def test_where_two_readings_are_possible_both_are_said():
    found = polydesign.identify("[2.1, 0, -0.9]")
    assert found.rows == ((2.1, -0.9),)
    assert [one.rows for one in found.others] == [((2.1, 0.0, -0.9),)]
    text = str(found)
    assert f"read       {ALL_POWERS}" in text
    assert "or read    as they stand: 1 row of 3" in text
    with pytest.raises(InputError, match="can be read in several ways"):
        read_rows("[2.1, 0, -0.9]")
    with pytest.raises(InputError, match="can be read in several ways"):
        read("[2.1, 0, -0.9]")
    # What the refusal says to do.
    assert read_rows("[2.1, -0.9]") == ((2.1, -0.9),)
    assert polydesign.identify([[2.1, 0, -0.9]]).rows == ((2.1, 0.0, -0.9),)
    # A known table decides.
    assert polydesign.identify("[1.5, 0, -0.5]").others == ()
    assert read_rows("[1.5, 0, -0.5]") == ((1.5, -0.5),)


def test_rows_without_brackets_between_are_not_one_step():
    found = polydesign.identify(str([c for row in published("youjiacheng_5").rows[:4] for c in row]))
    assert (found.matches[0].name, len(found.rows)) == ("youjiacheng_5", 4)
    assert found.words == "4 rows of 3 numbers, without brackets between"
    assert len(readings((PADE,))) == 1  # the negative control: one long row


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c = [(3.4445, -4.7750, 2.0315), LAST]", "some part is not read here"),
        ("c = [(3.4445, -4.7750, 2.0315)]\nc = c + f(3)", "assigns c again"),
        ("c = [(3.4445, -4.7750, 2.0315)]\nfor k in f():\n    c.append((2, -1.5, 0.5))", "changes c"),
        ("c = [(3.4445, -4.7750, 2.0315)]\nc.append(f(2))", "changes c"),
        ("if x:\n    c = [(3.4445, -4.7750, 2.0315)]\nelse:\n    c = [(2, -1.5, 0.5)]", "several lists"),
        ("c = [(3.4445, -4.7750, 2.0315)] * 5 if x else [(2, -1.5, 0.5)] * 3", "several lists"),
        ("c = list(reversed([(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]))", "puts c in another order"),
        ("c = np.array([(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]).T", "puts c in another order"),
        ("c = torch.tensor([(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]).flip(0)", "puts c in another order"),
        ("c = np.stack([(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)], axis=1)", "puts c in another order"),
        ("c = np.array([(3, -4, 2), (2, -1.5, 0.5)])\nc += np.array([(1, 0, 0), (1, 0, 0)])", "changes c"),
        ("c = np.array([(3.4445, -4.7750, 2.0315)]) * s", "no list of rows"),
        ("c = np.array([(3, -4, 2), (2, -1.5, 0.5)]) + np.array([(3, -4, 2), (2, -1, 0.5)])", "no list"),
    ],
)
def test_what_is_made_of_a_list_elsewhere_is_not_guessed(text, words):
    with pytest.raises(InputError, match=words):
        read_rows(text)


@pytest.mark.parametrize(
    "text",
    [
        "const c = [[3.4445, -4.7750, 2.0315], [2, -1.5, 0.5]].reverse();",
        "const c = [[3.4445, -4.7750, 2.0315], [2, -1.5, 0.5]].slice(1);",
        "const c: Vec<_> = vec![(3.4445, -4.7750, 2.0315), (2.0, -1.5, 0.5)].into_iter().rev().collect();",
        "const c = reverse([(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]);",
        "const c = [3.4445 -4.7750 2.0315; 2 -1.5 0.5]'",
        "const c = [3.4445, -4.7750, 2.0315; 2, -1.5, 0.5]';",
    ],
)
def test_a_list_of_another_language_that_is_turned_is_not_taken_as_it_stands(text):
    with pytest.raises(InputError, match="puts c in another order"):
        read_rows(text)


@pytest.mark.parametrize(
    "text",
    [
        "--rows '[[3.4445, -4.7750, 2.0315], [2, -1.5, 0.5]]'",
        "const c = [[3.4445, -4.7750, 2.0315], [2, -1.5, 0.5]].slice();",
        "const c = [[3.4445, -4.7750, 2.0315], [2, -1.5, 0.5]].map(r => new Float32Array(r));",
        "let c = vec![(3.4445, -4.7750, 2.0315), (2.0, -1.5, 0.5)].into_iter().collect();",
    ],
)
def test_quotes_copies_and_conversions_turn_nothing(text):
    assert read_rows(text) == TWO


@pytest.mark.parametrize(
    "change",
    [
        "c.reverse()",
        "c.sort()",
        "c.mul_(2)",
        "c.pop()",
        "c.clear()",
        "c.insert(0, (2, -1.5, 0.5))",
        "del c[0]",
        "del c[:1]",
        "c[-1] = last",
        "c[i] = (2, -1.5, 0.5)",
        "c[:1] = [(2, -1.5, 0.5)]",
        "c[0][0] = 3.0",
        "c[0][1] /= s",
        "for i in range(2):\n    c[i] = f(c[i])",
        "d = c\nd.reverse()",
        "def f():\n    c.reverse()",
    ],
)
def test_a_list_that_is_changed_below_is_not_taken_as_it_stands(change):
    text = "c = [[3.4445, -4.7750, 2.0315], [2, -1.5, 0.5]]\n"
    with pytest.raises(InputError, match="changes c, by what is not read here: paste the list that results"):
        read_rows(text + change)
    other = change.replace("c", "e")  # the negative control: another list is changed
    assert read_rows(f"{text}{other}", "c") == TWO


def test_an_item_that_is_assigned_is_followed_from_either_end():
    text = "c = [[3.4445, -4.7750, 2.0315], [1, -1.5, 1]]\nc[-1] = (2, -1.5, 0.5)\n"
    assert read_rows(text) == TWO
    assert read_rows("X = msign(M, [(3.4445, -4.7750, 2.0315)] * 2)") == (JORDAN, JORDAN)


def test_what_happens_under_a_condition_is_told():
    text = "c = [(3.4445, -4.7750, 2.0315), (2, -1.5, 0.5)]\nif n > 2:\n    c = c + [c[-1]] * (n - 2)\n"
    assert given(text).remarks == (
        "line 3 assigns c again, by what is not read here: as it stands before that",
    )
    assert "beside     line 3 assigns c again" in str(polydesign.identify(text))
    phases = polydesign.identify("ns: [3.4445, -4.7750, 2.0315]\nphases: [0.1, 0.8, 0.1]")
    assert "phases (line 2): lists that are no steps; which=NAME reads one" in str(phases)
    assert polydesign.identify("ns: [3, -4, 2]\nphases: [0.1, 0.8, 0.1]", which="phases").rows == (
        (0.1, 0.8, 0.1),
    )


def test_lists_called_a_and_b_are_columns_only_where_these_are_steps():
    assert read_rows("a: [1.5, 1.5]\nb: [-0.5, -0.5]") == ((1.5, -0.5),) * 2
    for text in (
        "a: [2, -1.5, 0.5]\nb: [3.4445, -4.775, 2.0315]",
        '{"a": [2, -1.5, 0.5], "b": [3.4445, -4.775, 2.0315]}',
    ):
        assert sorted(one.rows for one in find_lists(text)[0]) == [(TWO[1],), (JORDAN,)]


def test_constants_of_two_functions_are_two_rows():
    text = "def f():\n    a = 3.4445\n    b = -4.775\n    c = 2.0315\n\ndef g():\n    a = 2.0\n    b = -1.5\n    c = 0.5\n"
    assert [one.rows for one in find_lists(text)[0]] == [(JORDAN,), (TWO[1],)]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, text=None: CliRunner().invoke(main, [*map(str, arguments)], input=text)


def test_a_file_of_several_tables_is_listed(run, tmp_path):
    """Known ones first, misprints before all; each with its line, and --list takes what is said."""
    sets = {
        name: list(published(name).rows)
        for name in ("youjiacheng_5", "jordan_5", "dmuon_documentation_MISPRINT")
    }
    body = "".join(f"    {name!r}: {rows!r},\n" for name, rows in sets.items())
    (tmp_path / "muon.py").write_text(
        f"mine = [(3.1, -4.2, 1.9)]\nSETS = {{\n{body}}}\nbetas = (0.9, 0.95)\n"
    )
    result = run("identify", "muon.py")
    assert result.exit_code == 0
    x = np.geomspace(1e-3, 1, 100_001)
    for _ in range(5):
        x = 3.1 * x - 4.2 * x**3 + 1.9 * x**5
    error = np.abs(x - 1).max() + 5e-4  # said rounded up
    assert result.stdout.splitlines() == [
        "muon.py:5: SETS['dmuon_documentation_MISPRINT']: MISPRINT: dmuon_documentation_MISPRINT",
        "muon.py:3: SETS['youjiacheng_5']: youjiacheng_5",
        "muon.py:4: SETS['jordan_5']: jordan_5",
        f"muon.py:1: mine: unknown, 1 row of 3: error {error:.3f} on [0.001, 1]",
        "4 tables; --list NAME says what one does",
    ]
    assert run("identify", "muon.py", "--list", "youjiacheng_5").stdout.startswith("youjiacheng_5\n")
    body = json.loads(run("identify", "muon.py", "--json").stdout)
    assert [one["table"] for one in body["tables"]][:2] == ["dmuon_documentation_MISPRINT", "youjiacheng_5"]
    refused = run("identify", "muon.py", "--steps", 7)
    assert refused.exit_code == 2
    assert "--steps: is for one list: name one with --list, or leave it out" in refused.stderr
    assert run("identify", "muon.py", "--list", "mine", "--steps", 7).exit_code == 0  # as the refusal says


def test_a_folder_is_listed(run, tmp_path):
    folder = tmp_path / "project"
    for place in ("src", ".git", "node_modules"):
        (folder / place).mkdir(parents=True)
        (folder / place / "muon.py").write_text(
            "ns = [(3.4445, -4.7750, 2.0315)] * 5\nkernel = [-1, 2, -1]\nsize = (1.5, -0.5)\n"
        )
    (folder / "config.yaml").write_text("cubic: [1.5, -0.5]\n")
    (folder / "broken.py").write_bytes(b"\xff\xfe-1.5")
    (folder / "link.py").symlink_to(folder / "src" / "muon.py")
    (folder / "words.py").write_text("print('no numbers')\n")
    result = run("identify", "project")
    assert result.stdout.splitlines() == [
        "project/config.yaml:1: cubic: newton_schulz_cubic, its one row, which is run 5 times",
        "project/src/muon.py:1: ns: jordan_5",
        "project/broken.py: not read: is not UTF-8 text, so is not a list that is read",
        "2 tables in 2 of 4 files",
    ]
    with pytest.raises(InputError, match=r"inventory\(path\) lists the tables"):
        polydesign.identify(folder)
    assert len(inventory(folder).sightings) == 2  # as the refusal says
    assert str(inventory("betas = (0.9, 0.95)")) == "no tables"


def test_names_of_lists_are_shown_and_not_obeyed(run, tmp_path):
    (tmp_path / "x.json").write_text(
        json.dumps({"\x1b[31ma\u202e": [[3.4445, -4.775, 2.0315]], "b": [[2, -1.5, 0.5]]})
    )
    for result in (run("identify", "x.json"), run("identify", "x.json", "--list", "\x1b")):
        assert "\x1b" not in result.output.replace("\x1b[0m", "")
        assert "\u202e" not in result.output


@pytest.mark.parametrize("lower", [1e-3, 1e-4])
def test_the_safe_table_of_the_same_shape_is_offered(lower):
    """The first five rows of Polar Express blow up from 1.000006 on: five plain quintics take their place."""
    found = polydesign.identify(list(published("polar_express_deg5").rows[:5]), lower=lower)
    first = found.instead[0]
    assert (first.name, first.standing) == ("sign-d5x5-l1e-3-bf16", "plain")
    assert first.degrees == (5,) * 5
    text = str(found)
    assert found.schedule is not None
    if lower == 1e-3:
        assert first.safer
        assert first.error > found.schedule.error
        assert "a larger error, and in return nothing that was tried blows up" in text
    else:
        rows = polydesign.load(first.name).as_tuples()
        x = lower
        for a, b, c in rows:
            x = a * x + b * x**3 + c * x**5
        assert first.asked == pytest.approx(1 - x, rel=1e-9)
        assert "no table of ours for bfloat16 is made for [0.0001, 1]" in text
        assert "nearest    sign-d5x5-l1e-3-bf16" in text
    assert any("sign-m15" in one.name for one in found.instead[1:])
    plain = polydesign.identify("sign-d5x5-l1e-3-bf16")
    assert not any(one.safer for one in plain.instead)  # the negative control: it is safe itself
