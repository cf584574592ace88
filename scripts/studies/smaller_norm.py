"""Plain tables divided by a smaller norm than the one that they were tried with.

Random members of two families whose roundings agree, divided by nu_4 and nu_8 in place of the Frobenius norm,
run by every plain table that the package has for the sign in half precision. Writes
figures/smaller_norm.json, and the table of docs/safety.md.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import polydesign
from polydesign.model import DTYPES, Trial
from polydesign.rounding.trial import random_trial
from polydesign.table.catalogue import entries
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "smaller_norm.json"
NORMS = ("schatten4", "schatten8")
FAMILIES = ("products", "diagonal-and-rest")
LOOPS = ("fused", "separate")


def names() -> list[str]:
    """The plain tables of the package that divide by the Frobenius norm, but for those of a band."""
    return [
        one.name
        for one in entries()
        if (one.purpose, one.form, one.normalization) == ("sign", "direct", "frobenius")
        and one.half
        and one.band is None
        and one.standing() == "plain"
    ]


def trials(name: str, count: int) -> dict[str, dict[str, list[Trial]]]:
    """Norm -> loop -> what became of the members."""
    table = polydesign.load(name)

    def tried(norm: str, loop: str, family: str) -> Trial:
        how = {"normalization": norm, "loop": loop, "seed": 1}
        return random_trial(table.schedule, str(table.dtype), family, count, **how)

    return {
        norm: {loop: [tried(norm, loop, family) for family in FAMILIES] for loop in LOOPS} for norm in NORMS
    }


def markdown(body: dict[str, Any]) -> str:
    """A row a table: blown up, lost, and the largest distance, by norm and loop."""
    heads = ["table", "precision", *(f"{norm}, {loop}" for norm in NORMS for loop in LOOPS)]
    lines = [heads, ["---", "---", *["---:"] * (len(heads) - 2)]]
    for name, found in body["tables"].items():
        cells = [cell(found[norm][loop]) for norm in NORMS for loop in LOOPS]
        dtype = next(iter(next(iter(found.values())).values()))[0]["dtype"]
        lines.append([f"`{name}`", DTYPES[dtype], *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(found: list[dict[str, Any]]) -> str:
    worst = [one["worst"] for one in found]
    farthest = "not finite" if None in worst else f"{max(worst):.3g}"
    blown, lost = (sum(one[key] for one in found) for key in ("blown", "lost"))
    return f"**{blown}** / {lost} / {farthest}" if blown else f"0 / {lost} / {farthest}"


@click.command(help=__doc__)
@click.option("--count", default=1_000_000, show_default=True, help="Members of each family.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(count: int, output: Path) -> None:
    body: dict[str, Any] = {"machine": machine(), "count": count, "tables": {}}
    for name in names():
        found = trials(name, count)
        body["tables"][name] = {
            norm: {loop: [asdict(one) for one in tried] for loop, tried in loops.items()}
            for norm, loops in found.items()
        }
        click.echo(markdown(body).splitlines()[-1], err=True)
        write_atomically(output, json.dumps(body, indent=1, allow_nan=False) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()
