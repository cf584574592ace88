"""Rebuild coeffs/ from the strategies alone: the tables that come with the package.

coeffs/published/ holds the literature's schedules, from published.json, but for those known to be misprinted.

python scripts/build_coeffs.py            write what is missing or changed, keep measurements
python scripts/build_coeffs.py --check    write nothing; exit 1 where a file differs (CI runs this)
python scripts/build_coeffs.py --search   search again, a minute for each table of a budget

A search finds the same table on every machine (verification/reference.py), but takes its time: unless
--search is given, tables of a budget, and those whose headroom is found, are rebuilt from the degrees,
headroom, cushion and evaluations that their provenance names. Those for roots were searched for with an
earlier calibration of the rounding models, and those for 8 and 10 products in half precision before quintics
went to Chebyshev polynomials: a search of today may find others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

import polydesign
from polydesign.approximation.certificate import certify
from polydesign.approximation.sampling import stated_clip_error
from polydesign.designer.design import published_table
from polydesign.designer.naming import budget_name, runs, short
from polydesign.model import DTYPES, InputError, Problem, Provenance, Schedule, Table
from polydesign.model.family import NORM
from polydesign.search.minimax import Equioscillation
from polydesign.table import dumps, loads, save
from polydesign.table.catalogue import ADAPTIVE_FOLDER
from polydesign.table.published import names, published

FOLDER = Path(__file__).resolve().parent.parent / "coeffs"

TABLES: list[dict[str, Any]] = [
    # The optimum, for exact arithmetic and as the reference of everything else.
    {"degree": 5, "steps": 5, "headroom": 1},
    {"degree": 5, "steps": 6, "headroom": 1},
    # What msign runs by default.
    {"degree": 5, "steps": 7, "dtype": "float32"},
    {"degree": 5, "steps": 8, "dtype": "float64"},
    # Headroom and image floor found by hand on random matrices: what structured ones make of them (tried)
    # shows why headroom is found by the search now. bfloat16, then float16.
    {
        "degree": 9,
        "steps": 4,
        "headroom": 1.015,
        "image_floor": (0.12, 0.12, 0.12, 0),
        "dtype": "bfloat16",
        "name": "sign-d9x4-l1e-3-h1.015-f0.12x3-0",
    },
    {
        "degree": 17,
        "steps": 3,
        "headroom": 1.005,
        "image_floor": (0.1, 0.1, 0),
        "dtype": "float16",
        "name": "sign-d17x3-l1e-3-h1.005-f0.1x2-0",
    },
    {
        "degree": 9,
        "steps": 4,
        "headroom": 1.005,
        "image_floor": (0.06, 0.06, 0.06, 0),
        "dtype": "float16",
        "name": "sign-d9x4-l1e-3-h1.005-f0.06x3-0",
    },
    # Roots of the precision's own safety: λ down to 1e-4, so that x = λ^(1/r) begins at 0.1 for r = 4.
    {"root": 4, "degree": 9, "steps": 4, "lower": 0.1, "dtype": "float32"},
    {"root": 2, "degree": 5, "steps": 7, "lower": 0.01, "dtype": "float32"},
    {"root": 1, "degree": 3, "steps": 7, "lower": 1e-4, "dtype": "float32"},
    # Of purpose sign: as it was made before msign needed more headroom.
    {
        "degree": 5,
        "steps": 6,
        "lower": 0.01,
        "dtype": "bfloat16",
        "headroom": 1.01,
        "image_floor": (0.1, 0.1, 0.1, 0.1, 0, 0),
        "name": "sign-d5x6-l0.01-bf16",
    },
]

LOWER_ENDS = {
    "narrow": {1: 1e-4, 2: 0.01, 3: 0.046, 4: 0.1, 6: 0.21, 8: 0.31},
    "float64": {1: 1e-6, 2: 1e-3, 3: 0.01, 4: 0.03, 6: 0.1, 8: 0.17},
}
"""Where x begins, so that λ = xʳ begins at 1e-4 of what P is divided by, and in float64 at 1e-6: a table
serves a P of condition κ where ‖P‖_F <= λ_max/(1e-4·κ). The name has the lower end of x."""

INNER_DEGREES = {
    # Rounding decides: quadratic q lose least at condition 100 (degree 8 blows up in bfloat16), and E is
    # below the unit roundoff.
    "half": {1: (2,) * 7, 2: (2,) * 5, 3: (2,) * 5, 4: (2,) * 4, 6: (2,) * 4, 8: (2,) * 4},
    # The fewest products for E below 1e-9, and below 1e-16.
    "float32": {1: (8, 8, 1, 8), 2: (8, 8, 8), **dict.fromkeys((3, 4, 6, 8), (8, 4, 8))},
    "float64": {1: (8, 8, 8, 8, 2), 2: (1, 8, 8, 8, 4), **dict.fromkeys((3, 4, 6, 8), (8, 8, 8, 8))},
}

ROOTS: list[dict[str, Any]] = [
    {"root": root, "degree": tuple(1 + n * root for n in inner), "lower": lowers[root], "dtype": dtype}
    | ({"purpose": "root"} if root == 2 else {})
    for dtype, width, lowers in (
        ("bfloat16", "half", LOWER_ENDS["narrow"]),
        ("float16", "half", LOWER_ENDS["narrow"]),
        ("float32", "float32", LOWER_ENDS["narrow"]),
        ("float64", "float64", LOWER_ENDS["float64"]),
    )
    for root, inner in INNER_DEGREES[width].items()
]
"""What roots and inverses run by default."""

SETTLED = {
    f"sign-d5x{steps}-l1e-3-{short_name}": {"degree": 5, "steps": steps, "dtype": dtype}
    for dtype, short_name in (("bfloat16", "bf16"), ("float16", "fp16"))
    for steps in range(4, 9)
} | {"sign-d5x5-l1e-3-bf16-fused": {"degree": 5, "steps": 5, "dtype": "bfloat16", "loop": "fused"}}
"""Quintics, for what takes no other degree: six are what msign runs by default. Their headroom is found."""

BUDGETS = [
    {"matmuls": matmuls, "dtype": dtype}
    for dtype in ("bfloat16", "float16", "float32", "float64")
    for matmuls in (8, 10, 12, 14, 15, 16, 18, 20)
]
"""The best for so many products, for msign: what Plan(matmuls=…) and Plan(error=…) choose among."""

BANDS = [
    {"band": 0.3, "matmuls": matmuls, "dtype": dtype}
    for dtype in ("bfloat16", "float16")
    for matmuls in range(8, 16)
]
"""The smallest lower end from which so many products end within 0.3 of 1, for those who train with Muon."""

LADDERS: list[dict[str, Any]] = [
    {
        "name": f"sign-m{products}-e{wanted:g}-{DTYPES[dtype]}-adaptive",
        "degree": degrees,
        "error": promised,
        "lower": "min",
        "dtype": dtype,
        "normalization": "schatten4",
    }
    for dtype, wanted, promised, products, degrees in (
        ("float16", 0.3, 0.28, 10, (17, 17)),
        ("float16", 0.3, 0.28, 11, (17, 3, 9)),
        ("float16", 0.3, 0.28, 12, (17, 3, 17)),
        ("float16", 0.1, 0.095, 10, (17, 17)),
        ("float16", 0.1, 0.095, 11, (17, 3, 9)),
        ("float16", 0.1, 0.095, 12, (17, 3, 17)),
        ("float16", 0.05, 0.048, 11, (17, 3, 9)),
        ("float16", 0.05, 0.0455, 12, (17, 3, 17)),
        ("float16", 0.05, 0.045, 13, (17, 5, 17)),
        ("float16", 0.05, 0.045, 14, (17, 9, 17)),
        ("float16", 0.03, 0.0285, 12, (17, 3, 17)),
        ("float16", 0.03, 0.0285, 13, (17, 5, 17)),
        ("float16", 0.03, 0.0285, 14, (17, 9, 17)),
        ("float16", 0.01, 0.0085, 13, (17, 5, 17)),
        ("float16", 0.01, 0.0075, 14, (17, 9, 17)),
        ("bfloat16", 0.3, 0.24, 12, (9, 9, 9)),
        ("bfloat16", 0.3, 0.24, 13, (9, 5, 3, 9)),
        ("bfloat16", 0.1, 0.085, 13, (9, 5, 3, 9)),
        ("bfloat16", 0.05, 0.037, 14, (9, 3, 9, 9)),
        ("bfloat16", 0.03, 0.0235, 15, (9, 9, 9, 5)),
        ("bfloat16", 0.02, 0.0055, 15, (9, 9, 9, 5)),
        ("bfloat16", 0.02, 0.006, 16, (9, 9, 9, 9)),
    )
]
"""What Plan(normalization="adaptive") chooses among, in ADAPTIVE_FOLDER: for an error that is wanted of what
is measured, and a number of products, the smallest lower end from which a little less is promised. Degrees
are those that are best in exact arithmetic, the highest first and last: headroom costs least in that order.
A search takes a minute of one core."""

FAMILIES = ("sign-m15-l1e-3-fp16", "sign-m15-l1e-3-bf16", "sign-m16-l1e-3-bf16", "sign-d5x5-l1e-3-fp16",
            "sign-d5x5-l1e-3-bf16")  # fmt: skip
"""Tables that begin a family, in ADAPTIVE_FOLDER: made with the same settings, divided by ‖M Mᵀ‖_F^½."""

RISES = (1.25, 1.55, 1.9, 2.35, 2.8, 3.3, 3.9, 4.7, 5.6, 6.7, 8.2)
"""Lower ends of members over that of the first, by factors of at most 1.25. ρ⁴ is at most the smaller side:
the last one is for matrices of 4,500 rows and more."""

SAFER: dict[tuple[str, float], dict[str, Any]] = {
    ("sign-d5x5-l1e-3-bf16", 1.25): {
        "headroom": [1.0129, 1.0326, 1.0835, 1.1145, 1.0853],
        "image_floor": 0.16,
    }
}
"""What a member has in place of the settings of the first, with which it was not plain."""

SETTINGS = (*(one.name for one in fields(Equioscillation)), "dtype")
"""What provenance keeps of a member."""

# Half precision is not among them yet: ROOTS has what runs there.
ROOT_BUDGETS = [
    {"root": root, "lower": lower, "matmuls": matmuls, "dtype": "float32"}
    | ({"form": "coupled"} if root == 2 else {})
    for root, lower in ((1, 1e-4), (2, 0.01), (4, 0.1))
    for matmuls in (11, 14, 17)
]

CLIPS = [
    {"method": "clip", "degree": degrees, "lower": lower, "dtype": dtype}
    for dtype, ladder in {
        "bfloat16": ((9,) * 3, (9,) * 4, (9,) * 5, (9,) * 6),
        "float16": ((17,) * 2, (17,) * 3, (17,) * 4, (9, 9, 9, 9, 17)),
        "float32": ((17,) * 2, (17,) * 3, (17,) * 4, (17,) * 4, (17,) * 5),
    }.items()
    for lower, degrees in zip((0.1, 0.01, 1e-3, 3e-4, 1e-4), ladder, strict=False)
]
"""What spectral_clip runs by default; float64 takes float32's, because degree limits them, not rounding."""


