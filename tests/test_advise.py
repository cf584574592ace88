"""What advise reads, what it says of spectra, and that the tables it names serve them."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import pickle
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor

import polydesign
from polydesign import InputError, Plan
from polydesign.cli import main
from polydesign.drawing import save_figure, spectra_figure
from polydesign.optim import Muon
from polydesign.optim.serving import EXTRA, candidates, divided, reach, serving
from polydesign.optim.spectra import QUANTILES, SHARES, spectrum
from polydesign.optim.states import read_states
from polydesign.runtime import msign
from polydesign.verification.spectra import sample

pytestmark = pytest.mark.numerics


advised = partial(polydesign.advise, errors=(0.3,))
"""For one error: for three, three times as many tables are read."""


def of_values(sigma: Tensor, columns: int, seed: int) -> Tensor:
    """A matrix of these singular values and random vectors."""
    generator = torch.Generator().manual_seed(seed)
    m = len(sigma)
    U, V = (
        torch.linalg.qr(torch.randn((n, m), generator=generator, dtype=torch.float64))[0]
        for n in (m, columns)
    )
    return (U * sigma.double()) @ V.T


# Spectra.

SIGMAS = {
    "flat": torch.ones(24),
    "falling": torch.logspace(0, -6, 30),
    "two bulks": torch.cat([torch.ones(10), torch.full((30,), 1e-5)]),
    "rank 1": torch.cat([torch.ones(1), torch.zeros(19)]),
}


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize("name", SIGMAS)
def test_an_exact_spectrum_is_the_known_one(name: str, tall: bool, seed: int) -> None:
    sigma = SIGMAS[name].double()
    M = of_values(sigma, 60, seed) * 1e-3
    found = spectrum(M.T if tall else M, "M")
    assert found is not None
    assert (found.exact, found.shape) == (True, (60, len(sigma)) if tall else (len(sigma), 60))
    size = sigma.norm()
    relative = (sigma / size).tolist()
    rounding = 60 * 2.0**-52
    assert math.isclose(found.norm, 1e-3 * size.item(), rel_tol=rounding)
    assert math.isclose(found.low, relative[-1], rel_tol=1e-8, abs_tol=rounding)
    assert math.isclose(found.high, relative[0], rel_tol=rounding)
    for power, norm in ((4, "schatten4"), (8, "schatten8")):
        assert math.isclose(
            found.divisors[norm], sum(x**power for x in relative) ** (1 / power), rel_tol=rounding
        )
    shares = [sum(x < share for x in relative) / len(relative) for share in SHARES]
    assert found.below == pytest.approx(shares, rel=rounding)
    assert found.quantiles[0] == found.low
    assert found.quantiles[-1] == found.high
    assert math.isclose(found.rho, size.item() / (sigma**4).sum().item() ** 0.25, rel_tol=rounding)


def test_divisors_are_what_the_normalizations_divide_by(seed: int) -> None:
    """Beside runtime.normalize, in float64, but for power, whose own estimate of the largest value is lower."""
    from polydesign.runtime.normalize import NORMALIZATIONS

    M = sample("marchenko-pastur", (40, 64), seed=seed).matrix[0].double()
    found = spectrum(M, "M")
    assert found is not None
    for name, divisor in found.divisors.items():
        there = NORMALIZATIONS[name](M, torch.float64).norm().item() / M.norm().item()
        least = 0.95 if name == "power" else 1 - 1e-12
        assert least * divisor <= there <= divisor * (1 + 1e-12)


@pytest.mark.parametrize("name", ["two bulks", "gaussian", "rank 1"])
def test_an_estimate_is_near(name: str, seed: int) -> None:
    """Shares within four standard errors, the largest value and the quantiles of what is known."""
    M = (
        torch.randn((150, 200), generator=torch.Generator().manual_seed(seed))
        if name == "gaussian"
        else of_values(SIGMAS[name], 60, seed)
    )
    exact, guess = (spectrum(M, "M", exact=exact, seed=seed) for exact in (True, False))
    assert exact is not None
    assert guess is not None
    assert (exact.exact, guess.exact) == (True, False)
    assert math.isclose(guess.high, exact.high, rel_tol=1e-4)
    assert guess.low >= exact.low * (1 - 1e-3) - 1e-6
    assert math.isclose(guess.norm, exact.norm, rel_tol=1e-6)
    for share, other, spread in zip(guess.below, exact.below, guess.spread, strict=True):
        assert abs(share - other) <= 4 * spread + 1 / min(M.shape)
    # Divisors are no estimates: of float32, whose sums of m products are within m u of one, as ‖M Mᵀ‖_F is 1/ρ².
    rounding = 4 * max(M.shape) * 2**-24 * exact.rho**2
    assert math.isclose(guess.rho, exact.rho, rel_tol=rounding)
    for name, divisor in guess.divisors.items():
        if name != "power":  # of the largest value, which is estimated
            assert math.isclose(divisor, exact.divisors[name], rel_tol=rounding)
    if name == "gaussian":
        assert all(
            math.isclose(a, b, rel_tol=0.3)
            for a, b in zip(guess.quantiles[1:], exact.quantiles[1:], strict=True)
        )
    assert len(guess.quantiles) == len(QUANTILES)


# Tables.


def test_reach_is_the_least_end() -> None:
    """From there on the composition keeps to the error, less what was measured; a tenth below it does not."""
    error = 0.3
    for one in candidates("bfloat16")[:9]:
        low = reach(one.name, error, "bfloat16")
        schedule = polydesign.load(one.path).schedule
        x = np.geomspace(low or 0.9, 1, 4001)
        rounding = max(
            0.0,
            *(worst - one.error for dtype, worst in one.runs if dtype == "bfloat16" and worst is not None),
        )
        off = np.abs(schedule(x) - 1)
        if low is None:
            assert off[-1] > error - rounding or (off > error - rounding).any()
            continue
        assert off.max() <= error - rounding
        assert np.abs(schedule(np.geomspace(0.9 * low, 1, 4001)) - 1).max() > error - rounding


def test_only_plain_tables_are_taken() -> None:
    assert all(one.standing("bfloat16") == "plain" for one in candidates("bfloat16"))
    names = {one.name for one in candidates("bfloat16")}
    assert {"jordan_5", "sign-m14-l1e-3-bf16"} <= names
    assert not names & {
        "polar_express_nanochat",
        "sign-m10-l1e-3-bf16",
        "sign-d5x6-l0.01-bf16",
    }  # fused, unsafe, untried
    assert "sign-d5x7-l1e-3-fp32" in {one.name for one in candidates("float32")}


def test_half_precision_divides_by_what_was_tried() -> None:
    """sign-m14-l1e-3-bf16 is plain divided by the Frobenius norm, and blew up 1 of 400,000 divided by ν₄."""
    for one in candidates("bfloat16"):
        assert divided(one, "bfloat16") == (one.normalization,)
    lows = {"frobenius": 1e-5, "schatten4": 5e-3, "schatten8": 5e-3}
    assert serving(lows, 0.3, "bfloat16") is None
    assert serving(lows, 0.3, "float32") is not None
    assert divided(candidates("float32")[0], "float32") == tuple(EXTRA)


def test_the_cheapest_is_cheapest() -> None:
    """By trying all of them."""
    lows = {"frobenius": 2e-3, "schatten4": 6e-3, "schatten8": 1.2e-2}
    error = 0.3
    found = serving(lows, error, "bfloat16")
    fitting = [
        one.matmuls + EXTRA[norm]
        for one in candidates("bfloat16")
        for norm in divided(one, "bfloat16")
        if (low := reach(one.name, error, "bfloat16")) is not None and low <= lows[norm]
    ]
    assert found is not None
    assert found.matmuls == min(fitting)
    assert serving(dict.fromkeys(EXTRA, 1e-5), 0.3, "bfloat16") is None


@pytest.mark.parametrize("name", ["gaussian", "harmonic", "marchenko-pastur"])
def test_the_named_table_serves_the_matrix(name: str, seed: int) -> None:
    """Run in bfloat16 as the lines say: what lay above the lower end is within the error of 1."""
    known = sample(name, (48, 96), seed=seed)
    found = advised(known.matrix[0])
    (one,) = found.spectra
    for serves in found.serves:
        (choice,) = serves.each
        assert choice is not None
        plan = Plan("bfloat16", normalization=choice.normalization, float32_side=0)
        X = msign(known.matrix[0], choice.table, plan).double()
        values = (known.U[0].T.double() @ X @ known.V[0].double()).diagonal()
        sigma = known.sigma[0].double()
        served = sigma >= found.lower * sigma.norm()
        assert served.any()
        assert (values[served] - 1).abs().max() <= serves.error
        assert serves.products == (choice.matmuls, choice.matmuls, 15)
        assert serves.saved == (15 - choice.matmuls,) * 2
    assert one.low > 0


def test_the_lines_run(seed: int) -> None:
    params = [torch.nn.Parameter(torch.randn((34, 60), generator=torch.Generator().manual_seed(seed)))]
    found = advised(params[0])
    names: dict[str, Any] = {"matrices": params, "lr": 0.1}
    exec(found.lines(), names)
    assert isinstance(names["optimizer"], Muon)
    assert found.serves[0].one is not None
    assert names["optimizer"].param_groups[0]["table"] == found.serves[0].one.table
    params[0].grad = torch.ones(34, 60)
    names["optimizer"].step()
    with pytest.raises(InputError, match=r"^error: "):
        found.lines(0.2)
    nothing = advised(params[0].T @ params[0], lower=1e-5)  # of low rank
    assert (nothing.serves[0].one, nothing.lines()) == (None, "")


# States.


def optimizer_state() -> tuple[dict[str, Any], list[Tensor]]:
    """Of a Muon with names: a matrix, a stack of experts, a convolution."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"h.0.weight": (6, 8), "experts": (3, 5, 6), "conv.weight": (6, 2, 3, 3)}
    params = {
        name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()
    }
    optimizer = Muon(list(params.items()))
    for p in params.values():
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer.step()
    momenta = [optimizer.state[p]["momentum_buffer"] for p in params.values()]
    matrices = [momenta[0], *momenta[1], momenta[2].flatten(1)]
    model = {name: p.detach() for name, p in params.items()}
    return {"model": model, "optimizer": optimizer.state_dict(), "step": 7}, matrices


