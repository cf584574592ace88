"""A list of rows wherever a table is taken: certified, run, and refused where it does no good."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import polydesign
from polydesign import InputError
from polydesign.model import SafetyWarning
from polydesign.runtime import (
    Inverse,
    InverseRoot,
    Plan,
    Sign,
    inverse_root,
    matmul_inverse_root,
    mcsgn,
    msign,
    msign_with_info,
    spectral_clip,
)
from polydesign.runtime.base import made
from polydesign.table.layouts import LAYOUTS, as_steps, checked_rows, error_of

JORDAN = [(3.4445, -4.775, 2.0315)] * 5
EXPRESS = polydesign.load("polar_express_nanochat").as_tuples()


def any_(table: object) -> Any:
    """For the fields of operators: they hold the table that is made of rows, and are typed as that."""
    return table


def a_matrix(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def positive(seed: int, n: int) -> torch.Tensor:
    M = a_matrix(seed, n, 2 * n)
    return M @ M.mT + n * torch.eye(n)


# What the table says.


def test_rows_of_a_published_table_are_that_table() -> None:
    table, known = polydesign.from_rows(JORDAN), polydesign.load("jordan_5")
    assert (table.digest, table.certificate) == (known.digest, known.certificate)
    assert (table.measured, table.tried) == (known.measured, known.tried)
    assert table.tried  # so that the line above compares something


def test_another_interval_is_another_table() -> None:
    table = polydesign.from_rows(JORDAN, lower=1e-2)
    assert table.schedule.interval == (1e-2, 1.0)
    assert table.digest != polydesign.load("jordan_5").digest
    assert table.measured == table.tried == ()


@pytest.mark.parametrize(
    ("rows", "root", "lower"),
    [
        (EXPRESS, 2, 1e-3),
        (JORDAN, 2, 0.05),
        (polydesign.load("su_root_r4").as_tuples(), 4, 0.1),
        (polydesign.load("su_root_r1").as_tuples(), 1, 0.2),
    ],
)
def test_the_error_is_that_of_the_rows(rows: Any, root: int, lower: float) -> None:
    """Against samples in float64: they cannot exceed a proved bound by more than their own rounding."""
    table = polydesign.from_rows(rows, root, lower=lower)
    x = np.geomspace(lower, 1, 20001)
    for row in rows:
        x = x * sum(c * x ** (root * j) for j, c in enumerate(row))
    sampled = float(np.max(np.abs(x - 1)))
    assert table.certificate is not None
    bound = float(table.certificate.error[1])
    # Rounding: a step's terms are below 100 in all, and five steps stretch what came before by f'(0) <= 1000.
    assert 0.999 * bound <= sampled <= bound + 1e5 * 2.0**-52


def test_the_file_of_such_a_table_is_read_and_proved_again(tmp_path: Path) -> None:
    table = polydesign.from_rows(EXPRESS, lower=1e-2, name="mine")
    polydesign.save(table, tmp_path / "mine.json")
    assert polydesign.load(tmp_path / "mine.json") == table
    assert polydesign.certify(tmp_path / "mine.json") == table.certificate
    assert table.provenance.source == "rows that the caller gave"


def test_names_tell_lists_apart() -> None:
    """Also where degrees and products are the same: compare and report take no two tables of one name."""
    names = [polydesign.from_rows(rows).name for rows in (JORDAN, EXPRESS)]
    assert len(set(names)) == 2
    found = polydesign.compare([JORDAN, EXPRESS])
    assert {row.name for row in found.rows} == set(names)


def test_zeros_at_the_end_are_no_degree() -> None:
    padded = [(1.5, -0.5, 0.0)] * 9
    assert polydesign.from_rows(padded, lower=0.1).schedule.degrees == (3,) * 9
    assert polydesign.from_rows(padded, lower=0.1) == polydesign.from_rows([(1.5, -0.5)] * 9, lower=0.1)


# Where a table is taken.

VERBS: dict[str, Callable[[Any], Any]] = {
    "certify": polydesign.certify,
    "verify": lambda table: [
        (run.spectrum, run.worst, run.promised)
        for run in polydesign.verify(table, shape=(16, 24), spectra="gaussian,rank2")
    ],
    "fold": lambda table: polydesign.fold(table, 1.01).schedule,
    "unfold": lambda table: polydesign.unfold(table, 1.01).schedule,
    "compare": lambda table: [row.at for row in polydesign.compare([table]).rows],
    "export": lambda table: [
        line for line in polydesign.export(table, "python").splitlines() if line.startswith("    (")
    ],
    "plot": lambda table: [ax.get_label() for ax in polydesign.plot(table).axes],
}


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("rows", [JORDAN, tuple(JORDAN), np.array(JORDAN)], ids=["list", "tuple", "array"])
def test_functions_take_rows(name: str, rows: Any) -> None:
    assert VERBS[name](rows) == VERBS[name]("jordan_5")


@pytest.mark.parametrize("name", sorted({*VERBS} - {"plot"}))
def test_other_rows_give_something_else(name: str) -> None:
    """Negative control: what is compared tells tables apart. A figure's labels only count steps."""
    assert VERBS[name](EXPRESS) != VERBS[name]("jordan_5")