def _clip_table(keywords: dict[str, Any], search: bool) -> Table:
    """Linear programs may end elsewhere with another solver: without a search the rows are the file's own."""
    name = f"clip-d{runs(keywords['degree'])}-l{short(keywords['lower'])}-{DTYPES[keywords['dtype']]}"
    path = FOLDER / f"{name}.json"
    if search or not path.exists():
        return polydesign.design(**keywords, fresh=True)
    found = loads(path.read_text("utf-8"))
    schedule = found.schedule
    if schedule.degrees != keywords["degree"]:
        raise InputError(str(path), "has other degrees than its name says")
    parameters = found.provenance.parameters | {
        "clip_error": stated_clip_error(schedule),
        "dtype": keywords["dtype"],
    }
    provenance = replace(found.provenance, polydesign=polydesign.__version__, parameters=parameters)
    return replace(
        found, certificate=certify(schedule, found.purpose), provenance=provenance, measured=(), tried=()
    )


def _designed(told: dict[str, Any], like: Schedule, lower: float) -> Schedule:
    """By the settings that a provenance names, with the degrees of another schedule."""
    keys = [one.name for one in fields(Equioscillation) if one.name in told]
    given: dict[str, Any] = {
        key: tuple(told[key]) if isinstance(told[key], list) else told[key] for key in keys
    }
    return Equioscillation(**given).search(Problem(like.root, like.degrees, lower, like.interval[1]))


