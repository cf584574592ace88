"""choice="device": each matrix of a batch runs the member that its ρ allows, and nothing looks at the data."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from test_adaptive import flat, with_values
from torch import Tensor
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

import polydesign
from polydesign.cli import main
from polydesign.model import Certificate, InputError, Plan, Schedule, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.optim import Muon
from polydesign.program.cost import matmuls
from polydesign.reporting import origin
from polydesign.runtime import Sign, compiled, inverse_root, mcsgn, msign, msign_with_info, spectral_clip
from polydesign.table import dumps, loads
from polydesign.table.catalogue import families, shipped_name
from polydesign.table.standings import standings

pytestmark = pytest.mark.numerics

LOWER = 1e-3
PLAN = Plan("float16", matmuls=15, normalization="adaptive", choice="device", float32_side=0)
TODAY = Plan("float16", matmuls=15, float32_side=0)
FAST = replace(PLAN, check=False)


@cache
def family(name: str = "sign-m15-l1e-3-fp16-family") -> Table:
    return polydesign.load(name)


def members(table: Table) -> tuple[Table, ...]:
    return (table, *table.members)


def batch(seed: int, device: str = "cpu") -> Tensor:
    """ρ of 1, 3^(1/4), 2 and 3: k equal values, the others at the end of the promise."""
    found = [with_values(flat(k, 84 - k), 90, seed) for k in (1, 3, 16, 81)]
    return torch.stack(found).to(device)


def fitting(table: Table, rho: float) -> int:
    """Written out: the last member that begins at l₀·ρ or below, the first where none does."""
    begins = [one.schedule.interval[0] <= LOWER * rho for one in members(table)]
    return max([index for index, fits in enumerate(begins) if fits], default=0)


class NoSynchronization(TorchDispatchMode):
    """Refuses what needs the data on the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(func), "a number was read from the device"
        assert "nonzero" not in str(func), "a shape depends on the data"
        return func(*args, **(kwargs or {}))


def test_each_matrix_takes_the_member_that_its_rho_says(seed: int, device: str) -> None:
    """As each by itself with the table of that member, but for the rounding of float32 sums."""
    M, table = batch(seed, device), family()
    X, run = msign_with_info(M, plan=PLAN)
    indices = [fitting(table, rho) for rho in run.rho.tolist()]
    assert sorted(set(indices)) == indices
    assert indices[0] == 0
    for index, one, found in zip(indices, M, X, strict=True):
        alone = msign(one, replace(members(table)[index], members=()), Plan("float16", float32_side=0))
        assert (found.double() - alone.double()).abs().max() <= 4 * UNIT_ROUNDOFF["float16"]
        assert torch.equal(found, msign(one, plan=PLAN))
    # Negative control: the first member's constants give another matrix.
    alone = msign(M[-1], replace(table, members=()), Plan("float16", float32_side=0))
    assert (X[-1].double() - alone.double()).abs().max() > 4 * UNIT_ROUNDOFF["float16"]


def test_the_promise_of_the_run_is_that_of_the_member(seed: int) -> None:
    """Of every matrix its own interval and error; no value from l₀·‖M‖_F on is left out, and all keep it."""
    M, table = batch(seed), family()
    X, run = msign_with_info(M, plan=PLAN)
    sigma = torch.linalg.svdvals(M)
    # ν₄ of the run is not below the exact one, by less than what rounding the Gram matrix explains.
    nu4 = sigma.pow(4).sum(dim=-1).pow(0.25)
    assert torch.allclose(run.norm, nu4, rtol=4 * UNIT_ROUNDOFF["float16"])
    for index, one in enumerate(run.rho.tolist()):
        schedule = members(table)[fitting(table, one)].schedule
        low, high = run.interval[index].tolist()
        assert low == pytest.approx(schedule.interval[0] * run.norm[index].item(), rel=1e-12)
        assert high == run.norm[index]
        assert run.promised[index].item() == pytest.approx((1 + schedule.error) ** 2 - 1, rel=1e-12)
        least = LOWER * torch.linalg.vector_norm(sigma[index]).item()
        assert fitting(table, one) == 0 or low <= least * (1 + 1e-6)
        judged = torch.linalg.svdvals(X[index].double())[: int((sigma[index] >= least).sum())]
        assert (judged - 1).abs().max() <= schedule.error + 16 * UNIT_ROUNDOFF["float16"]
    assert run.matmuls == msign_with_info(M, plan=TODAY)[1].matmuls == matmuls(table.schedule)
    assert run.table == table.name
    assert table.name in str(run.choice)


