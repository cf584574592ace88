"""The hunt for matrices that a table blows up: what it finds, that it goes on, and what the command does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tables import prototype, table_of

import polydesign
from polydesign.cli import main
from polydesign.model import HALF, LOOPS, InputError, Table, Trial
from polydesign.rounding.families import FAMILIES, Parameters
from polydesign.rounding.followed import follow
from polydesign.rounding.neighbours import FARTHEST, near
from polydesign.rounding.trial import BLOWN, Tally, outcome
from polydesign.table.measurements import with_tried
from polydesign.verification.dense import Dense
from polydesign.verification.hunting import Hunt, hunt
from polydesign.verification.reference import FixedSums

pytestmark = pytest.mark.numerics

BUDGET: dict[str, Any] = {"scan": 1, "rounds": 80, "seed": 5, "dtype": "bfloat16"}
"""Four rounds of each family and loop, the first of them random: fractions of a second."""


def budget(**more: Any) -> dict[str, Any]:
    return BUDGET | more


@pytest.fixture(scope="module")
def tight() -> Table:
    return polydesign.design(degree=5, steps=5, headroom=1.01, image_floor=0.1, floor_free_tail=2)


@pytest.fixture(scope="module")
def roomy() -> Table:
    return polydesign.design(degree=5, steps=5, headroom=1.3, image_floor=0.1, floor_free_tail=2)


@pytest.fixture(scope="module")
def found(tight: Table) -> Hunt:
    return hunt(tight, 600, **BUDGET)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["verify", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def one(parameters: Parameters, index: int) -> Parameters:
    return Parameters(*(x[..., [index]] for x in parameters))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_matrix_of_a_member_has_its_values(family: str, seed: int) -> None:
    drawn = FAMILIES[family].draw(np.random.default_rng(seed), 40, 1e-3)
    for index in range(40):
        of = one(drawn, index)
        if np.prod(of.sizes) > 600:  # what a decomposition takes too long for
            continue
        X = FAMILIES[family].matrix(of)
        assert np.linalg.norm(X) == pytest.approx(1, abs=1e-12)
        sigma = np.linalg.svd(X, compute_uv=False)
        for value in FAMILIES[family].members(of).values:
            # Zero too, where X is taller than wide or the rest of Σσ² stands beside.
            assert np.min(np.abs(np.r_[sigma, 0.0] - abs(value[0]))) < 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_members_close_to_others_stay_in_the_family(family: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parents = FAMILIES[family].draw(rng, 3000, 1e-3)
    limits = list(FAMILIES[family].sizes.values())
    children = near(rng, parents, limits)
    for size, (least, most) in zip(children.sizes, limits, strict=True):
        assert (size == np.rint(size)).all()
        assert least <= size.min() <= size.max() <= most
    assert limits == [] or (children.sizes != parents.sizes).any()
    off = np.abs(children.numbers - parents.numbers)
    assert (off <= FARTHEST * np.abs(parents.numbers) * (1 + 1e-12)).all()
    assert children.norm.max() <= 1
    assert (children.norm != parents.norm).any()
    assert np.array_equal(near(rng, parents).sizes, parents.sizes)


def test_a_tight_schedule_blows_up_and_a_roomy_one_does_not(found: Hunt, roomy: Table) -> None:
    safe = hunt(roomy, 600, **BUDGET)
    assert found.rounds == safe.rounds == 80
    for loop in LOOPS:
        assert found.blown((loop,)) > 0
        assert safe.blown((loop,)) == 0
    assert {case.loop: case.size > BLOWN for case in found.worst()} == dict.fromkeys(LOOPS, True)
    tried = {(one.family, one.loop): one.tried for one in found.trials()}
    assert len(tried) == len(FAMILIES) * len(LOOPS) + 2
    assert tried["hunt: two-rows", "fused"] > 4 * 8_000


def test_climbing_finds_more_than_random_members_do(tight: Table, found: Hunt) -> None:
    """In as many rounds, and fewer members."""
    random = hunt(tight, 600, **budget(scan=10**9))
    assert sum(t.tried for t in random.trials()) > sum(t.tried for t in found.trials())
    fused, climbed = (
        sum(t.blown for t in h.trials() if t.loop == "fused" and t.family == "hunt: diagonal-and-rest")
        for h in (random, found)
    )
    assert climbed > fused


def test_it_stops_where_it_has_enough(tight: Table) -> None:
    found = hunt(tight, 600, enough=1, **BUDGET)
    assert found.blown() >= 1
    assert found.rounds < 80


@pytest.mark.alike
def test_a_hunt_goes_on_where_it_was_stopped(
    tight: Table, found: Hunt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time by Ctrl-C: what was there is kept."""
    file = tmp_path / "state.json"
    hunt(tight, 600, state=file, **budget(rounds=30))
    real = Hunt.round

    def interrupted(self: Hunt) -> None:
        if self.rounds == 47:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(Hunt, "round", interrupted)
    assert hunt(tight, 600, state=file, **BUDGET).rounds == 47
    monkeypatch.setattr(Hunt, "round", real)
    last = hunt(tight, 600, state=file, **budget(rounds=33))
    assert last.rounds == found.rounds
    assert last.trials() == found.trials()
    for one, other in zip(last.cases(), found.cases(), strict=True):
        assert one[:3] + one[4:] == other[:3] + other[4:]


