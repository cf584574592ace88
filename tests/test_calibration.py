"""Calibrations: measured with a fake clock and with the real one, written, read, refused, and taken as prices."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from polydesign.model import InputError
from polydesign.program.calibration import Calibration, MeasuredPrices, dumps, load
from polydesign.program.cost import UNIT, Prices, cost
from polydesign.runtime import ops
from polydesign.verification.calibrate import REPEATS, calibrate

SHAPES = [(4, 4), (4, 10)]
QUINTICS = [(2, "monomial")] * 5


def small(**options: Any) -> Calibration:
    return calibrate(SHAPES, **{"dtype": "float32", "device": "cpu", "rounds": 2, **options})


def known() -> Calibration:
    """Prices that tell every kind and shape from every other."""
    products = (
        MeasuredPrices("bfloat16", (4, 4), 1, 15, 1.5, Prices(1.0, 2.0, 4.0, "seconds")),
        MeasuredPrices("bfloat16", (4, 10), 1, 15, 1.5, Prices(8.0, 16.0, 32.0, "seconds")),
        MeasuredPrices("bfloat16", (4, 10), 3, 15, 1.5, Prices(64.0, 128.0, 256.0, "seconds")),
        MeasuredPrices("float32", (10, 4), 1, 7, 1.5, Prices(512.0, 1024.0, 2048.0, "seconds")),
    )
    return Calibration("2026-01-31", "2.13.0", "cpu", {"device_name": "an abacus"}, products)


# measuring


def test_medians_of_each_kind_per_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that spends what each kind and its inner side say, and once in a while much more."""
    now, ran = [0.0], Counter[Any]()
    seconds = {"sym_mm": 1.0, "mm_add": 10.0, "sym_mm_add": 100.0}

    for name in seconds:

        def product(*operands: Any, name: str = name, **factors: Any) -> None:
            shapes = tuple(tuple(operand.shape) for operand in operands[-2:])
            ran[name, shapes, operands[0].dtype] += 1
            now[0] += seconds[name] * shapes[1][0]
            if ran[name, shapes, operands[0].dtype] == 3 * REPEATS:  # in the first of three rounds
                now[0] += 1e6

        monkeypatch.setattr(ops, name, product)

    def timer(call: Callable[[], object]) -> float:
        start = now[0]
        call()
        return now[0] - start

    found = small(timer=timer, rounds=3, seconds=1e9, dtype="fp16")
    assert [m.shape for m in found.products] == SHAPES
    assert {m.rounds for m in found.products} == {3}
    assert all(m.spread > 1e3 for m in found.products)
    for measured in found.products:
        n = measured.shape[1]
        prices = measured.seconds
        assert (prices.gram, prices.wide, prices.symmetric) == pytest.approx((n, 40, 400))
    half, square = torch.float16, (4, 4)
    wide = {
        ("sym_mm", ((4, 10), (10, 4)), half),
        ("mm_add", (square, (4, 10)), half),
        ("sym_mm_add", (square, square), half),
    }
    assert ran.keys() == wide | {(name, (square, square), half) for name in seconds}


def test_a_call_queues_several_products(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    for name in ("sym_mm", "mm_add", "sym_mm_add"):
        monkeypatch.setattr(ops, name, lambda *a, name=name, **k: ran.append(name))
    small(timer=lambda call: (call(), 1.0)[1])
    # Two warm-ups and two rounds of each shape.
    assert {name: ran.count(name) for name in set(ran)} == dict.fromkeys(set(ran), 4 * 2 * REPEATS)
    assert len(set(ran)) == 3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3])
def test_measures_every_precision_on_the_device(dtype: str, batch: int, device: str) -> None:
    found = small(dtype=dtype, batch=batch, device=device)
    assert found.torch == torch.__version__
    assert found.device.startswith(device)
    assert [(m.dtype, m.shape, m.batch) for m in found.products] == [
        (dtype, shape, batch) for shape in SHAPES
    ]
    prices = found.prices((10, 4), dtype, batch=batch)
    assert cost(QUINTICS, prices) == 5 * (prices.gram + prices.wide + prices.symmetric) > 0


