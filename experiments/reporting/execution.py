"""Executes the notebooks on a results folder, so that their outputs show its runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from began.errors import InputError
from began.files import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

SECONDS_PER_CELL = 300
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def execute_notebooks(
    notebooks_dir: str | os.PathLike,
    results_dir: str | os.PathLike,
    data_dir: str | os.PathLike = "data",
    report: Callable[[str], None] = lambda line: None,
) -> dict[Path, NotebookNode]:
    """Executes copies of all notebooks of a folder, in the order of their names; the files stay as they are.

    Args:
        results_dir: what they read; they find it in the environment variable RESULTS_DIR.
        data_dir: folder of the corpora's folders, in DATA_DIR; need not exist.
        report: takes a line a notebook.
    Returns:
        path -> executed notebook.
    Raises:
        InputError: no such folders, no notebook, one that cannot be read, or one of whose cells fails.
    """
    if not Path(results_dir).is_dir():
        raise InputError.about(
            results_dir,
            found="no such folder",
            expected="a results folder",
            action="give --results-dir the folder that the experiments wrote",
        )
    notebooks = read_notebooks(notebooks_dir)
    settings = {"RESULTS_DIR": str(Path(results_dir).resolve()), "DATA_DIR": str(Path(data_dir).resolve())}
    executed = {}
    for path, notebook in notebooks.items():
        report(f"executing {path}")
        executed[path] = _execute(notebook, path, settings)
    return executed


def read_notebooks(folder: str | os.PathLike) -> dict[Path, NotebookNode]:
    """Returns the notebooks of a folder by path, in the order of their names.

    Raises:
        InputError: no notebook there, or one that cannot be read.
    """
    import nbformat

    paths = sorted(Path(folder).glob("*.ipynb"))
    if not paths:
        raise InputError.about(
            folder,
            found="no notebook",
            expected="notebooks (*.ipynb)",
            action="give --notebooks-dir the folder of the notebooks",
        )
    notebooks = {}
    for path in paths:
        try:
            notebooks[path] = nbformat.read(path, as_version=4)
        except Exception as error:  # nbformat raises errors of its own and of its JSON reader
            raise InputError.about(
                path, found=f"no readable notebook ({error})", expected="an .ipynb file", action="take the project's own again"
            ) from error
    return notebooks


def _execute(notebook: NotebookNode, path: Path, settings: dict[str, str]) -> NotebookNode:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from traitlets.config import Config

    try:
        # A kernel that is talked to through files opens no port, and does not warn of one.
        with tempfile.TemporaryDirectory() as folder:
            channel = {"transport": "ipc", "ip": str(Path(folder) / "kernel")}
            client = NotebookClient(
                notebook,
                timeout=SECONDS_PER_CELL,
                kernel_name=_KERNEL["name"],
                record_timing=False,
                resources={"metadata": {"path": str(path.parent)}},
                config=Config({"KernelManager": channel}),
                shutdown_kernel="immediate",
            )
            # In the main thread it would answer Ctrl-C itself, by waiting for the kernel and then failing.
            thread = ThreadPoolExecutor(1)
            try:
                thread.submit(client.execute, env={**os.environ, **settings}).result()
            finally:
                thread.shutdown(wait=False)
    except CellExecutionError as error:
        raise InputError.about(
            path,
            found=f"a cell that fails with {error.ename}: {error.evalue}",
            expected="notebooks that run on this results folder",
            action="open it with RESULTS_DIR set, and see which files it reads",
        ) from error
    # What the kernel says about the machine it ran on does not belong into a file under version control.
    notebook.metadata = {"kernelspec": dict(_KERNEL), "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


def save_notebook(notebook: NotebookNode, path: str | os.PathLike) -> None:
    """Writes a notebook, whole or not at all."""
    import nbformat

    write_text(path, nbformat.writes(notebook) + "\n")
