"""The gradient search: gradients, what it keeps, what it reaches, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polydesign.approximation.certificate import certify
from polydesign.model import InputError, Problem
from polydesign.search.adam import Adam, run
from polydesign.search.composition import Composition
from polydesign.search.finish import valid
from polydesign.search.minimax import Equioscillation
from polydesign.search.polish import Goal, compose, polish, polish_mean_square
from polydesign.search.starts import STARTS, start_rows

pytestmark = pytest.mark.numerics

CPU = torch.device("cpu")
QUICK = {"iterations": 60, "device": "cpu"}


def naive(rows, root, x) -> np.ndarray:
    for row in rows:
        x = np.sum([c * x ** (1 + j * root) for j, c in enumerate(row)], axis=0)
    return x


MIXED = ((1.4, -0.5), (1.9, -1.2, 0.35), (2.0, -1.5, 0.6, -0.1))


@pytest.mark.parametrize("root", [1, 2, 3])
def test_values_and_derivatives_of_mixed_degrees(root):
    degrees = tuple(1 + root * (len(row) - 1) for row in MIXED)
    space = Composition(root, degrees, False, "coefficients", CPU)
    x = np.linspace(0.1, 1, 7)
    c = space.tensor([MIXED, tuple(tuple(1.01 * a for a in row) for row in MIXED)])
    f, lowest = space.forward(c, torch.from_numpy(x), 2)
    assert f[0].tolist() == pytest.approx(naive(MIXED, root, x).tolist(), rel=1e-13)
    assert float(lowest[0]) > 0
    traced, back = space.trace(c, torch.from_numpy(x))
    assert torch.allclose(traced, f, rtol=1e-13, atol=0)
    # Central differences: rounding 1e-16/h and truncation h² are both below 1e-8 for h = 1e-5.
    down = back(torch.ones_like(f))[0] * space.free
    values, jacobian = compose([np.array(row) for row in MIXED], root, x)
    assert values.tolist() == pytest.approx(f[0].tolist(), rel=1e-13)
    column = 0
    for t, row in enumerate(MIXED):
        for j in range(len(row)):
            sides = []
            for h in (1e-5, -1e-5):
                moved = [list(r) for r in MIXED]
                moved[t][j] += h
                sides.append(naive(moved, root, x))
            slope = (sides[0] - sides[1]) / 2e-5
            assert float(down[t, j]) == pytest.approx(float(slope.sum()), abs=1e-6)
            assert jacobian[:, column].tolist() == pytest.approx(slope.tolist(), abs=1e-6)
            column += 1


def test_fixed_points_hold_one():
    start = Problem(2, (5, 7), 0.2)
    rows = ((1.875, -1.25, 0.375), (2.1875, -2.1875, 1.3125, -0.3125))
    space = Composition(2, start.degrees, False, "fixed-points", CPU)
    with pytest.raises(InputError, match="as many real fixed points"):
        space.parameters_of([rows])  # (35 − 35y + 21y² − 5y³)/16 − 1 has complex roots
    rows = (rows[0], (3.0, -4.0, 2.3, -0.3))
    space = Composition(2, start.degrees, False, "fixed-points", CPU)
    found = space.rows(space.parameters_of([rows]))[0]
    assert [sum(row) for row in found] == pytest.approx([1.0, 1.0], abs=1e-14)
    assert found[0] == pytest.approx(rows[0])
    assert found[1] == pytest.approx(rows[1])


OBJECTIVES = ["topk:50", "sup", "mean-square:log-uniform", "slope:0.6", "topk:200 + 0.5*sup"]


@pytest.mark.few(6)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("start", list(STARTS))
def test_never_worse_than_its_start(objective, start):
    # A rate a hundred times too large: the search runs wild, and must still return what it began with.
    for rate in (1e-3, 0.1):
        found = run(
            Adam(objective, start=start, rate=rate, polish=False, **QUICK), Problem(2, (5, 5, 5), 0.01)
        )
        assert found.value <= found.start_value
        found.schedule.check_chain()


def test_improves_on_minimax_and_on_published_tables():
    problem = Problem(2, (5,) * 4, 1e-3)
    config = Adam(iterations=300, device="cpu")
    found = run(config, problem)
    assert found.value < 0.99 * found.start_value
    assert run(Adam(iterations=0, polish=False, device="cpu"), problem).value == found.start_value
    jordan = run(Adam(start="jordan_5", shared=True, **QUICK), Problem(2, (5,) * 5, 1e-3))
    assert jordan.start_value == pytest.approx(0.41043, abs=1e-5)
    assert jordan.value < 0.35
    assert len({step.coefficients for step in jordan.schedule.steps}) == 1


def test_sup_from_random_starts_reaches_the_proved_optimum_and_not_below():
    problem = Problem(2, (5, 5), 0.05)
    found = run(
        Adam("sup", start="random", restarts=4, rate=1e-2, drop_after=400, iterations=500, device="cpu"),
        problem,
    )
    certificate = certify(found.schedule)
    assert certificate.optimum is not None
    best = float(certificate.optimum[0])
    assert found.schedule.error < 1.01 * best
    for rows in found.rows:
        schedule = valid(rows, problem)
        assert schedule is None or schedule.error >= best


def test_polish_equioscillates():
    problem = Problem(2, (5, 3), 0.1)
    best = Equioscillation().search(problem)
    x = np.geomspace(0.1, 1, 20_001)
    off = tuple(tuple(1.01 * c for c in step.coefficients) for step in best.steps)
    polished = polish(off, 2, Goal(x))
    # A grid of spacing h misses an extreme by O(h²), 1e-8 here times curvatures of order 10.
    assert np.abs(naive(polished, 2, x) - 1).max() == pytest.approx(best.error, rel=1e-5)
    assert np.abs(naive(off, 2, x) - 1).max() > 1.01 * best.error


def test_steepest_slope_in_a_band_is_the_cubic_chain():
    # CANS (arXiv 2506.10935): of cubics with f in [1 − δ, 1 + δ] the minimax chain is steepest at 0. Its lower
    # end for δ = 0.3 and two steps, by the same bisection on minimax errors as the article's.
    low, high = 1e-3, 0.9
    while high - low > 1e-9:
        middle = (low + high) / 2
        error = Equioscillation().search(Problem(2, (3, 3), middle)).error
        low, high = (middle, high) if error > 0.3 else (low, middle)
    chain = Equioscillation().search(Problem(2, (3, 3), low))
    steepest = np.prod([step.coefficients[0] for step in chain.steps])
    found = run(
        Adam("slope:0.3", start="random", iterations=200, rate=1e-2, restarts=2, device="cpu"),
        Problem(2, (3, 3), 1.05 * low),
    )
    slope = np.prod([step.coefficients[0] for step in found.schedule.steps])
    # The grid lets f leave the band by what it misses, 1e-5, and that buys a slope of a few times as much.
    assert slope == pytest.approx(steepest, rel=1e-4)


def test_the_same_seed_gives_the_same_digits():
    problem = Problem(2, (5, 5, 5), 1e-2)
    config = Adam(start="random", restarts=3, seed=5, perturbation=0.05, **QUICK)
    assert run(config, problem) == run(config, problem)
    other = Adam(start="random", restarts=3, seed=6, perturbation=0.05, **QUICK)
    assert run(other, problem).schedule != run(config, problem).schedule


def test_restarts_are_independent_of_each_other():
    problem = Problem(2, (5, 5), 1e-2)
    alone = run(Adam(polish=False, **QUICK), problem)
    batch = run(Adam(polish=False, restarts=3, **QUICK), problem)
    assert batch.value <= alone.value
    # Another batch sums in another order, and each of 60 steps enlarges what that does.
    assert min(abs(v - alone.value) for v in batch.values) < 1e-9


def test_a_search_by_fixed_points_keeps_them():
    config = Adam(start="youjiacheng", parameters="fixed-points", **QUICK)
    found = run(config, Problem(2, (5, 5, 5), 1e-2))
    assert found.value < found.start_value
    # p(1) is a sum of three coefficients of up to 7, each rounded to 2⁻⁵³ of itself.
    assert [step(1.0) for step in found.schedule.steps] == pytest.approx([1.0] * 3, abs=1e-14)
    free = run(Adam(start="youjiacheng", **QUICK), Problem(2, (5, 5, 5), 1e-2))
    assert [step(1.0) for step in free.schedule.steps] != pytest.approx([1.0] * 3, abs=1e-3)


def test_a_mean_square_is_polished_to_where_its_gradient_vanishes():
    rows = ((1.875, -1.25, 0.375), (1.5, -0.5))
    x = np.linspace(0.3, 1, 200)
    polished = polish_mean_square(rows, 2, x, x)
    f, jacobian = compose([np.array(row) for row in polished], 2, x)
    before = naive(rows, 2, x)
    assert np.mean((f - 1) ** 2) < 0.1 * np.mean((before - 1) ** 2)
    slopes = [abs(jacobian.T @ (values - 1)).max() for values in (f, before)]
    assert slopes[0] < 1e-6 * slopes[1]


def test_a_mean_square_does_not_lose_what_it_does_not_look_at():
    # The law covers [0.06, 0.19] of [0.05, 1].
    found = run(
        Adam("mean-square:marchenko-pastur:64x256", device="cpu", iterations=300),
        Problem(2, (5, 5), 0.05),
    )
    assert found.schedule.error <= 1.01  # the guarded points are 500, and between two of them f moves little
    assert found.value < 0.5 * found.start_value


def test_bias_correction_is_that_of_a_naive_adam():
    problem = Problem(2, (5,), 0.2)
    config = Adam(
        "topk:20", start="classical", polish=False, bias_correction=False, iterations=12, device="cpu"
    )
    x = np.linspace(0, 1, 10001)[1:]
    w = np.array([1.5, -0.5, 0.0])
    m = v = np.zeros(3)
    values = []
    for _ in range(12):
        f, jacobian = compose([w], 2, x)
        worst = np.argsort(np.abs(f - 1))[-20:]
        values.append(np.abs(f - 1)[worst].mean())
        g = (np.sign(f - 1)[worst, None] * jacobian[worst]).mean(0)
        g /= max(1.0, np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - 1e-3 * m / np.sqrt(v + 1e-20)
    found = [row[2] for row in run(config, problem).trajectory][:12]
    assert found == pytest.approx(values, rel=1e-9)
    corrected = Adam("topk:20", start="classical", polish=False, iterations=12, device="cpu")
    assert [row[2] for row in run(corrected, problem).trajectory][:12] != pytest.approx(values, rel=1e-9)


def test_an_interruption_and_a_timeout_return_the_best_so_far():
    problem = Problem(2, (5,) * 3, 1e-2)

    def interrupt(done, current, best):
        if done >= 20:
            raise KeyboardInterrupt

    config = Adam(iterations=500, device="cpu")
    cut = run(config, problem, watch=interrupt)
    assert cut.stopped == "interrupted"
    assert cut.iterations < 500
    assert cut.value <= cut.start_value
    late = run(config, problem, timeout=1e-9)
    assert (late.stopped, late.iterations) == ("timeout", 1)
    assert run(Adam(**QUICK), problem).stopped == "done"


@pytest.mark.parametrize(
    ("settings", "degrees", "message"),
    [
        ({"shared": True}, (3, 5), "shared: one polynomial for all steps needs one degree"),
        ({"start": "jordan_5"}, (5, 5), "start: jordan_5 has 5 steps, and 2 are asked for"),
        ({"start": "jordan_5"}, (3,) * 5, "start: step 1 of jordan_5 has degree 5, and 3 is asked for"),
        ({"start": "su_root_r4"}, (5,) * 4, "start: su_root_r4 is of root 4"),
        ({"start": "nowhere"}, (5, 5), "start: 'nowhere' is not one of minimax, classical, random"),
        ({"start": "youjiacheng"}, (3, 3), "start: youjiacheng is of root 2 and degree 5"),
        ({"device": "abacus"}, (5, 5), "device: 'abacus' is not a torch device"),
    ],
)
def test_refuses(settings, degrees, message):
    with pytest.raises(InputError, match=message):
        run(Adam(iterations=1, **settings), Problem(2, degrees, 1e-2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": -1}, "iterations: must be a whole number"),
        ({"rate": 0.0}, "rate: must be positive"),
        ({"restarts": 0}, "restarts: must be a whole number of at least 1"),
        ({"parameters": "peaks"}, "parameters: 'peaks' is not one of"),
        ({"objective": "x"}, "objective: 'x' is not one of"),
    ],
)
def test_settings_refuse(settings, message):
    with pytest.raises(InputError, match=message):
        Adam(**settings)


def test_an_error_in_place_of_steps_is_refused():
    with pytest.raises(InputError, match="needs a number of steps"):
        run(Adam(), Problem(2, (5,), 1e-2, error=0.1))


@pytest.mark.parametrize("start", [s for s in STARTS if s != "youjiacheng"])
@pytest.mark.parametrize(
    ("root", "degrees", "upper"), [(1, (2, 3), 0.5), (2, (5, 7, 3), 2.0), (4, (5, 9), 1.0)]
)
def test_starts_are_valid_schedules(start, root, degrees, upper):
    problem = Problem(root, degrees, 0.1 * upper, upper)
    assert valid(start_rows(start, problem, np.random.default_rng(0)), problem) is not None


def test_what_is_not_positive_is_not_valid():
    assert valid(((1.0, -2.0),), Problem(2, (3,), 0.1)) is None


def test_on_a_device(device):
    config = Adam(start="random", restarts=4, iterations=20, device=device, polish=False)
    found = run(config, Problem(2, (5, 5), 1e-2))
    assert found.value < found.start_value