def _rebuilt(found: Table) -> Table:
    """The same table from its provenance, without a search; its measured error is kept.

    Constants of long steps are found by a search alone: they are the file's own, and proved again.
    """
    p, schedule = found.provenance.parameters, found.schedule
    if any(step.long for step in schedule.steps):
        provenance = replace(found.provenance, polydesign=polydesign.__version__)
        certificate = certify(schedule, found.purpose)
        return replace(found, certificate=certificate, provenance=provenance, measured=(), tried=())
    again = _designed(p, schedule, schedule.interval[0])
    provenance = replace(found.provenance, polydesign=polydesign.__version__)
    certificate = certify(again, found.purpose)
    return replace(
        found, schedule=again, certificate=certificate, provenance=provenance, measured=(), tried=()
    )


def _family(first: Table) -> Table:
    """The table divided by another norm, with members that are made as it was."""
    told = first.provenance.parameters
    parameters = {key: told[key] for key in SETTINGS if key in told}
    made = Provenance(polydesign.__version__, "equioscillation", parameters)
    bare = replace(
        first,
        name=f"{first.name}-family",
        provenance=made,
        normalization=NORM,
        observed=None,
        measured=(),
        tried=(),
    )
    members = []
    for rise in RISES:
        lower = float(f"{first.schedule.interval[0] * rise:.12g}")
        own = parameters | SAFER.get((first.name, rise), {})
        schedule = _designed(own, first.schedule, lower)
        name, certificate = f"{bare.name}-l{lower:g}", certify(schedule, first.purpose)
        provenance = replace(made, parameters=own)
        members.append(
            replace(bare, name=name, schedule=schedule, certificate=certificate, provenance=provenance)
        )
    return replace(bare, members=tuple(members))


