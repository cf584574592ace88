"""The conformance kit: correct code passes in every precision, and each typical bug is seen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.model import DTYPES, InputError, Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.perturbed import RandomRounding
from polydesign.runtime import inverse_root, msign
from polydesign.table import loads
from polydesign.verification.conformance import check, conformance, kit
from polydesign.verification.expected import cases, distance, members
from polydesign.verification.judging import Judgement
from polydesign.verification.kit_spectra import ROOT_CASES, SIGN_CASES

pytestmark = pytest.mark.numerics

QUINTICS = ["sign-d5x6-l1e-3-bf16", "sign-d5x5-l1e-3-bf16", "sign-d5x8-l1e-3-fp64"]
OTHER_SIGNS = ["sign-m16-l1e-3-bf16", "sign-m15-l1e-3-fp16", "sign-m20-l1e-3-fp32"]
ROOTS = ["root4-d9x4-l0.1-fp32", "inverse-d3x7-l1e-4-fp32", "root4-m14-l0.1-fp32"]


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A kit of this table and operator, written once."""
    made: dict[Any, Path] = {}

    def folder(name: str, operator: str | None = None) -> Path:
        if (name, operator) not in made:
            made[name, operator] = tmp_path_factory.mktemp("kit") / "kit"
            conformance(polydesign.load(name), made[name, operator], operator=operator)
        return made[name, operator]

    return folder


def small() -> Table:
    """For what does not depend on the table."""
    return polydesign.design(degree=3, steps=2, lower=0.1)


def ours(table: Table, dtype: str, device: str = "cpu", **plan: Any) -> Callable[[np.ndarray], Any]:
    def function(M: np.ndarray) -> np.ndarray:
        X = torch.from_numpy(M).to(device)
        # A kit has matrices that no table serves: what a call says of them is not the question.
        how = Plan(dtype=dtype, check=False, **plan)
        root = table.schedule.root
        found = msign(X, table, how) if root == 2 else inverse_root(X, root, 1, table, how)
        return found.to("cpu", X.dtype).numpy()

    return function


def failed(found: Judgement) -> set[str]:
    return {one.case for one in found.failures}


# What is right passes


@pytest.mark.few(6)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*QUINTICS, *OTHER_SIGNS, *ROOTS])
def test_our_runtime_passes(name: str, dtype: str, kits: Callable[..., Path], device: str) -> None:
    assert check(kits(name), ours(polydesign.load(name), dtype, device), dtype=dtype).failures == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gram_form_passes(dtype: str, kits: Callable[..., Path], device: str) -> None:
    """With restarts: without, as it is chosen for float64, it rounds more than the direct form, below l."""
    name = QUINTICS[0]
    function = ours(polydesign.load(name), dtype, device, form="gram", restarts=(1, 2, 3, 5))
    assert check(kits(name), function, dtype=dtype).failures == ()


def test_an_inverse_square_root_passes(kits: Callable[..., Path]) -> None:
    name = "sign-d5x7-l0.01-fp32"
    table = polydesign.load(name)

    def function(P: np.ndarray) -> np.ndarray:
        return inverse_root(torch.from_numpy(P), 2, 1, table, Plan(check=False)).numpy()

    assert check(kits(name, "inverse_root"), function).failures == ()


def naive(rows: list[tuple[float, ...]]) -> Callable[[np.ndarray], np.ndarray]:
    """What a user writes: powers of the Gram matrix, in the array's own precision."""

    def function(M: np.ndarray) -> np.ndarray:
        scale = np.abs(M).max(axis=(-2, -1), keepdims=True)
        X = M / np.where(scale == 0, 1, scale)
        size = np.sqrt((X * X).sum(axis=(-2, -1), keepdims=True))
        return iterated(X / np.where(size == 0, 1, size), rows)

    return function


def iterated(X: np.ndarray, rows: list[tuple[float, ...]]) -> np.ndarray:
    for a, *others in rows:
        A = X @ X.swapaxes(-1, -2)
        power, Q = A, np.zeros_like(A)
        for c in others:
            Q, power = Q + c * power, power @ A
        X = a * X + Q @ X
    return X


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", QUINTICS)
def test_a_loop_of_ten_lines_passes(name: str, dtype: str, kits: Callable[..., Path]) -> None:
    """Also without turning tall matrices: that costs products and changes nothing."""
    assert check(kits(name), naive(polydesign.load(name).as_tuples()), dtype=dtype).failures == ()


