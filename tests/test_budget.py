"""The exact budget search against every sequence there is, and against the figures of design.md."""

from __future__ import annotations

import itertools

import mpmath
import pytest

import polydesign
from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import exactly
from polydesign.model import InputError
from polydesign.program.cost import UNIT, cost, flops
from polydesign.program.programs import preferred
from polydesign.search.budget import INNER_DEGREES, Path, additive, cheapest, exact_front, front, widest

pytestmark = pytest.mark.numerics

WIDE = flops((1024, 4096), symmetric=0.5)
PRODUCT = 2.0 * 1024 * 1024 * 4096


def error_of(root, lower, sequence):
    """E of the greedy composition, without the search's way to it."""
    low, high = exactly(lower), exactly(1.0)
    error = (high - low) / (high + low)
    for n in sequence:
        error = exactly(best_approximation(root, n, 1 - error, 1 + error).error)
    return error


def all_sequences(root, prices, most, inner_degrees):
    form = "direct" if root == 2 else "coupled"
    for length in itertools.count(1):
        any_fits = False
        for sequence in itertools.product(inner_degrees, repeat=length):
            total = cost([(n, preferred(n)) for n in sequence], prices, form=form, root=root)
            if total <= most + 1e-9:
                any_fits = True
                yield total, sequence
        if not any_fits:
            return


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("root", "lower", "prices", "most", "inner_degrees"),
    [
        (2, 1e-3, UNIT, 11, INNER_DEGREES),
        (2, 0.3, UNIT, 9, INNER_DEGREES),
        (2, 1e-3, WIDE, 5.3 * PRODUCT, (1, 2, 4, 8)),
        (4, 0.1, UNIT, 12, (1, 2, 4, 8)),
        (1, 1e-2, UNIT, 11, (1, 2, 3, 4)),
    ],
)
def test_no_sequence_of_degrees_is_better(root, lower, prices, most, inner_degrees):
    """For every cost: the best of all sequences that cost no more has the error of the front there."""
    found = exact_front(root, lower, 1.0, most, inner_degrees=inner_degrees, prices=prices)[1:]
    every = [
        (total, error_of(root, lower, sequence))
        for total, sequence in all_sequences(root, prices, most, inner_degrees)
    ]
    assert len(every) > 20
    for path in found:
        affordable = [error for total, error in every if total <= path.cost * (1 + 1e-9)]
        assert path.rank == min(affordable)
        assert path.rank == error_of(root, lower, path.choices)
    for total, error in every:
        assert min(p.rank for p in found if p.cost <= total * (1 + 1e-9)) <= error
    # Greed in the number of products, always the highest degree that fits, is not the front.
    assert any(len(set(path.choices)) > 1 for path in found)


def test_a_search_that_drops_too_much_is_caught():
    """The negative control of the test above: without the shorter paths the front is worse."""
    whole = exact_front(2, 1e-3, 1.0, 12)[-1]
    without = exact_front(2, 1e-3, 1.0, 12, inner_degrees=(2, 8))[-1]
    assert whole.rank < without.rank


def test_dominated_paths_are_dropped():
    def moves(path):
        yield 1.0, path.rank / 2, None, "halve"
        yield 1.0, path.rank * 0.9, None, "waste"
        yield 2.0, path.rank / 3, None, "third"

    found = front(Path(0.0, 1.0, None), moves, 4.0)
    assert [path.cost for path in found] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [path.choices for path in found][-1] == ("halve",) * 4


@pytest.mark.parametrize(("matmuls", "target"), [(12, 0.3833), (15, 0.01397), (18, 5.4e-7)])
def test_reaches_the_exact_targets_with_a_proof(matmuls, target):
    """The issue's figures on [1e-3, 1]; those of design.md, section 3, without degree 17 are out of reach."""
    table = polydesign.design(matmuls=matmuls, headroom=1)
    certificate = table.certificate
    assert certificate is not None
    assert certificate.kind == "proved"
    assert float(certificate.error[1]) <= target
    assert cost(table.schedule, UNIT) == matmuls
    limited = exact_front(2, 1e-3, 1.0, matmuls, inner_degrees=(1, 2, 4))[-1]
    assert limited.rank > target


@pytest.mark.parametrize(
    ("degrees", "matmuls", "figure"), [((1, 2, 4), 15, 0.0578), ((1, 2, 4), 18, 4.29e-5)]
)
def test_agrees_with_the_prototypes_without_degree_17(degrees, matmuls, figure):
    found = exact_front(2, 1e-3, 1.0, matmuls, inner_degrees=degrees)[-1]
    assert float(found.rank) == pytest.approx(figure, rel=5e-3)


def test_cheapest_is_the_first_of_the_front_that_is_good_enough():
    for error in (0.5, 0.02, 1e-5):
        path = cheapest(2, 1e-3, 1.0, error)
        assert path.rank <= error
        before = [other for other in exact_front(2, 1e-3, 1.0, path.cost) if other.cost < path.cost]
        assert all(other.rank > error for other in before)
    with pytest.raises(InputError, match=r"out of reach at a cost of 6, which reaches 0\.96"):
        cheapest(2, 1e-3, 1.0, 1e-3, most=6)


def test_widest_has_the_smallest_lower_end():
    lower, path = widest(2, 1.0, 0.02, 12)
    assert exact_front(2, lower, 1.0, 12)[-1].rank <= 0.02
    assert exact_front(2, lower / 1.01, 1.0, 12)[-1].rank > 0.02
    assert path.cost <= 12
    table = polydesign.design(matmuls=12, error=0.02, headroom=1, lower="min")
    assert table.schedule.interval[0] == pytest.approx(lower, rel=2e-3)
    assert table.schedule.error == pytest.approx(0.02, rel=1e-6)


@pytest.mark.parametrize("root", [1, 2, 3, 4])
@pytest.mark.parametrize("power", [1, 3])
def test_costs_add_up_along_a_path(root, power):
    form = "direct" if root == 2 else "coupled"
    price, begin = additive(UNIT, root=root, form=form, power=power, from_identity=root != 2)
    steps = [(1, "monomial"), (4, "chebyshev"), (8, "origin")]
    options = {"form": form, "root": root, "power": power}
    whole = cost(steps, UNIT, **options, from_identity=root != 2)
    assert begin + sum(price(*step) for step in steps) == whole


@pytest.mark.parametrize(
    ("arguments", "field"),
    [((2, 0.0, 1.0, 5), "lower"), ((2, 2.0, 1.0, 5), "lower"), ((0, 0.1, 1.0, 5), "root")],
)
def test_refuses_what_is_no_problem(arguments, field):
    with pytest.raises(InputError) as refused:
        exact_front(*arguments)
    assert refused.value.field == field


def test_more_products_are_never_worse():
    found = exact_front(2, 1e-3, 1.0, 20)
    assert all(a.rank > b.rank and a.cost < b.cost for a, b in itertools.pairwise(found))
    assert found[-1].rank < mpmath.mpf("1e-17")
