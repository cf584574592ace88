"""Muon beside torch.optim.Muon and beside a loop in float64 that is written here."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

import polydesign
from polydesign import InputError, Plan
from polydesign.model import PromiseWarning
from polydesign.optim import Muon, Reading
from polydesign.optim import parts as module
from polydesign.optim.maps import TORCH_COEFFICIENTS, ClampedSign
from polydesign.program.cost import matmuls_of

pytestmark = pytest.mark.numerics

SHAPES = [(36, 48), (48, 36), (40, 40), (80, 34)]
"""Above Plan.float32_side, so that the state is bfloat16, as torch.optim.Muon's is."""

LR = 0.1

ADAPTIVE: dict[str, Any] = {"dtype": "float16", "error": 0.05, "normalization": "adaptive"}


def parameters(
    shapes: Sequence[tuple[int, ...]], seed: int, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]


def twins(params: Sequence[Tensor]) -> list[Tensor]:
    return [torch.nn.Parameter(p.detach().clone()) for p in params]


def give_gradients(step: int, seed: int, *sets: Sequence[Tensor]) -> None:
    """The same random ones to every set."""
    generator = torch.Generator().manual_seed(1000 * seed + step)
    for alike in zip(*sets, strict=True):
        grad = torch.randn(alike[0].shape, generator=generator)
        for p in alike:
            p.grad = grad.reshape(p.shape).to(p.dtype)


def exact(M: Tensor, rows: Sequence[Sequence[float]], eps: float = 1e-7) -> Tensor:
    """The polynomials on M/max(‖M‖_F, eps), in float64."""
    X = M.double()
    X = X / X.norm().clamp(min=eps)
    for a, b, c in rows:
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X


OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "without nesterov": {"nesterov": False},
    "the scale of AdamW": {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.3},
    "other momentum": {"momentum": 0.5, "weight_decay": 0.0},
    "lr as a tensor": {"lr": torch.tensor(LR)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_with_its_coefficients_it_follows_torchs_muon_step_by_step(name: str, seed: int) -> None:
    """The momentum bit for bit; what is added no further from the exact map than torch's own, but for a half."""
    options = {"lr": LR, **OPTIONS[name]}
    ours, theirs = parameters(SHAPES, seed), parameters(SHAPES, seed)
    one = Muon(ours, **options, ns_coefficients=TORCH_COEFFICIENTS)
    other = torch.optim.Muon(theirs, **options)  # pyright: ignore[reportPrivateImportUsage]
    for step in range(4):
        for p, q in zip(ours, theirs, strict=True):  # so that every step is judged by itself
            p.data.copy_(q.data)
        before = [q.detach().clone() for q in theirs]
        give_gradients(step, seed, ours, theirs)
        one.step()
        other.step()
        group = other.param_groups[0]
        for p, q, old in zip(ours, theirs, before, strict=True):
            B, G = other.state[q]["momentum_buffer"], q.grad
            assert torch.equal(one.state[p]["momentum_buffer"], B)
            assert G is not None
            M = G.lerp(B, group["momentum"]) if group["nesterov"] else B
            m, n = p.shape
            scale = 0.2 * max(m, n) ** 0.5 if group["adjust_lr_fn"] else max(1.0, m / n) ** 0.5
            goal = old.double() * (1 - LR * group["weight_decay"])
            goal -= LR * scale * exact(M, [TORCH_COEFFICIENTS] * group["ns_steps"])
            off, allowed = (p - goal).norm(), (q - goal).norm()
            assert off <= 1.5 * allowed
            # The control: with one step more it would be somewhere else.
            wrong = LR * scale * exact(M, [TORCH_COEFFICIENTS] * (group["ns_steps"] + 1))
            assert (
                p - (goal + LR * scale * exact(M, [TORCH_COEFFICIENTS] * group["ns_steps"]) - wrong)
            ).norm() > 3 * off


def test_the_default_is_orthogonal_where_torchs_is_not(seed: int) -> None:
    """At the same products: 0.127 is proved of the default's table, and Jordan's rows reach 0.3 and more."""
    params = parameters([(40, 64)], seed)
    optimizer = Muon(params, lr=1.0, weight_decay=0.0)
    before = params[0].detach().clone()
    give_gradients(0, seed, params)
    optimizer.step()
    sigma = torch.linalg.svdvals((before - params[0].detach()).double())
    table = polydesign.load(optimizer.param_groups[0]["table"])
    assert matmuls_of(table) == 15
    assert (
        sigma - 1
    ).abs().max() <= table.schedule.error + 0.03  # what verify measures of its rounding: 0.01
    assert (torch.linalg.svdvals(exact(torch.randn(40, 64), [TORCH_COEFFICIENTS] * 5)) - 1).abs().max() > 0.17


def test_a_norm_below_eps_is_not_raised_to_one(seed: int) -> None:
    """As in torch: a gradient that is all but zero moves nothing by a whole step."""
    params = parameters([(36, 48), (36, 48)], seed)
    optimizer = Muon(
        params, lr=1.0, weight_decay=0.0, momentum=0.0, eps=1e-3, ns_coefficients=TORCH_COEFFICIENTS
    )
    before = [p.detach().clone() for p in params]
    give_gradients(0, seed, params)
    for p, size in zip(params, (1e-5, 0.0), strict=True):
        assert p.grad is not None
        p.grad *= size / p.grad.norm()
    optimizer.step()
    moved, still = (old.double() - p.double() for p, old in zip(params, before, strict=True))
    assert params[0].grad is not None
    goal = exact(params[0].grad, [TORCH_COEFFICIENTS] * 5, eps=1e-3)
    # In bfloat16, and in what float32 keeps of p - update, of which an entry is 4 at most.
    assert (moved - goal).norm() <= 0.05 * goal.norm() + 36 * 48 * 4 * 2.0**-24
    assert goal.norm() < 5 < exact(params[0].grad, [TORCH_COEFFICIENTS] * 5).norm()
    assert torch.equal(still, torch.zeros(36, 48))


# States.


@pytest.mark.parametrize("ours_first", [True, False])
def test_states_are_those_of_torchs_muon(ours_first: bool, seed: int) -> None:
    """Saved by one and loaded by the other, which then goes on as if it had begun."""

    def ours(params: list[Tensor]) -> Any:
        return Muon(params, lr=LR, momentum=0.9, ns_coefficients=TORCH_COEFFICIENTS)

    def theirs(params: list[Tensor]) -> Any:
        return torch.optim.Muon(params, lr=LR, momentum=0.9)  # pyright: ignore[reportPrivateImportUsage]

    first, second = (ours, theirs) if ours_first else (theirs, ours)
    params = parameters(SHAPES[:2], seed)
    begun = first(params)
    for step in range(2):
        give_gradients(step, seed, params)
        begun.step()
    file = io.BytesIO()
    torch.save(begun.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    copies = twins(params)
    loaded = second(copies)
    loaded.param_groups[0]["lr"] = 7.0
    loaded.load_state_dict(state)
    assert loaded.param_groups[0]["lr"] == LR
    fields = {
        "params",
        "lr",
        "weight_decay",
        "momentum",
        "nesterov",
        "ns_coefficients",
        "eps",
        "ns_steps",
        "adjust_lr_fn",
    }
    assert state["param_groups"][0].keys() - {"table"} == fields
    give_gradients(2, seed, params, copies)
    begun.step()
    loaded.step()
    for p, q in zip(params, copies, strict=True):
        assert torch.equal(begun.state[p]["momentum_buffer"], loaded.state[q]["momentum_buffer"])
        assert (
            p - q
        ).norm() <= 0.05 * LR * q.norm()  # two roundings of bfloat16, of an update of that length


def test_a_state_that_is_loaded_does_not_change_what_runs(seed: int) -> None:
    params = parameters(SHAPES[:1], seed)
    theirs = torch.optim.Muon(params, eps=1e-3, ns_steps=3)  # pyright: ignore[reportPrivateImportUsage]
    ours = Muon(params, matmuls=16)
    before = {key: value for key, value in ours.param_groups[0].items() if key != "params"}
    ours.load_state_dict(theirs.state_dict())
    after = {key: value for key, value in ours.param_groups[0].items() if key != "params"}
    assert before == after
    assert after["table"] == "sign-m16-l1e-3-bf16"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_on(again: Callable[[Muon], Muon], seed: int) -> None:
    params = parameters([(4, 6, 8)], seed)
    optimizer = Muon(params, lr=LR, matmuls=14)
    give_gradients(0, seed, params)
    optimizer.step()
    other = again(optimizer)
    (copied,) = other.param_groups[0]["params"]
    give_gradients(1, seed, params, [copied])
    optimizer.step()
    other.step()
    assert torch.equal(copied, params[0])


# Which matrices.

ALIKE: dict[str, tuple[tuple[int, ...], dict[str, Any], Callable[[Tensor], list[Tensor]]]] = {
    "experts": ((3, 36, 40), {}, lambda x: list(x)),
    "a convolution": ((36, 5, 3, 3), {}, lambda x: [x.flatten(1)]),
    "in three dimensions": ((36, 5, 3, 3, 1), {}, lambda x: [x.flatten(1)]),
    "in one": ((36, 16, 3), {"matrices": "flatten"}, lambda x: [x.flatten(1)]),
    "a stack of stacks": ((2, 2, 34, 36), {"matrices": "stack"}, lambda x: list(x.flatten(0, 1))),
    "fused, unequal": ((120, 40), {"split": (48, 36, 36)}, lambda x: list(x.split((48, 36, 36)))),
    "side by side": ((40, 84), {"split": (48, 36), "split_dim": 1}, lambda x: list(x.split((48, 36), dim=1))),
    "fused experts": ((2, 84, 40), {"split": [48, 36]}, lambda x: [*x[:, :48], *x[:, 48:]]),
    "a fused convolution": (
        (80, 4, 3, 3),
        {"split": (40, 40)},
        lambda x: [y.flatten(1) for y in x.split(40)],
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_parts_are_matrices_of_their_own(name: str, seed: int) -> None:
    """Each moves as a parameter of its own would, in the layout that the parameter has."""
    shape, options, apart = ALIKE[name]
    params = parameters([shape], seed)
    if len(shape) == 4:
        params[0].data = params[0].data.to(memory_format=torch.channels_last)
    alone = [torch.nn.Parameter(part.detach().clone()) for part in apart(params[0])]
    optimizer, others = Muon(params, lr=LR, **options), [Muon([p], lr=LR) for p in alone]
    for step in range(2):
        give_gradients(step, seed, params)
        assert params[0].grad is not None
        for p, grad in zip(alone, apart(params[0].grad), strict=True):
            p.grad = grad.clone()
        optimizer.step()
        for other in others:
            other.step()
    for part, p in zip(apart(params[0].detach()), alone, strict=True):
        # Sums of products in another order: some roundings of bfloat16 in two updates of length LR·√36.
        assert (part - p).norm() <= 0.02 * 2 * LR * 6
    whole = parameters([shape], seed)
    moved = Muon(whole, lr=LR, matrices="flatten")
    give_gradients(0, seed, whole)
    moved.step()


def test_matrices_of_one_shape_and_their_transposes_run_in_one_call(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more of them than LARGEST_BATCH says."""
    shapes = [(36, 48), (48, 36), (3, 36, 48), (40, 40)]
    seen: list[tuple[int, ...]] = []
    compute = ClampedSign.compute

    def counting(self: Any, M: Tensor) -> Any:
        seen.append(tuple(M.shape))
        return compute(self, M)

    monkeypatch.setattr(ClampedSign, "compute", counting)
    made: list[list[tuple[int, ...]]] = []
    moved: list[list[Tensor]] = []
    for largest in (module.LARGEST_BATCH, 2 * 36 * 48):
        monkeypatch.setattr(module, "LARGEST_BATCH", largest)
        params = parameters(shapes, seed)
        give_gradients(0, seed, params)
        Muon(params, lr=LR, plan=Plan("bf16", matmuls=15, check=False)).step()
        made.append(sorted(seen))
        seen.clear()
        moved.append(params)
    assert made[0] == [(1, 40, 40), (5, 36, 48)]
    assert made[1] == [(1, 40, 40), (2, 36, 48), (3, 36, 48)]
    for p, q in zip(*moved, strict=True):
        assert (p - q).norm() <= 0.02 * LR * math.sqrt(p.numel() / p.shape[-1])


# What runs.

CHOSEN: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "nothing": ({}, "sign-m15-l1e-3-bf16", "bfloat16"),
    "products": ({"matmuls": 16}, "sign-m16-l1e-3-bf16", "bfloat16"),
    "an error": ({"error": 0.3}, "sign-m14-l1e-3-bf16", "bfloat16"),
    "a name": ({"table": "sign-d5x6-l1e-3-fp16"}, "sign-d5x6-l1e-3-fp16", "float16"),
    "of the literature": ({"table": "cubic5"}, "cubic5", "bfloat16"),
    "torch's": ({"ns_coefficients": TORCH_COEFFICIENTS}, "jordan_5", "bfloat16"),
    "a plan": ({"plan": Plan("fp32", matmuls=10)}, "sign-m10-l1e-3-fp32", "float32"),
    "a plan beside products": ({"plan": Plan("fp32"), "matmuls": 11}, "sign-m10-l1e-3-fp32", "float32"),
    "a plan without a precision": ({"plan": Plan(matmuls=10)}, "by the precision of the gradient", None),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_what_runs(name: str) -> None:
    options, table, dtype = CHOSEN[name]
    optimizer = Muon(parameters([(3, 4)], 0), **options)
    assert optimizer.param_groups[0]["table"] == table
    assert optimizer._maps[0].sign.plan.dtype == dtype
    give_gradients(0, 0, optimizer.param_groups[0]["params"])
    optimizer.step()


def test_groups_have_their_own(seed: int) -> None:
    params = parameters([(36, 48), (120, 40)], seed)
    groups = [
        {"params": params[:1], "table": "jordan_5"},
        {"params": params[1:], "split": (48, 36, 36), "lr": 0.3},
    ]
    given = [dict(group) for group in groups]
    optimizer = Muon(groups, lr=LR, matmuls=16)
    assert groups == given  # inputs stay what they are
    assert [group["table"] for group in optimizer.param_groups] == ["jordan_5", "sign-m16-l1e-3-bf16"]
    assert [group["lr"] for group in optimizer.param_groups] == [LR, 0.3]
    with pytest.raises(InputError, match="split"):
        optimizer.add_param_group({"params": parameters([(30, 4)], 0), "split": (1, 2)})
    assert len(optimizer.param_groups) == 2
    give_gradients(0, seed, params)
    optimizer.step()


VECTOR, MATRIX = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3, 4))
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"params": [VECTOR]}, r"^param_groups\[0\]\.params\[0\]: has shape \(3,\).*AdamW$"),
    ({"params": [("bias", VECTOR)]}, r"^bias: has shape"),
    ({"params": [torch.nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))]}, "complex"),
    (
        {"params": [torch.nn.Parameter(torch.ones(2, 2).to(torch.float8_e4m3fn))]},
        "no step can be added: write",
    ),
    ({"lr": -1.0}, "^lr: "),
    ({"lr": torch.ones(2)}, "^lr: "),
    ({"momentum": math.nan}, "^momentum: "),
    ({"weight_decay": "much"}, "^weight_decay: "),
    ({"adjust_lr_fn": "rms"}, "^adjust_lr_fn: "),
    ({"eps": -1.0}, "^eps: "),
    ({"ns_steps": 3}, "^ns_steps: .*matmuls="),
    ({"ns_coefficients": [(1.5, -0.5, 0.0)] * 3}, r"^ns_coefficients"),
    ({"ns_coefficients": (1.5, -0.5)}, "^ns_coefficients: .*table="),
    ({"ns_coefficients": (1.5, -0.5, 0.0), "table": "jordan_5"}, "^table: and ns_coefficients"),
    ({"ns_coefficients": (1.5, -0.5, 0.0), "ns_steps": 1000}, "^ns_steps: "),
    ({"table": "jordan_5", "matmuls": 15}, r"plan\.matmuls: "),
    ({"matmuls": 15, "error": 0.1}, "^error: "),
    ({"plan": Plan(matmuls=15), "error": 0.1}, "^error: "),
    ({"plan": Plan(matmuls=15), "matmuls": 15}, "^matmuls: "),
    ({"table": "root4-m11-l0.1-fp32"}, "^table: "),
    ({"matrices": "all"}, "^matrices: "),
    ({"split": (1, 1)}, r"^split: \(1, 1\) sum to 2"),
    ({"split": 3}, "^split: "),
    ({"split": (0, 3)}, r"^split\[0\]: "),
    (
        {"params": [torch.nn.Parameter(torch.ones(3, 2, 3, 3))], "split": (1, 1), "split_dim": 1},
        "^split_dim: ",
    ),
    ({"log": 3}, "^log: "),
    ({"log": print, "log_every": 0}, "^log_every: "),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_what_is_refused_says_what_to_write(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Muon(**{"params": [MATRIX], **options})
    Muon([MATRIX])  # the control


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(bad: float, groups: int, seed: int) -> None:
    params = parameters([(4, 6), (4, 6)], seed)
    named = [("first", params[0]), ("second", params[1])]
    optimizer = Muon(named if groups == 1 else [{"params": [one]} for one in named], lr=LR)
    give_gradients(0, seed, params)
    optimizer.step()
    kept = copy.deepcopy(optimizer.state_dict()["state"]), [p.detach().clone() for p in params]
    assert params[1].grad is not None
    params[1].grad[2, 3] = bad
    with pytest.raises(InputError, match=r"^gradient of second: holds NaN"):
        optimizer.step()
    assert all(torch.equal(p, old) for p, old in zip(params, kept[1], strict=True))
    for k, state in optimizer.state_dict()["state"].items():
        assert torch.equal(state["momentum_buffer"], kept[0][k]["momentum_buffer"])


def test_sparse_gradients_are_refused(seed: int) -> None:
    (p,) = parameters([(4, 6)], seed)
    p.grad = torch.ones(4, 6).to_sparse()
    with pytest.raises(InputError, match=r"^gradient of .* is sparse"):
        Muon([p]).step()


def test_parameters_without_a_gradient_and_empty_ones_stay(seed: int) -> None:
    params = parameters([(4, 6), (0, 6), (4, 6)], seed)
    before = [p.detach().clone() for p in params]
    params[1].grad, params[2].grad = torch.ones(0, 6), torch.ones(4, 6)
    optimizer = Muon(params, lr=LR)
    assert optimizer.step(lambda: torch.tensor(3.0)) == 3.0
    assert [torch.equal(p, old) for p, old in zip(params, before, strict=True)] == [True, True, False]
    assert params[0] not in optimizer.state


def test_momentum_in_bfloat16_is_not_overwritten(seed: int) -> None:
    """Without nesterov the buffer itself is what runs, and torch 2.13 divides it by its norm in place."""
    params = parameters([(36, 48)], seed, torch.bfloat16)
    optimizer = Muon(params, lr=LR, momentum=0.0, nesterov=False)
    give_gradients(0, seed, params)
    optimizer.step()
    assert params[0].grad is not None
    assert torch.equal(optimizer.state[params[0]]["momentum_buffer"], params[0].grad)


def test_the_log_says_what_came_out(seed: int) -> None:
    """Of a rank-1 gradient all but one value lie below; the residual is that of what was added."""
    generator = torch.Generator().manual_seed(seed)
    params = parameters([(34, 40), (2, 40, 34)], seed)
    readings: list[Reading] = []
    optimizer = Muon([("layer", params[0]), ("experts", params[1])], lr=1.0, weight_decay=0.0, momentum=0.0,
                     plan=Plan("fp32", matmuls=18), log=readings.append, log_every=2)  # fmt: skip
    before = params[0].detach().clone()
    give_gradients(0, seed, params)
    params[0].grad = torch.randn((34, 1), generator=generator) @ torch.randn((1, 40), generator=generator)
    optimizer.step()
    optimizer.step()
    assert [(one.step, one.name, one.shape) for one in readings] == [
        (0, "layer", (34, 40)), (0, "experts[0]", (40, 34)), (0, "experts[1]", (40, 34)),
    ]  # fmt: skip
    assert [one.below for one in readings] == [33 / 34, 0.0, 0.0]
    assert math.isclose(readings[0].norm, params[0].grad.norm().item(), rel_tol=1e-5)
    assert math.isclose(readings[0].residual, math.sqrt(33 / 34), rel_tol=1e-3)  # 33 of 34 values are lost
    assert all(one.residual <= one.promised + 1e-5 for one in readings[1:])
    assert (before - params[0]).norm() > 0.9


@pytest.mark.filterwarnings("ignore:.*_prims_common.check:FutureWarning")  # torch's own, of itself
def test_a_compiled_step_traces_whole_and_gives_the_same_bits(seed: int) -> None:
    torch._dynamo.reset()
    counters.clear()
    shapes = [(12, 20), (20, 12), (36, 48)]
    params = parameters(shapes, seed)
    copies = twins(params)
    one, other = (
        Muon([{"params": given[:2]}, {"params": given[2:], "plan": Plan(**ADAPTIVE)}], lr=LR)
        for given in (params, copies)
    )
    step = torch.compile(one.step, backend="aot_eager", fullgraph=True)
    give_gradients(0, seed, params, copies)
    one.step()  # which makes the state
    other.step()
    give_gradients(1, seed, params, copies)
    step()
    other.step()
    assert counters["graph_break"] == {}
    assert all(torch.equal(p, q) for p, q in zip(params, copies, strict=True))
    assert not torch.equal(params[0], parameters(shapes, seed)[0])


# Adaptive plans. (What they choose, and that the promise stays, is tested in test_adaptive.py.)


def with_few_values(count: int, seed: int) -> Tensor:
    """36 × 48 with so many equal singular values and no others."""
    generator = torch.Generator().manual_seed(seed)
    U, V = (torch.linalg.qr(torch.randn(side, count, generator=generator)).Q for side in (36, 48))
    return U @ V.mT


def test_an_adaptive_plan_chooses_a_table_by_the_matrix(seed: int) -> None:
    """The result is that of msign by the same plan, and the log says what ran."""
    params = parameters([(36, 48), (40, 40)], seed)
    readings: list[Reading] = []
    optimizer = Muon(
        [("many", params[0]), ("few", params[1])], lr=1.0, weight_decay=0.0, momentum=0.0,
        plan=Plan(**ADAPTIVE), log=readings.append, log_every=2,
    )  # fmt: skip
    assert optimizer.param_groups[0]["table"] == "sign-m15-l1e-3-fp16, or by the matrix"
    params[0].grad = with_few_values(36, seed)
    params[1].grad = torch.outer(torch.ones(40), torch.arange(40.0))
    for _ in range(2):
        before = [p.detach().clone() for p in params]
        optimizer.step()
        for p, old in zip(params, before, strict=True):
            assert p.grad is not None
            run = polydesign.runtime.Sign(plan=Plan(**ADAPTIVE)).run(p.grad)
            # What float32 keeps of p - update.
            assert (old - p.detach() - run.result).abs().max() <= 8 * 2.0**-24 * old.abs().max()
    many, few = readings
    assert many.table != few.table == "sign-m15-l1e-3-fp16"
    assert many.table.endswith("-adaptive")
    assert (many.below, few.below) == (0.0, 39 / 40)
    assert many.residual <= many.promised + 0.01  # what rounding to float16 adds is a hundredth of that


def test_a_choice_stands_for_several_steps(seed: int) -> None:
    """every= counts steps where each shape is one call; a step for which less is promised is warned of."""
    params = parameters([(36, 48)], seed)
    optimizer = Muon(params, lr=LR, momentum=0.0, plan=Plan(**ADAPTIVE, every=3))
    sign, ran = optimizer._maps[0].sign, []
    compute = type(sign).compute

    def noted(self: Any, M: Tensor) -> Any:
        X, found = compute(self, M)
        ran.append(found[1].choice.table.name)
        return X, found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClampedSign, "compute", noted)
        params[0].grad = with_few_values(36, seed)
        optimizer.step()
        params[0].grad = with_few_values(1, seed)
        with pytest.warns(PromiseWarning, match="an earlier call chose"):
            optimizer.step()
        optimizer.step()
    assert ran[0] == ran[1] != ran[2] == "sign-m15-l1e-3-fp16"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"table": "jordan_5"}, r"^table: is one map, .*leave one of them out"),
        ({"ns_coefficients": TORCH_COEFFICIENTS}, r"^ns_coefficients: is one map"),
        ({"error": 0.1}, r"^error: is in the plan too"),
    ],
)
def test_what_does_not_go_with_an_adaptive_plan(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Muon([MATRIX], plan=Plan(**ADAPTIVE), **options)
    with pytest.raises(InputError, match=words):
        Muon([{"params": [MATRIX], **options}], plan=Plan(**ADAPTIVE))


def _made(**how: Any) -> tuple[Muon, list[torch.nn.Parameter]]:
    weights = [torch.nn.Parameter(torch.ones(4, 6)) for _ in range(2)]
    optimizer = Muon([("a", weights[0]), ("b", weights[1])], **how)
    for p in weights:
        p.grad = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    return optimizer, weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state["state"][1]["momentum_buffer"].fill_(torch.nan), "momentum of b: holds NaN"),
        (
            lambda state: state["state"][1].update(momentum_buffer=torch.ones(6, 4)),
            "momentum of b: has shape",
        ),
        (lambda state: state["param_groups"][0].pop("momentum"), "lacks momentum: it is of another"),
    ],
)
def test_a_state_that_cannot_go_on_is_refused_and_changes_nothing(change: Any, message: str) -> None:
    optimizer, weights = _made()
    optimizer.step()
    before = copy.deepcopy(optimizer.state_dict())
    state = copy.deepcopy(before)
    change(state)
    with pytest.raises(InputError, match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for key, kept in before["state"].items():
        assert torch.equal(after["state"][key]["momentum_buffer"], kept["momentum_buffer"])
    with pytest.raises(InputError, match="it is of another optimizer"):
        optimizer.load_state_dict(torch.optim.SGD(weights, lr=0.1).state_dict())


def test_a_broken_momentum_is_named() -> None:
    optimizer, weights = _made()
    optimizer.step()
    optimizer.state[weights[1]]["momentum_buffer"][0, 0] = torch.nan
    with pytest.raises(InputError, match=r"^update of b: holds NaN"):
        optimizer.step()


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
@pytest.mark.parametrize("value", [math.nan, -1.0, math.inf])
def test_a_rate_in_a_tensor_is_looked_at(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{name}: must be a number of at least 0, not"):
        _made(**{name: torch.tensor(value)})