def test_it_errs_less_than_the_table_that_runs_otherwise(seed: int) -> None:
    M = with_values([1.0] * 128 + [0.1] * 100, 240, seed)

    def error(plan: Plan) -> float:
        return (torch.linalg.svdvals(msign(M, plan=plan).double()) - 1).abs().max().item()

    assert error(PLAN) < error(TODAY) / 8


def test_nothing_is_read_from_the_device(seed: int, device: str) -> None:
    M = batch(seed, device)
    expected = msign(M, plan=FAST)
    run = Sign(plan=FAST).run  # with its residual
    with NoSynchronization():
        found = [msign(M, plan=FAST), msign(M[3], plan=FAST), run(M).result, run(M[3]).result]
        # The check is what looks at the data, and the choice on the host.
        with pytest.raises(AssertionError, match="read from the device"):
            msign(M, plan=PLAN)
        with pytest.raises(AssertionError, match="read from the device"):
            msign(M, plan=replace(PLAN, choice="host"))
    for one, wanted in zip(found, (expected, expected[3], expected, expected[3]), strict=True):
        assert torch.equal(one, wanted)


def test_one_trace_serves_every_matrix(seed: int) -> None:
    """What a graph holds chooses anew for other data: it was traced on a matrix of another member."""
    from torch.fx.experimental.proxy_tensor import make_fx

    M = batch(seed)
    traced = make_fx(lambda X: msign(X, plan=FAST))(torch.ones_like(M[0]))
    for one in M:
        assert torch.equal(traced(one), msign(one, plan=FAST))


def test_under_vmap_and_without_data(seed: int) -> None:
    M = batch(seed)
    assert torch.equal(torch.func.vmap(lambda X: msign(X, plan=FAST))(M), msign(M, plan=FAST))
    assert msign(torch.empty(3, 40, 60, device="meta"), plan=PLAN).shape == (3, 40, 60)
    # What was made inside of a transform is not kept.
    assert torch.equal(msign(M, plan=FAST), msign(M, plan=PLAN))


@pytest.mark.filterwarnings("ignore:.*_prims_common.check:FutureWarning")  # torch's own, of itself
def test_compiled(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a compiled function, without a break, and as a compiled iteration: one graph for every member."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend="aot_eager", **options))
    torch._dynamo.reset()
    compiled._compiled.cache_clear()
    counters.clear()
    M = batch(seed)[:, :40, :60]
    step = torch.compile(lambda X: 2 * msign(X, plan=FAST), fullgraph=True)
    for one in M:
        assert torch.equal(step(one), 2 * msign(one, plan=FAST))
    assert counters["stats"]["unique_graphs"] == 1
    for one in M:
        off = msign(one, plan=replace(FAST, compile=True)).double() - msign(one, plan=FAST).double()
        assert off.abs().max() <= 4 * UNIT_ROUNDOFF["float16"]
    assert counters["stats"]["unique_graphs"] == 2
    compiled._compiled.cache_clear()


def test_tall_zero_and_broken_matrices(seed: int) -> None:
    M = batch(seed)
    assert torch.equal(msign(M.mT, plan=PLAN), msign(M, plan=PLAN).mT)
    assert not msign(torch.zeros(40, 60), plan=PLAN).any()
    M[1, 0, 0] = torch.nan
    X = msign(M, plan=FAST)
    assert X[1].isnan().any()
    assert torch.equal(X[2:], msign(M[2:], plan=FAST))
    assert msign(torch.empty(0, 40, 60), plan=PLAN).shape == (0, 40, 60)


def test_gradients_are_those_of_the_member(seed: int) -> None:
    M = with_values([1.0] * 20 + [0.3] * 10, 40, seed)
    table = family()
    plan, alone = Plan("float64", check=False), Plan("float64", check=False, normalization="schatten4")
    X = M.clone().requires_grad_()
    weights = torch.arange(X.numel(), dtype=torch.float64).view_as(X).sin()
    (found,) = torch.autograd.grad((msign(X, table, plan) * weights).sum(), X)
    index = fitting(table, Sign(table, Plan("float64")).run(M).rho.item())
    assert index > 1
    one = replace(members(table)[index], members=())
    (expected,) = torch.autograd.grad((msign(X, one, alone) * weights).sum(), X)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9 * expected.abs().max().item())


