"""Arguments of a wrong kind: every verb refuses them with an InputError that names the argument."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import polydesign
from polydesign.model import InputError

pd: Any = polydesign  # as who does not look at types
NAME = "jordan_5"
LONG = "a" * 300 + ".json"

WRONG = {
    "source": [
        *(partial(pd.load, one) for one in (3, None, b"x", "", "a" * 5000, "a\0b", LONG)),
        *(partial(pd.fold, one, 1.01) for one in ("a" * 5000, "a\0b")),
    ],
    "path": [
        *(partial(pd.save, pd.load(NAME), one) for one in (3, None, b"x", "", "a\0b", LONG)),
        *(partial(pd.import_table, one) for one in (3, None, b"x", "", "a\0b.py", LONG)),
    ],
    "folder": [
        *(partial(pd.report, [NAME], one) for one in (3, None, "a\0b", "a" * 300)),
        *(partial(pd.conformance, NAME, one) for one in (3, None, "a\0b", "a" * 300)),
    ],
    "table": [
        partial(pd.save, "x", "y.json"),
        *(partial(verb, one) for verb in (pd.certify, pd.verify) for one in (3, None)),
        partial(pd.compare, [None]),
        partial(pd.export, None, "optax"),
        partial(pd.conformance, None, "kit"),
    ],
    "to": [partial(pd.export, NAME, one) for one in (3, None, ["optax"])],
    "shape": [
        *(partial(pd.verify, NAME, shape=one) for one in (5, None, (4,), (2, 3, 4), (2.5, 4), (0, 4))),
        partial(pd.compare, [NAME], shape=5),
        partial(pd.report, [NAME], "folder", shape=5),
    ],
    "spectra": [partial(pd.verify, NAME, spectra=one) for one in (3, [3], b"harmonic")],
    "only": [partial(pd.advise, {}, only=one) for one in (3, None, [3])],
    "errors": [partial(pd.advise, {}, errors=None)],
    "lower": [partial(pd.compare, [NAME], lower=one) for one in (None, "x")],
    "tables": [
        *(partial(pd.compare, one) for one in (3, None)),
        *(partial(pd.report, one, "folder") for one in (3, None)),
        pd.plot,
    ],
    "measured": [
        partial(pd.plot, NAME, measured=3),
        partial(pd.report, [NAME], "f", measured=3),
    ],
    "which": [partial(pd.identify, "c = [(3.4445, -4.775, 2.0315)]", which=3)],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_kind_is_refused_with_the_name_of_the_argument(field, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in WRONG[field]:
        with pytest.raises(InputError) as refused:
            call()
        assert refused.value.field == field, call
    assert not [*tmp_path.iterdir()]


def test_a_kit_is_not_written_into_a_file(tmp_path):
    path = tmp_path / "kit"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"^folder: .*kit is a file: name a folder"):
        pd.conformance(NAME, path)
    assert path.read_text() == "mine"


def test_one_table_or_number_is_a_list_of_one():
    wanted = str(pd.compare([NAME], lower=[0.01]))
    assert str(pd.compare(NAME, lower=0.01)) == wanted
    assert str(pd.compare(pd.load(NAME), lower=0.01)) == wanted
