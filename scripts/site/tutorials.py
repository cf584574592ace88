"""The notebooks of docs/tutorials/ as pages, with the outputs that they hold."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter


def converted(notebook: Path) -> dict[str, str | bytes]:
    """File beside the page -> its content: the page, and its pictures."""
    name = notebook.stem
    exporter = MarkdownExporter()
    resources = {"unique_key": name, "output_files_dir": name}
    body, found = exporter.from_notebook_node(nbformat.read(notebook, as_version=4), resources)
    note = f'\n<p><a href="../{notebook.name}" download>This page as a notebook</a></p>\n'
    return {f"{name}.md": body + note, **found["outputs"]}
