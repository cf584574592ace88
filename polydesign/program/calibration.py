"""MeasuredPrices prices: seconds per product on one machine, as `polydesign bench --calibrate` writes them.

verification/calibrate.py measures. Here they are read, checked, and handed to the cost model in place of
flops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polydesign.model import (
    DTYPES,
    InputError,
    check_choice,
    check_integer,
    check_number,
    check_plain,
    dtype_name,
    located,
    quoted,
)
from polydesign.program.cost import Prices, sides

SCHEMA = "polydesign/costs/v1"


@dataclass(frozen=True, slots=True)
class MeasuredPrices:
    """Seconds per product for one precision, shape and batch; medians over `rounds`.

    dtype: named as in torch. shape: (m, n) of Products in cost.py, m the side of the square matrices. batch:
    how many matrices one product is of; seconds are those of all of them. spread: the largest ratio of upper
    to lower quartile of a kind; far above 1 the machine had other work.
    """

    dtype: str
    shape: tuple[int, int]
    batch: int
    rounds: int
    spread: float
    seconds: Prices

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, DTYPES)
        if not isinstance(self.shape, tuple) or len(self.shape) != 2:
            raise InputError("shape", f"must be two sides such as [512, 1024], not {quoted(self.shape)}")
        for index, side in enumerate(self.shape):
            check_integer(f"shape[{index}]", side, 1)
        object.__setattr__(self, "batch", check_integer("batch", self.batch, 1))
        object.__setattr__(self, "rounds", check_integer("rounds", self.rounds, 1))
        object.__setattr__(self, "spread", check_number("spread", self.spread))
        if self.spread < 1:
            raise InputError("spread", f"must be at least 1, not {quoted(self.spread)}")

    def __str__(self) -> str:
        return _named(self.dtype, self.shape, self.batch)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one run measured. device: cpu or cuda:0; machine: whose it is, in words; torch: its version."""

    date: str
    torch: str
    device: str
    machine: Mapping[str, str]
    products: tuple[MeasuredPrices, ...]

    def __post_init__(self) -> None:
        for name in ("date", "torch", "device"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise InputError(name, f"must be a text, not {quoted(getattr(self, name))}")
        if not isinstance(self.machine, Mapping) or not all(
            isinstance(word, str) for pair in self.machine.items() for word in pair
        ):
            raise InputError("machine", f"must be an object of texts, not {quoted(self.machine)}")
        for name in ("date", "torch", "device", "machine"):
            check_plain(name, getattr(self, name))
        if not self.products:
            raise InputError("products", "is empty: a calibration holds at least one shape")
        seen: set[str] = set()
        for index, measured in enumerate(self.products):
            if str(measured) in seen:
                raise InputError(f"products[{index}]", f"{measured} is there twice")
            seen.add(str(measured))

    def prices(self, shape: tuple[int, int], dtype: Any, *, form: str = "direct", batch: int = 1) -> Prices:
        """Prices in seconds for this shape, as `cost.sides` reads it, precision and batch.

        Nothing is interpolated: a product of another shape may run another kernel. Raises InputError naming
        what the calibration holds.
        """
        dtype, (m, n) = dtype_name(dtype), sides(shape, form)
        batch = check_integer("batch", batch, 1)
        for measured in self.products:
            if (measured.dtype, measured.shape, measured.batch) == (dtype, (m, n), batch):
                return measured.seconds
        same = [measured for measured in self.products if measured.dtype == dtype]
        cure = f"--shape {m}x{n} --dtype {dtype}" + (f" --batch {batch}" if batch > 1 else "")
        raise InputError(
            "shape" if same else "dtype",
            f"the calibration holds {', '.join(map(str, self.products))}, and not "
            f"{_named(dtype, (m, n), batch)}: measure it with `polydesign bench --calibrate FILE {cure}`",
        )


def _named(dtype: str, shape: tuple[int, int], batch: int) -> str:
    return f"{dtype} {shape[0]}x{shape[1]}" + (f" in batches of {batch}" if batch > 1 else "")


def dumps(calibration: Calibration) -> str:
    """The text of the file."""
    body = {"schema": SCHEMA, **asdict(calibration)}
    for entry in body["products"]:
        del entry["seconds"]["unit"]
    return json.dumps(body, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def load(path: str | Path) -> Calibration:
    """The calibration in a file. Raises InputError naming the file and the field, and OSError."""
    path = Path(path)
    if not path.exists():
        raise InputError(str(path), f"there is no such file: `polydesign bench --calibrate {path}` writes it")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (RecursionError, ValueError) as problem:
        reason = str(problem).partition("\n")[0]
        raise InputError(
            str(path), f"is not JSON ({reason}): `polydesign bench --calibrate` writes it"
        ) from problem
    with located(f"{path}: "):
        return _calibration(body)


def _calibration(body: Any) -> Calibration:
    names = tuple(Calibration.__dataclass_fields__)
    if isinstance(body, dict) and body.get("schema", SCHEMA) != SCHEMA:
        raise InputError("$.schema", f"is {body['schema']!r}, and only {SCHEMA!r} is read")
    _check_keys("$", body, ("schema", *names))
    if not isinstance(body["products"], list):
        raise InputError("$.products", f"must be a list, not {quoted(body['products'])}")
    products = tuple(_measured(f"$.products[{i}]", entry) for i, entry in enumerate(body["products"]))
    with located("$."):
        return Calibration(**{**{name: body[name] for name in names}, "products": products})


def _measured(where: str, entry: Any) -> MeasuredPrices:
    _check_keys(where, entry, tuple(MeasuredPrices.__dataclass_fields__))
    seconds, shape = entry["seconds"], entry["shape"]
    _check_keys(f"{where}.seconds", seconds, ("gram", "wide", "symmetric"))
    with located(f"{where}.seconds."):
        prices = Prices(**seconds, unit="seconds")
    shape = tuple(shape) if isinstance(shape, list) else shape
    with located(f"{where}."):
        return MeasuredPrices(**{**entry, "shape": shape, "seconds": prices})


def _check_keys(where: str, body: Any, names: tuple[str, ...]) -> None:
    if not isinstance(body, dict):
        raise InputError(where, f"must be an object with {', '.join(names)}, not {quoted(body)}")
    for name in names:
        if name not in body:
            raise InputError(where, f"lacks {name}: `polydesign bench --calibrate` writes it")
    for name in body:
        if name not in names:
            raise InputError(f"{where}.{name}", f"is not one of {', '.join(names)}")