NAMES = [
    "optimizer.h.0.weight",
    "optimizer.experts[0]",
    "optimizer.experts[1]",
    "optimizer.experts[2]",
    "optimizer.conv.weight",
]


def test_momenta_of_a_checkpoint_are_found_by_their_names(tmp_path: Path) -> None:
    """And the weights beside them are left out; the values are those of the matrices."""
    state, matrices = optimizer_state()
    torch.save(state, tmp_path / "a.pt")
    found = advised(tmp_path / "a.pt")
    assert [one.name for one in found.spectra] == NAMES
    assert (found.key, {k: len(v) for k, v in found.left_out.items()}) == (
        "momentum_buffer",
        {"no momentum_buffer": 3},
    )
    for one, M in zip(found.spectra, matrices, strict=True):
        sigma = torch.linalg.svdvals(M.double())
        assert one.shape == tuple(M.shape)
        assert math.isclose(one.high, (sigma[0] / sigma.norm()).item(), rel_tol=1e-12)
        assert math.isclose(one.low, (sigma[-1] / sigma.norm()).item(), rel_tol=1e-9)


def test_every_kind_of_file_says_the_same(tmp_path: Path) -> None:
    _, matrices = optimizer_state()
    named = {f"w{k}": M.clone() for k, M in enumerate(matrices)}
    torch.save({"state_dict": named, "epoch": 3}, tmp_path / "a.pt")
    save_file({k: M.contiguous() for k, M in named.items()}, tmp_path / "a.safetensors")
    arrays: dict[str, Any] = {k: M.numpy() for k, M in named.items()}
    np.savez(tmp_path / "a.npz", **arrays)
    bodies = [advised(tmp_path / f"a.{kind}").spectra for kind in ("pt", "safetensors", "npz")]
    bodies[0] = tuple(
        dataclasses.replace(one, name=one.name.removeprefix("state_dict.")) for one in bodies[0]
    )
    assert bodies[0] == bodies[1] == bodies[2] == advised(named).spectra
    both = advised(tmp_path / "a.npz", tmp_path / "a.safetensors", only="a.npz:*")
    assert [one.name for one in both.spectra] == [f"a.npz:w{k}" for k in range(5)]


