"""Run the notebooks of docs/tutorials/ and write their outputs into them, as the site shows them.

python scripts/site/run_tutorials.py            all of them
python scripts/site/run_tutorials.py study      some, by name

Outputs are those of the machine that ran them; elsewhere last digits of what was computed in float32 differ.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import click
import nbformat
from nbclient import NotebookClient
from PIL import Image

TUTORIALS = Path(__file__).resolve().parent.parent.parent / "docs" / "tutorials"

STRICT = "import warnings\nwarnings.simplefilter('error')"
"""The first cell of a run: what a reader would be warned of is an error here."""

LENIENT = "warnings.simplefilter('ignore')"
"""The last cell: how the kernel ends is not the notebook's affair."""


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs, without times; CellExecutionError where a cell fails or warns."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    notebook.cells.append(nbformat.v4.new_code_cell(LENIENT))
    options = {"timeout": 120, "record_timing": False, "coalesce_streams": True}
    client = NotebookClient(notebook, kernel_name="python3", **options)
    client.create_kernel_manager().transport = "ipc"  # files that others cannot read, and no ports
    client.execute()
    del notebook.cells[0], notebook.cells[-1]
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = smaller(output.data["image/png"])
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def smaller(picture: str) -> str:
    """A picture of lines in 32 colours, which is a third of the bytes."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        image.convert("RGB").quantize(32).save(content, "png", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    for path in sorted(TUTORIALS.glob("*.ipynb")):
        if not names or path.stem in names:
            nbformat.write(executed(path), path)
            click.echo(f"ran {path.stem}")


if __name__ == "__main__":
    main()
