"""Tables on equal terms: errors, ratios and the order are those of an independent reckoning."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from tables import rows_from_json

from polydesign.designer.design import design, published_table
from polydesign.model import InputError, Table
from polydesign.reporting.comparison import compared_rows, front, products_needed, stored, to_json
from polydesign.reporting.tables import COLUMNS, edge, text, to_csv
from polydesign.table.catalogue import load
from polydesign.text.numbers import number

MISPRINT = "polar_express_gram_ns_blog_table_MISPRINT"


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    ours = [load(name) for name in ("sign-d5x6-l1e-3", "sign-d5x5-l1e-3-bf16", "sign-m15-l1e-3-fp32")]
    bare = [replace(table, measured=(), tried=()) for table in ours]
    return bare + [published_table(name) for name in ("jordan_5", "polar_express_deg5", MISPRINT)]


def test_known_ratios(tables: list[Table]) -> None:
    rows = {row.name: row for row in compared_rows(tables)}
    best = rows["sign-d5x6-l1e-3"]
    # The optimum in float64 coefficients: their rounding costs some units of 2⁻⁵³ times a slope of 2000.
    for ratio in (best.ratio_to_optimum, best.at[0].ratio_to_optimum):
        assert 1 <= ratio < 1 + 2000 * 2**-53 * 10
    assert best.at[0].error == pytest.approx(9.16472189e-4, rel=1e-8)
    assert best.slope == pytest.approx(math.prod(s.coefficients[0] for s in tables[0].schedule.steps))
    quintics = rows["sign-d5x5-l1e-3-bf16"]
    assert quintics.at[0].best == pytest.approx(0.0140, abs=5e-5)  # 17,17,17: design.md
    assert quintics.at[0].optimum == pytest.approx(0.1134, abs=5e-5)
    assert quintics.safe_edge == pytest.approx(1.0121, abs=1e-4)
    assert rows[MISPRINT].safe_edge is None
    # Negative control: the price of headroom is seen.
    assert quintics.ratio_to_optimum > 1.1


@pytest.mark.parametrize("lower", [1e-3, 0.03])
def test_errors_on_a_common_interval_are_those_of_dense_samples(tables: list[Table], lower: float) -> None:
    for row in compared_rows(tables[:5], (lower,)):
        schedule = next(t.schedule for t in tables if t.name == row.name)
        x = np.geomspace(lower, 1, 200_001)
        seen = float(np.max(np.abs(schedule(x) - 1)))
        # Float64 rounds f by about 1e-15; a peak between two samples is missed by less than this.
        assert seen <= row.at[0].error + 1e-14
        assert seen >= 0.999 * row.at[0].error - 1e-14


def test_the_front_has_no_excess(tables: list[Table]) -> None:
    bare = design(degree=(3, 17, 17), lower=1e-3, headroom=1, cushion=0, evaluation="chebyshev")
    (row,) = compared_rows([bare])
    assert row.products == 12
    assert row.at[0].error == pytest.approx(0.383, abs=5e-4)
    assert abs(row.at[0].excess) < 1e-9
    assert row.at[0].ratio_to_best == pytest.approx(1, abs=1e-9)
    # Negative controls: on another interval it is not the best, and nor are quintics anywhere.
    assert compared_rows([bare], (0.1,))[0].at[0].excess > 1
    assert compared_rows([tables[0]])[0].at[0].excess > 1


def test_products_needed() -> None:
    best = front(2, 1e-3, 18)
    for cost, error in best:
        assert products_needed(error, best) == pytest.approx(cost, abs=1e-12)
    errors = np.geomspace(1e-8, 0.9999, 300)
    needed = [products_needed(float(e), best) for e in errors]
    assert all(a >= b for a, b in pairwise(needed))
    assert products_needed(1e-30, best) == 18
    assert products_needed(1.0, best) == products_needed(3.5, best) == 0
    # Halfway in ln(−ln E) is half a product; halfway in E is not.
    for (fewer, worse), (more, better) in pairwise(best[1:]):
        x = (math.log(-math.log(worse)) + math.log(-math.log(better))) / 2
        halfway = (fewer + more) / 2
        assert products_needed(math.exp(-math.exp(x)), best) == pytest.approx(halfway, abs=1e-9)
        assert abs(products_needed((worse + better) / 2, best) - halfway) > 1e-3
    # A best error that is 0 has no logarithm: then the products before it are needed, and no part of more.
    assert products_needed(1e-5, ((0.0, 0.9), (2.0, 0.1), (3.0, 0.0))) == 2
    # Between 14 and 15 products: above the chord in E, as a curve that falls ever faster is.
    middle = math.sqrt(float(best[-4][1]) * float(best[-3][1]))
    assert best[-4][0] < products_needed(middle, best) < best[-3][0]


def test_the_order_is_by_excess_and_has_a_place_for_every_table(tables: list[Table]) -> None:
    rows = compared_rows(tables)
    names = [row.name for row in rows]
    assert names[0] == "sign-m15-l1e-3-fp32"
    assert names[-1] == MISPRINT
    assert rows[-1].at[0].excess == rows[-1].products == 15
    assert [row.at[0].excess for row in rows] == sorted(row.at[0].excess for row in rows)
    # Negative controls: neither error nor ratio to the best alone gives this order.
    assert min(rows, key=lambda row: row.at[0].error).name == "polar_express_deg5" != names[0]
    by_ratio = sorted(rows, key=lambda row: row.at[0].ratio_to_best)
    assert [row.name for row in by_ratio] != names
    assert compared_rows(tables[::-1]) == rows


def test_a_scaled_interval_changes_nothing() -> None:
    (one,) = compared_rows([design(degree=5, steps=5, lower=1e-3, fresh=True)])
    (two,) = compared_rows([design(degree=5, steps=5, lower=2e-3, upper=2.0)])
    for a, b in zip(one.at, two.at, strict=True):
        assert a.error == pytest.approx(b.error, rel=1e-9)
        assert a.excess == pytest.approx(b.excess, rel=1e-9)
    assert one.safe_edge == pytest.approx(two.safe_edge, rel=1e-8)
    assert one.slope == pytest.approx(2 * two.slope, rel=1e-9)


def test_roots_are_compared_in_the_coupled_form() -> None:
    rows = compared_rows([load("root4-m11-l0.1-fp32"), published_table("su_root_r4")], (0.1,))
    assert [(row.name, row.form, row.products) for row in rows] == [
        ("root4-m11-l0.1-fp32", "coupled", 11),
        ("su_root_r4", "coupled", 17),
    ]
    assert rows[0].at[0].excess < 0.01 < 1 < rows[1].at[0].excess


def test_bounds_stay_bounds_as_floats(tables: list[Table]) -> None:
    rows = {row.name: row for row in compared_rows(tables)}
    nearest = []
    for table in tables:
        assert table.certificate is not None
        proved = Fraction(table.certificate.error[1])
        assert math.nextafter(rows[table.name].error, 0) < proved <= rows[table.name].error
        nearest.append(float(proved) >= proved)
        if table.certificate.safe_edge is not None:
            least, most = map(Fraction, table.certificate.safe_edge)
            found = rows[table.name].safe_edge
            assert found is not None
            assert found <= least < math.nextafter(found, math.inf)
            assert least <= most
    assert not all(nearest)  # negative control: rounded to nearest, some fall below
    # An error that no float64 holds is not 0.
    tiny = design(degree=5, steps=14, lower=0.9, headroom=1, cushion=0)
    (row,) = compared_rows([tiny], (0.9,))
    assert tiny.certificate is not None
    assert 0 < Fraction(tiny.certificate.error[1]) < Fraction(5e-324)
    assert row.error == row.at[0].error == 5e-324
    assert row.at[0].optimum == 0
    assert "e-324" in text([row])


def test_a_sampled_certificate_is_not_believed() -> None:
    how = {"degree": 5, "steps": 3, "lower": 0.01, "dtype": "float32"}
    sampled = design(**how, certify=False)
    proved = design(**how)
    assert sampled.certificate is not None
    assert proved.certificate is not None
    assert sampled.certificate.kind == "sampled"
    assert compared_rows([sampled]) == compared_rows([proved])
    assert sampled.certificate.safe_edge != proved.certificate.safe_edge  # negative control


def test_json_round_trip(tables: list[Table]) -> None:
    rows = compared_rows([*tables, published_table("deepseek_v4_10")])
    assert any(math.isinf(at.ratio_to_best) for row in rows for at in row.at)
    again = json.loads(json.dumps(to_json(rows), allow_nan=False))
    assert rows_from_json(again) == rows
    again[0]["at"][0]["error"] *= 1.01  # negative control
    assert rows_from_json(again) != rows


def test_csv_has_every_digit(tables: list[Table]) -> None:
    rows = compared_rows(tables)
    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [line["name"] for line in lines] == [row.name for row in rows]
    assert [float(line["error_from_0.001"]) for line in lines] == [row.at[0].error for row in rows]
    assert lines[-1]["safe_edge"] == "" == lines[0]["bf16_worst"]
    far = compared_rows([published_table("deepseek_v4_10")])
    assert math.isinf(far[0].at[-1].ratio_to_best)
    (line,) = csv.DictReader(io.StringIO(to_csv(far)))
    assert line["ratio_to_best_from_0.1"] == ""


def test_an_edge_is_rounded_down(tables: list[Table]) -> None:
    (row,) = compared_rows(tables[1:2])
    assert edge(replace(row, safe_edge=1.01039)) == "1.0103"
    assert edge(replace(row, safe_edge=None)) == "none"


def test_text_fits_a_terminal_and_is_not_cut_in_a_pipe(tables: list[Table]) -> None:
    rows = compared_rows(tables)
    piped = text(rows)
    assert piped.count(MISPRINT) == 2
    assert "…" not in piped
    assert "-: not measured; --measure does it." in piped
    for width in (COLUMNS, 80, 50):
        shown = text(rows, width)
        assert max(map(len, shown.splitlines())) <= width
        for row in rows:
            assert number(row.at[0].error, 3, up=True) in shown
    assert piped.index("sign-m15-l1e-3-fp32") < piped.index("jordan_5")


def test_stored_measurements_are_told_from_fresh_ones(tables: list[Table]) -> None:
    from polydesign.verification.sweep import measure

    table = tables[1]
    runs = tuple(measure(table, shape=(24, 32), spectrum=s, dtype="fp32") for s in ("gaussian", "rank2"))
    rows = compared_rows([replace(table, measured=tuple(replace(m, map=None) for m in runs))])
    (seen,) = rows[0].measured
    assert (seen.dtype, seen.source, seen.runs, seen.lower) == ("float32", "stored", 2, 1e-3)
    assert seen.worst == max(m.worst or 0 for m in runs)
    assert " s" in text(rows)
    fresh = compared_rows([table], measured={table.name: stored(table, runs, "fresh")})
    assert fresh[0].measured[0].source == "fresh"
    assert "s: stored" not in text(fresh)
    # Powers of the operator, and matrices of zeros, are something else.
    power = replace(runs[0], power=2, worst=9.0, holds=False)
    zeros = replace(runs[0], dtype="bfloat16", count=0, worst=0.0)
    assert stored(table, (*runs, power, zeros)) == stored(table, runs)
    assert stored(table, (*runs, replace(power, power=1)))[0].worst == 9
    assert stored(table, (*runs, replace(runs[0], worst=None, holds=False)))[0].worst is None
    wide = design(degree=3, steps=2, lower=0.1, upper=2.0)
    assert stored(wide, runs)[0].lower == 0.05


def test_refusals(tables: list[Table]) -> None:
    with pytest.raises(InputError, match="different roots"):
        compared_rows([tables[0], load("root4-m11-l0.1-fp32")])
    with pytest.raises(InputError, match="two are called"):
        compared_rows([tables[0], tables[0]])
    with pytest.raises(InputError, match="at least one table"):
        compared_rows([])
    for lower in (0.0, 1.0, -1e-3, math.nan):
        with pytest.raises(InputError, match="lower"):
            compared_rows(tables, (lower,))
    for lower in (1e-13, 1e-30, 1e-300):
        with pytest.raises(InputError, match="what is best is known from 1e-12 on"):
            compared_rows(tables, (lower,))
    # Negative control: 1e-12 is taken, and 1 − E is then that of 1e-10, scaled.
    best = [[(1 - error) / lower for _, error in front(2, lower, 6)] for lower in (1e-12, 1e-10)]
    assert best[0] == pytest.approx(best[1], rel=2**-52 / 1e-12)