def test_optimizers_and_modules_are_taken_as_they_are(seed: int) -> None:
    net = torch.nn.Linear(5, 4)
    assert [one.name for one in advised(net).spectra] == ["weight"]
    adam = torch.optim.AdamW(net.named_parameters())
    net(torch.ones(2, 5)).sum().backward()
    adam.step()
    found = advised(adam)
    assert ([one.name for one in found.spectra], found.key) == (["weight"], "exp_avg")
    assert found.left_out["vectors"] == ["bias.exp_avg"]


@pytest.mark.parametrize("kind", ["RMSprop", "Adagrad", "Adadelta", "Rprop", "Adam"])
def test_second_moments_are_no_momenta(kind: str, seed: int) -> None:
    """Of an optimizer that keeps no average of gradients nothing is said."""
    p = torch.nn.Parameter(torch.randn(8, 12, generator=torch.Generator().manual_seed(seed)))
    p.grad = torch.ones_like(p)
    optimizer = getattr(torch.optim, kind)([p])
    optimizer.step()
    if kind == "Adam":
        assert list(read_states([optimizer]).tensors) == ["0"]
        optimizer = {"exp_avg_sq": torch.ones(8, 12)}
    with pytest.raises(InputError, match="no averages of gradients; the optimizer keeps no momentum"):
        read_states([optimizer])