@pytest.mark.usefixtures("undrawn")
def test_what_writes_files_takes_rows(tmp_path: Path) -> None:
    polydesign.conformance(JORDAN, tmp_path / "kit")
    polydesign.conformance("jordan_5", tmp_path / "known")
    arrays = list((tmp_path / "kit").glob("*.npy"))
    assert arrays
    for path in arrays:
        assert path.read_bytes() == (tmp_path / "known" / path.name).read_bytes(), path.name
    page = polydesign.report([JORDAN], tmp_path / "page")
    name = polydesign.from_rows(JORDAN).name
    assert [chapter.name for chapter in page.chapters] == [name]
    assert f"polydesign report {name} -o FOLDER" in (tmp_path / "page" / "report.md").read_text("utf-8")


def test_operators_take_rows() -> None:
    M, P = a_matrix(1, 12, 20), positive(2, 12)
    r4, r1 = (polydesign.load(f"su_root_r{r}").as_tuples() for r in (4, 1))
    for mine, known in (
        (msign(M, JORDAN), msign(M, polydesign.load("jordan_5"))),
        (Sign(any_(JORDAN))(M), Sign(polydesign.load("jordan_5"))(M)),
        (mcsgn(P, table=EXPRESS), mcsgn(P, table=polydesign.load("polar_express_nanochat"))),
        (InverseRoot(4, table=any_(r4))(P), InverseRoot(4, table=polydesign.load("su_root_r4"))(P)),
        (inverse_root(P, 4, table=r4), inverse_root(P, 4, table=polydesign.load("su_root_r4"))),
        (Inverse(table=any_(r1))(P), Inverse(table=polydesign.load("su_root_r1"))(P)),
        (
            matmul_inverse_root(P, P, 4, table=r4),
            matmul_inverse_root(P, P, 4, table=polydesign.load("su_root_r4")),
        ),
    ):
        assert torch.equal(mine, known)
    assert not torch.equal(msign(M, JORDAN), msign(M, EXPRESS))  # negative control


def test_a_run_says_what_the_rows_promise() -> None:
    M = a_matrix(3, 8, 12)
    _, info = msign_with_info(M, JORDAN)
    assert info.promised == (1 + polydesign.from_rows(JORDAN).schedule.error) ** 2 - 1
    assert torch.allclose(info.interval[0] / info.interval[1], torch.tensor(1e-3, dtype=torch.float64))


def test_an_operator_of_the_same_rows_is_made_once() -> None:
    """Proving takes as long as a thousand small calls, so a training step must not prove."""
    first = made(Sign, [list(row) for row in JORDAN], None)
    assert made(Sign, [tuple(row) for row in JORDAN], None) is first
    assert made(Sign, EXPRESS, None) is not first


def test_a_compiled_step_takes_rows() -> None:
    M = a_matrix(4, 8, 12)
    step = torch.compile(lambda M: msign(M, JORDAN), fullgraph=True, backend="eager")
    assert torch.equal(step(M), msign(M, JORDAN))


def test_rows_of_an_unsafe_table_warn_as_its_name_does() -> None:
    unsafe = [one.name for one in polydesign.tables(published=True) if one.standing() == "unsafe"]
    table = next(one for one in map(polydesign.load, unsafe) if set(one.schedule.degrees) == {5})
    rows, low = table.as_tuples(), table.schedule.interval[0]
    assert polydesign.from_rows(rows, lower=low).standing() == "unsafe"
    if low == 1e-3:
        with pytest.warns(SafetyWarning, match="unsafe"):
            Sign(any_(rows), Plan(dtype="bf16"))


def test_by_name_and_by_path(tmp_path: Path) -> None:
    polydesign.save(polydesign.from_rows(EXPRESS), tmp_path / "t.json")
    M = a_matrix(5, 6, 9)
    expected = msign(M, EXPRESS)
    assert torch.equal(Sign(any_(str(tmp_path / "t.json")))(M), expected)
    assert torch.equal(Sign(any_(tmp_path / "t.json"))(M), expected)


# What is refused, and whether the cure works.