@pytest.mark.parametrize(
    ("more", "field", "message"),
    [
        ({"dtype": "float32"}, "dtype", "float32 is not hunted in"),
        ({"table": "inverse-m11-l1e-4-fp32"}, "table", "is of purpose inverse"),
        ({"seconds": float("nan")}, "seconds", "nan"),
        ({"state": "other", "seed": 6}, "state", "is a hunt with seed 5, not 6"),
        ({"state": "broken"}, "state", "holds no hunt"),
    ],
)
def test_what_cannot_be_hunted_is_refused(
    tight: Table, tmp_path: Path, more: dict[str, Any], field: str, message: str
) -> None:
    (tmp_path / "broken").write_text("[]")
    hunt(tight, 600, state=tmp_path / "other", **budget(rounds=0))
    how = {"table": tight, "seconds": 1.0} | BUDGET | more
    if "state" in more:
        how["state"] = tmp_path / more["state"]
    with pytest.raises(InputError, match=message) as problem:
        hunt(how.pop("table"), how.pop("seconds"), **how)
    assert problem.value.field == field


def test_dense_matrices_are_what_their_numbers_say(seed: int) -> None:
    """Kronecker products of their numbers, with rows in another order, of the norm that was asked for."""
    rng = np.random.default_rng(seed)
    for _ in range(20):
        source = Dense(prototype("quintics_18"), "bfloat16")
        of = source.changed(rng, source.draw(rng))
        X = source.matrices(of)
        assert np.allclose(np.linalg.norm(X, axis=(1, 2)), of.norm, rtol=1e-12)
        k, n, c, d, order = (int(size) for size in of.sizes[:, 0])
        A, B = of.numbers[: k * n, 0].reshape(k, n), of.numbers[k * n :, 0].reshape(c, d)
        M = np.kron(A, B)[np.random.default_rng(order).permutation(k * c)] if order else np.kron(A, B)
        assert np.allclose(X[0], M * of.norm[0] / np.linalg.norm(M), atol=1e-14)
        assert np.linalg.norm(source.matrix(of)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("dtype", HALF)
def test_two_rows_are_the_same_dense_and_followed(dtype: str, fixed: bool) -> None:
    """What is thrown out in one is in the other, and in the reference arithmetic all are the same."""
    table = prototype("17x3_15_bf16", "chebyshev")
    q = np.linspace(0.05, 0.4, 500)
    numbers = np.array([np.ones_like(q), q, np.ones_like(q), -q, np.ones_like(q)])
    of = Parameters(np.tile([[2.0], [2], [1], [1], [0]], (1, 500)), numbers, np.ones(500))
    end, _ = Dense(table, dtype, fixed).outcome(of)
    two = Parameters(np.empty((0, 500)), np.array([np.ones_like(q), q]), np.ones(500))
    members = FAMILIES["two-rows"].members(two)
    expected = outcome(table.schedule, members, dtype, follow(table.schedule, members, dtype)[-1])
    calm = expected.size < BLOWN
    assert calm.mean() > 0.5
    if fixed:
        assert np.allclose(end.size[calm], expected.size[calm], rtol=1e-9)
    assert (end.size[~calm] > BLOWN).all()


def test_a_case_is_read_back_as_it_was(tight: Table, found: Hunt, tmp_path: Path) -> None:
    """In the arithmetic that members are followed in; float64's rounding is all that is between."""
    (case,) = (case for case in found.worst() if case.loop == "fused")
    assert case.matrix is not None
    np.save(tmp_path / "worst.npy", case.matrix)
    polydesign.save(tight, tmp_path / "t.json")
    with FixedSums("bfloat16"):
        result = run(tmp_path / "t.json", "--dtype", "bf16", "--matrix", tmp_path / "worst.npy", "--json")
    assert result.exit_code == 1
    (measured,) = json.loads(result.stdout)
    assert measured["worst"] == pytest.approx(case.error, rel=1e-9)
    assert found.call(case.matrix, float32_side=0) > BLOWN


@pytest.mark.alike
@pytest.mark.filterwarnings("ignore::polydesign.model.SafetyWarning")  # it is a table of before
def test_the_command_prints_writes_and_says_what_it_found(
    tight: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    polydesign.save(tight, tmp_path / "t.json")
    result = run("t.json", "--hunt", "3", "--dtype", "bf16", "--state", "here/s.json", "--write")
    assert result.exit_code == 1
    assert "hunted for 3 s with seed 0" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("FAILED: ")
    assert sum(line.startswith("worst in ") for line in result.stdout.splitlines()) == 3
    assert len(list((tmp_path / "here").glob("*.npy"))) == 3
    tried = polydesign.load("t.json").tried
    # A slow machine comes to some families in three seconds, not to all.
    assert {one.family for one in tried} & {f"hunt: {family}" for family in FAMILIES}
    assert polydesign.load("t.json").standing("bfloat16") == "unsafe"
    before = json.loads((tmp_path / "here" / "s.json").read_text())["rounds"]
    run("t.json", "--hunt", "0.5", "--dtype", "bf16", "--state", "here/s.json", "--write", "--quiet")
    assert json.loads((tmp_path / "here" / "s.json").read_text())["rounds"] > before
    again = polydesign.load("t.json").tried
    # A slow machine meets some families and loops in the second hunt only; none is there twice.
    first, second = ([(one.family, one.loop) for one in trials] for trials in (tried, again))
    assert len(set(second)) == len(second)
    assert set(first) <= set(second)
    assert sum(one.tried for one in again) > sum(one.tried for one in tried)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--state", "s.json"], "--state: is of a hunt"),
        (["--hunt", "1", "--steps"], "--steps: does not go with --hunt"),
        (["--hunt", "1", "--matrix", "m.npy"], "--matrix: does not go with --hunt"),
        (["--hunt", "0"], "is not in the range x>0"),
        (["--hunt", "1", "--dtype", "fp32"], "--dtype: float32 is not hunted in"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], message: str) -> None:
    result = run("jordan_5", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_trial_in_the_same_setting_replaces_its_old_self() -> None:
    table = table_of([(1.5, -0.5)])
    old = Trial(table.digest, "a", "fused", "bfloat16", 10, 0, 0, 0.1)
    other = replace(old, loop="separate")
    new = Tally(20, 1, 1, float("inf")).trial(table.digest, "a", "fused", "bfloat16")
    assert with_tried(with_tried(table, [old, other]), [new]).tried == (other, new)
    assert new.worst is None