def test_what_is_no_matrix_is_left_out_and_said() -> None:
    found = advised({
        "M": torch.eye(3), "half": torch.eye(3, dtype=torch.bfloat16), "zero": torch.zeros(3, 3), "vector": torch.ones(1, 3),
        "bias": torch.ones(3), "whole": torch.ones(3, 3, dtype=torch.int64), "complex": torch.eye(3, dtype=torch.complex64),
        "none": torch.ones(0, 3), "text": "x", "nested": [{"deep": (torch.eye(2),)}], "array": np.eye(3, dtype=">f4"),
    })  # fmt: skip
    assert [one.name for one in found.spectra] == ["M", "half", "nested.0.deep.0", "array"]
    assert found.left_out == {
        "vectors": ["vector", "bias"], "int64": ["whole"], "complex64": ["complex"], "empty": ["none"], "zero": ["zero"],
    }  # fmt: skip


def broken(kind: str) -> Any:
    body = torch.eye(3)
    body[1, 2] = {"nan": math.nan, "inf": -math.inf}[kind]
    return {"layer": {"momentum_buffer": body}}


class Odd:
    """An object that a pickle would make, and run code for."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit(99)",))


def hostile(name: str, folder: Path) -> Any:
    path = folder / name
    if name == "pickled.pt":
        torch.save({"optimizer": Odd()}, path)
    elif name == "pickled.npz":
        np.savez(path, a=np.array([{"a": 1}], dtype=object))
    elif name == "text.npz":
        np.savez(path, a=np.array(["a", "b"]))
    elif name == "plain.pt":
        path.write_bytes(pickle.dumps(Odd()))
    elif name == "empty.pt":
        path.write_bytes(b"")
    elif name == "cut.pt":
        content = io.BytesIO()
        torch.save({"a": torch.eye(30)}, content)
        path.write_bytes(content.getvalue()[:600])
    elif name == "nothing.pt":
        torch.save({"step": 3, "state": {}}, path)
    elif name == "cut.safetensors":
        path.write_bytes(b"\x10\0\0\0\0\0\0\0{")
    elif name == "notes.npz":
        path.write_text("1 2\n3 4\n")
    elif name == "notes.txt":
        path.write_text("a")
    return path


HOSTILE = {
    "pickled.pt": "holds more than tensors",
    "pickled.npz": "holds more than tensors",
    "text.npz": "has dtype <U1",
    "plain.pt": "is not a readable .pt file",
    "empty.pt": "is empty",
    "cut.pt": "is not a readable .pt file",
    "nothing.pt": "holds no tensors",
    "cut.safetensors": "is not a readable .safetensors file",
    "notes.npz": "is no file of NumPy's",
    "notes.txt": "cannot be read: save it as one of .pt",
    "gone.pt": "there is no such file",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_and_not_run(name: str, tmp_path: Path) -> None:
    path = hostile(name, tmp_path)
    with pytest.raises(InputError) as refusal:
        advised(path)
    assert HOSTILE[name] in str(refusal.value)
    assert str(path) in refusal.value.field
    assert not re.search(r"\x1b|weights_only=False|allow_pickle=True", str(refusal.value))
    found = CliRunner().invoke(main, ["advise", str(path)])
    assert found.exit_code == 2
    assert HOSTILE[name] in found.stderr


REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((), {}, "^states: none is given"),
    (({},), {}, r"^states\[0\]: holds no tensors \(it is empty\)"),
    (({"a": torch.ones(3)},), {}, r"^states: hold no matrix of real numbers \(1 vectors\)"),
    ((torch.zeros(3, 3),), {}, "^states: hold zero matrices alone"),
    ((broken("nan"),), {}, "^layer: holds NaN"),
    ((broken("inf"),), {}, "^layer: holds NaN or infinity"),
    ((torch.eye(3, device="meta"),), {}, "meta device"),
    ((torch.eye(3).to_sparse(),), {}, "to_dense"),
    ((torch.eye(3),), {"only": "b*"}, r"^only: no name fits b\*; there are matrix"),
    ((torch.eye(3),), {"lower": 0.0}, "^lower: "),
    ((torch.eye(3),), {"errors": (0.3, 2.0)}, r"^errors\[1\]: "),
    ((torch.eye(3),), {"dtype": "int8"}, "^dtype: "),
]


@pytest.mark.parametrize(("states", "how", "words"), REFUSED)
def test_what_is_refused(states: tuple[Any, ...], how: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        advised(*states, **how)


def test_what_is_given_stays_as_it_is(seed: int) -> None:
    M = torch.randn((4, 6), generator=torch.Generator().manual_seed(seed))
    before = M.clone()
    advised({"M": M})
    assert torch.equal(M, before)


# The command.


def test_the_command_says_what_the_function_found(tmp_path: Path) -> None:
    state, _ = optimizer_state()
    path = tmp_path / "a.pt"
    torch.save(state, path)
    found = advised(path)
    run = CliRunner().invoke(main, ["advise", str(path), "--error", "0.3", "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout) == json.loads(json.dumps(found.to_json()))
    text = CliRunner().invoke(main, ["advise", str(path), "--error", "0.3", "-o", f"{tmp_path}/s.svg"]).stdout
    assert "5 momenta (momentum_buffer); left out: 3 no momentum_buffer" in text
    assert "optimizer.experts (×3)" in text
    assert found.lines() in text
    for one in found.serves:
        assert one.one is not None
        assert f"{one.one.table} after {one.one.normalization} for all: {one.products[1]} products" in text
    assert (tmp_path / "s.svg").read_text().startswith("<?xml")
    refused = CliRunner().invoke(main, ["advise", str(path), "-o", "s.txt"])
    assert (refused.exit_code, "--output" in refused.stderr) == (2, True)


def test_an_estimate_is_called_one(tmp_path: Path, seed: int) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(seed).standard_normal((40, 50)))
    text = CliRunner().invoke(main, ["advise", f"{tmp_path}/a.npy", "--estimate", "--error", "0.3"]).stdout
    assert "~40x50" in text
    assert "estimated from random vectors" in text
    assert "~" not in CliRunner().invoke(main, ["advise", f"{tmp_path}/a.npy", "--error", "0.3"]).stdout


def test_the_figure_has_a_panel_for_each_kind_of_layer(tmp_path: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers = {
        f"h.{k}.{kind}": torch.randn(shape, generator=generator)
        for k in range(3)
        for kind, shape in (("q", (4, 6)), ("up", (8, 6)))
    }
    found = advised(layers)
    figure = spectra_figure(found.spectra)
    assert [ax.get_label() for ax in figure.axes if ax.get_visible()] == ["h.*.q 4x6", "h.*.up 8x6"]
    (median,) = [line for line in figure.axes[0].lines if line.get_label() == "median"]
    assert median.get_ydata().tolist() == [one.quantiles[3] for one in found.spectra if ".q" in one.name]  # pyright: ignore
    save_figure(figure, tmp_path / "a.png")
    with pytest.raises(InputError, match=r"^spectra: "):
        spectra_figure(())
