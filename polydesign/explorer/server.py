"""The page's server: on this machine alone, for this page alone, with limits."""

from __future__ import annotations

import logging
import socket
import threading
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path

from dash import Dash
from flask import Flask, Response, abort, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from polydesign.explorer.callbacks import register
from polydesign.explorer.desk import Desk
from polydesign.explorer.page import layout
from polydesign.explorer.state import State
from polydesign.model import InputError, Table

HOST = "127.0.0.1"
MOST_BYTES = 2_000_000
"""Of a request: a dropped file comes in base64."""

SECONDS = 30.0
"""That a connection may leave the server waiting for a request."""

_PAGE = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: "
    "blob:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class _Quiet(WSGIRequestHandler):
    """Says nothing of each request, and gives up a connection on which nothing comes."""

    timeout = SECONDS
    protocol_version = "HTTP/1.1"  # connections are kept: a slider asks twenty times a second
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


def application(desk: Desk, start: State | None = None) -> Dash:
    """The page's application; `guard` makes it answer this machine alone."""
    app = Dash(
        __name__,
        assets_folder=str(Path(__file__).parent / "assets"),
        serve_locally=True,
        title="polydesign explore",
        update_title="",
    )
    app.layout = lambda: layout(desk.names(), start or State())
    register(app, desk, start or State())
    return app


def guard(app: Dash, port: int) -> None:
    """Refuse what does not come from this page: another Host or Origin, and bodies that are too large.

    A name of another site that resolves to this machine has that site's Host, and a page of another site
    sends its Origin.
    """
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
    server: Flask = app.server
    server.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    policy = _PAGE.format(scripts=" ".join(f"{one}" for one in app.csp_hashes()))

    @server.before_request
    def only_this_page() -> None:
        if request.host not in hosts:
            abort(403)
        origin = request.headers.get("Origin")
        if origin is None and request.method not in ("GET", "HEAD"):
            abort(403)
        if origin is not None and origin.removeprefix("http://") not in hosts:
            abort(403)
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            abort(403)
        if request.content_length is not None and request.content_length > MOST_BYTES:
            abort(413)

    @server.after_request
    def closed(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response


def bound(desk: Desk, port: int = 0, start: State | None = None) -> BaseWSGIServer:
    """A server on 127.0.0.1, on this port or on one that is free (0); it serves from serve_forever on.

    Raises InputError where the port is taken.
    """
    app = application(desk, start)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        listening = socket.create_server((HOST, port))
    except OSError as problem:
        raise InputError("port", f"{port} cannot be had ({problem.strerror}): take another") from problem
    with listening:  # the server has a copy of its own
        asked = (HOST, listening.getsockname()[1], app.server)
        server = make_server(*asked, threaded=True, request_handler=_Quiet, fd=listening.fileno())
    guard(app, server.port)
    return server


def explore(
    tables: Mapping[str, Table],
    told: Callable[[str], None],
    *,
    port: int = 0,
    browser: bool = True,
    preload: tuple[str, ...] = (),
) -> None:
    """Serve the page until Ctrl-C, with these tables drawn over the design.

    told: called with the address, once it can be opened. preload: modules from which processes are forked,
    such as the caller's own.
    """
    desk = Desk(dict(tables), preload)
    server = bound(desk, port, opening(tables))
    address = f"http://{HOST}:{server.port}/"
    told(address)
    threading.Thread(target=desk.warm, daemon=True).start()
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        desk.close()


def opening(tables: Mapping[str, Table]) -> State:
    """What the page shows at first: a design like the first table, with all of them over it."""
    if not tables:
        return State()
    first = next(iter(tables.values()))
    asked = {
        "root": first.schedule.root,
        "purpose": first.purpose,
        "lower": first.schedule.interval[0] / first.schedule.interval[1],
        "degrees": first.schedule.degrees,
        "dtype": first.dtype or "float32",
        "over": tuple(tables),
    }
    for leave in ((), ("degrees",), ("degrees", "lower"), ("degrees", "lower", "root", "purpose")):
        try:
            return State(**{key: value for key, value in asked.items() if key not in leave})
        except InputError:
            continue  # of a kind that the sliders cannot make: the table is shown beside one that they can
    return State(over=tuple(tables))
