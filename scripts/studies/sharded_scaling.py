"""Which layout of sharded matrices takes least, by a model, for three models' shapes on 8 to 1024 ranks.

    python scripts/studies/sharded_scaling.py                       # writes figures/sharded_scaling.json
    python scripts/studies/sharded_scaling.py --link 9e11 --node 72 --table sign-m15-l1e-3-bf16 -o mine.json

Nothing is run or timed. Operations, bytes and numbers of collectives are those of runtime/sharded/cost.py, of
the rank with most to do, for msign in bfloat16 without checks; what travels is bfloat16 too. On top of them:

- Products run at one speed whatever their shape, and nothing overlaps: neither products with collectives,
  nor anything with the backward pass.
- A rank sends --link bytes a second to others of its node of --node ranks, and a node as many as the row says
  to other nodes, on all its links together. Sums and gathers go round a ring that enters and leaves a node
  once, on all its links: they take sent/min(link, node's). Of an all-to-all each pair of ranks has an equal
  part: a rank's share of the node's bandwidth carries what leaves the node, and the link the rest, at once.
- A collective takes --latency·log2(ranks) beside its bytes.
- Every matrix is split by rows over all ranks, as FSDP2 does it, on a mesh of one dimension. "by expert":
  ranks have whole experts; where there are more ranks than experts, they split the rows of one.
- At once: all matrices of a shape are one batch, one shape after the other; no memory limits it. One by one:
  each parameter when its gradient is there, a stack of experts being one.
- Model and momentum take 4 bytes a weight; `fits` is whether that is below --memory on a rank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from torch.distributed.tensor import Shard

from polydesign.runtime import Plan, Sign
from polydesign.runtime.sharded import cost, layouts
from polydesign.runtime.sharded.placed import place
from polydesign.text.files import write_atomically

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "sharded_scaling.json"
LAYOUTS = ("gram", "owner", "gather")
RANKS = (8, 16, 32, 64, 128, 256, 512, 1024)
NETWORKS = (3e9, 1.25e10, 5e10, 1e11, 2e11, 4e11, 8e11)
"""Bytes a second of a node: of 25 and 100 Gb/s, and of one to sixteen links of 400 Gb/s."""

SHOWN = 4e11
"""Of the pages' table."""

BYTES_A_WEIGHT = 4


@dataclass(frozen=True)
class Shape:
    """So many parameters of one shape: each a stack of `stack` matrices, experts where it is not 1."""

    count: int
    rows: int
    columns: int
    stack: int = 1

    @property
    def weights(self) -> int:
        return self.count * self.stack * self.rows * self.columns


GPT2_LARGE = [Shape(36, 3840, 1280), Shape(36, 1280, 1280), Shape(36, 5120, 1280), Shape(36, 1280, 5120)]
"""36 layers of width 1280, QKV in one. Source: Radford et al. 2019, table 2; config.json of
huggingface.co/openai-community/gpt2-large."""

LLAMA3_70B = [
    Shape(160, 8192, 8192),  # queries, output
    Shape(160, 1024, 8192),  # keys, values: 8 heads of 128
    Shape(160, 28672, 8192),
    Shape(80, 8192, 28672),
]
"""80 layers. Source: arXiv 2407.21783, table 3; config.json of huggingface.co/meta-llama/Meta-Llama-3-70B."""

DEEPSEEK_V3 = [
    Shape(2 * 58, 2048, 7168, stack=256),
    Shape(58, 7168, 2048, stack=256),
    Shape(2 * 58, 2048, 7168),  # the expert that all share
    Shape(58, 7168, 2048),
    Shape(2 * 3, 18432, 7168),  # the first three layers are dense
    Shape(3, 7168, 18432),
    # Multi-head latent attention: queries down and up, keys and values down and up, output.
    Shape(61, 1536, 7168),
    Shape(61, 128 * (128 + 64), 1536),
    Shape(61, 512 + 64, 7168),
    Shape(61, 128 * (128 + 128), 512),
    Shape(61, 7168, 128 * 128),
]
"""61 layers of width 7168. Source: arXiv 2412.19437, section 4.2; config.json of
huggingface.co/deepseek-ai/DeepSeek-V3."""

MODELS: dict[str, tuple[list[Shape], bool]] = {
    "GPT-2 large": (GPT2_LARGE, False),
    "Llama 3 70B": (LLAMA3_70B, False),
    "DeepSeek-V3": (DEEPSEEK_V3, False),
    "DeepSeek-V3, by expert": (DEEPSEEK_V3, True),
}
"""Embeddings, heads and routers are not Muon's."""


@dataclass(frozen=True)
class Machines:
    """What is assumed; network: of a node."""

    flops: float
    link: float
    network: float
    node: int
    latency: float

    def seconds(self, found: cost.Cost, exchanged: float, ranks: int) -> float:
        """found: Operations, bytes and collectives. exchanged: Bytes of them that go by all-to-all."""
        ring, inside = self.link, 1.0
        if ranks > self.node:
            ring, inside = min(self.link, self.network), (self.node - 1) / (ranks - 1)
        out = exchanged * (1 - inside) / (self.network / self.node)
        travel = (found.sent - exchanged) / ring + max(exchanged * inside / self.link, out)
        return found.flops / self.flops + travel + found.collectives * self.latency * math.log2(max(ranks, 2))


