"""Objectives and laws: their values by naive formulas, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from polydesign.model import InputError, Problem
from polydesign.search.objectives import OBJECTIVES, MeanSquare, Slope, Sup, TopK, parse
from polydesign.search.spectral_laws import LAWS, quantiles

pytestmark = pytest.mark.numerics

PROBLEM = Problem(2, (5, 5), 1e-2)


def naive(name: str, f: np.ndarray, x: np.ndarray) -> float:
    deviation = np.sort(np.abs(f - 1))
    return {
        "topk:7": lambda: float(deviation[-7:].mean()),
        "sup": lambda: float(deviation[-1]),
        "mean-square:uniform": lambda: float(np.mean(deviation**2)),
        "slope:0.3": lambda: -math.log(f[0] / x[0]) + 30 * max(0.0, float(np.abs(f[1:] - 1).max()) - 0.3),
    }[name]()


@pytest.mark.parametrize("name", ["topk:7", "sup", "mean-square:uniform", "slope:0.3"])
def test_value_is_the_formula(name):
    ((weight, objective),) = parse(name)
    x = objective.points(PROBLEM)
    assert weight == 1
    assert (np.diff(x) >= 0).all()
    f = np.sin(3 * x) + 0.5 * x
    found = objective.value(torch.from_numpy(np.stack([f, 0.9 * f])), torch.from_numpy(x))
    assert found.tolist() == pytest.approx([naive(name, f, x), naive(name, 0.9 * f, x)], rel=1e-12)


def test_every_objective_is_among_the_cases():
    assert set(OBJECTIVES) == {"topk", "sup", "mean-square", "slope"}


def test_topk_depends_on_its_active_points_alone():
    objective = TopK(5, 100)
    x = torch.from_numpy(objective.points(PROBLEM))
    f = torch.cos(7 * x)[None]
    active = objective.active(f)
    assert float(objective.loss(f.gather(1, active), x)) == pytest.approx(float(objective.value(f, x)))
    assert float(objective.loss(f[:, :5], x)) != pytest.approx(float(objective.value(f, x)))


def test_log_sum_exp_lies_below_the_maximum_by_at_most_its_bound():
    objective = Sup(sharpness=100.0, count=500)
    x = torch.from_numpy(objective.points(PROBLEM))
    f = torch.sin(20 * x)[None]
    gap = float(objective.value(f, x) - objective.loss(f, x))
    assert 0 < gap <= math.log(500) / 100


def test_the_grid_of_the_article():
    assert np.array_equal(TopK().points(Problem(2, (5,), 1e-3)), np.linspace(0, 1, 10001)[1:])


@pytest.mark.parametrize(
    ("law", "mean_square"),
    [
        # E x² of the law: (u³ − l³)/(3(u − l)); (u² − l²)/(2 ln(u/l)); 1/m after Frobenius normalization.
        ("uniform", (1 - 1e-6) / (3 * 0.99)),
        ("log-uniform", (1 - 1e-4) / (2 * math.log(100))),
        ("marchenko-pastur:64x256", 1 / 64),
        ("marchenko-pastur:256x64", 1 / 64),
    ],
)
def test_second_moments(law, mean_square):
    x = quantiles(law, 4000, (1e-2, 1.0))
    # A midpoint rule of 4000 points on functions without steep ends: far better than 1e-4.
    assert float(np.mean(x**2)) == pytest.approx(mean_square, rel=1e-4)
    assert float(np.mean(x**2)) != pytest.approx(1.1 * mean_square, rel=1e-4)


@pytest.mark.parametrize("normalization", ["frobenius", "schatten4", "schatten8"])
def test_marchenko_pastur_follows_real_matrices(normalization, seed):
    m, n, power = 200, 400, {"frobenius": 2, "schatten4": 4, "schatten8": 8}[normalization]
    sigma = np.linalg.svd(np.random.default_rng(seed).standard_normal((m, n)), compute_uv=False)
    sigma = np.sort(sigma / np.sum(sigma**power) ** (1 / power))
    law = quantiles(f"marchenko-pastur:{m}x{n}:{normalization}", m, (1e-3, 1.0))
    # Eigenvalues of such matrices stand still to O(1/m) of the spectrum's width, a few of them at its edges.
    assert np.abs(sigma - law).max() < 10 / m * sigma[-1]
    other = quantiles(f"marchenko-pastur:{m}x{m}:{normalization}", m, (1e-3, 1.0))
    assert np.abs(sigma - other).max() > 10 / m * sigma[-1]


def test_levy_has_a_heavy_tail():
    x = quantiles("levy:32x64", 32, (1e-3, 1.0))
    gaussian = quantiles("marchenko-pastur:32x64", 32, (1e-3, 1.0))
    assert x[-1] / np.median(x) > 2 * gaussian[-1] / np.median(gaussian)
    assert x[-1] <= 1


def test_a_file_of_singular_values(tmp_path):
    np.save(tmp_path / "s.npy", np.array([[3.0, 4.0], [0.0, 2.0]]))
    np.savetxt(tmp_path / "s.txt", [3.0, 4.0])
    assert quantiles(str(tmp_path / "s.txt"), 1, (1e-3, 1.0)).tolist() == pytest.approx([0.7])
    # The rows are normalized each on its own, and the 0 is left out: 0.6, 0.8, 1.
    assert quantiles(str(tmp_path / "s.npy"), 1, (1e-3, 1.0)).tolist() == pytest.approx([0.8])


def test_weighted_sums():
    assert parse("topk:200") == ((1.0, TopK(200)),)
    assert parse("mean-square:levy:8x8 + 0.5*sup + 2*slope:0.2") == (
        (1.0, MeanSquare("levy:8x8")),
        (0.5, Sup()),
        (2.0, Slope(0.2)),
    )


@pytest.mark.parametrize("text", ["topk:200+0.5*sup", "topk:200 +0.5*sup", "topk:200 + 0.5 * sup"])
def test_sums_need_no_spaces(text):
    assert parse(text) == ((1.0, TopK(200)), (0.5, Sup()))


def test_a_plus_is_not_always_a_sum():
    assert parse("1e+3*sup") == ((1000.0, Sup()),)
    assert parse("mean-square:a+b.npy+sup") == ((1.0, MeanSquare("a+b.npy")), (1.0, Sup()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("median", "'median' is not one of topk, sup, mean-square, slope"),
        ("topk:many", "'many' is not a whole number"),
        ("topk:0", "must be a whole number of at least 1"),
        ("topk:20000", "take k at most that"),
        ("sup:-1", "sharpness of sup must be positive"),
        ("slope:1", "must lie between 0 and 1"),
        ("mean-square", "needs a law"),
        ("-1*sup", "a weight must be positive"),
        ("sup + ", "'' is not one of"),
    ],
)
def test_refuses(text, message):
    with pytest.raises(InputError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("marchenko-pastur", "is not a shape such as 1024x4096"),
        ("levy:8x8:aol", "is not a shape such as"),
        ("nofile.npy", "is neither a file nor one of uniform"),
    ],
)
def test_laws_refuse(law, message):
    with pytest.raises(InputError, match=message):
        quantiles(law, 10, (1e-3, 1.0))


def test_files_refuse(tmp_path):
    (tmp_path / "bad.txt").write_text("one two\n")
    with pytest.raises(InputError, match="is no list of numbers"):
        quantiles(str(tmp_path / "bad.txt"), 10, (1e-3, 1.0))
    np.save(tmp_path / "zero.npy", np.zeros(3))
    with pytest.raises(InputError, match="none of them all 0"):
        quantiles(str(tmp_path / "zero.npy"), 10, (1e-3, 1.0))


def test_a_law_must_fit_below_the_upper_end():
    with pytest.raises(InputError, match="they must lie in"):
        MeanSquare("marchenko-pastur:1x1").points(Problem(2, (5,), 1e-3, 0.5))


def test_every_law_is_among_the_cases():
    assert set(LAWS) == {"uniform", "log-uniform", "marchenko-pastur", "levy"}
