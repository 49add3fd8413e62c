"""Executes the notebooks on a results folder, and makes one linked HTML report of them."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbformat import NotebookNode, v4
from traitlets.config import Config

from began.errors import InputError, raise_resource_error
from began.files import StrPath, is_folder, sha256_of, write_text
from began.published_networks import ENCODER_FILE

SECONDS_PER_CELL = 300

_CONTENTS = """# Semi-supervised speech emotion recognition

A reproduction of Pereira et al. (ICANN 2018): a BEGAN trained on unlabelled speech, its encoder frozen, small heads for
emotion on top.

## Findings

{findings}

## Pages

The project's notebooks, executed on its results.
"""

_KEPT = "*Kept from an earlier run: recordings are missing under `DATA_DIR`."
_HOW = "To make it anew, have all that the README's table of corpora names, then run this command again.*"


def execute_notebooks(
    notebooks_dir: StrPath, results_dir: StrPath, data_dir: StrPath = "data", report: Callable[[str], None] = lambda line: None
) -> dict[Path, NotebookNode]:
    """Returns all notebooks of a folder by path, in the order of their names, executed; the files stay as they are.

    Where recordings are missing, what only they can show is kept from the files, and marked so, if those show the same encoder.

    Args:
        results_dir, data_dir: what they show; they find it in the environment variables RESULTS_DIR and DATA_DIR.
        report: takes one line for each notebook.
    Raises:
        InputError: no notebook, one that cannot be read, or one of whose cells fails.
    """
    settings = {"RESULTS_DIR": str(Path(results_dir).resolve()), "DATA_DIR": str(Path(data_dir).resolve())}
    notebooks = read_notebooks(notebooks_dir)
    keep = _have_the_same_encoder(Path(results_dir), Path(notebooks_dir).resolve().parent / "results")
    for path, notebook in notebooks.items():
        report(f"executing {path}")
        before = [_without_note(cell.get("outputs", [])) for cell in notebook.cells]
        _execute(notebook, path, settings)
        for cell, shown in zip(notebook.cells, before, strict=True):
            if keep and _count_rich(cell.get("outputs", [])) < _count_rich(shown):
                cell.outputs = [v4.new_output("display_data", {"text/markdown": f"{_KEPT} {_HOW}"}), *shown]
    return notebooks


def _have_the_same_encoder(results_dir: Path, other: Path) -> bool:
    """Tells whether two folders of results hold the published encoder: what recordings show through it is then the same."""
    files = [folder / ENCODER_FILE for folder in (results_dir, other)]
    return all(file.is_file() for file in files) and sha256_of(files[0]) == sha256_of(files[1])


def _count_rich(outputs: list[NotebookNode]) -> int:
    """Returns how many pictures, tables and rows of sounds there are."""
    return sum(bool({"image/png", "text/html"} & set(output.get("data", {}))) for output in outputs)


def _without_note(outputs: list[NotebookNode]) -> list[NotebookNode]:
    return [output for output in outputs if _KEPT not in "".join(output.get("data", {}).get("text/markdown", ""))]


def read_notebooks(folder: StrPath) -> dict[Path, NotebookNode]:
    """Returns the notebooks of a folder by path, in the order of their names.

    Raises:
        InputError: no notebook there, or one that cannot be read.
    """
    notebooks = {}
    for path in sorted(Path(folder).glob("*.ipynb") if is_folder(folder) else []):
        try:
            notebooks[path] = nbformat.read(path, as_version=4)
        except Exception as error:  # nbformat raises errors of its own and of its JSON reader
            raise_resource_error(error)
            found = f"no readable notebook ({error})"
            raise InputError.about(path, found, "an .ipynb file", "restore the project's own") from error
    if not notebooks:
        raise InputError.about(folder, "no notebook", "notebooks (*.ipynb)", "check --notebooks-dir")
    return notebooks


def _execute(notebook: NotebookNode, path: Path, settings: dict[str, str]) -> None:
    # In the main thread the client would answer Ctrl-C itself, by waiting for the kernel and then failing.
    thread = ThreadPoolExecutor(1)
    with tempfile.TemporaryDirectory() as folder:
        # A kernel that is talked to through files opens no port, and does not warn of one.
        files = Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder) / "kernel")}})
        place = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(notebook, timeout=SECONDS_PER_CELL, record_timing=False, resources=place, config=files)
        client.shutdown_kernel = "immediate"
        try:
            thread.submit(client.execute, env={**os.environ, **settings}).result()
        except CellExecutionError as error:
            found, action = f"a cell that fails with {error.ename}: {error.evalue}", "open it, with RESULTS_DIR set, and run it"
            raise InputError.about(path, found, "a notebook that runs", action) from error
        finally:
            thread.shutdown(wait=False)
    # What the kernel says about the machine it ran on does not belong into a file under version control.
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}


def save_notebook(notebook: NotebookNode, path: StrPath) -> None:
    """Writes a notebook atomically."""
    write_text(path, nbformat.writes(notebook) + "\n")


def render_html(notebooks: Mapping[Path, NotebookNode], out_dir: StrPath, findings: Sequence[str] = ()) -> Path:
    """Writes executed notebooks as linked pages, one per notebook, and returns the path of their contents, ``index.html``.

    The contents begin with the findings, in Markdown (`experiments.reporting.tables_markdown.list_findings`).
    Pictures and sounds are embedded, so that the folder can be moved or sent. Code is folded away.
    """
    template = str(Path(__file__).with_name("page.html.j2"))
    exporter = HTMLExporter(template_name="basic", template_file=template, exclude_anchor_links=True)
    pages = [(f"{path.stem}.html", *_find_title(notebook, path.stem)) for path, notebook in notebooks.items()]
    listed = "\n".join(f"- {line}" for line in findings) or "Nothing has been run yet."
    contents = _CONTENTS.format(findings=listed) + "".join(
        f"\n**[{title}]({file})**\\\n{lead}\n" for file, title, lead in pages
    )
    index = v4.new_notebook(cells=[v4.new_markdown_cell(contents)])
    links = [("index.html", "Contents"), *((file, title) for file, title, _ in pages)]
    for (file, title), notebook in zip(links, [index, *notebooks.values()], strict=True):
        page, _ = exporter.from_notebook_node(notebook, resources={"title": title, "links": links})
        # A score and its deviation stay on one line.
        write_text(Path(out_dir) / file, page.replace(" ± ", "\u00a0±\u00a0"))
    return Path(out_dir) / "index.html"


def _find_title(notebook: NotebookNode, fallback: str) -> tuple[str, str]:
    """Returns the heading that a notebook begins with, and the paragraph below it."""
    heading, _, text = notebook.cells[0].source.partition("\n\n") if notebook.cells else ("", "", "")
    return (heading[2:], text.split("\n\n")[0]) if heading.startswith("# ") else (fallback, "")