ODD = [tuple(c for pair in ((0.0, a) for a in row) for c in pair) for row in JORDAN]
WRONG: dict[str, tuple[Any, str]] = {
    "columns": (list(zip(*JORDAN, strict=True)), "zip(*rows)"),
    "descending": ([row[::-1] for row in EXPRESS], "[row[::-1] for row in rows]"),
    "powers-of-x": (ODD, "[row[1::2] for row in rows]"),
}


@pytest.mark.parametrize("layout", WRONG)
def test_rows_in_another_layout_are_refused_with_what_to_write(layout: str) -> None:
    rows, write = WRONG[layout]
    with pytest.raises(InputError, match="no better than doing nothing") as refusal:
        polydesign.from_rows(rows)
    assert refusal.value.field == "rows"
    assert f"write {write}" in refusal.value.problem
    cured = eval(write, {"rows": rows})
    right = EXPRESS if layout == "descending" else JORDAN
    assert polydesign.from_rows(cured).digest == polydesign.from_rows(right).digest


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_what_they_say(layout: str) -> None:
    written = {"steps": JORDAN, **{name: rows for name, (rows, _) in WRONG.items()}}[layout]
    right = EXPRESS if layout == "descending" else JORDAN
    assert as_steps(checked_rows(written), layout) == checked_rows(right)


def test_rows_of_another_root_are_refused_with_that_root() -> None:
    rows = [(2.0, -1.0)] * 6  # Newton's iteration for the inverse
    with pytest.raises(InputError, match="write root=1"):
        polydesign.from_rows(rows, 2, upper=1.7)
    assert polydesign.from_rows(rows, 1).purpose == "inverse"


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "rows"),
        ([1.5, -0.5], "rows"),
        ([("a", 1.0)], "rows"),
        ([(1.5,)], "rows[0]"),
        ([(1.5, -0.5), (0.0, 0.0)], "rows[1]"),
        ([(1.5, float("nan"))], "rows[0]"),
        ([(1.5, float("inf"))], "rows[0]"),
        ([(1.0,) * 14], "rows[0]"),
        ([(1.5, -0.5)] * 201, "rows"),
        ([(1e300, 1e300)] * 3, "rows"),
    ],
)
def test_what_is_no_list_of_rows_is_refused(rows: Any, field: str) -> None:
    with pytest.raises(InputError) as refusal:
        polydesign.from_rows(rows)
    assert refusal.value.field == field
    with pytest.raises(InputError) as refusal:
        msign(torch.eye(2), rows)
    assert refusal.value.field == f"table: {field}"


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"lower": 0}, "lower"),
        ({"lower": 2}, "lower"),
        ({"lower": "min"}, "lower"),
        ({"upper": float("inf")}, "upper"),
        ({"root": 0}, "root"),
        ({"root": 2.0}, "root"),
        ({"purpose": "inverse"}, "purpose"),
        ({"normalization": "spectral"}, "normalization"),
        ({"form": "coupled"}, "form"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_what_does_not_go_with_rows_is_refused(how: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as refusal:
        polydesign.from_rows(JORDAN, **how)
    assert refusal.value.field == field


def test_rows_for_clipping_need_the_value_from_which_they_clip() -> None:
    table = polydesign.load("clip-d9x3-l0.1-bf16")
    rows, M = table.as_tuples(), a_matrix(6, 6, 8)
    M = 3 * M / torch.linalg.matrix_norm(M, 2)
    with pytest.raises(InputError, match='lower=l, purpose="clip"'):
        spectral_clip(M, 0.0, 1.0, rows, formula="composed")
    mine = polydesign.from_rows(rows, lower=0.1, purpose="clip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X = spectral_clip(M, 0.0, 1.0, mine, formula="composed")
    clipped = torch.linalg.svdvals(M).clamp(max=1.0)
    assert (torch.linalg.svdvals(X) - clipped).abs().max() < 0.1


def test_a_matrix_is_no_list_of_rows() -> None:
    """msign(A, B) is a mistake, also where B is small enough to be rows."""
    with pytest.raises(InputError, match="must be a Table, not Tensor"):
        msign(torch.eye(3), any_(torch.eye(3)))
    X, rows = torch.eye(3), torch.tensor(JORDAN, dtype=torch.float64)
    with pytest.raises(InputError, match=r"write .*\.tolist\(\)"):
        msign(X, any_(rows))
    assert torch.equal(msign(X, rows.tolist()), msign(X, JORDAN))  # the cure


def test_error_of_is_infinite_where_values_leave_float64() -> None:
    assert error_of(checked_rows([(1e300, 1e300)] * 3), 2, (1e-3, 1.0)) == float("inf")
