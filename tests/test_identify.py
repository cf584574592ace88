"""Which published table a list is, after what is done to lists when they are copied."""

from __future__ import annotations

import random

import numpy as np
import pytest

from polydesign.identification.known import KnownRows, candidates
from polydesign.identification.matches import SPREAD, find_matches
from polydesign.identification.similarity import Tolerance, bounds, grids, simplest
from polydesign.model import InputError
from polydesign.table.catalogue import load
from polydesign.table.published import names, published

KNOWN = [one for one in candidates() if one.published]


def folded(rows, root, factor, which):
    """As codebases write it: a/1.01, b/1.01**3, c/1.01**5."""
    last = len(rows) - 1
    return [
        tuple(c / factor ** (1 + j * root) for j, c in enumerate(row))
        if which == "all" or index < last or last == 0
        else row
        for index, row in enumerate(rows)
    ]


def rounded(rows):
    return [tuple(round(c, 4) for c in row) for row in rows]


CHANGES = {
    "as it is": lambda rows, root, own: list(rows),
    "folded 1.01, all": lambda rows, root, own: folded(rows, root, 1.01, "all"),
    "folded 1.01, all but last": lambda rows, root, own: folded(rows, root, 1.01, "all-but-last"),
    "unfolded": lambda rows, root, own: folded(rows, root, 1 / own, "all"),
    "four decimals": lambda rows, root, own: rounded(rows),
    "five rows": lambda rows, root, own: list(rows[:5]),
    "reversed": lambda rows, root, own: list(rows[::-1]),
}


def said(change, match, rows, entry):
    """Whether the match tells what was done: which words must be there, given what the change did to the rows."""
    if change == "as it is":
        return match.exact
    if change.startswith("folded"):
        single = len(set(entry.steps_run())) == 1 and change.endswith("all")
        which = {"all"} if change.endswith("all") or single else {"all-but-last"}
        return match.which in which and match.factor == pytest.approx(1.01, rel=1e-6)
    if change == "unfolded":
        if entry.folded == 1:
            return match.exact
        return match.which == "all" and 1 / match.factor == pytest.approx(entry.folded, rel=1e-6)
    if change == "four decimals":
        return match.exact if list(entry.steps_run()) == rows else match.digits == "rounded to 4 decimals"
    if change == "five rows":
        return match.how[0] in (f"the first 5 of {len(entry.steps_run())} rows", *_shared(entry))
    palindrome = entry.steps_run()[::-1] == entry.steps_run()
    return match.exact if palindrome else match.order == "rows in reverse order"


def _shared(entry):
    return [f"its row 5 times, where {len(entry.steps_run())} are run"]


@pytest.mark.few(24)
@pytest.mark.parametrize(
    ("name", "change"),
    [(n, c) for n in names() for c in CHANGES if c != "five rows" or len(published(n).steps_run()) > 5],
)
def test_every_published_table_after_every_change(name, change):
    entry = published(name)
    run = entry.steps_run()
    rows = CHANGES[change](run, entry.root, entry.folded)
    found = find_matches(rows, known=KNOWN)
    ours = [match for match in found if match.name == name]
    assert ours, f"not in the class: {[str(match) for match in found]}"
    assert said(change, ours[0], rows, entry), str(ours[0])
    # The likeliest: nothing of the class explains the rows with less. Several may explain them as well.
    assert found[0].effort <= ours[0].effort
    assert [match.effort for match in found] == sorted(match.effort for match in found)
    assert found[-1].effort <= found[0].effort + SPREAD


def test_all_of_a_class_are_named():
    """The paper's list folded, and the listing as it is run: the same rows twice."""
    rows = folded(published("polar_express_deg5").rows, 2, 1.01, "all-but-last")
    found = [str(match) for match in find_matches(rows, known=KNOWN)]
    assert found[0] == "polar_express_deg5_folded_1.01"
    assert found[1] == "polar_express_deg5, folded by 1.01 into all rows but the last"
    five = [
        str(match)
        for match in find_matches(
            folded(published("polar_express_deg5").rows[:5], 2, 1.05, "all"), known=KNOWN
        )
    ]
    assert five[0] == "polar_express_gram_ns_1.05"
    assert "polar_express_deg5, the first 5 of 8 rows, folded by 1.05 into all rows" in five


