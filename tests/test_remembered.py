"""What a search found is there the next time, and only for the same question."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.designer import design as module
from polydesign.designer import minimax, remembered
from polydesign.model import SafetyWarning
from polydesign.search import survival
from polydesign.table.catalogue import load

ASKED = {"degree": 5, "steps": 3, "lower": 0.02}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A cache folder of its own, that keeps what takes no time."""
    monkeypatch.setenv("POLYDESIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "WORTH_KEEPING", -1.0)
    return tmp_path / "cache"


@pytest.fixture
def searches(monkeypatch):
    """What headroom was looked for; it is 1.01, for what is asked here is not how it is found."""
    found = []

    def counted(strategy, problem, dtype, **how):
        found.append((problem.lower, problem.degrees, dtype))
        roomy = replace(strategy, headroom=1.01)
        return roomy, roomy.search(problem)

    monkeypatch.setattr(survival, "surviving", counted)
    return found


def test_the_same_question_is_not_searched_again(kept, searches):
    told = []
    first = polydesign.design(**ASKED, name="mine", recalled=told.append)
    second = polydesign.design(**ASKED, recalled=told.append)
    assert len(searches) == 1
    assert replace(second, name="mine") == first
    assert second.name == "sign-d5x3-l0.02-bf16"
    (path,) = kept.iterdir()
    assert told == [str(path)]
    assert polydesign.design(**ASKED, fresh=True) == second
    assert len(searches) == 2


@pytest.mark.parametrize(
    "other",
    [{"lower": 0.03}, {"steps": 2}, {"dtype": "float16"}, {"loop": "fused"}, {"normalization": "schatten4"}],
)
def test_another_question_is(kept, searches, other):
    polydesign.design(**ASKED)
    polydesign.design(**ASKED | other)
    assert len(searches) == 2
    assert len(list(kept.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b'{"schema": 1}', None])
def test_a_damaged_file_is_searched_for_again(kept, searches, damage):
    first = polydesign.design(**ASKED)
    (path,) = kept.iterdir()
    text = path.read_bytes()
    # None: a claim that does not follow from the coefficients.
    path.write_bytes(text.replace(b'"error": ["0.', b'"error": ["0.0') if damage is None else damage)
    assert path.read_bytes() != text
    assert polydesign.design(**ASKED) == first
    assert len(searches) == 2
    assert path.read_bytes() == text


def test_other_code_finds_nothing_and_a_folder_that_cannot_be_written_is_no_fault(
    kept, searches, monkeypatch
):
    polydesign.design(**ASKED)
    monkeypatch.setattr(remembered, "_code", lambda: "changed")
    polydesign.design(**ASKED)
    assert len(searches) == 2
    (kept.parent / "file").write_text("")
    monkeypatch.setenv("POLYDESIGN_CACHE", str(kept.parent / "file"))
    polydesign.design(**ASKED)
    monkeypatch.setenv("POLYDESIGN_CACHE", "off")
    polydesign.design(**ASKED)
    assert len(searches) == 4


def test_what_is_quick_unfinished_or_warned_of_is_not_kept(kept, monkeypatch):
    monkeypatch.setattr(survival, "survives", lambda *_, **__: False)
    for _ in range(2):
        with pytest.warns(SafetyWarning, match="blow up some matrix"):
            polydesign.design(**ASKED)
    monkeypatch.undo()
    monkeypatch.setenv("POLYDESIGN_CACHE", str(kept))
    polydesign.design(degree=5, steps=2, headroom=1)
    assert not kept.exists()


def test_a_table_of_the_package_answers_its_own_question(monkeypatch, searches):
    told = []
    name = "sign-d5x5-l1e-3-bf16-fused"
    table = load(name)
    again = polydesign.design(degree=5, steps=5, loop="fused", recalled=told.append)
    assert (again, told) == (replace(table, measured=(), tried=(), provenance=again.provenance), [name])
    assert again.provenance.parameters == table.provenance.parameters
    assert not searches
    # Negative control: other headroom of the same name, made with another floor, is no answer.
    other = replace(table.provenance, parameters=table.provenance.parameters | {"image_floor": 0.07})
    monkeypatch.setattr(minimax, "load", lambda _: replace(table, provenance=other))
    polydesign.design(degree=5, steps=5, loop="fused")
    assert len(searches) == 1


def test_the_command_says_where_it_has_it_from(kept, searches, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["search", "--degree", "5", "--steps", "3", "--lower", "0.02", "-o", "-"]
    first = CliRunner().invoke(main, asked)
    second = CliRunner().invoke(main, asked)
    third = CliRunner().invoke(main, [*asked, "--fresh"])
    assert first.stderr == third.stderr == ""
    (path,) = kept.iterdir()
    assert f"its result is that of {path}; --fresh searches again" in second.stderr
    assert first.stdout == second.stdout == third.stdout
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CliRunner().invoke(main, [*asked, "--quiet"]).stderr == ""
