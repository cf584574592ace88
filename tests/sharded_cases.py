"""What test_sharded.py runs on each rank, and the matrices. Imported once, by what the ranks are forked from."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from polydesign.model import DTYPES, DivergenceError, InputError, Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import InverseRoot, MatrixSign, Sign, msign, sign_many
from polydesign.runtime.sharded.meter import Meter
from polydesign.verification import conformance

CONDITION = 4.0
"""Largest over smallest singular value: a Gram matrix is rounded by u·‖A‖, which turns singular vectors by
u·CONDITION² at most."""

LEAST = 8 * CONDITION**2
"""In units of u, relative to ‖X‖_F: what two orders of summation may differ by at least."""

SHARE = 4.0
"""Times the error of the whole matrix's result, against float64: rounding errors of one size add up to less."""

PLACES = [Replicate(), Shard(0), Shard(1)]
NORMALIZATIONS = ("frobenius", "schatten4", "schatten8", "power", "aol")
LAYOUTS = ("gram", "owner", "gather")

# Tables are read here, once for all ranks.
for _dtype in DTYPES:
    Sign(plan=Plan(_dtype))
    Sign(plan=Plan(_dtype, form="gram"))
for _root in (2, 4):
    InverseRoot(_root, plan=Plan("float32"))
    InverseRoot(_root, plan=Plan("float64"))


def random(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """With singular values from 1/CONDITION to 1."""
    M = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    U, sigma, V = torch.linalg.svd(M, full_matrices=False)
    values = torch.linspace(1, 1 / CONDITION, sigma.shape[-1], dtype=torch.float64)
    return ((U * values) @ V).to(dtype)


def positive(batch: int, side: int) -> Tensor:
    x = random(batch, side, 2 * side, dtype=torch.float64)
    P = x @ x.mT
    return ((P + P.mT) / 2).float()


def spread(M: Tensor, mesh: Any, placements: Any) -> Any:
    """M, which every rank has, as a DTensor; nothing travels."""
    return distribute_tensor(M, mesh, placements, src_data_rank=None)


def distance(found: Tensor, expected: Tensor) -> float:
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm().clamp_min(1))


def allowed(operator: Any, M: Tensor, whole: Tensor) -> float:
    """How far a result may be from that of the whole matrix: by what this is off itself, and some roundings."""
    u = UNIT_ROUNDOFF[str(whole.dtype).removeprefix("torch.")]
    exact = replace(operator, table=None, plan=Plan("float64", normalization=operator.plan.normalization))
    return SHARE * distance(whole, exact(M.double())) + LEAST * u


def agrees(operator: Any, M: Tensor, mesh: Any, placements: Any) -> None:
    D = spread(M, mesh, placements)
    before = D.to_local().clone()
    found = operator(D)
    assert torch.equal(D.to_local(), before)
    assert found.placements == tuple(placements)
    assert found.shape == M.shape
    assert found.to_local().is_contiguous()
    full = found.full_tensor()
    if dist.get_rank() == 0:  # of the others it is the same
        whole = operator(M)
        assert full.dtype == whole.dtype
        error = distance(full, whole)
        assert error <= allowed(operator, M, whole), (operator.plan, tuple(M.shape), placements, error)


def on_one_mesh(rank: int, world: int) -> None:
    """Every placement with every layout, dtype, form and normalization, not each with each."""
    mesh = init_device_mesh("cpu", (world,))
    places = [[Shard(0)], [Shard(1)]]
    # 34 rows leave a last shard of 7 of 9.
    cases = itertools.product(("gram", "gather", "owner"), NORMALIZATIONS)
    dtypes = itertools.cycle(DTYPES)
    for number, (layout, normalization) in enumerate(cases):
        plan = Plan(
            next(dtypes), form="gram" if number % 2 else "direct", normalization=normalization, layout=layout
        )
        place = places[number % 2]
        agrees(Sign(plan=plan), random(34, 50) if number % 3 else random(50, 34), mesh, place)
    agrees(Sign(plan=Plan(layout="gram", normalization="none")), 0.5 * random(50, 34), mesh, [Shard(0)])
    # Three rows on four ranks: the last has none.
    for number, layout in enumerate(LAYOUTS):
        agrees(Sign(plan=Plan(layout=layout)), random(3, 5), mesh, [Shard(0)])
        agrees(Sign(plan=Plan(layout=layout)), random(3, 6, 5), mesh, [Shard(number)])
    P = positive(2, 12)
    for dim, layout in enumerate(("owner", "gather", "owner")):
        agrees(InverseRoot(4, plan=Plan(layout=layout)), P, mesh, [Shard(dim)])
    agrees(Sign(), random(6, 5), mesh, [Replicate()])
    agrees(Sign(plan=Plan("bf16", out_dtype="fp32")), random(40, 50), mesh, [Shard(1)])
    for shape in ((0, 4), (4, 0), (0, 3, 3)):
        found: Any = msign(spread(torch.zeros(shape), mesh, [Shard(0)]))
        assert found.full_tensor().shape == shape