@pytest.mark.parametrize("name", [one.name for one in families()])
def test_the_families_that_ship(name: str) -> None:
    """Each begins with a table of the package, whose name that keeps; members begin higher by 1.25 at most, are
    proved, err less, and blew up nothing in any loop."""
    table, first = family(name), polydesign.load(name.removesuffix("-family"))
    assert (table.digest, table.dtype) == (first.digest, first.dtype)
    assert shipped_name(table.digest) == first.name
    lowers = [one.schedule.interval[0] for one in members(table)]
    assert lowers[0] == LOWER
    assert lowers[-1] > 8 * LOWER
    for before, one in zip(members(table), table.members, strict=False):
        assert 1 < one.schedule.interval[0] / before.schedule.interval[0] <= 1.25 + 1e-9
        assert one.schedule.error < before.schedule.error
    for one in members(table):
        assert isinstance(one.certificate, Certificate)
        assert (one.certificate.kind, one.standing()) == ("proved", "plain")
        for loop in ("fused", "compiled", "separate"):
            assert sum(trial.tried for trial in one.tried if trial.loop == loop) >= 1e6


def test_a_family_is_read_as_it_was_written_and_proved(tmp_path: Path) -> None:
    table = family()
    assert loads(dumps(table)) == table
    body = json.loads(dumps(table))
    broken = json.loads(dumps(table))
    broken["members"][2]["error"]["exact"] *= 0.5
    with pytest.raises(InputError, match=r"^\$\.members\[2\]\.error\.exact: "):
        loads(json.dumps(broken))
    broken = json.loads(dumps(table))
    broken["members"][2]["interval"][0] *= 0.999
    with pytest.raises(InputError, match=r"^\$\.members\[2\]\."):
        loads(json.dumps(broken))
    body["members"][0]["members"] = [body["members"][1]]
    with pytest.raises(InputError, match=r"^\$\.members\[0\]\.members: has 1 entries, and a member"):
        loads(json.dumps(body))


def test_members_that_do_not_go_together_are_refused() -> None:
    table = replace(family(), measured=(), tried=())
    first, second, *_ = table.members
    quintics = family("sign-d5x5-l1e-3-fp16-family").members[0]
    for given, field in (
        ((second, first), r"members\[1\]\.interval"),
        ((quintics,), r"members\[0\]\.steps"),
        ((replace(first, normalization="frobenius"),), r"members\[0\]\.normalization"),
        ((replace(first, dtype="bfloat16"),), r"members\[0\]\.dtype"),
        ((table,), r"members\[0\]\.members"),
    ):
        with pytest.raises(InputError, match=f"^{field}: "):
            replace(table, members=given)
    with pytest.raises(InputError, match=r"^members: go with purpose sign and normalization schatten4 alone"):
        replace(table, normalization="frobenius")
    last = first.schedule.steps[-1]
    worse = replace(last, half_width=2 * table.schedule.error)
    schedule = Schedule(2, first.schedule.interval, (*first.schedule.steps[:-1], worse))
    with pytest.raises(InputError, match=r"^members\[0\]\.error: .* leave it out$"):
        replace(table, members=(replace(first, schedule=schedule, certificate=None, tried=()),))


