"""Paths as texts: FILE and FILE:NAME wherever a source is given, and what is no path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.explorer.work import identified
from polydesign.identification.scanning import inventory
from polydesign.identification.sources import holds_several, read
from polydesign.model import InputError
from polydesign.table.published import published

TWO = "C = [(3.4445, -4.775, 2.0315)] * 5\nD = [(2.9, -3.2, 1.2)] * 3\n"
JORDAN = published("jordan_5").rows


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "muon.py").write_text(TWO)
    (tmp_path / "one.py").write_text(TWO.splitlines()[0])
    return tmp_path


def test_a_text_that_is_a_file_is_read(there):
    for source in ("one.py", str(there / "one.py"), "one.py:C", "muon.py:C", Path("one.py")):
        assert tuple(read(source)[0]) == JORDAN, source
        assert polydesign.identify(source).matches[0].name == "jordan_5"
    assert tuple(read("muon.py:D")[0]) == ((2.9, -3.2, 1.2),) * 3
    assert polydesign.import_table("muon.py:C").provenance.parameters["known_as"] == "jordan_5"
    assert [one.path for one in inventory("muon.py").sightings] == ["muon.py"] * 2
    assert inventory(".") == inventory(Path())
    assert [holds_several(one) for one in ("muon.py", "muon.py:C", "one.py", ".")] == [
        True,
        False,
        False,
        True,
    ]
    with pytest.raises(InputError, match=r"muon\.py, text: holds no list of rows called E"):
        read("muon.py:E")
    with pytest.raises(InputError, match="is looked at as a whole: leave out :C"):
        inventory("muon.py:C")


@pytest.mark.parametrize("source", ["nope.py", "nope.py:C", "/nope", "./nope", "a/nope.json", "~/muon.cu"])
def test_a_text_that_can_only_be_a_path_is_one_where_nothing_is(there, source):
    for verb in (polydesign.identify, inventory, polydesign.import_table):
        with pytest.raises(InputError, match="there is no such file") as refused:
            verb(source)
        assert refused.value.field == source


def test_other_texts_are_lists_as_before(there):
    for text in ("3.4445 -4.775 2.0315", "(3.4445, -4.775, 2.0315)", "[3.4445,-4.775,2.0315]"):
        assert tuple(read(text)[0]) == JORDAN[:1]
    assert read("jordan_5")[1] == polydesign.load("jordan_5")
    for text in ("a" * 5000, "a\0b.py", "muon.py\n"):
        with pytest.raises(InputError, match=r"paste the list alone") as refused:
            read(text)
        assert refused.value.field in ("text", "line 1")


def test_what_is_pasted_into_the_explorer_is_never_a_path(there):
    with pytest.raises(InputError, match="paste the list alone"):
        identified("muon.py", "", None, print)
    with pytest.raises(InputError, match="paste the list alone"):
        identified(str(there / "one.py"), "", None, print)
    assert identified("jordan_5", "", None, print)["match"] == "jordan_5"


def test_the_command_line_takes_a_list_of_a_file(there):
    found = CliRunner().invoke(main, ["identify", "muon.py:C"])
    assert (found.exit_code, found.output.splitlines()[0]) == (0, "jordan_5")
    assert CliRunner().invoke(main, ["identify", "-"], input="muon.py").exit_code == 2


def test_python_and_the_command_line_have_their_own_words(there):
    """A cure is an argument there, and an option here."""
    (there / "other.json").write_text("{}")
    (there / "kit").mkdir()
    (there / "kit" / "mine.txt").write_text("")
    refused = {
        "choose another path, or replace it with {force}": (
            lambda: polydesign.save(polydesign.load("jordan_5"), "other.json"),
            ["import", "one.py", "-o", "other.json"],
        ),
        "name one with {which}, or paste it alone": (
            lambda: polydesign.import_table("muon.py"),
            ["import", "muon.py"],
        ),
        "no earlier report: name another folder, or add {force}": (
            lambda: polydesign.report(["jordan_5"], "kit"),
            ["report", "jordan_5", "-o", "kit"],
        ),
        "write into this one with {force}": (
            lambda: polydesign.conformance("jordan_5", "kit"),
            ["conformance", "jordan_5", "-o", "kit"],
        ),
    }
    for said, (call, arguments) in refused.items():
        with pytest.raises(InputError, match=re.escape(said.format(force="force=True", which="which=NAME"))):
            call()
        found = CliRunner().invoke(main, arguments)
        assert found.exit_code == 2
        assert said.format(force="--force", which="--list NAME") in found.output
        assert "force=True" not in found.output
    polydesign.save(polydesign.load("jordan_5"), "other.json", force=True)  # the cures work when followed
    assert len(polydesign.import_table("muon.py", which="C").schedule.steps) == 5