def on_two_dimensions(rank: int) -> None:
    mesh = init_device_mesh("cpu", (2, 2))
    places = [Replicate(), Shard(0), Shard(1), Shard(2)]
    layouts = itertools.cycle(LAYOUTS)
    for place in itertools.product(places, places[1:]):
        agrees(Sign(plan=Plan(layout=next(layouts))), random(3, 7, 9), mesh, place)
    # The second half of the mesh has no matrix at all.
    for layout in LAYOUTS:
        agrees(Sign(plan=Plan(layout=layout)), random(1, 7, 9), mesh, [Shard(0), Shard(2)])
    # Of the batch and of the rows some ranks have nothing.
    P = positive(3, 5)
    for place in itertools.product(places, repeat=2):
        agrees(InverseRoot(2), P, mesh, place)
    for place in ([Shard(1), Shard(1)], [Shard(2), Shard(1)], [Replicate(), Shard(2)]):
        agrees(InverseRoot(2, plan=Plan(layout="owner")), positive(3, 9), mesh, place)
        agrees(MatrixSign(), P, mesh, place)


# the same refusal on all ranks


def refusal(call: Any, *arguments: Any) -> str:
    try:
        call(*arguments)
    except (InputError, DivergenceError) as problem:
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


def refusals(rank: int, world: int) -> dict[str, str]:
    """What each rank says of matrices that are wrong on one rank, or all over."""
    mesh = init_device_mesh("cpu", (world,))
    said: dict[str, str] = {}
    M = random(24, 24)
    M[-1, -1] = torch.nan  # on the last rank alone
    for layout, check in itertools.product(LAYOUTS, (True, "input")):
        D = spread(M, mesh, [Shard(0)])
        for name, plan in (
            ("", Plan(layout=layout, check=check)),
            (" none", Plan(layout=layout, normalization="none")),
        ):
            said[f"nan {layout} {check}{name}"] = refusal(Sign(plan=plan), D)
    experts = random(5, 6, 8)
    experts[-1, 0, 0] = torch.inf
    said["experts"] = refusal(lambda: msign(spread(experts, mesh, [Shard(0)])))
    said["list"] = refusal(lambda: sign_many([spread(M, mesh, [Shard(0)])] * 3, plan=Plan(layout="owner")))
    P = -positive(1, 12)[0]
    for layout in ("owner", "gather"):
        D = spread(P, mesh, [Shard(0)])
        said[f"negative {layout}"] = refusal(InverseRoot(4, plan=Plan(layout=layout)), D)
    # Nothing normalizes it, its rows are as long as they may be, and its norm is not.
    large = torch.full((24, 40), 40**-0.5)
    for layout in LAYOUTS:
        plan = Plan(layout=layout, normalization="none")
        said[f"blown up {layout}"] = refusal(Sign(plan=plan), spread(large, mesh, [Shard(0)]))
    said["too long"] = refusal(
        lambda: Sign(plan=Plan(layout="gram", normalization="none"))(
            spread(3 * random(24, 40), mesh, [Shard(1)])
        )
    )
    # Zero and rank 1 are no reason to refuse.
    for layout in LAYOUTS:
        zero: Any = Sign(plan=Plan(layout=layout))(spread(torch.zeros(8, 12), mesh, [Shard(1)]))
        assert not zero.full_tensor().any()
        one = torch.ones(8, 12)
        agrees(Sign(plan=Plan(layout=layout)), one, mesh, [Shard(1)])
    return said


# never a shard by itself


def blockwise(rank: int) -> float:
    """Each shard by itself where that is asked for; returns how far that is from the whole matrix's."""
    mesh = init_device_mesh("cpu", (2,))
    M = random(24, 40)
    D = spread(M, mesh, [Shard(0)])
    found: Any = msign(D, plan=Plan(blockwise=True))
    assert torch.equal(found.to_local(), msign(M[12 * rank : 12 * rank + 12]))
    return distance(found.full_tensor(), msign(M))