JORDAN = (3.4445, -4.7750, 2.0315)
LISTED = published("polar_express_deg5_folded_1.01").rows


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ([JORDAN], "jordan_5, its one row, which is run 5 times"),
        ([JORDAN] * 10, "jordan_5, its row 10 times, where 5 are run"),
        ([JORDAN[::-1]], "jordan_5, its one row, which is run 5 times, coefficients in decreasing powers"),
        ([(1.5, -0.5, 0.0)], "newton_schulz_cubic, its one row, which is run 5 times"),
        ([(0.0, -0.5, 1.5)], "newton_schulz_cubic, its one row, which is run 5 times, coefficients in decreasing powers"),
        ([(2, -1.5, 0.5)] * 2, "muon_baseline_2_-1.5_0.5, its row 2 times, where 5 are run"),
        (published("youjiacheng_5").rows[1:], "turbo_muon_4"),
        ([*LISTED, LISTED[-1], LISTED[-1]], "polar_express_deg5_folded_1.01, its last row 2 times more"),
        (published("polar_express_nanochat").rows * 2, "polar_express_nanochat, begun again after its 5 rows"),
        (published("polar_express_deg5").rows[3:6], "polar_express_deg5, rows 4 to 6 of 8"),
        ([tuple(c / 1.02 ** (1 + 2 * j) for j, c in enumerate(LISTED[0])), *LISTED[1:]],
         "polar_express_deg5_folded_1.01, folded by 1.02 into the first row alone"),
        ([tuple(c * 2.0 ** (1 + 2 * j) for j, c in enumerate(JORDAN))],
         "jordan_5, its one row, which is run 5 times, unfolded by 2 in its row"),
        ([*LISTED[:4], (1.875, -1.25, 0.375)], "polar_express_deg5_folded_1.01, the first 5 of 8 rows, the last row is another"),
        (published("cans_invsqrt_10_folded_nvidia").rows, "cans_invsqrt_10_folded_nvidia"),
    ],
)  # fmt: skip
def test_what_is_found_in_the_wild(rows, first):
    assert str(find_matches(rows, known=KNOWN)[0]) == first


def test_a_list_that_stands_for_half_precision():
    rows = [tuple(float(np.float16(c)) for c in row) for row in published("polar_express_deg5").rows]
    best = find_matches(rows, known=KNOWN)[0]
    assert best.name == "polar_express_deg5"
    assert best.digits == "rounded to fp16"


def test_nvidias_folding_is_told_as_a_whole():
    """(beta, alpha/1.01) but for the last row: f(x/s) with s = 1.01^(1/2), by another route than the first row."""
    found = find_matches(published("cans_invsqrt_10_folded_nvidia").rows, known=KNOWN)
    other = next(match for match in found if match.name == "cans_invsqrt_10")
    assert other.which == "through"
    assert other.factor == pytest.approx(1.01**0.5, rel=1e-8)
    assert "f(x/s)" in str(other)


def test_the_row_that_was_replaced_and_by_what():
    best = find_matches([*LISTED[:4], (1.875, -1.25, 0.375)], known=KNOWN)[0]
    assert best.differs == 5
    assert best.changed is not None
    assert best.changed.startswith("newton_schulz_quintic")
    assert best.expected == pytest.approx(LISTED[4])


def test_the_row_that_was_replaced_is_looked_up_the_right_way_round():
    best = find_matches([row[::-1] for row in [(1.875, -1.25, 0.375), *LISTED[3::-1]]], known=KNOWN)[0]
    assert best.order == "rows in reverse order, coefficients in decreasing powers"
    assert (best.name, best.differs) == ("polar_express_deg5_folded_1.01", 5)
    assert best.changed is not None
    assert best.changed.startswith("newton_schulz_quintic")


def test_a_slip_of_the_pen_is_found_in_its_row():
    rows = [list(row) for row in LISTED]
    rows[2][1] = -rows[2][1]
    best = find_matches(rows, known=KNOWN)[0]
    assert (best.name, best.differs) == ("polar_express_deg5_folded_1.01", 3)
    assert best.expected == pytest.approx(LISTED[2])


def test_numbers_that_are_no_table_are_no_table():
    """The negative control: random rows of the same size and signs match nothing, nor do a table's shuffled."""
    generator = random.Random(0)
    for _ in range(20):
        rows = [tuple(c * generator.uniform(0.7, 1.4) for c in row) for row in LISTED]
        assert find_matches(rows, known=KNOWN) == []
    mixed = [LISTED[i] for i in (3, 0, 5, 1, 7, 2, 6, 4)]
    assert find_matches(mixed, known=KNOWN) == []


def test_a_fold_with_the_wrong_powers_is_no_fold():
    """NewtonSchulz.jl's powers 1, 2, 3 of the factor: near at best, and never called folded by it."""
    wrong = [tuple(c / 1.01 ** (1 + j) for j, c in enumerate(row)) for row in published("jordan_5").rows]
    assert all(
        not match.how or match.factor != pytest.approx(1.01, abs=1e-4)
        for match in find_matches(wrong, known=KNOWN)
    )


