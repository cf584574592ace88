"""Rows are read right in every layout, and texts that are broken are refused or read for what they are."""

from __future__ import annotations

import json
import math

import pytest
from layouts import LAYOUTS, mutated

from polydesign.identification.pasted import find_lists, read_rows
from polydesign.identification.scanning import inventory
from polydesign.identification.sources import given
from polydesign.model import InputError
from polydesign.table.published import published

TABLES = {
    "youjiacheng_5": published("youjiacheng_5").rows,
    "polar_express_nanochat": published("polar_express_nanochat").rows,
    "no table": ((3.1, -4.2, 1.7), (2.9, -2.3, 0.61)),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_read_in_every_layout(layout, table, tmp_path):
    suffix, make = LAYOUTS[layout]
    rows = TABLES[table]
    path = tmp_path / f"file.{suffix}"
    path.write_text(make(rows), "utf-8")
    found = given(path)
    assert found.rows == rows
    assert not found.others
    by_columns = layout in ("json columns", "cuda columns")
    assert found.words.startswith("by columns" if by_columns else "zeros" if layout == "all powers" else "")
    assert bool(found.words) == (by_columns or layout == "all powers")


def test_a_folder_of_all_layouts(tmp_path):
    """Every file has one table, on the line where it stands, and the name of the table that it is."""
    for table, rows in TABLES.items():
        for layout, (suffix, make) in LAYOUTS.items():
            (tmp_path / f"{table} {layout}.{suffix or 'md'}").write_text(make(rows), "utf-8")
    found = inventory(tmp_path)
    read = {one.path.rpartition("/")[2].rpartition(".")[0]: one for one in found.sightings}
    skipped = {"all powers", "semicolons"}  # .txt, which is no file of a codebase
    assert set(read) == {f"{table} {layout}" for table in TABLES for layout in set(LAYOUTS) - skipped}
    assert len(found.sightings) == len(read) == found.files
    for key, one in read.items():
        table = next(name for name in TABLES if key.startswith(name))
        assert (one.rows, one.table) == (TABLES[table], None if table == "no table" else table)
        text = LAYOUTS[key.removeprefix(f"{table} ")][1](TABLES[table])
        near = "".join(text.splitlines()[one.line - 1 : one.line + 2])
        assert repr(TABLES[table][0][0]) in near or "notebook" in key
        assert str(one).startswith(f"{one.path}:")
    kinds = [one.kind for one in found.sightings]
    assert kinds == sorted(kinds, key=["MISPRINT", "unsafe", "known", "unknown"].index)


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"notebook"}))
def test_the_text_alone_tells_its_layout(layout):
    """As from standard input, without the name of a file."""
    rows = TABLES["no table"]
    assert read_rows(LAYOUTS[layout][1](rows)) == rows


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"notebook"}))
def test_a_number_that_is_another_is_read_as_another(layout):
    """The negative control."""
    rows = [(4.5, *row[1:]) for row in TABLES["no table"]]
    assert read_rows(LAYOUTS[layout][1](rows)) == tuple(rows) != TABLES["no table"]


def test_a_thousand_hostile_texts():
    """Each is read or refused: what is read consists of numbers that stand in the text, and is said in plain text."""
    read = refused = 0
    for suffix, text in mutated(7, 1000):
        problems = []
        try:
            for one in find_lists(text, suffix)[0]:
                assert all(
                    isinstance(c, float) for reading in one.readings for row in reading.rows for c in row
                )
            rows = read_rows(text)
            assert all(2 <= len(row) <= 13 and all(map(math.isfinite, row)) for row in rows)
            read += 1
        except InputError as problem:
            problems.append(str(problem))
        refused += len(problems)
        assert all(said.isprintable() and ": " in said for said in problems), problems
    assert min(read, refused) > 100


def test_a_large_notebook_is_read_for_its_cells(tmp_path):
    """With a picture of half a million letters in its output."""
    body = json.loads(LAYOUTS["notebook"][1](TABLES["youjiacheng_5"]))
    body["cells"][1]["outputs"] = [{"data": {"image/png": "iVBOR" * 100_000}}]
    path = tmp_path / "large.ipynb"
    path.write_text(json.dumps(body))
    (sighting,) = inventory(path).sightings
    assert (sighting.table, sighting.place) == ("youjiacheng_5", "cell 2, line 3")
    assert str(sighting).startswith(f"{path}:2:3: coeffs: youjiacheng_5")
    with pytest.raises(InputError, match="characters"):
        read_rows(path.read_text())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 -2 3\n" * 200_000, "1400000 characters: paste the list alone"),
        ("[" * 100_000, "paste the list alone"),
        ("- " * 100_000 + "1", "paste the list alone"),
        ("{" * 100_000 + "}" * 100_000, "paste the list alone"),
        ('{"a":' * 5000 + "[3.4, -4.7, 2.0]" + "}" * 5000, "paste the list alone"),
        ("x" * 300_000, "holds no list"),
        ("-" * 100_000 + "1", "paste the list alone"),
        ("a: &a [1, -2, 3]\nb: [4, -5, 2]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(2000)), "several lists"),
        ("x = " + "1+" * 50_000 + "1", "paste the list alone"),
        ("x = [" + "[1.5, -0.5]," * 30_000 + "]", "some part is not read here"),
    ],
    ids=["long", "brackets", "dashes", "braces", "objects", "word", "minus", "aliases", "sum", "rows"],
)  # fmt: skip
def test_large_and_deep_texts_are_refused(text, problem):
    with pytest.raises(InputError, match=problem):
        read_rows(text)
