"""Codes that apply a table, right and wrong: the right ones are told so, the wrong ones are caught and named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import polydesign
from polydesign.cli import main
from polydesign.model import InputError
from polydesign.verification.conformance import check, check_outputs, checked, conformance, kit_of
from polydesign.verification.expected import KitCase, distance
from polydesign.verification.guessing import Seen, guesses
from polydesign.verification.mistakes import all_mistakes
from polydesign.verification.plain_code import Code

pytestmark = pytest.mark.numerics

NAME, ROOT = "sign-d5x6-l1e-3-bf16", "root4-d9x4-l0.1-fp32"
ROWS = polydesign.load(NAME).as_tuples()


@pytest.fixture(scope="module")
def found() -> Any:
    return kit_of(NAME)


@pytest.fixture(scope="module")
def found_root() -> Any:
    return kit_of(ROOT)


def is_tall(M: Tensor) -> bool:
    return M.shape[-2] > M.shape[-1]


def norm_of(M: Tensor) -> Tensor:
    return M.norm(dim=(-2, -1), keepdim=True)


def steps(X: Tensor, rows: Any = ROWS) -> Tensor:
    for a, b, c in rows:
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X


def textbook(M: Tensor, rows: Any = ROWS, norm: Callable[[Tensor], Tensor] = norm_of) -> Tensor:
    """Muon as it is usually written."""
    X = M.mT if is_tall(M) else M
    X = steps(X / (norm(X) + 1e-7), rows)
    return X.mT if is_tall(M) else X


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_textbook_muon_is_correct_and_not_robust(found: Any, dtype: str) -> None:
    code = textbook if dtype == "float32" else lambda M: textbook(M.bfloat16())
    judgement = checked(found, code, dtype, "torch", batches=True)
    assert judgement.correctness == "ok"
    assert judgement.robustness == "failed"
    failed = {one.case: one for one in judgement.failures}
    assert {"tiny", "huge"} <= set(failed)
    assert failed["tiny"].guess == "1e-07 is added to the norm"
    assert failed["huge"].guess == "the squares in the norm overflow or underflow in float32"
    assert judgement.passed()
    assert not judgement.passed(robustness=True)
    if dtype == "bfloat16":
        assert "the input's dtype is lost: the result is bfloat16" in failed["float16"].guess


def test_a_robust_code_is_both(found: Any) -> None:
    def robust(M: Tensor) -> Tensor:
        X = M.float()
        X = X / X.abs().amax((-2, -1), keepdim=True).clamp(min=1e-38)
        return textbook(X, norm=lambda X: norm_of(X)).to(M.dtype)

    judgement = checked(found, robust, "float32", "torch", batches=True)
    assert (judgement.correctness, judgement.robustness) == ("ok", "ok")
    assert judgement.failures == judgement.guesses == ()


# Wrong ones, and words of what is named


def turned_by(tall: Callable[[Tensor], bool]) -> Callable[[Tensor], Tensor]:
    """`.T` reverses all axes of a batch."""

    def code(M: Tensor) -> Tensor:
        X = M.permute(*range(M.ndim)[::-1]) if tall(M) else M
        X = steps(X / (norm_of(X) + 1e-7))
        return X.permute(*range(M.ndim)[::-1]) if tall(M) else X

    return code


def any_zero(X: Tensor) -> Tensor:
    norm = norm_of(X)
    return torch.ones_like(norm) if bool((norm == 0).any()) else norm


def overwriting(M: Tensor) -> Tensor:
    return textbook(M.div_(norm_of(M) + 1e-7))


def not_turned_back(M: Tensor) -> Tensor:
    return textbook(M).mT.reshape(M.shape) if is_tall(M) else textbook(M)


def flattened(M: Tensor) -> Tensor:
    return textbook(M.reshape(len(M), -1)).reshape(M.shape) if M.ndim == 3 else textbook(M)


def misread(M: Tensor) -> Tensor:
    """Pointer arithmetic that takes every matrix for contiguous."""
    return textbook(torch.as_strided(M, M.shape, torch.empty(M.shape).stride()))


def folded(factor: float, rows: Any = ROWS) -> list[tuple[float, ...]]:
    return [tuple(c / factor ** (1 + 2 * j) for j, c in enumerate(row)) for row in rows]


def lower(M: Tensor) -> Tensor:
    return textbook(M.half()).to(M.dtype)


def scaled(M: Tensor) -> Tensor:
    return textbook(M) * max(1, M.shape[-2] / M.shape[-1]) ** 0.5


def divided(divide: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    return lambda M: steps(M / divide(M))


def polar(M: Tensor) -> Tensor:
    U, S, Vh = torch.linalg.svd(M.double(), full_matrices=False)
    kept = S.gt(1e-6 * S.max())
    return ((U * kept[..., None, :]) @ Vh).to(M.dtype)


WRONG: dict[str, tuple[Callable[[Tensor], Tensor], set[str], str]] = {
    # the six of the field
    "shape[0] for shape[-2]": (
        turned_by(lambda M: M.shape[0] > M.shape[1]),
        {"batch_tall"},
        "shape[0] > shape[1] decides what is tall",
    ),
    "a zero member": (
        lambda M: textbook(M, norm=any_zero),
        {"batch_zero"},
        "one zero matrix changes its neighbours: none of the batch is divided by its norm",
    ),
    "reversed": (lambda M: textbook(M, ROWS[::-1]), {"square"}, "the rows run in reverse order"),
    "a factor twice": (
        lambda M: textbook(M, norm=lambda X: 1.01 * norm_of(X)),
        {"square"},
        "the factor 1.01 is applied twice",
    ),
    "one norm": (
        lambda M: textbook(M, norm=torch.linalg.vector_norm),
        {"batch", "batch_tall"},
        "all matrices of a batch are divided by one norm",
    ),
    "not turned back": (not_turned_back, {"tall", "batch_tall"}, "the transposition back is missing"),
    # and others
    "still transposed": (
        lambda M: textbook(M).mT if is_tall(M) else textbook(M),
        {"tall", "column"},
        "tall matrices come out transposed",
    ),
    "too often": (
        lambda M: textbook(M, [*ROWS, ROWS[-1]]),
        {"square"},
        "the rows run too often: the last one twice",
    ),
    "too few": (
        lambda M: textbook(M, ROWS[:-1]),
        {"square"},
        "the rows run too few times: the last one is left out",
    ),
    "two rows exchanged": (
        lambda M: textbook(M, [*ROWS[:2], ROWS[3], ROWS[2], *ROWS[4:]]),
        {"square", "batch"},
        "rows 3 and 4 are exchanged",
    ),
    "the first row alone": (
        lambda M: textbook(M, [ROWS[0]] * 6),
        {"square"},
        "every step runs the first row",
    ),
    "decreasing powers": (
        lambda M: textbook(M, [row[::-1] for row in ROWS]),
        {"square"},
        "the coefficients of each row are in reverse order",
    ),
    "two decimals": (
        lambda M: textbook(M, [[round(c, 2) for c in row] for row in ROWS]),
        {"square"},
        "the coefficients are rounded to 2 decimals",
    ),
    "folded but for the last": (
        lambda M: textbook(M, [*folded(1.02)[:-1], ROWS[-1]]),
        {"square"},
        "the factor 1.02 is folded twice into all rows but the last",
    ),
    "a factor that nobody has": (
        lambda M: textbook(M, norm=lambda X: norm_of(X) / 0.873),
        {"square"},
        "the input is divided by 1.145 times the norm",
    ),
    "no normalization": (lambda M: steps(M), {"square", "batch"}, "the normalization is missing"),
    "rows of norm 1": (
        divided(lambda M: M.norm(dim=-1, keepdim=True) + 1e-7),
        {"wide"},
        "each row is divided by its own norm",
    ),
    "the first two axes": (
        divided(lambda M: M.norm(dim=(0, 1), keepdim=True) + 1e-7),
        {"batch"},
        "the norm is over the first two axes",
    ),
    "the spectral norm": (
        divided(lambda M: torch.linalg.matrix_norm(M, 2, keepdim=True) + 1e-7),
        {"square"},
        "the input is divided by the largest singular value",
    ),
    "the squared norm": (
        divided(lambda M: M.square().sum((-2, -1), keepdim=True) + 1e-7),
        {"square"},
        "the square of the norm is divided by",
    ),
    "0/0": (divided(norm_of), {"zero", "batch_zero"}, "a zero matrix is divided by its norm, 0/0"),
    "in place": (overwriting, {"square", "wide", "strided"}, "the input is overwritten"),
    "half inside": (lower, {"square"}, "a lower precision inside"),
    "flattened": (flattened, {"batch"}, "a batch is taken as one matrix"),
    "strides": (misread, {"strided"}, "the input's strides are ignored"),
    "all axes turned": (
        lambda M: textbook(M).permute(*range(M.ndim)[::-1]),
        {"square", "wide", "tall"},
        "the result is transposed",
    ),
    "scaled": (scaled, {"tall", "column"}, "the result is scaled by √max(1, rows/columns)"),
    "exact": (polar, {"square"}, "the exact function is computed"),
    "zeros": (torch.zeros_like, {"square"}, "zeros are returned"),
    "identity": (lambda M: M.clone(), {"square"}, "the input is returned"),
    "sign": (lambda M: -textbook(M), {"square"}, "the sign is wrong"),
    "clamped": (
        lambda M: textbook(M).clamp(-1, 1),
        {"diagonal"},
        "the entries of the result are clamped to [-1, 1]",
    ),
}


@pytest.mark.few(20)
@pytest.mark.parametrize("bug", WRONG)
def test_a_wrong_code_is_caught_and_named(bug: str, found: Any) -> None:
    code, where, words = WRONG[bug]
    judgement = checked(found, code, "float32", "torch", batches=True)
    outcomes = {one.case: one for one in judgement.outcomes}
    assert judgement.correctness == "failed"
    assert not judgement.passed()
    for case in where:
        assert outcomes[case].verdict == "failed", case
        assert words in outcomes[case].guess, f"{case}: {outcomes[case]}"
    assert words in str(judgement)


def test_half_inputs_lose_their_dtype(found: Any) -> None:
    judgement = checked(found, lambda M: textbook(M.float()), "float32", "torch", batches=True)
    assert judgement.correctness == "ok"
    named = {one.case: one.guess for one in judgement.failures}
    for dtype in ("float16", "bfloat16"):
        assert named[dtype] == f"the input's dtype is lost: the result is float32, and the input was {dtype}"


def test_two_mistakes_are_both_named(found: Any) -> None:
    def code(M: Tensor) -> Tensor:
        X = M.mT if is_tall(M) else M
        return steps(X / norm_of(X)).reshape(M.shape)

    judgement = checked(found, code, "float32", "torch", batches=True)
    named = {one.case: one.guess for one in judgement.failures}
    assert "tall matrices are reshaped" in named["tall"]
    assert "0/0" in named["batch_zero"]


def test_what_no_mistake_explains_is_not_named(found: Any) -> None:
    """Negative control: noise of a tenth, and a tenth of the tolerance more than is allowed."""
    generator = torch.Generator().manual_seed(0)
    noisy = checked(
        found,
        lambda M: textbook(M) + 0.1 * torch.randn(M.shape, generator=generator),
        "float32",
        "torch",
        batches=True,
    )
    assert noisy.correctness == "failed"
    assert {one.guess for one in noisy.failures if one.case not in ("tiny", "huge")} == {""}


def test_what_is_right_is_explained_by_no_mistake(found: Any) -> None:
    """Each mistake is told apart from the right code: what it makes is off in some case, or it is no mistake here."""
    table, operator, cases = found
    code, silent = Code.of(table, operator), []
    for name, mistake in all_mistakes().items():
        if all(right(mistake, code, case) for case in cases):
            silent.append(name)
    # With the Frobenius norm, for signs.
    assert set(silent) <= {
        "the input is divided by the Frobenius norm",
        "the result is not multiplied by the norm's power −1/r",
        ".T turns a batch, where it must be the last two axes",
    }


def right(mistake: Any, code: Code, case: KitCase) -> bool:
    """Whether what the mistake makes of a case is within the tolerance of float32."""
    try:
        with np.errstate(all="ignore"):
            made = mistake(code, case)
    except (ValueError, np.linalg.LinAlgError):
        return False
    allowed = case.tolerance["float32"] or 0.0
    return made.shape == case.expected.shape and distance(made, case.expected) <= allowed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[::-1], "the rows run in reverse order"),
        (lambda rows: rows[:-1], "the last one is left out"),
        (lambda rows: [*rows, *rows], "all of them twice"),
        (lambda rows: [[round(c, 1) for c in row] for row in rows], "rounded to 1 decimals"),
    ],
)
def test_roots_are_named_too(change: Any, words: str, found_root: Any) -> None:
    table, operator, _ = found_root
    code = Code.of(table, operator)
    right = checked(found_root, code, "float64", "numpy", batches=True)
    assert right.correctness == "ok"
    wrong = checked(found_root, code.changed(rows=change(code.rows)), "float64", "numpy", batches=True)
    assert words in {one.case: one.guess for one in wrong.failures}["mild"]


def test_a_root_without_the_norm_s_power_is_named(found_root: Any) -> None:
    code = Code.of(found_root[0], found_root[1])
    wrong = checked(found_root, lambda P: code(P) * code.norm(P) ** 0.25, "float64", "numpy", batches=True)
    assert wrong.guesses == ("the result is not multiplied by the norm's power −1/r",)


def test_a_guess_must_agree_with_what_passed(found: Any) -> None:
    """A mistake that would spoil a case that passed is not named, however well it explains the failure."""
    table, operator, cases = found
    code = Code.of(table, operator)
    by_name = {case.name: case for case in cases}
    reversed_ = code.changed(rows=code.rows[::-1])

    def seen(name: str, value: np.ndarray, failed: bool) -> Seen:
        return Seen(by_name[name], value, 1e-4, failed)

    with np.errstate(all="ignore"):
        failed = seen("square", reversed_(by_name["square"].input), True)
    assert guesses(code, [failed], "float32") == {"square": "the rows run in reverse order"}
    passed = seen("wide", by_name["wide"].expected, False)
    assert guesses(code, [failed, passed], "float32") == {}


# Verdicts


def test_nothing_judged_is_not_ok() -> None:
    """A table for float64 in bfloat16: zero alone is judged, and proves nothing."""
    code = Code.of(polydesign.load("sign-d5x8-l1e-3-fp64"), "msign")
    found = check("sign-d5x8-l1e-3-fp64", code, dtype="bfloat16", names=["square", "zero", "equal"])
    assert {one.case: one.verdict for one in found.outcomes} == {
        "square": "not judged",
        "zero": "ok",
        "equal": "not judged",
    }
    assert found.correctness == "not judged"
    assert not found.passed()
    assert "not judged   square, equal: rounding in bfloat16 may be as large" in str(found)
    assert str(found).endswith("nothing tells in bfloat16: run the code, and judge it, in float32 or float64")
    # The cure works.
    assert check("sign-d5x8-l1e-3-fp64", code, dtype="float64", names=["square"]).correctness == "ok"


def test_numpy_has_no_bfloat16_and_one_matrix_at_a_time(found: Any) -> None:
    def single(M: np.ndarray) -> np.ndarray:
        if M.ndim > 2:
            raise ValueError("one at a time")
        return textbook(torch.from_numpy(np.ascontiguousarray(M)).float()).numpy().astype(M.dtype)

    alone = checked(found, single, "float32", "numpy", batches=False)
    verdicts = {one.case: (one.verdict, one.detail) for one in alone.outcomes}
    assert alone.correctness == "ok"
    assert verdicts["bfloat16"] == ("not judged", "numpy has no bfloat16")
    assert verdicts["batch"][0] == verdicts["batch_tall"][0] == "not judged"
    batches = checked(found, single, "float32", "numpy", batches=True)
    assert {one.case: one.detail for one in batches.failures}["batch"] == "raised ValueError: one at a time"


def test_what_is_no_matrix_is_a_failure(found: Any) -> None:
    for value in (None, "x", 1j * np.ones((12, 24))):
        judgement = checked(found, lambda M, value=value: value, "float32", "numpy", batches=True)
        assert judgement.correctness == "failed"
        assert all(one.detail.startswith(("returned no array", "has shape")) for one in judgement.failures)


# Results of other languages, and the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("kit") / "kit"
    conformance(NAME, place)
    return place


NOT_FINITE = re.compile("nan|-?inf")


def results(folder: Path, code: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
    """What a program in another language would write, from matrices.json."""
    lists = json.loads((folder / "matrices.json").read_text("utf-8"))
    return {name: code(torch.tensor(one["input"])).double().numpy() for name, one in lists.items()}


@pytest.mark.alike
@pytest.mark.parametrize("form", ["json", "npy"])
def test_results_of_other_languages_are_judged(form: str, folder: Path, tmp_path: Path) -> None:
    for code, verdict in (
        (textbook, "ok"),
        (lambda M: textbook(M, ROWS[::-1]), "failed"),
        (divided(norm_of), "failed"),
    ):
        found = results(folder, code)
        if form == "json":
            lists = {
                name: json.loads(NOT_FINITE.sub("null", str(one.tolist()))) for name, one in found.items()
            }
            (tmp_path / "outputs.json").write_text(json.dumps(lists))
        else:
            for name, one in found.items():
                np.save(tmp_path / f"{name}-output.npy", one)
        judgement = check_outputs(folder, tmp_path)
        assert judgement.correctness == verdict
    assert "0/0" in {one.case: one.guess for one in judgement.failures}["zero"]  # of the last
    if form == "npy":
        (tmp_path / "wide-output.npy").unlink()
        wide = next(one for one in check_outputs(folder, tmp_path).outcomes if one.case == "wide")
        assert (wide.verdict, wide.detail) == ("failed", "is missing: there is no result")


def test_part_of_the_results_is_not_all_of_them(folder: Path, tmp_path: Path) -> None:
    """Only what a code or a language need not have may be left out."""
    for name, one in results(folder, textbook).items():
        if not name.startswith(("batch", "float16", "bfloat16")):
            np.save(tmp_path / f"{name}-output.npy", one)
    assert check_outputs(folder, tmp_path).correctness == "failed"
    assert check_outputs(folder, tmp_path, batches=False).correctness == "ok"


def test_results_that_are_none_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither outputs.json nor square-output.npy"):
        check_outputs(folder, tmp_path)
    for body in ({"square": "x"}, {"square": [[1], [2, 3]]}):
        (tmp_path / "outputs.json").write_text(json.dumps(body))
        with pytest.raises(InputError, match=r"outputs\.json: \$\.square: must be the rows"):
            check_outputs(folder, tmp_path)
    for body in ([], {}, {"Square": [[1]]}, "square"):
        (tmp_path / "outputs.json").write_text(json.dumps(body))
        with pytest.raises(
            InputError, match=r"outputs\.json: has none of the cases: write rows by the names"
        ):
            check_outputs(folder, tmp_path)


MODULE = """
import numpy as np
import polydesign
from polydesign.verification.plain_code import Code