def test_a_table_that_goes_on_differently():
    """Eight rows of the same design as nanochat's five agree in the first four, where the fifth is not the last."""
    rows = [
        *published("polar_express_nanochat").rows[:4],
        (2.30053, -1.61117, 0.38334),
        (1.86312, -1.20422, 0.34219),
    ]
    known = [one for one in KNOWN if one.name != "polar_express_timm_safer"]  # whose rows these are, rounded
    best = find_matches(rows, known=known)[0]
    assert (
        str(best) == "polar_express_nanochat, the first 4 of 5 rows, but only in the first 4 of these 6 rows"
    )
    assert best.beyond == 2
    assert find_matches(rows[:4], known=known)[0].beyond == 0
    safer = [
        *rows[:4],
        tuple(c / 1.02 ** (1 + 2 * j) for j, c in enumerate(published("polar_express_nanochat").rows[4])),
    ]
    assert str(find_matches([*safer, rows[5]], known=known)[0]) == (
        "polar_express_nanochat, folded by 1.02 into row 5, but only in the first 5 of these 6 rows"
    )
    assert find_matches([rows[0], *rows[4:]], known=known) == []  # one row alone is no beginning


def test_our_own_tables_are_found_and_roots_are_kept_apart():
    table = load("sign-d5x5-l1e-3-bf16")
    best = find_matches(table.as_tuples())[0]
    assert (best.name, best.published, best.exact) == ("sign-d5x5-l1e-3-bf16", False, True)
    rows = published("su_root_r4").rows
    assert find_matches(rows)[0].root == 4
    assert find_matches(rows, root=2) == []


def test_a_row_of_few_digits_is_no_row_of_a_long_table():
    """Some row of some table is like it; the row that a table repeats is another matter, and so are all digits."""
    row = published("polar_express_deg5").rows[3]
    assert find_matches([tuple(round(c, 2) for c in row)], known=KNOWN) == []
    assert find_matches([row], known=KNOWN)[0].name.startswith("polar_express")
    assert find_matches([tuple(round(c, 2) for c in JORDAN)], known=KNOWN)[0].name == "jordan_5"


def test_rows_with_more_digits_than_the_known_ones():
    full = published("polar_express_deg5").rows
    short = KnownRows("short", 2, tuple(tuple(round(c, 3) for c in row) for row in full), False)
    (best,) = find_matches(full, known=[short])
    assert best.how == ("with more digits than its 3 decimals",)
    assert find_matches([tuple(c * 1.02 for c in row) for row in full], known=[short]) == []


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "must be from 1 to 200"),
        ([()], "has 0 numbers"),
        ([JORDAN, ()], "has 0 numbers"),
        ([(float("nan"), 1.0)], "finite"),
        ([(1.0, -float("inf"))], "finite"),
        ([(10**400, -1)], "no rows of numbers"),
        ([("a", "b")], "no rows of numbers"),
        ([("3.4", "-4.7", "2.0")], "'3.4' is no number"),
        (["12", "34"], "'1' is no number"),
        ([(True, False)], "True is no number"),
        (JORDAN, "no rows of numbers"),
    ],
)
def test_what_is_no_list_of_rows_is_refused(rows, problem):
    with pytest.raises(InputError, match=problem) as refusal:
        find_matches(rows)
    assert refusal.value.field.startswith("rows")


def test_a_factor_is_of_a_size_that_people_fold():
    """A hundredfold is found, beyond that any row of the right signs and sizes would be some table's."""
    for factor, found in ((99.0, True), (1 / 99, True), (101.0, False), (1 / 101, False)):
        rows = [tuple(c / factor ** (1 + 2 * j) for j, c in enumerate(JORDAN))]
        assert bool(find_matches(rows, known=KNOWN)) == found


def test_a_factor_is_read_off_an_interval():
    one = KnownRows("x", 2, ((2.0, -1.5, 0.5),), False)
    row = tuple(c / 1.01 ** (1 + 2 * j) for j, c in enumerate(one.rows[0]))
    found = bounds(row, one.rows[0], 2, Tolerance(""))
    assert found is not None
    assert found[0] < 1.01 < found[1]
    assert found[1] - found[0] < 1e-8
    assert simplest(found) == 1.01
    assert simplest((0.99009, 0.990100)) == pytest.approx(1 / 1.01, rel=1e-12)
    assert simplest((0.98039, 0.9804)) == pytest.approx(1 / 1.02, rel=1e-12)  # not 0.9804, which is shorter
    assert bounds((2.0, 1.5, 0.5), one.rows[0], 2, Tolerance("")) is None