def test_a_table_is_given(seed: int) -> None:
    """A family by its name, and the family of a table; whoever divides by another norm runs the first alone."""
    M, name = batch(seed), "sign-d5x5-l1e-3-fp16"
    plan = Plan("float16", float32_side=0)
    adaptive = replace(plan, normalization="adaptive", choice="device")
    X = msign(M, f"{name}-family", plan)
    assert torch.equal(X, msign(M, name, adaptive))
    assert torch.equal(X, msign(M, f"{name}-family", adaptive))
    by_norm = replace(plan, normalization="frobenius")
    assert torch.equal(msign(M, f"{name}-family", by_norm), msign(M, name, by_norm))
    assert not torch.equal(X, msign(M, name, plan))
    # Those that do not choose run the first too.
    square = M[-1][:, :84]
    assert torch.equal(
        mcsgn(square @ square.mT, f"{name}-family", plan),
        mcsgn(square @ square.mT, name, replace(plan, normalization="schatten4", check=False)),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"normalization": None},
            r"^choice: is of normalization=\"adaptive\".* write normalization=\"adaptive\"",
        ),
        ({"choice": "gpu"}, r"^choice: "),
        ({"every": 2}, r"^every: is of choice=\"host\""),
        ({"form": "gram"}, r"^form: gram goes with choice=\"host\""),
        ({"choice": "host", "check": False}, r"^normalization: .* write choice=\"device\""),
    ],
)
def test_what_a_plan_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PLAN, **given)