@dataclass(frozen=True)
class Pretended:
    """As much of a mesh as the model asks for."""

    sizes: tuple[int, ...]
    device_type: str = "cuda"

    @property
    def ndim(self) -> int:
        return len(self.sizes)

    def size(self, dim: int) -> int:
        return self.sizes[dim]


def costs(
    operator: Sign, shape: tuple[int, int, int], sizes: tuple[int, ...], dims: tuple[int, ...]
) -> dict[str, tuple[cost.Cost, float]]:
    """For each layout the cost of a batch, and the bytes of it that go by all-to-all.

    sizes: Of the mesh. dims: What each mesh dimension splits.
    """
    mesh: Any = Pretended(sizes)
    where = place(mesh, [Shard(dim) for dim in dims], shape, [0] * len(sizes))
    how = operator.resolved("bfloat16")
    work, turn, _ = layouts.work_of(operator, how, where, torch.empty(0, 0, dtype=torch.bfloat16))
    found = cost.costs(where, work, turn=turn)
    # Without sums nothing but shards is left of gram; owner has only all-to-alls, gather none.
    silent = cost.costs(where, replace(work, stretches=0, sums=0), turn=turn)
    return {
        name: (one, 0.0 if name in ("gather", "local") else silent[name].sent) for name, one in found.items()
    }


def mesh_of(shape: Shape, ranks: int, by_expert: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sizes of a shape's mesh, and what each of its dimensions splits."""
    if by_expert and shape.stack > 1:
        groups = min(ranks, shape.stack)
        return (groups, ranks // groups), (0, 1)
    return (ranks,), (1,)


def step(
    operator: Sign, model: str, ranks: int, machines: Machines, *, single: bool
) -> dict[str, float | None]:
    """Seconds of each layout for all matrices of a model."""
    shapes, by_expert = MODELS[model]
    total = dict.fromkeys(LAYOUTS, 0.0)
    for one in shapes:
        sizes, dims = mesh_of(one, ranks, by_expert)
        batch, times = (one.stack, one.count) if single else (one.count * one.stack, 1)
        if dims == (0, 1):  # a rank's experts of all layers: as many batches as parameters, or one of all
            batch, times = one.stack * (1 if single else one.count), one.count if single else 1
        found = costs(operator, (batch, one.rows, one.columns), sizes, dims)
        for layout in LAYOUTS:
            parts = found.get(layout) or found["local"]
            total[layout] += times * machines.seconds(*parts, sizes[-1])
    return {layout: float(f"{seconds:.4g}") for layout, seconds in total.items()}


def weights(model: str) -> int:
    return sum(one.weights for one in MODELS[model][0])


def rows_of(operator: Sign, machines: Machines, memory: float) -> Iterator[dict[str, Any]]:
    """A row a model, kind of call, number of ranks and bandwidth of a node."""
    for model in MODELS:
        for single in (False, True):
            for ranks in RANKS:
                for network in NETWORKS:
                    row = {"model": model, "single": single, "ranks": ranks, "network": network}
                    row["fits"] = BYTES_A_WEIGHT * weights(model) / ranks <= memory
                    yield row | step(
                        operator, model, ranks, replace(machines, network=network), single=single
                    )


def least(row: dict[str, Any]) -> str:
    return min(LAYOUTS, key=lambda layout: row[layout])


def markdown(body: dict[str, Any]) -> str:
    """The pages' table: milliseconds at SHOWN, the least of each row in bold."""
    lines = ["| | | ranks | gram | owner | gather |", "|---|---|---:|---:|---:|---:|"]
    said = ("", "")
    for row in body["rows"]:
        if row["network"] != SHOWN or row["ranks"] not in (8, 64, 1024) or not row["fits"]:
            continue
        name = (row["model"], "one by one" if row["single"] else "at once")
        cells = [name[0] if name[0] != said[0] else "", name[1] if name != said else "", str(row["ranks"])]
        for layout in LAYOUTS:
            ms = 1e3 * row[layout]
            text = f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"
            cells.append(f"**{text}**" if layout == least(row) else text)
        lines.append(f"| {' | '.join(cells)} |")
        said = name
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--flops", default=4e14, help="Operations a second of a rank.")
@click.option("--link", default=4e11, help="Bytes a second that a rank sends inside its node.")
@click.option("--node", default=8, help="Ranks of a node.")
@click.option("--latency", default=5e-6, help="Seconds of a collective beside its bytes, times log2(ranks).")
@click.option("--memory", default=8e10, help="Bytes that a rank has for weights and momentum.")
@click.option("--table", default="sign-d5x5-l1e-3-bf16", help="What runs.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/sharded_scaling.json]")
def main(
    flops: float, link: float, node: int, latency: float, memory: float, table: str, output: Path
) -> None:
    machines = Machines(flops, link, SHOWN, node, latency)
    assumed = {"flops": flops, "link": link, "node": node, "latency": latency, "memory": memory}
    rows = list(rows_of(Sign(table, Plan("bf16", check=False)), machines, memory))
    body = {"table": table, "assumed": assumed, "rows": rows}
    head = json.dumps({**body, "rows": []}, indent=1).removesuffix("[]\n}")
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    write_atomically(output, f"{head}[\n{lines}\n ]\n}}\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()
