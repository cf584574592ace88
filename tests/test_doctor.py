"""polydesign doctor: what breaks is found, and the settings of the process stay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import polydesign
from polydesign.cli import main
from polydesign.runtime import execute, ops
from polydesign.verification import attempts

pytestmark = pytest.mark.numerics


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiled without a code generator, which takes seconds."""
    torch._dynamo.reset()
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: real(f, backend="aot_eager", **how))
    yield
    torch.set_float32_matmul_precision("highest")


def states(only: str = "") -> dict[str, str]:
    return {one.name: one.state for one in polydesign.doctor("cpu") if only in one.name}


def test_nothing_breaks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any machine that the package is to run on; what other code gets may be noted."""
    found = polydesign.doctor("cpu")
    assert [one for one in found if one.state == "breaks"] == []
    assert len({(one.name, one.device) for one in found}) == len(found) > 20


def only(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Try what has one of these words in its name."""
    every = attempts.attempts
    monkeypatch.setattr(
        attempts, "attempts", lambda device: [one for one in every(device) if any(w in one[0] for w in words)]
    )


def broken(run: Callable[[], Any] = lambda: polydesign.doctor("cpu")) -> set[str]:
    return {one.name for one in run() if one.state == "breaks"}


def test_sums_in_half_precision_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_itself(a: Tensor, b: Tensor) -> Tensor:
        total = a[..., :1] * b[..., :1, :]
        for k in range(1, a.shape[-1]):
            total = total + a[..., k : k + 1] * b[..., k : k + 1, :]
        return total

    only(monkeypatch, "sums in")
    assert broken() == set()
    monkeypatch.setattr(ops, "mm", in_itself)
    assert broken() == {"sums in bf16", "sums in fp16"}


def test_two_roundings_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "one rounding")
    assert set(states("one rounding").values()) == {"ok"}
    monkeypatch.setattr(ops, "mm_add", lambda c, a, b, *, alpha, beta: beta * c + alpha * (a @ b))
    assert set(states("one rounding").values()) == {"note"}


def test_a_wrong_product_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "msign in", "inverse_root 4 in fp32")
    names = {"msign in bf16", "msign in fp16", "msign in fp32", "msign in fp64", "inverse_root 4 in fp32"}
    assert broken() == set()
    whole = ops.mm_add
    monkeypatch.setattr(
        ops, "mm_add", lambda c, a, b, *, alpha, beta: whole(c, a, b, alpha=1.2 * alpha, beta=beta)
    )
    assert broken() == names


def test_a_difference_under_vmap_and_autocast_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "vmap", "autocast")
    assert broken() == set()
    direct = execute.direct

    def changed(X: Tensor, *how: Any) -> Tensor:
        special = torch._C._are_functorch_transforms_active()
        return direct(X, *how) * (1.5 if special else 1)

    monkeypatch.setattr(execute, "direct", changed)
    assert broken() == {"vmap"}


def test_what_raises_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no compiler\nand more")

    only(monkeypatch, "torch.compile")
    assert broken() == set()
    monkeypatch.setattr(torch, "compile", fails)
    (one,) = [one for one in polydesign.doctor("cpu") if one.state == "breaks"]
    assert one.found == "RuntimeError: no compiler"
    assert "C++ compiler" in one.cure


def test_settings_are_read_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "msign in fp32")
    torch.set_float32_matmul_precision("medium")
    (settings,) = [one for one in polydesign.doctor("cpu") if one.name == "settings"]
    assert "tf32 on CUDA and bf16 on the CPU" in settings.found
    assert torch.get_float32_matmul_precision() == "medium"


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "sums in")
    done = CliRunner().invoke(main, ["doctor", "--device", "cpu"])
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "nothing breaks"
    monkeypatch.setattr(ops, "mm", lambda a, b: a[..., :1] @ b[..., :1, :])
    done = CliRunner().invoke(main, ["doctor", "--device", "cpu"])
    assert done.exit_code == 1
    assert "BREAKS cpu    sums in bf16: 4096 ones give 1" in done.output
    assert done.output.splitlines()[-1] == "2 of 4 break"
    done = CliRunner().invoke(main, ["doctor", "--device", "cpu", "--json"])
    assert done.exit_code == 1
    assert [one["state"] for one in json.loads(done.output)].count("breaks") == 2
    assert CliRunner().invoke(main, ["doctor", "--device", "tpu"]).exit_code == 2