def test_a_shape_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*operands: Any, **factors: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ops, "mm_add", broken)
    with pytest.raises(InputError, match=r"shape: 4x4 wide cannot be run here .*out of memory.* smaller"):
        small()


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"rounds": 0}, "rounds", "at least 1"),
        ({"seconds": 0}, "seconds", "greater than 0"),
        ({"batch": 0}, "batch", "at least 1"),
        ({"dtype": "int8"}, "dtype", "int8 is not one of"),
        ({"device": "gpu"}, "device", "not a torch device"),
        ({"shapes": []}, "shape", "at least one"),
        ({"shapes": [(4, 0)]}, "shape", "at least 1"),
        ({"shapes": [(4, 2**30)]}, "shape", "take less"),
    ],
)
def test_measuring_refuses(options: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        calibrate(**{"shapes": SHAPES, "device": "cpu", "rounds": 1, **options})
    assert refused.value.field == field
    assert words in refused.value.problem


# prices


def test_prices_take_the_place_of_flops() -> None:
    found = known()
    direct = found.prices((4, 10), "bf16")
    assert direct.unit == "seconds"
    assert cost(QUINTICS, direct) == 5 * (8 + 16 + 32)
    assert cost(QUINTICS, direct, form="gram", restarts=(2,)) == 2 * (8 + 16) + (5 + 3 * 3) * 32
    assert cost(QUINTICS, direct) != cost(QUINTICS, UNIT)
    # Of the transpose, of a batch, and of G (10, 4) with P (4, 4).
    assert found.prices((10, 4), torch.bfloat16) == direct == found.prices((10, 4), "bf16", form="coupled")
    assert found.prices((4, 10), "bf16", batch=3).gram == 64
    # G (4, 10) has P (10, 10): another product, and here another entry.
    assert found.prices((4, 10), "fp32", form="coupled").gram == 512


@pytest.mark.parametrize(
    ("shape", "dtype", "how", "field", "wanted"),
    [
        ((4, 11), "bf16", {}, "shape", "--shape 4x11 --dtype bfloat16`"),
        ((4, 4), "bf16", {"batch": 2}, "shape", "--shape 4x4 --dtype bfloat16 --batch 2`"),
        ((4, 10), "bf16", {"form": "coupled"}, "shape", "--shape 10x4 --dtype bfloat16`"),
        ((4, 10), "fp32", {}, "shape", "--shape 4x10 --dtype float32`"),
        ((4, 10), "fp64", {}, "dtype", "--shape 4x10 --dtype float64`"),
    ],
)
def test_prices_of_what_was_not_measured_are_refused(
    shape: tuple[int, int], dtype: str, how: dict[str, Any], field: str, wanted: str
) -> None:
    with pytest.raises(InputError) as refused:
        known().prices(shape, dtype, **how)
    assert refused.value.field == field
    assert "holds bfloat16 4x4, bfloat16 4x10, bfloat16 4x10 in batches of 3, float32 10x4, and not" in str(
        refused.value
    )
    assert wanted in refused.value.problem


# the file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    for index, found in enumerate((known(), small())):
        path = tmp_path / f"{index}.json"
        path.write_text(dumps(found))
        assert load(path) == found
    assert load(tmp_path / "0.json") != load(tmp_path / "1.json")


def changed(edit: Callable[[dict[str, Any]], object]) -> str:
    body = json.loads(dumps(known()))
    edit(body)
    return json.dumps(body)


FIRST = "$.products[0]"


@pytest.mark.parametrize(
    ("edit", "field", "words"),
    [
        (lambda b: b["products"][0].pop("seconds"), FIRST, "lacks seconds"),
        (lambda b: b["products"][0].update(unit="ms"), f"{FIRST}.unit", "is not one of dtype, shape"),
        (lambda b: b["products"][0].update(dtype="bf16"), f"{FIRST}.dtype", "not one of bfloat16"),
        (lambda b: b["products"][0].update(shape=[4]), f"{FIRST}.shape", "two sides"),
        (lambda b: b["products"][0].update(shape=[4, 4.5]), f"{FIRST}.shape[1]", "whole number"),
        (lambda b: b["products"][0].update(batch=0), f"{FIRST}.batch", "at least 1"),
        (lambda b: b["products"][0].update(spread=0.5), f"{FIRST}.spread", "at least 1"),
        (lambda b: b["products"][0].update(rounds=None), f"{FIRST}.rounds", "whole number"),
        (lambda b: b["products"][0]["seconds"].pop("wide"), f"{FIRST}.seconds", "lacks wide"),
        (lambda b: b["products"][0]["seconds"].update(wide=0), f"{FIRST}.seconds.wide", "greater than 0"),
        (lambda b: b["products"][0]["seconds"].update(gram="1"), f"{FIRST}.seconds.gram", "finite number"),
        (
            lambda b: b["products"][0]["seconds"].update(gram=float("nan")),
            f"{FIRST}.seconds.gram",
            "finite number",
        ),
        (lambda b: b["products"].append(b["products"][1]), "$.products[4]", "bfloat16 4x10 is there twice"),
        (lambda b: b["products"].clear(), "$.products", "at least one shape"),
        (lambda b: b["products"].insert(0, 3), FIRST, "must be an object"),
        (lambda b: b["machine"].update(cores=2), "$.machine", "object of texts"),
    ],
)
def test_a_wrong_field_is_named(
    edit: Callable[[Any], object], field: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "costs.json"
    path.write_text(changed(edit))
    with pytest.raises(InputError) as refused:
        load(path)
    assert refused.value.field == f"{path}: {field}"
    assert words in refused.value.problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no such file: `polydesign bench --calibrate"),
        ("costs", "is not JSON"),
        ("[" * 10**5, "is not JSON"),
        ("[]", "must be an object"),
        ("{}", "lacks schema"),
        ('{"schema": "v2"}', "only 'polydesign/costs/v1' is read"),
        (json.dumps({**json.loads(dumps(known())), "products": {}}), "must be a list"),
        (json.dumps({**json.loads(dumps(known())), "torch": 2}), "must be a text"),
    ],
)
def test_what_is_no_calibration_is_refused(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as refused:
        load(path)
    assert refused.value.field.startswith(str(path))
    assert words in refused.value.problem