# What is wrong does not


def folded(rows: list[tuple[float, ...]], factor: float = 1.01) -> list[tuple[float, ...]]:
    return [tuple(c / factor ** (1 + 2 * j) for j, c in enumerate(row)) for row in rows]


WRONG_ROWS = {
    "reversed": lambda rows: rows[::-1],
    "folded twice": folded,
    "folded, but for the last": lambda rows: [*folded(rows[:-1]), rows[-1]],
    "one left out": lambda rows: rows[:-1],
    "first left out": lambda rows: rows[1:],
    "last repeated": lambda rows: [*rows, rows[-1]],
    "first repeated": lambda rows: [rows[0], *rows],
    "decreasing powers": lambda rows: [row[::-1] for row in rows],
    "two decimals": lambda rows: [tuple(round(c, 2) for c in row) for row in rows],
}


@pytest.mark.few(9)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bug", WRONG_ROWS)
@pytest.mark.parametrize("name", QUINTICS)
def test_wrong_rows_are_seen(name: str, bug: str, dtype: str, kits: Callable[..., Path]) -> None:
    rows = WRONG_ROWS[bug](polydesign.load(name).as_tuples())
    with np.errstate(all="ignore"):
        found = check(kits(name), naive(rows), dtype=dtype)
    assert found.correctness == "failed"
    assert "square" in failed(found), str(found)


@pytest.mark.few(4)
@pytest.mark.parametrize("name", [*OTHER_SIGNS, *ROOTS])
@pytest.mark.parametrize("wrong", [slice(None, None, -1), slice(0, -1), slice(1, None)])
def test_wrong_steps_are_seen(name: str, wrong: slice, kits: Callable[..., Path]) -> None:
    table = polydesign.load(name)
    steps = table.schedule.steps[wrong]
    # A source: what is published need not be designed for what it receives.
    provenance = replace(table.provenance, source="a bug")
    schedule = replace(table.schedule, steps=steps)
    broken = replace(table, schedule=schedule, provenance=provenance, certificate=None, measured=(), tried=())
    if steps == table.schedule.steps:
        pytest.skip("all steps are equal")
    found = check(kits(name), ours(broken, "float32"))
    assert failed(found) & {"square", "steep"}, str(found)


def divided_by(norm: Callable[[np.ndarray], Any]) -> Callable[[list[tuple[float, ...]]], Any]:
    return lambda rows: lambda M: iterated(M / norm(M), rows)


def turned(rows: list[tuple[float, ...]]) -> Any:
    """Tall matrices iterated on their transpose, and not turned back but reshaped."""
    right = naive(rows)

    def function(M: np.ndarray) -> np.ndarray:
        tall = M.shape[-2] > M.shape[-1]
        return right(M.swapaxes(-1, -2)).reshape(M.shape) if tall else right(M)

    return function


