"""The command line: reads options, calls the layers below, prints what they return.

Results go to standard output, progress and warnings to standard error. Exit code 0: done, and the promise
holds; 1: a check failed; 2: wrong usage. Heavy libraries are imported inside the commands that need them.
"""

from __future__ import annotations

import sys

try:
    import warnings
    from traceback import walk_tb
    from typing import Any, NoReturn

    import click

    import polydesign
    from polydesign.cli.advise import advise
    from polydesign.cli.bench import bench
    from polydesign.cli.compare import compare
    from polydesign.cli.completing import completed
    from polydesign.cli.conformance import conformance
    from polydesign.cli.design import search
    from polydesign.cli.doctor import doctor
    from polydesign.cli.explore import explore
    from polydesign.cli.export import export
    from polydesign.cli.fold import fold, unfold
    from polydesign.cli.given import in_options
    from polydesign.cli.identify import identify
    from polydesign.cli.importing import import_
    from polydesign.cli.listing import list_tables
    from polydesign.cli.measure import verify
    from polydesign.cli.prove import certify
    from polydesign.cli.report import report
    from polydesign.cli.share import completion, plot, show
    from polydesign.cli.sweep import sweep
    from polydesign.model import FormatNote, InputError, InputWarning, PromiseWarning, SafetyWarning, visible
except KeyboardInterrupt:  # these take a third of a second, and no command has begun
    sys.stderr.write("Interrupted before anything was done.\n")
    sys.exit(130)

__all__ = ["main"]


_NO_TORCH = "torch cannot be loaded, and this runs matrices: pip install torch"


class _Refusal(click.ClickException):
    """Wrong usage, in one or two lines and with exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(visible(message, keep="\n"))


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    text = visible(str(message), keep="\n")
    click.echo(f"{'Note' if isinstance(message, FormatNote) else 'Warning'}: {text}", err=True)


class _Group(click.Group):
    """Turns the errors that the layers below raise on purpose into refusals; others stay tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings():
            for kind in (FormatNote, InputWarning, PromiseWarning, SafetyWarning):
                warnings.simplefilter("default", kind)
            warnings.showwarning = _show
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as problem:
            where = problem.ctx.command_path if problem.ctx else "polydesign"
            raise _Refusal(f"{problem.format_message()} Try '{where} --help'.") from problem
        except KeyboardInterrupt:
            self._interrupted(ctx)
        except InputError as problem:
            command = self.commands.get(ctx.invoked_subcommand or "")
            options = command.get_params(ctx) if command else []
            flags = {p.name: p.opts[-1] for p in options if isinstance(p, click.Option)}
            # A plan's fields are options of the same name; restarts[1] belongs to --restarts.
            name = problem.field.removeprefix("plan.").partition("[")[0]
            raise _Refusal(f"{flags.get(name, problem.field)}: {in_options(problem.problem)}") from problem
        except ArithmeticError as problem:
            raise _Refusal(str(problem) or type(problem).__name__) from problem
        except SystemError as problem:  # what some libraries in C make of an interrupt while they load
            if not isinstance(problem.__context__, KeyboardInterrupt):
                raise
            self._interrupted(ctx)
        except BrokenPipeError:
            raise  # click ends quietly: the reader of our output has gone
        except (ImportError, OSError) as problem:
            if _of_torch(problem):
                raise _Refusal(f"{_NO_TORCH} ({problem})") from problem
            if isinstance(problem.__context__, KeyboardInterrupt):
                self._interrupted(ctx)
            if not isinstance(problem, OSError):
                raise
            where = problem.filename2 or problem.filename or "output"
            raise _Refusal(f"{where}: {problem.strerror or problem}") from problem

    def _interrupted(self, ctx: click.Context) -> NoReturn:
        click.echo("Interrupted; nothing was left half written.", err=True)
        ctx.exit(130)


def _of_torch(problem: ImportError | OSError) -> bool:
    """Whether torch was being imported: it is missing, or a library that it needs is."""
    if isinstance(problem, ImportError) and problem.name == "torch":
        return True
    modules = {str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(problem.__traceback__)}
    return sys.modules.get("torch") is None and any(name.split(".")[0] == "torch" for name in modules)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(polydesign.__version__, "-V", "--version", message="polydesign %(version)s")
def main() -> None:
    """Design polynomials for Newton-Schulz iterations, check what they do, and run them.

    \b
    polydesign search --degree 5 --steps 6              design a schedule for bfloat16
    polydesign verify sign-d5x6-l1e-3-bf16              run it on matrices
    polydesign plot sign-d5x6-l1e-3-bf16                see what it does
    polydesign export sign-d5x6-l1e-3-bf16 --to optax   take it to another codebase
    """


for _command in (
    *(search, sweep, certify, verify, bench, doctor, advise),
    *(list_tables, show, compare, plot, explore, report, export, conformance, completion),
    *(identify, import_, fold, unfold),
):
    main.add_command(completed(_command))
