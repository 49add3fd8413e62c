"""What the notebooks share: where results and corpora lie, and how tables, figures, sounds and gaps are shown.

The folders come from the environment variables RESULTS_DIR (default ``../results``) and DATA_DIR (default ``../data``).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from IPython.display import HTML, Audio, Image, Markdown, display

from began.audio import SAMPLE_RATE
from experiments.evaluation import runs
from experiments.reporting.markdown import MADE
from experiments.reporting.results import SYNTHETIC_NOTICE, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS_DIR = Path(os.environ.get("RESULTS_DIR", "../results"))
DATA_DIR = Path(os.environ.get("DATA_DIR", "../data"))
# The notes that TensorFlow prints at its start say nothing about results.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_DOTS_PER_INCH = 110
_SHOWN_PER_INCH = 92


def open_results() -> Results:
    """Returns the complete runs under RESULTS_DIR; none where there is no such folder."""
    if not RESULTS_DIR.is_dir():
        say("There is no results folder: set RESULTS_DIR.")
        return Results(runs.read_metrics(RESULTS_DIR), {}, {})
    return Results.read(RESULTS_DIR)


def say(text: str) -> None:
    """Shows a line of Markdown."""
    display(Markdown(text))


def not_run_yet(what: str, command: str = "") -> None:
    """Says that something has not been run, and which command runs it."""
    say(f"**Not run yet:** {what}." + (f" `{command}`" if command else ""))


def warn_if_synthetic(results: Results, experiment: str, condition: str | None = None) -> None:
    """Says so where runs are on synthetic speech."""
    if results.is_synthetic(experiment, condition):
        say(f"**{SYNTHETIC_NOTICE.capitalize()}.**")


def show_markdown(text: str) -> None:
    """Shows a rendered table's Markdown below a notebook's own heading: without its title, its headings one level lower."""
    lines = (
        f"#{line}" if line.startswith("##") else line
        for line in text.splitlines()
        if not line.startswith("# ") and line != MADE
    )
    say("\n".join(lines))


def show_table(table: pd.DataFrame, number: str = ".1f") -> None:
    """Shows a table without its index; NaN stays empty, other floats are formatted as `number` says."""
    table = table.rename(columns=lambda name: str(name).replace("_", " ")).rename_axis(columns=None)
    display(HTML(table.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:{number}}")))


def show_figure(figure: Figure | None, description: str) -> None:
    """Shows a figure with a description for those who cannot see it."""
    if figure is not None:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
        width = round(figure.get_figwidth() * _SHOWN_PER_INCH)
        display(Image(file.getvalue(), width=width, alt=description))


def show_sounds(rows: Mapping[str, Iterable[np.ndarray]]) -> None:
    """Shows waveforms that can be listened to, a named row each; all are as loud as can be.

    Args:
        rows: name -> waveforms, float, shape (n_samples,), at 16 kHz.
    """
    lines = []
    for name, waveforms in rows.items():
        players = (Audio(waveform, rate=SAMPLE_RATE)._repr_html_() for waveform in waveforms)
        cells = "".join(f"<td>{player}</td>" for player in players)
        lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    display(HTML(f"<table>{''.join(lines)}</table>"))