def by_sizes(rank: int, world: int) -> None:
    """Blocks of rows of unequal sizes, each a matrix, wherever the shards begin and end."""
    sizes = (9, 4, 2)
    for mesh in (init_device_mesh("cpu", (world,)), init_device_mesh("cpu", (2, world // 2))):
        for shape, places in (((15, 8), PLACES), ((3, 15, 8), [*PLACES, Shard(2)])):
            M = random(*shape, dtype=torch.float64)
            parts = [msign(part) for part in M.split(sizes, dim=-2)]
            # All on one dimension; on two, where one may replicate, every third.
            every = list(itertools.product(places, *[places[1:]] * (mesh.ndim - 1)))
            for place in every[:: 2 * mesh.ndim - 1]:
                D = spread(M, mesh, place)
                for X in (
                    msign(D, plan=Plan(blockwise=sizes)),
                    *sign_many([D, D], plan=Plan(blockwise=sizes)),
                ):
                    assert X.placements == place  # pyright: ignore
                    full: Any = X.full_tensor()  # pyright: ignore
                    for found, expected in zip(full.split(sizes, dim=-2), parts, strict=True):
                        assert distance(found, expected) <= LEAST * UNIT_ROUNDOFF["float64"]


# lists


def lists_in_two_dimensions(rank: int) -> None:
    """What one mesh dimension splits goes to owners along it, and what two split runs as msign runs it."""
    mesh = init_device_mesh("cpu", (2, 2))
    shapes = [(8, 12), (30, 10), (8, 12), (3, 5)]
    whole = [random(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    for layout, place, calls in (
        # Two shapes with two matrices each way; and one word for each dimension of the mesh.
        ("owner", [Replicate(), Shard(0)], {"all_to_all": 6, "all_reduce": 2}),
        ("owner", [Shard(1), Replicate()], {"all_to_all": 6, "all_reduce": 2}),
        ("owner", [Replicate(), Replicate()], {"all_to_all": 3, "all_reduce": 2}),
        (None, [Shard(0), Shard(1)], None),
        ("owner", [Shard(0), Shard(1)], None),
    ):
        given = [spread(M, mesh, place) for M in whole]
        with Meter() as meter:
            results = sign_many(given, plan=Plan(layout=layout))
        assert calls is None or meter.calls == calls
        for M, X in zip(whole, results, strict=True):
            assert X.placements == tuple(place)
            assert distance(X.full_tensor(), msign(M)) <= allowed(Sign(), M, msign(M))


def lists(rank: int, world: int) -> None:
    mesh = init_device_mesh("cpu", (world,))
    shapes = [(8, 12), (30, 10), (8, 12), (3, 5), (2, 6, 6), (30, 10), (8, 12)]
    whole = [random(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    for layout in (None, "owner"):
        given: list[Any] = [spread(M, mesh, [Shard(M.ndim - 2 + k % 2)]) for k, M in enumerate(whole)]
        given[3] = whole[3]
        given[6] = spread(whole[6], mesh, [Replicate()])
        given.append(spread(random(5, 4, 3), mesh, [Shard(0)]))
        expected = [*whole, random(5, 4, 3)]
        with Meter() as meter:
            results = sign_many(given, plan=Plan(layout=layout))
        assert len(results) == len(given)
        if layout == "owner":
            # Four batches of one shape and placement, there and back, but for the replicated one, of which
            # every rank has all; one word for all of them, and one for the experts.
            assert meter.calls == {"all_to_all": 7, "all_reduce": 2}
        for M, D, X in zip(expected, given, results, strict=True):
            assert type(X) is type(D)
            if isinstance(D, DTensor):
                assert X.placements == D.placements
                X = X.full_tensor()
            assert distance(X, msign(M)) <= allowed(Sign(), M, msign(M))


# the conformance kit


def _by_itself(D: Any) -> Any:
    """What each shard is by itself, as if it were a matrix."""
    X = msign(D.to_local(), TABLE)
    return DTensor.from_local(
        X, D.device_mesh, D.placements, run_check=False, shape=D.shape, stride=D.stride()
    )


def _own_norm(D: Any) -> Any:
    """The whole matrix, of shards that were divided by their own norms."""
    local = D.to_local()
    size = torch.linalg.matrix_norm(local, keepdim=True)
    local = local / torch.where(size > 0, size, torch.ones_like(size))
    placed = (D.device_mesh, D.placements)
    M = DTensor.from_local(local, *placed, run_check=False, shape=D.shape, stride=D.stride())
    # Divided by nothing more.
    return msign(M.full_tensor(), TABLE, Plan(normalization="none", check=False))


TABLE = "sign-d5x5-l1e-3-bf16"


def conformance_of_shards(rank: int, kit: str, side: int) -> list[tuple[bool, tuple[str, ...]]]:
    """What the kit says of msign, and of codes with the two mistakes."""
    mesh = init_device_mesh("cpu", (2,))
    found = []
    for code in (lambda D: msign(D, TABLE), _by_itself, _own_norm):
        judgement = conformance.check(kit, code, framework="torch", mesh=mesh, side=side)
        found.append((judgement.passed(), judgement.guesses))
    return found
