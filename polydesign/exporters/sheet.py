"""Tables of numbers for people and spreadsheets: CSV, Markdown, LaTeX. Every digit is there."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from polydesign.exporters.layout import comment
from polydesign.exporters.printer import program_text
from polydesign.exporters.target import Target, header
from polydesign.model import Step, Table


def csv_text(table: Table) -> str:
    """One row a step, RFC 4180: what it is, c0, c1, … of q, and the program that runs where they do not.

    Name, digest and root are columns, since CSV has no comments. program: its lines, with constants k0, k1,
    …; empty, like cells to the right of a row's last number, where a step has none.
    """
    steps = table.schedule.steps
    most = max(len(_coefficients(step)) for step in steps)
    programs = max(len(constants_beside(step)) for step in steps)
    columns = ["name", "digest", "root", "normalization", "step", "degree", "evaluation"]
    columns += ["domain_low", "domain_high", "image_low", "image_high", "half_width"]
    columns += [f"c{j}" for j in range(most)]
    columns += ["program", *(f"k{j}" for j in range(programs))] if programs else []
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    same = [table.name, table.digest, table.schedule.root, table.normalization]
    for index, step in enumerate(steps, start=1):
        numbers = [*step.domain, *step.image, step.half_width, *_coefficients(step)]
        cells = [*same, index, step.degree, step.evaluation, *map(repr, map(float, numbers))]
        cells += [""] * (most - len(_coefficients(step)))
        if programs:
            constants = constants_beside(step)
            cells += [program_text(step), *map(repr, constants), *[""] * (programs - len(constants))]
        writer.writerow(cells)
    return out.getvalue()


def markdown_text(table: Table) -> str:
    """A heading, the promise and digest as a list, and a table of a row a step."""
    said = "\n".join(f"- {_inline(line)}" for line in [table.digest, *header(table)[1:]])
    rows = ["| step | degree | image | evaluation | numbers |", "|--:|--:|:--|:--|:--|"]
    for index, step in enumerate(table.schedule.steps, start=1):
        low, high = step.image
        listed = [*_numbered("c", _coefficients(step)), *_numbered("k", constants_beside(step))]
        numbers = ", ".join(f"{name} = `{c!r}`" for name, c in listed)
        rows.append(f"| {index} | {step.degree} | [{low:.6g}, {high:.6g}] | {step.evaluation} | {numbers} |")
    what = "c0, c1, … are the coefficients of q, p(x) = x q(x^r), in increasing powers."
    programs = dict.fromkeys(filter(None, map(program_text, table.schedule.steps)))
    if programs:
        listed = ", ".join(f"`{text}`" for text in programs)
        what += f" A step that is not monomial runs its program with the constants k0, k1, …: {listed}."
    joined = "\n".join(rows)
    return f"### {_inline(table.name)}\n\n{said}\n\n{joined}\n\n{what}\n"


def _inline(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(text.split()))


def _numbered(letter: str, numbers: Sequence[float]) -> list[tuple[str, float]]:
    return [(f"{letter}{j}", number) for j, number in enumerate(numbers)]


def constants_beside(step: Step) -> tuple[float, ...]:
    """Those that run, where they are not the coefficients."""
    return () if step.evaluation == "monomial" else step.program.constants


def _coefficients(step: Step) -> tuple[float, ...]:
    """Those of a long step are left out: in float64 they are another polynomial's."""
    return () if step.long else step.coefficients


def latex_text(table: Table) -> str:
    """A booktabs tabular of the coefficients with decimal points aligned (siunitx).

    Quintics and cubics have a row a step, other tables a row a coefficient. What runs in steps that are not
    monomial are constants of a program, which the table's file has.
    """
    table.as_tuples()  # refuses long steps, of which coefficients say nothing
    steps = table.schedule.steps
    wide = max(len(step.coefficients) for step in steps) <= 3
    numbers = [c for step in steps for c in step.coefficients]
    column = _column(numbers)
    if wide:
        most = max(len(step.coefficients) for step in steps)
        layout = f"rr*{{{most}}}{{{column}}}"
        heads = ["step", "degree", *(f"{{$c_{j}$}}" for j in range(most))]
        rows = [
            [str(i), str(s.degree), *map(repr, s.coefficients), *["{--}"] * (most - len(s.coefficients))]
            for i, s in enumerate(steps, start=1)
        ]
        body = [" & ".join(row) + r" \\" for row in rows]
    else:
        layout = f"rrr{column}"
        heads = ["step", "degree", "$j$", "{$c_j$}"]
        body = []
        for i, step in enumerate(steps, start=1):
            body += [r"\addlinespace"] if i > 1 else []
            for j, c in enumerate(step.coefficients):
                first = f"{i} & {step.degree}" if j == 0 else " & "
                body.append(f"{first} & {j} & {c!r} " + r"\\")
    lines = [
        comment(table, "% "),
        *_runs(table),
        r"% \usepackage{booktabs,siunitx}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _runs(table: Table) -> list[str]:
    """What a reader of the coefficients must know, as comments."""
    if not any(map(constants_beside, table.schedule.steps)):
        return []
    return [
        "% In half precision run the constants of the programs, which are in the table's file and its CSV:",
        "% these coefficients are the same polynomials, but powers of A lose their digits.",
    ]


def _column(numbers: list[float]) -> str:
    """An S column of siunitx with room for all of them."""
    texts = [repr(abs(c)).partition("e") for c in numbers]
    whole = max(len(mantissa.partition(".")[0]) for mantissa, _, _ in texts)
    digits = max(len(mantissa.partition(".")[2]) for mantissa, _, _ in texts)
    sign = "-" if any(c < 0 for c in numbers) else ""
    exponent = max((len(e.lstrip("+-")) for _, _, e in texts), default=0)
    return f"S[table-format={sign}{whole}.{digits}{f'e-{exponent}' if exponent else ''}]"


CSV = Target("CSV (RFC 4180): a row a step, for spreadsheets and any language", ".csv", csv_text)
MARKDOWN = Target("Markdown: promise, digest and a table of the rows", ".md", markdown_text)
LATEX = Target("LaTeX: a booktabs tabular with aligned decimals (siunitx)", ".tex", latex_text)