WRONG_CODES = {
    "one norm for the batch": (divided_by(np.linalg.norm), {"batch"}),
    "a norm for each row": (divided_by(lambda M: np.linalg.norm(M, axis=-1, keepdims=True)), {"batch"}),
    "an absolute epsilon": (
        divided_by(lambda M: np.linalg.norm(M, axis=(-2, -1), keepdims=True) + 1e-7),
        {"tiny"},
    ),
    "0/0": (divided_by(lambda M: np.linalg.norm(M, axis=(-2, -1), keepdims=True)), {"zero"}),
    "a tall one not turned back": (turned, {"tall"}),
    "transposed": (lambda rows: lambda M: naive(rows)(M).swapaxes(-1, -2), {"square", "wide", "batch"}),
    "divided by 1.01 too": (
        divided_by(lambda M: 1.01 * np.linalg.norm(M, axis=(-2, -1), keepdims=True) + 1e-300),
        {"square"},
    ),
    "zeros": (lambda rows: np.zeros_like, {"square", "wide", "tall", "deficient", "equal", "batch"}),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # they divide by zero and overflow
@pytest.mark.parametrize("bug", WRONG_CODES)
def test_wrong_code_is_seen(bug: str, kits: Callable[..., Path]) -> None:
    make, where = WRONG_CODES[bug]
    found = check(kits(QUINTICS[0]), make(polydesign.load(QUINTICS[0]).as_tuples()))
    assert where <= failed(found), str(found)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_sees_reversed_rows(dtype: str, kits: Callable[..., Path]) -> None:
    table = polydesign.load(QUINTICS[0])
    schedule = replace(table.schedule, steps=table.schedule.steps[::-1])
    wrong = replace(
        table,
        schedule=schedule,
        certificate=None,
        measured=(),
        tried=(),
        provenance=replace(table.provenance, source="a bug"),
    )
    assert {"wide", "tall"} <= failed(check(kits(QUINTICS[0]), ours(wrong, dtype), dtype=dtype))


# The kit itself


@pytest.mark.parametrize("name", [QUINTICS[0], OTHER_SIGNS[0], ROOTS[0], ROOTS[1]])
def test_what_is_expected_is_the_table_s_map(name: str) -> None:
    """By a decomposition of the input, in float64; the input has the singular values that it says."""
    table = polydesign.load(name)
    schedule = table.schedule
    for case in cases(table):
        for M, expected in zip(members(case.input), members(case.expected), strict=True):
            U, sigma, Vt = np.linalg.svd(M, full_matrices=False)
            norm = np.linalg.norm(M) or 1.0
            if schedule.root == 2:
                found = (U * schedule(sigma / norm)) @ Vt
            else:
                x = (sigma / norm) ** (1 / schedule.root)
                found = (U * (schedule(x) / x * norm ** (-1 / schedule.root))) @ Vt
            # Given in half precision, its tolerance is no measure of what is expected. The slope of f is at
            # most 1e3, and a decomposition errs by 10·2⁻⁵² of the largest σ.
            allowed = 1e-11 if case.given else case.tolerance["float64"]
            assert allowed is not None
            if schedule.root != 2:
                # The decomposition's own: eigenvalues are good to n·2⁻⁵² of the largest.
                allowed = max(allowed, len(M) * 2.0**-52 * sigma[0] / sigma[-1])
            assert distance(found, expected) <= allowed


def test_the_spectra_are_where_they_say() -> None:
    low, _ = polydesign.load(QUINTICS[0]).schedule.interval
    found = {case.name: case.input for case in cases(polydesign.load(QUINTICS[0]))}
    assert found.keys() == SIGN_CASES.keys()
    sigma = np.linalg.svd(found["square"], compute_uv=False)
    assert sigma[-1] / np.linalg.norm(sigma) == pytest.approx(low / 4, rel=1e-9)
    assert np.linalg.matrix_rank(found["deficient"]) == 6
    assert (found["equal"] == found["equal"][0, 0]).all()
    assert not found["zero"].any()
    assert found["tall"].shape == (24, 12)
    assert np.linalg.svd(found["tiny"], compute_uv=False)[0] == pytest.approx(1e-20)
    roots = {case.name: case.input for case in cases(polydesign.load(ROOTS[0]))}
    assert roots.keys() == ROOT_CASES.keys()
    for P in roots.values():
        assert (P.swapaxes(-1, -2) == P).all()
        assert (np.linalg.eigvalsh(P) > 0).all()
    values = np.linalg.eigvalsh(roots["steep"])
    assert (values[0] / np.linalg.norm(values)) ** (1 / 4) == pytest.approx(0.1 / 4, rel=1e-6)


def test_single_precision_judges_everything(kits: Callable[..., Path]) -> None:
    """But for what is passed in half precision, which may round it away."""
    for name in (*QUINTICS, *OTHER_SIGNS, *ROOTS):
        for case in json.loads((kits(name) / "kit.json").read_text())["cases"]:
            for dtype in ("float32", "float64"):
                assert case["given"] or case["tolerance"][dtype] is not None


def test_the_files(kits: Callable[..., Path]) -> None:
    folder = kits(QUINTICS[0])
    index = json.loads((folder / "kit.json").read_text())
    table = polydesign.load(QUINTICS[0])
    assert loads((folder / "table.json").read_text()) == table
    assert table.certificate is not None
    assert index["digest"] == table.certificate.digest
    assert (index["table"], index["operator"], index["seed"]) == (table.name, "msign", 0)
    lists = json.loads((folder / "matrices.json").read_text())
    for case in index["cases"]:
        for key in ("input", "expected"):
            array = np.load(folder / case[key])
            assert array.dtype == np.float64
            assert list(array.shape) == case["shape"]
            assert (np.array(lists[case["name"]][key]) == array).all()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    assert len(index["files"]) + 2 * len(index["cases"]) + 1 == len(list(folder.iterdir()))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda index: index.update(cases=3), r"\$\.cases\[0\]"),
        (lambda index: index.update(files="x"), r"\$\.files"),
        (lambda index: index["cases"].insert(1, None), r"\$\.cases\[1\]"),
        (lambda index: index["cases"][0].pop("input"), r"\$\.cases\[0\]"),
        (lambda index: index["cases"][0].update(tolerance=1), r"\$\.cases\[0\]"),
        (
            lambda index: index["cases"][0]["tolerance"].update(float32="x"),
            r"\$\.cases\[0\]\.tolerance\.float32",
        ),
        (lambda index: index["cases"][0].update(about="\x1b[31m"), r"\$\.cases\[0\]\.about"),
        (lambda index: index["cases"][0].update(name="\u202e"), r"\$\.cases\[0\]\.name"),
    ],
)
def test_a_kit_of_others_is_refused_by_its_field(
    change: Callable[[Any], Any], field: str, kits: Callable[..., Path], tmp_path: Path
) -> None:
    index = json.loads((kits(QUINTICS[0]) / "kit.json").read_text())
    change(index)
    (tmp_path / "kit.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=rf"kit\.json: {field}: "):
        check(tmp_path, lambda M: M)


def test_arrays_of_a_kit_that_are_none_are_refused(kits: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("kit.json", "table.json"):
        (tmp_path / name).write_bytes((kits(QUINTICS[0]) / name).read_bytes())
    for content in (b"", b"hello", b"PK\x03\x04", b"\x93NUMPY\x01\x00"):
        for case in json.loads((tmp_path / "kit.json").read_text())["cases"]:
            (tmp_path / case["input"]).write_bytes(content)
        with pytest.raises(InputError, match=r"\.npy: is no array"):
            check(tmp_path, lambda M: M)


def test_what_a_precision_cannot_hold_is_not_judged(kits: Callable[..., Path]) -> None:
    found = json.loads((kits(QUINTICS[0]) / "kit.json").read_text())["cases"]
    tolerance = {case["name"]: case["tolerance"] for case in found}
    for name in ("tiny", "huge"):
        assert tolerance[name]["float16"] is None
        assert tolerance[name]["bfloat16"] is not None
    assert tolerance["wide"]["float16"] is not None


@pytest.mark.parametrize("name", [QUINTICS[2], OTHER_SIGNS[2], ROOTS[1]])
def test_tolerances_go_as_the_unit_roundoff(name: str, kits: Callable[..., Path]) -> None:
    """To first order; the worst of sixteen draws varies by less than 2. What is expected is exact then: an
    error of its own would stay where u falls by 2⁻²⁹."""
    for case in json.loads((kits(name) / "kit.json").read_text())["cases"]:
        single, double = (case["tolerance"][dtype] for dtype in ("float32", "float64"))
        if case["given"]:
            continue  # that precision's, whatever the code works in
        assert single / 4 <= double * 2**29 <= 4 * single


def test_a_coherent_draw_moves_equal_entries_further() -> None:
    """Every entry off by u the same way moves a block of m·n equal ones by u, and at random by u/√(mn)."""
    block = np.full((16, 24), 0.1)

    def moved(coherent: bool) -> float:
        found = []
        for seed in range(9):
            draw = RandomRounding("bfloat16", np.random.default_rng(seed), coherent)
            change = draw.stored(block) - block
            assert np.abs(change).max() <= UNIT_ROUNDOFF["bfloat16"] * 0.1 * (1 + 2**-40)
            found.append(abs(change.mean()) / 0.1)
        return float(np.median(found))

    # √(16·24) is 20; 16 of the 384 are on the diagonal, and may go the other way.
    assert moved(coherent=True) > 0.9 * UNIT_ROUNDOFF["bfloat16"] > 5 * moved(coherent=False)


def test_below_its_normal_numbers_a_precision_rounds_absolutely() -> None:
    draw = RandomRounding("float16", np.random.default_rng(0), coherent=False)
    u, value = UNIT_ROUNDOFF["float16"], np.full((64, 64), 2.0**-20)
    change = np.abs(draw.stored(value) - value).max()
    assert 0.9 * u * 2.0**-14 < change <= u * 2.0**-14
    assert not draw.stored(np.zeros((3, 3))).any()  # but zero is stored as it is


def test_the_worst_of_a_batch_counts() -> None:
    expected = np.ones((3, 4, 5))
    found = expected.copy()
    found[1] *= 1.03
    assert distance(found, expected) == pytest.approx(0.03)
    assert distance(found[:1], expected[:1]) == 0  # negative control


def test_a_seed_is_a_kit() -> None:
    table = small()
    first, again, other = (kit(table, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first["square-input.npy"] != other["square-input.npy"]


def test_writing_again_and_beside_something_else(tmp_path: Path) -> None:
    table, folder = small(), tmp_path / "kit"
    written = conformance(table, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in written} == before
    assert conformance("inverse-d3x7-l1e-4-fp32", folder)  # another kit in its place
    assert not (folder / "square-input.npy").exists()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"mine\.txt, which is no part of a kit.*force=True"):
        conformance(table, folder)
    conformance(table, folder, force=True)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == before | {"mine.txt": b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, folder = small(), tmp_path / "kit"
    conformance(table, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    synced, fsync = [], os.fsync

    def full(handle: int) -> None:
        synced.append(handle)
        if len(synced) > 3:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        conformance(table, folder, seed=1)
    with pytest.raises(OSError, match="No space"):
        conformance(table, tmp_path / "new")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]


def test_what_has_no_kit_is_refused(tmp_path: Path, kits: Callable[..., Path]) -> None:
    table = polydesign.load("sign-d5x5-l1e-3-bf16")
    with pytest.raises(InputError, match=r"normalized by aol.*frobenius"):
        kit(replace(table, normalization="aol"))
    with pytest.raises(InputError, match="msign has root 2, and the table 4"):
        kit(polydesign.load(ROOTS[0]), operator="msign")
    with pytest.raises(InputError, match="'sign' is not one of msign, inverse_root"):
        kit(table, operator="sign")
    with pytest.raises(InputError, match=r"no kit\.json: polydesign conformance"):
        check(tmp_path, naive([]))
    (tmp_path / "kit.json").write_text("{}")
    with pytest.raises(InputError, match=r"is not of polydesign/conformance/v2.* -o writes it anew"):
        check(tmp_path, naive([]))
    with pytest.raises(InputError, match="'bach' is not one of square"):
        check(kits(QUINTICS[0]), naive([]), names=["bach"])
    with pytest.raises(InputError, match="'cupy' is not one of numpy, torch"):
        check(kits(QUINTICS[0]), naive([]), framework="cupy")
    with pytest.raises(InputError, match="is of msign: leave it out"):
        check(kits(QUINTICS[0]), naive([]), operator="inverse_root")


def test_other_shapes_and_infinities_are_failures(kits: Callable[..., Path]) -> None:
    (outcome,) = check(kits(QUINTICS[0]), lambda M: M[..., :-1], names=["wide"]).outcomes
    assert (outcome.verdict, outcome.detail) == ("failed", "has shape (12, 23), not (12, 24)")
    assert str(outcome) == f"wide failed: {outcome.detail} ({SIGN_CASES['wide'].about})"
    (outcome,) = check(kits(QUINTICS[0]), lambda M: M * np.nan, names=["wide"]).outcomes
    assert outcome.detail == "is not finite"


def test_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    result = CliRunner().invoke(main, ["conformance", "sign-d5x5-l1e-3-bf16", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"wrote {folder}: ")
    assert (folder / "kit.json").is_file()
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").touch()
    refused = CliRunner().invoke(main, ["conformance", "sign-d5x5-l1e-3-bf16", "-o", str(other)])
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert [path.name for path in other.iterdir()] == ["mine.txt"]
