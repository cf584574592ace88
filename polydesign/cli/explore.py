"""polydesign explore: a page with sliders, on this machine."""

from __future__ import annotations

from importlib.util import find_spec

import click

from polydesign.cli.given import table_given
from polydesign.model import InputError


@click.command(short_help="Open a page with sliders: design, compare, run, take.")
@click.argument("tables", metavar="FILE_OR_NAME...", nargs=-1)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of 127.0.0.1.  [default: a free one]")
@click.option("--no-open", is_flag=True, help="Open no browser: only print the address.")
def explore(tables: tuple[str, ...], port: int, no_open: bool) -> None:
    """Open a page with sliders in the browser, with these tables drawn over the design.

    The page is served on this machine alone, by this process, until Ctrl-C; nothing comes from the network.
    It needs the extra: pip install 'polydesign[explore]'.

    \b
    Examples:
      polydesign explore
      polydesign explore jordan_5 sign-d5x5-l1e-3-bf16
      polydesign explore optimizer.py --no-open --port 8050
    """
    if find_spec("dash") is None:
        raise InputError("explore", "needs Dash, which is not installed: pip install 'polydesign[explore]'")
    loaded = {}
    for source in tables:
        table = table_given(source)
        if table.name in loaded:
            raise InputError("tables", f"two are called {table.name}: leave one out")
        loaded[table.name] = table
    from polydesign.explorer.server import explore as serve

    def told(address: str) -> None:
        click.echo(f"{address} (Ctrl-C ends it)")

    serve(loaded, told, port=port, browser=not no_open, preload=("polydesign.cli",))