@pytest.mark.parametrize(
    ("table", "plan", "write"),
    [
        (None, {}, "matmuls=15"),
        ("sign-m14-l1e-3-fp16", {}, 'table="sign-d5x5-l1e-3-fp16-family"'),
        ("sign-d5x5-l1e-3", {}, "table=\"sign-d5x5-l1e-3-bf16-family\" and dtype='bf16'"),
    ],
)
def test_the_cure_of_a_table_without_a_family_works(
    table: str | None, plan: dict[str, Any], write: str
) -> None:
    asked = Plan(normalization="adaptive", choice="device", **{"dtype": "float16", **plan})
    with pytest.raises(InputError, match=r"^plan\.choice: ") as refused:
        Sign(table, asked)
    assert str(refused.value).endswith(f": write {write}")
    cure: dict[str, Any] = eval(f"dict({write.replace(' and ', ', ')})")
    Sign(cure.pop("table", None), replace(asked, **cure))


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        ({"matmuls": 18}, "sign-m15-l1e-3-fp16-family"),
        ({"error": 0.5}, "sign-m15-l1e-3-fp16-family"),
        ({"dtype": "bfloat16", "error": 0.5}, "sign-m15-l1e-3-bf16-family"),
        ({"dtype": "bfloat16", "error": 0.05}, "sign-m16-l1e-3-bf16-family"),
        ({"dtype": "bfloat16", "matmuls": 15}, "sign-m15-l1e-3-bf16-family"),
    ],
)
def test_a_plan_chooses_among_families(plan: dict[str, Any], name: str) -> None:
    asked = Plan(normalization="adaptive", choice="device", **{"dtype": "float16", **plan})
    assert Sign(None, asked).decide(str(plan.get("dtype", "float16"))).table.name == name


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"matmuls": 14}, r"^plan.matmuls: is 14, and the smallest family .* takes 15 in float16"),
        ({"error": 0.01}, r"^plan.error: is 0.01, and the best of the families .* errs by 0.025 in float16"),
        ({"dtype": "float32", "matmuls": 15}, r"^plan.choice: .* write dtype='bf16' or dtype='fp16', or"),
    ],
)
def test_what_no_family_reaches(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sign(None, Plan(normalization="adaptive", choice="device", **{"dtype": "float16", **plan}))


def test_others_refuse_it() -> None:
    for call in (
        lambda M: mcsgn(M, plan=PLAN),
        lambda M: inverse_root(M, 4, plan=PLAN),
        lambda M: spectral_clip(M, 0.5, plan=PLAN),
    ):
        with pytest.raises(InputError, match=r"plan.normalization: adaptive is of msign"):
            call(torch.eye(4))
    with pytest.raises(InputError, match=r"^plan.form: gram is of one schedule"):
        Sign(family(), Plan("float16", form="gram"))


def test_muon_takes_it_with_a_table(seed: int) -> None:
    """The reading of each matrix has the promise of its own member; the choice on the host refuses a table."""
    M = batch(seed)[:, :40, :60]
    weights = [torch.nn.Parameter(torch.zeros(40, 60)) for _ in M]
    plan = replace(PLAN, matmuls=None, check=False)
    readings: list[Any] = []
    name = "sign-m15-l1e-3-fp16"
    optimizer = Muon(weights, table=name, plan=plan, momentum=0.0, nesterov=False, log=readings.append)
    for weight, one in zip(weights, M, strict=True):
        weight.grad = one.float()
    optimizer.step()
    rho = Sign(plan=PLAN).run(M).rho.tolist()
    for reading, one in zip(readings, rho, strict=True):
        error = members(family())[fitting(family(), one)].schedule.error
        assert reading.promised == pytest.approx((1 + error) ** 2 - 1, rel=1e-9)
        assert reading.table == f"{name}-family"
    assert len({reading.promised for reading in readings}) > 1
    with pytest.raises(InputError, match="table: is one map"):
        Muon(weights, table=name, plan=Plan("float16", normalization="adaptive", matmuls=15))


def test_who_shows_a_family_says_that_it_is_one() -> None:
    """What stands for it elsewhere is its first member: show, verify, report and exported text say so."""
    name = "sign-d5x5-l1e-3-fp16-family"
    family = polydesign.load(name)
    words = "the first of 12 members, which msign chooses among in every call: the last one begins at 0.0082"
    assert f"family       {words}" in CliRunner().invoke(main, ["show", name]).output
    told = CliRunner().invoke(main, ["verify", name, "--shape", "8x16", "--spectrum", "gaussian"]).output
    assert f"This is {words}" in told
    assert "The first alone is judged here." in told
    assert words in polydesign.export(family, "python")
    assert origin.command(family)[0] == ""
    assert words in origin.command(family)[1]
    first = polydesign.load("sign-d5x5-l1e-3-fp16")
    assert "the first of" not in CliRunner().invoke(main, ["show", first.name]).output
    assert "the first of" not in polydesign.export(first, "python")


def test_a_family_stands_as_its_weakest_member_does() -> None:
    """In its table, in its entry, and in what is said of it."""
    own = family()
    last = own.members[-1]
    assert own.standing() == "plain"
    (said,) = standings(own)
    tried = sum(one.tried for member in members(own) for one in member.tried)
    assert f"of {tried:,} matrices" in said
    entry = next(one for one in families() if one.name == own.name)
    for trials, word in (
        ((), "untried"),
        (tuple(replace(one, blown=1, lost=max(1, one.lost)) for one in last.tried), "unsafe"),
    ):
        other = replace(own, members=(*own.members[:-1], replace(last, tried=trials)))
        assert other.standing() == word
        assert standings(other)[0].startswith(word)
        assert replace(entry, members=(*entry.members[:-1], trials)).standing() == word
    with pytest.raises(InputError, match=r"^members\[0\]: is 'a', and a member is a Table"):
        replace(own, members=("a",))  # pyright: ignore[reportArgumentType]
