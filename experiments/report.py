"""Renders tables, figures, the README's results and the notebooks from the run folders, the paper's numbers beside ours.

    python -m experiments.report --results-dir results --readme README.md              # tables, figures, README
    python -m experiments.report notebooks --results-dir results --data-dir data       # executes the notebooks in place
    python -m experiments.report html --results-dir results --data-dir data            # the same as one HTML report

Tables go to ``tables/table{1,2,3}.{csv,md}`` and, named after what they show, ``ablations.*``, ``encoder_seeds.*``,
``label_efficiency.csv``, ``robustness.*``, ``transfer.*`` and ``custom.*`` beside them under the results folder, figures to
``figures/*.png``, the HTML report to ``html/index.html``.
What has not been run says so; runs on synthetic speech are marked in every table and never reach the README.
"""

import argparse
import os
import sys
from pathlib import Path

from began.command_line import run_script
from began.errors import InputError, counted, printable, shorten
from began.files import is_folder
from experiments.evaluation.runs import list_left_out
from experiments.reporting.consistency import check_results
from experiments.reporting.render import render
from experiments.reporting.summary import Results
from experiments.reporting.tables_markdown import list_findings

_READ_BY = {
    "readme": ("tables",),
    "data_dir": ("notebooks", "html"),
    "notebooks_dir": ("notebooks", "html"),
    "out_dir": ("html",),
}
"""Option -> what reads it: tables, notebooks or html."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.report", description=__doc__)
    what = "tables, figures and README; notebooks, executed in place; or both in one HTML report (default: tables)"
    parser.add_argument("what", nargs="?", choices=("tables", "notebooks", "html"), default="tables", help=what)
    parser.add_argument("--results-dir", default="results", type=Path, help="folder of run folders (default: %(default)s)")
    parser.add_argument(
        "--readme", type=Path, help="README to put the results into, between its markers (tables only; default: none)"
    )
    notebooks = parser.add_argument_group("notebooks and html")
    notebooks.add_argument(
        "--data-dir", type=Path, help="folder of the corpora (default: DATA_DIR of the environment, or data)"
    )
    notebooks.add_argument("--notebooks-dir", type=Path, help="default: notebooks")
    notebooks.add_argument("--out-dir", type=Path, help="of html (default: RESULTS_DIR/html)")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Renders what the command line asks for."""
    results_dir = arguments.results_dir
    for name, readers in _READ_BY.items():
        if getattr(arguments, name) is not None and arguments.what not in readers:
            option = f"--{name.replace('_', '-')}"
            raise InputError.about(
                option, f"it with {arguments.what}", f"it with {' or '.join(readers)} alone", f"leave out {option}"
            )
    if not is_folder(results_dir):
        action = "give --results-dir the folder that the experiments wrote"
        raise InputError.about(results_dir, "no such folder", "a results folder", action)
    if left_out := list_left_out(results_dir):
        why = "A run that is in progress has no metrics.csv yet; its command, started again, completes one that was cut off"
        what = f"{counted(len(left_out), 'folder')} of runs left out: {shorten(left_out)}"
        print(printable(f"note: {what}. {why}."), file=sys.stderr)
    if arguments.what == "tables":
        written = render(results_dir, arguments.readme)
        print(
            *map(printable, written),
            f"Wrote {counted(len(written), 'file')}: {printable(results_dir)}/tables and figures",
            sep="\n",
        )
        return

    check_results(results_dir)

    from experiments.reporting.pages import execute_notebooks, render_html, save_notebook

    notebooks_dir = arguments.notebooks_dir or Path("notebooks")
    data_dir = arguments.data_dir or Path(os.environ.get("DATA_DIR") or "data")
    executed = execute_notebooks(notebooks_dir, results_dir, data_dir, report=lambda line: print(printable(line), flush=True))
    if arguments.what == "notebooks":
        for path, notebook in executed.items():
            save_notebook(notebook, path)
        print(printable(f"Wrote {counted(len(executed), 'notebook')}: {notebooks_dir}"))
    else:
        out_dir = arguments.out_dir or results_dir / "html"
        print(printable(f"Wrote {render_html(executed, out_dir, list_findings(Results(results_dir)))}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
