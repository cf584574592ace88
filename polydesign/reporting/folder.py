"""A report in a folder: index.html, report.md and figures/, written when all of it is there."""

from __future__ import annotations

import re
from pathlib import Path

from polydesign.model import InputError, visible
from polydesign.reporting.page import GENERATOR, Report, html, markdown
from polydesign.text.files import check_place, is_leftover, write_together

PAGE, TEXT, FIGURES = "index.html", "report.md", "figures"


def check_folder(folder: Path, *, force: bool = False) -> None:
    """Refuse a folder that holds something else than an earlier report, unless forced.

    Raises InputError, and OSError where nothing can be written there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("output", f"{folder} is a file: name a folder")
    check_place(folder / PAGE)
    if force or not folder.is_dir() or all(map(is_leftover, folder.iterdir())) or _is_ours(folder):
        return
    raise InputError(
        "output", f"{folder} holds files that are no earlier report: name another folder, or add force=True"
    )


def write(found: Report, folder: Path, *, force: bool = False) -> list[Path]:
    """Write the report, all of it or nothing, the page last; figures of an earlier one that this one has not
    are removed. Returns the files of text.

    Raises what check_folder raises, and OSError.
    """
    check_folder(folder, force=force)
    contents: dict[str, str | bytes] = {
        f"{FIGURES}/{picture.stem}.svg": picture.svg for picture in found.pictures
    }
    before = {f"{FIGURES}/{name}" for name in _figures(folder)} - set(contents)
    contents |= {TEXT: _plain(markdown(found)), PAGE: _plain(html(found))}
    write_together(folder, contents, last=PAGE, replacing=before)
    return [folder / PAGE, folder / TEXT]


def _plain(text: str) -> str:
    """Without what a browser would obey and not show, which a table's provenance may hold."""
    return "\n".join(visible(line, keep="\t") for line in text.split("\n"))


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