right = Code.of(polydesign.load("sign-d5x6-l1e-3-bf16"), "msign")

def orthogonalize(M):
    return right(M.astype(float)).astype(M.dtype)

def frail(M):
    return right(M.astype(float), lambda M: right.norm(M) + 1e-7)

def zeros(M):
    return 0 * M
"""


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["conformance", *arguments])


def test_the_command_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The exit code is that of correctness; robustness is asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kit_user_module.py").write_text(MODULE)
    kit = str(folder)
    right = run(kit, "--run", "kit_user_module:orthogonalize", "--robustness")
    assert right.exit_code == 0, right.output
    assert right.stdout.startswith("correctness  ok in float32: 13 ok\nrobustness   ok in float32: ")
    frail = run(kit, "--run", "kit_user_module:frail")
    assert frail.exit_code == 0
    assert "robustness   failed" in frail.stdout
    assert run(kit, "--run", "kit_user_module:frail", "--robustness").exit_code == 1
    zeros = run(kit, "--run", "kit_user_module:zeros", "--no-batches")
    assert zeros.exit_code == 1
    assert "probably     zeros are returned (square, wide" in zeros.stdout
    assert "not judged   batch, batch_tall, batch_zero: several matrices" in zeros.stdout
    assert run(kit, "--run", "kit_user_module:zeros", "--quiet").stdout == ""
    np.save(tmp_path / "square-output.npy", np.zeros((16, 16)))
    judged_ = run(kit, "--outputs", str(tmp_path))
    assert judged_.exit_code == 1
    assert "square       is off by 1" in judged_.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([NAME], "Give one of -o DIR, --run MODULE:FUNCTION and --outputs DIR, not none"),
        ([NAME, "-o", "kit", "--run", "a:b"], "not -o and --run"),
        ([NAME, "--run", "numpy"], "--run: 'numpy' must be MODULE:FUNCTION"),
        ([NAME, "--run", "no_such_module_here:f"], "--run: No module named 'no_such_module_here'"),
        ([NAME, "--run", "numpy:no_such"], "--run: numpy has no no_such"),
        ([NAME, "--run", "numpy:pi"], "--run: numpy:pi is no function"),
        ([NAME, "--outputs", "."], f"--outputs: belong to a kit's folder, and {NAME} is none"),
    ],
)
def test_the_command_refuses(arguments: list[str], message: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.alike
def test_code_that_ends_the_process_is_not_taken_for_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """A script that is run by its import, or a function that gives up, may exit with 0."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kit_user_ends.py").write_text("import sys\n\ndef ends(M):\n    sys.exit(0)\n")
    result = run(str(folder), "--run", "kit_user_ends:ends")
    assert result.exit_code == 1
    assert "raised SystemExit" in result.stdout
    for number, (body, words) in enumerate(
        (("raise SystemExit(0)", "SystemExit: 0"), ("1 / 0", "ZeroDivisionError"), ("x = = 1", "SyntaxError"))
    ):
        name = f"kit_user_broken_{number}"
        script = "def f(M):\n    return M\n\n"
        (tmp_path / f"{name}.py").write_text(f"{script}{body}\n")
        refused = run(str(folder), "--run", f"{name}:f")
        assert refused.exit_code == 2
        assert f"--run: importing {name} raised {words}" in refused.stderr
        # The cure works.
        cured = "" if number == 2 else f'if __name__ == "__main__":\n    {body}\n'
        (tmp_path / f"{name}_mended.py").write_text(script + cured)
        assert run(str(folder), "--run", f"{name}_mended:f").exit_code == 1


def test_code_for_tensors_that_is_given_arrays_is_told_what_to_say() -> None:
    table = polydesign.load("jordan_5")
    found = check(table, lambda G: G.bfloat16())
    assert all("say framework torch" in one.detail for one in found.failures)
    assert not any(
        "say framework" in one.detail
        for one in check(table, lambda G: G.missing(), framework="torch").failures
    )


def test_a_lower_precision_inside_is_the_only_guess_of_correctness() -> None:
    """Its errors where rows are few, or roundings agree, are no mistakes of their own."""

    def textbook(G: torch.Tensor) -> torch.Tensor:
        X = G.bfloat16()
        X = X.mT if (tall := X.size(-2) > X.size(-1)) else X
        X = X / (X.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(5):
            A = X @ X.mT
            X = 3.4445 * X + (-4.775 * A + 2.0315 * A @ A) @ X
        return (X.mT if tall else X).to(G.dtype)

    found = check("jordan_5", textbook, framework="torch")
    guesses = {one.guess for one in found.failures if one.kind == "correctness" and one.guess}
    assert len(guesses) == 1
    assert "which dtype bfloat16 allows for" in guesses.pop()
    assert check("jordan_5", textbook, framework="torch", dtype="bfloat16").correctness == "ok"