def _searched(path: Path, keywords: dict[str, Any], search: bool) -> Table:
    if search or not path.exists():
        return polydesign.design(**keywords, fresh=True)
    return _rebuilt(loads(path.read_text("utf-8")))


def _band_name(keywords: dict[str, Any]) -> str:
    return budget_name(2, keywords["matmuls"], keywords["band"], None, dtype=keywords["dtype"])


def _with_measurements(path: Path, table: Table) -> Table:
    """The table with what the file holds of measurements, where they are of these very coefficients."""
    try:
        found = loads(path.read_text("utf-8"))
    except (InputError, OSError):
        return table
    known = {one.digest: one for one in (found, *found.members)}

    def measured(one: Table) -> Table:
        of_it = known.get(one.digest)
        return one if of_it is None else replace(one, measured=of_it.measured, tried=of_it.tried)

    return replace(measured(table), members=tuple(map(measured, table.members)))


def _unmeasured(table: Table) -> Table:
    return replace(table, measured=(), tried=(), members=tuple(map(_unmeasured, table.members)))


def _same(path: Path, table: Table) -> bool:
    text = path.read_text("utf-8")
    try:
        found = loads(text)
    except InputError:
        return False  # damaged: replaced
    return _unmeasured(found) == table and dumps(found) == text


def _all(search: bool) -> Iterator[tuple[Path, Table]]:
    """Every table with its place."""
    found = [polydesign.design(**keywords) for keywords in (*TABLES, *ROOTS)]
    found += [_searched(FOLDER / f"{name}.json", keywords, search) for name, keywords in SETTLED.items()]
    budgets: list[dict[str, Any]] = [*BUDGETS, *ROOT_BUDGETS]
    found += [_searched(FOLDER / f"{budget_name(**one)}.json", one, search) for one in budgets]
    found += [_searched(FOLDER / f"{_band_name(one)}.json", one, search) for one in BANDS]
    for table in (*found, *(_clip_table(keywords, search) for keywords in CLIPS)):
        yield FOLDER / f"{table.name}.json", table
    for keywords in LADDERS:
        path = FOLDER / ADAPTIVE_FOLDER / f"{keywords['name']}.json"
        yield path, _searched(path, keywords, search)
    firsts = {table.name: table for table in found}
    for name in FAMILIES:
        table = _family(firsts.get(name) or loads((FOLDER / f"{name}.json").read_text("utf-8")))
        yield FOLDER / ADAPTIVE_FOLDER / f"{table.name}.json", table
    for name in names():
        if not published(name).misprint:
            yield FOLDER / "published" / f"{name}.json", published_table(name)


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Compare only.")
@click.option("--search", is_flag=True, help="Search for the tables of a budget again.")
def main(check: bool, search: bool) -> None:
    differing = []
    expected = set()
    for path, table in _all(search):
        expected.add(path)
        if path.exists() and _same(path, table):
            continue
        differing.append(path)
        if not check:
            path.parent.mkdir(exist_ok=True)
            save(_with_measurements(path, table), path, force=True)
    differing += sorted(set(FOLDER.rglob("*.json")) - expected)
    for path in differing:
        click.echo(f"{'differs' if check or path not in expected else 'wrote'}: {path.name}")
    click.echo(f"{len(expected)} tables, {len(differing)} differing")
    sys.exit(1 if check and differing else 0)


if __name__ == "__main__":
    main()