def test_grids():
    words = [tolerance.words for tolerance in grids([JORDAN])]
    assert words == ["rounded to 4 decimals", "cut off after 4 decimals"]
    assert [t.words for t in grids([(1.5, -0.5)])] == ["rounded to 1/1024", "rounded to bf16"]
    assert grids([(1 / 3, -2 / 3)]) == []


def test_long_lists_that_are_nothing():
    """A hundred rows: the search for tables that begin so ends with the last candidate."""
    generator = random.Random(1)
    rows = [
        (generator.uniform(1, 8), -generator.uniform(1, 8), generator.uniform(0.1, 3)) for _ in range(100)
    ]
    assert find_matches(rows, known=KNOWN) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((*LISTED[:3], *LISTED[4:]), "without row 4 of 8"),
        ((*LISTED[:3], *LISTED[2:]), "row 3 of 8 twice"),
        ((*LISTED[:2], LISTED[4], LISTED[3], LISTED[2], *LISTED[5:]), "rows 3 and 5 exchanged"),
        ((LISTED[1], LISTED[0], *LISTED[2:]), "rows 1 and 2 exchanged"),
        (folded((*LISTED[:5], *LISTED[6:]), 2, 1.02, "all"), "without row 6 of 8, folded by 1.02 into all rows"),
        (rounded((LISTED[0], *LISTED)), "row 1 of 8 twice, rounded to 4 decimals"),
    ],
)  # fmt: skip
def test_a_row_lost_or_doubled_or_two_exchanged(rows, words):
    assert str(find_matches(rows, known=KNOWN)[0]) == f"polar_express_deg5_folded_1.01, {words}"


def test_rows_that_changed_otherwise_are_not_called_rearranged():
    """The negative control: one row lost and another changed by a percent, three in a circle."""
    other = (LISTED[6][0] * 1.01, *LISTED[6][1:])
    for rows in ((*LISTED[:3], *LISTED[4:6], other, LISTED[7]), (*LISTED[1:3], LISTED[0], *LISTED[3:])):
        found = [str(match) for match in find_matches(rows, known=KNOWN)]
        assert not any("without" in one or "twice" in one or "exchanged" in one for one in found)


def rescaled(rows, scales):
    """s_t·p_t(x/s_(t−1)) for every row."""
    return [
        tuple(c * scales[t + 1] / scales[t] ** (1 + 2 * j) for j, c in enumerate(row))
        for t, row in enumerate(rows)
    ]


def composed(rows, x):
    for row in rows:
        x = sum(c * x ** (1 + 2 * j) for j, c in enumerate(row))
    return x


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (1, 1, "the same map, scaled between steps"),
        (1.01, 1, "the same map, scaled between steps, of x/1.01"),
        (1.25, 0.5, "the same map, scaled between steps, of x/1.25, times 0.5"),
    ],
)
@pytest.mark.parametrize("name", ["youjiacheng_6", "polar_express_deg5", "jordan_5"])
def test_the_same_map_with_other_numbers(name, first, last, words):
    """Scaled so that all linear coefficients are alike, as one loop may want them; and what is said is so."""
    rows = published(name).steps_run()
    scales = [first]
    for row in rows[:-1]:
        scales.append(scales[-1] * 4 / row[0])
    given = rescaled(rows, [*scales, last])
    best = find_matches(given, known=KNOWN)[0]
    assert str(best) == f"{name}, {words}"
    assert best.which == "rescaled"
    x = np.linspace(0.01, 1, 50)
    np.testing.assert_allclose(composed(given, x), last * composed(rows, x / first), rtol=1e-9)
    wrong = [*given[:1], (given[1][0], given[1][1] * 1.001, *given[1][2:]), *given[2:]]
    assert not any(match.which == "rescaled" for match in find_matches(wrong, known=KNOWN))  # the control


def test_cubics_alone_are_rescaled_only_where_many_steps_agree():
    """Two numbers a row are two scales: what is left to compare are the joints."""
    rows = published("cans_cubic_7").rows
    assert (
        find_matches(rescaled(rows, [1, 1.5, 0.7, 1.1, 1.3, 0.9, 1.2, 1]), known=KNOWN)[0].which == "rescaled"
    )
    two = [(1.7, -0.6), (1.4, -0.45)]
    assert not any(match.which == "rescaled" for match in find_matches(two, known=KNOWN))
