"""A report in a folder: index.html, report.md and figures/, written when all of it is there."""

from __future__ import annotations

import re
from pathlib import Path

from polydesign.model import InputError
from polydesign.reporting.page import GENERATOR, Report, html, markdown
from polydesign.text.files import write_atomically

PAGE, TEXT, FIGURES = "index.html", "report.md", "figures"


def check_folder(folder: Path, *, force: bool = False) -> None:
    """Refuse a folder that holds something else than an earlier report, unless forced.

    Raises InputError.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("output", f"{folder} is a file: name a folder")
    if force or not folder.is_dir() or not any(folder.iterdir()) or _is_ours(folder):
        return
    raise InputError(
        "output", f"{folder} holds files that are no earlier report: name another folder, or add --force"
    )


def write(found: Report, folder: Path, *, force: bool = False) -> list[Path]:
    """Write the report, each file whole or not at all, the page last; figures of an earlier one that this
    one has not are removed. Nothing is written before all is rendered. Returns the files of text.

    Raises what check_folder raises, and OSError.
    """
    check_folder(folder, force=force)
    page, text = html(found), markdown(found)
    figures = {f"{picture.stem}.svg": picture.svg for picture in found.pictures}
    before = _figures(folder)
    for name, content in figures.items():
        write_atomically(folder / FIGURES / name, content)
    write_atomically(folder / TEXT, text)
    write_atomically(folder / PAGE, page)
    for name in before - set(figures):
        (folder / FIGURES / name).unlink(missing_ok=True)
    return [folder / PAGE, folder / TEXT]


def _is_ours(folder: Path) -> bool:
    page = folder / PAGE
    if not page.is_file():
        return False
    with page.open("rb") as file:
        head = file.read(2000).decode("utf-8", errors="replace")
    return f'<meta name="generator" content="{GENERATOR}">' in head


def _figures(folder: Path) -> set[str]:
    """The figures that an earlier report of ours names."""
    text = folder / TEXT
    if not _is_ours(folder) or not text.is_file():
        return set()
    return set(re.findall(rf"\]\({FIGURES}/([\w.+-]+\.svg)\)", text.read_text("utf-8", errors="replace")))
