"""The options of polydesign search, made from the fields of the strategies, and a --help in sections."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from polydesign.cli.measure import Shape

if TYPE_CHECKING:
    from polydesign.designer.strategy import Strategy, StrategyField


class NumberList(click.ParamType):
    """One number, or several separated by commas: one a step."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = "number[,number...]"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            what = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"{value!r} is not a list of {what} such as 5 or 5,9,9", param, ctx)


class Search(click.Command):
    """A command with the options of all strategies beside its own.

    They are looked up when the command is used, so that a new entry in METHODS needs no line here. output:
    names of the options that --help shows last.
    """

    output: tuple[str, ...] = ()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from polydesign.designer.methods import METHODS

        return [*super().get_params(ctx), *_unique(tuple(METHODS.items()))]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from polydesign.designer.methods import METHODS

        listed = tuple(METHODS.items())
        method = _unique(listed)[0]
        own = super().get_params(ctx)
        help_option = self.get_help_option(ctx)
        last = [one for one in own if one.name in self.output or one is help_option]
        sections = [("Problem", [*(one for one in own if one not in last), method])]
        sections += [(_heading(name, one), _options(one)) for name, one in listed]
        for title, options in [*sections, ("Output", last)]:
            records = [record for one in options if (record := one.get_help_record(ctx))]
            with formatter.section(title):
                formatter.write_dl(records)


@cache
def _unique(listed: tuple[tuple[str, type[Strategy]], ...]) -> list[click.Parameter]:
    """--method, and each setting once: two strategies may have one of the same name."""
    method = click.Option(
        ["--method"],
        type=click.Choice([name for name, _ in listed]),
        help="How to search; each has options of its own below.  [default: equioscillation; budget with "
        "--matmuls]",
    )
    found = {one.name: one for _, strategy in reversed(listed) for one in _options(strategy)}
    return [method, *found.values()]


def _heading(name: str, strategy: type[Strategy]) -> str:
    first = (strategy.__doc__ or name).strip().partition("\n")[0].rstrip(".")
    return f"{first} (--method {name})"


@cache
def _options(strategy: type[Strategy]) -> list[click.Parameter]:
    return [_option(one) for one in strategy.settings()]


def _option(setting: StrategyField) -> click.Option:
    kind, default = _kind(setting), setting.default
    flag = f"--{setting.flag}/--no-{setting.flag}" if kind is bool else f"--{setting.flag}"
    shown = "" if default is None else f"  [default: {setting.said(default)}]"
    return click.Option([flag], type=kind, default=None, help=setting.text + shown)


def _kind(setting: StrategyField) -> Any:
    """The type of an option for a field of this type; text for what is no number."""
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.sides:
        return Shape()
    lists = [NumberList(get_args(kind)[0]) for kind in setting.kinds if get_origin(kind) is tuple]
    return lists[0] if lists else next((one for one in setting.kinds if one in (bool, int, float)), str)
