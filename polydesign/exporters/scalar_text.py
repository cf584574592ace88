"""f(x) of numbers: a function in plain Python, and a C header. No library but the language.

Both run the same operations in the same order on the same float64 constants, so they agree to the last bit
where C does not contract products and sums (-ffp-contract=off; standard C modes of gcc do not).
"""

from __future__ import annotations

from polydesign.exporters.layout import WIDTH, comment, identifier, indented, loop_text, steps_text, wrapped
from polydesign.exporters.printer import Infix, Routine, is_one, plain, routines
from polydesign.exporters.target import Target, header
from polydesign.model import Table
from polydesign.program.cost import matmuls_of


def python_text(table: Table) -> str:
    """f(x), with the table's name, digest and promise in its docstring."""
    made, calls = routines(table.schedule)
    several = len(made) > 1
    root = table.schedule.root
    functions = ""
    for routine in made if several else ():
        *lines, last = _lines(routine, root)
        lines.append("return " + last.partition(" = ")[2])
        functions += f"def _{routine.name}(x, {', '.join(routine.constants)}):\n{indented(lines, 1)}\n\n\n"
    if several:
        loop = ["for step, *constants in STEPS:", "    x = step(x, *constants)"]
    else:
        body = _lines(made[0], root)
        loop = [loop_text(made[0]), *("    " + line for line in body)]
    said = [part for line in header(table) for part in wrapped(_quoted(line), WIDTH - 7)]
    x = f"x: {_argument(root)} after normalization; a number, or what has sums and products as numbers do."
    docstring = [f'"""{said[0]}', *said[1:], "", *wrapped(x), '"""']
    what = "what computes it, and its constants" if several else ", ".join(made[0].constants)
    return (
        f"{functions}# One step a row: {what}.\n{steps_text(calls, several=several)}\n\n"
        f"def f(x):\n{indented([*docstring, *loop, 'return x'], 1)}\n"
    )


def _quoted(line: str) -> str:
    """A line that may stand in a docstring, whatever a source is called."""
    return line.replace("\\", "\\\\").replace('"""', "'''")


def _argument(root: int) -> str:
    return "a singular value" if root == 2 else "an eigenvalue" if root == 1 else f"an eigenvalue^(1/{root})"


def _lines(routine: Routine, root: int) -> list[str]:
    register, weight, constant = routine.final
    scaled = register if is_one(weight) else f"{plain(weight)} * {register}"
    lines = Infix(routine, "*", _plus).written()
    return [*_power(root), *lines, f"x = {plain(constant)} * x + {scaled} * x"]


def _plus(total: str, multiple: str) -> str:
    return f"{total} - {multiple[1:]}" if multiple.startswith("-") else f"{total} + {multiple}"


def _power(root: int) -> list[str]:
    """A = x^r by products alone, which every language rounds alike."""
    first, *bits = f"{root:b}"
    text = "x" * int(first)
    lines = []
    for index, bit in enumerate(bits):
        square = f"{'A' if index else text} * {'A' if index else text}"
        lines.append(f"A = {square}{' * x' if bit == '1' else ''}")
    return lines or ["A = x"]


def c_text(table: Table) -> str:
    """A header for C99: the constants that run, in hexadecimal, the degrees, and f(x) inline."""
    made, calls = routines(table.schedule)
    name = identifier(table.name)
    guard = f"POLYDESIGN_{name.upper()}_H"
    schedule = table.schedule
    arrays, rows = [], []
    for index, (routine, row) in enumerate(calls, start=1):
        entries = "".join(
            f"    {c.hex()}, /* {n} = {c!r} */\n" for n, c in zip(routine.constants, row, strict=True)
        )
        arrays.append(f"static const double {name}_{index}[{len(row)}] = {{\n{entries}}};\n")
        rows.append(f"    x = {name}_{routine.name}(x, {name}_{index});\n")
    said = comment(table, " * ").replace("*/", "* /").replace("/*", "/ *")
    low, high = schedule.interval
    return (
        f"/*\n{said}\n */\n"
        f"#ifndef {guard}\n#define {guard}\n\n"
        f"#define {name.upper()}_ROOT {schedule.root}\n"
        f"#define {name.upper()}_STEPS {len(calls)}\n"
        f"#define {name.upper()}_MATMULS {matmuls_of(table)}\n"
        f"#define {name.upper()}_LOWER {low.hex()}\n"
        f"#define {name.upper()}_UPPER {high.hex()}\n"
        f"#define {name.upper()}_ERROR {schedule.error.hex()}\n\n"
        f"static const int {name}_degrees[{len(calls)}] = {{{', '.join(map(str, schedule.degrees))}}};\n\n"
        + "\n".join(arrays)
        + "\n"
        + "\n".join(_c_function(routine, name, schedule.root) for routine in made)
        + f"\n/* f(x); x: {_argument(schedule.root)} after normalization */\n"
        + f"static inline double {name}(double x)\n{{\n{''.join(rows)}    return x;\n}}\n\n"
        + f"#endif /* {guard} */\n"
    )


def _c_function(routine: Routine, name: str, root: int) -> str:
    constants = [f"    const double {c} = row[{k}];\n" for k, c in enumerate(routine.constants)]
    *lines, last = _lines(routine, root)
    body, declared = "", set()
    for line in lines:
        register = line.partition(" = ")[0]
        body += f"    {'' if register in declared else 'double '}{line};\n"
        declared.add(register)
    value = last.partition(" = ")[2]
    return (
        f"static inline double {name}_{routine.name}(double x, const double *row)\n"
        f"{{\n{''.join(constants)}{body}    return {value};\n}}\n"
    )


PYTHON = Target("plain Python: f(x) of numbers, without any library", ".py", python_text, loop=None)
C = Target("C99 header: the constants in hexadecimal, and f(x) inline", ".h", c_text, loop=None)
