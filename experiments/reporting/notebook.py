"""What the notebooks share: results and corpora, samples of speech, and how tables, figures, sounds and gaps are shown.

The folders come from the environment variables RESULTS_DIR (default ``../results``) and DATA_DIR (default ``../data``).
"""

import io
import os
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from IPython.display import HTML, Audio, Image, Markdown, display
from matplotlib.figure import Figure

from began.audio import SAMPLE_RATE, measure_seconds, read_audio
from began.chunks import cut_chunks
from began.errors import InputError
from began.files import StrPath
from began.startup import set_environment
from classifiers.picture import save_figure
from experiments.corpora import CORPORA, load
from experiments.corpora.record import Corpus
from experiments.reporting.markdown import MADE
from experiments.reporting.markdown import escape as escape_markdown
from experiments.reporting.notes import SYNTHETIC_NOTICE
from experiments.reporting.summary import Results
from experiments.reporting.tables import make_table
from experiments.reporting.tables_markdown import to_markdown

RESULTS_DIR = Path(os.environ.get("RESULTS_DIR") or "../results")
DATA_DIR = Path(os.environ.get("DATA_DIR") or "../data")
FOLDERS = {"librispeech": "LibriSpeech", "emodb": "EmoDB", "savee": "SAVEE", "omg": "OMG"}
"""Corpus -> its folder under DATA_DIR, as in the README."""
set_environment()  # before Keras is imported


def find_corpora(data_dir: StrPath = DATA_DIR) -> tuple[dict[str, Corpus], list[str]]:
    """Returns the corpora that load, by the name of their folder, and a line for each that does not."""
    corpora, absent = {}, []
    for name, folder in FOLDERS.items():
        path = Path(data_dir) / folder
        try:
            if path.is_dir():
                corpora[folder] = load(name, path)
            else:
                absent.append(f"{folder}: no such folder under DATA_DIR")
        except InputError as error:
            # Whose machine the folder lies on is nobody's business.
            absent.append(escape_markdown(str(error).replace(str(data_dir), "DATA_DIR")))
    return corpora, absent


def measure_lengths(utterances: pd.DataFrame) -> pd.Series:
    """Returns the length of every utterance in seconds, as the headers of the files tell."""
    return utterances["path"].map(measure_seconds).rename("seconds")


def summarise_corpora(corpora: Mapping[str, Corpus], seconds: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Returns one row per corpus: how much of it there is; `seconds` are the lengths of its utterances."""
    rows = [
        {
            "corpus": name + (" (synthetic)" if corpus.synthetic else ""),
            "utterances": len(corpus.utterances),
            "speakers": corpus.utterances["speaker"].nunique(),
            "classes": len(corpus.labels) or "–",
            "hours": f"{seconds[name].sum() / 3600:.2f}",
            "median length (s)": f"{seconds[name].median():.1f}",
            "shorter than 1 s": int((seconds[name] < 1).sum()),
            "licence": CORPORA[corpus.name].LICENCE,
        }
        for name, corpus in corpora.items()
    ]
    return pd.DataFrame(rows)


def pick_speakers(utterances: pd.DataFrame, n: int) -> pd.DataFrame:
    """Returns the utterances of n speakers with many of them, as many women as men where the sex is known."""
    speakers = utterances.groupby("speaker").first()
    speakers = speakers.loc[utterances["speaker"].value_counts().index]
    if "sex" in speakers:
        speakers = speakers.groupby("sex").head(n // 2)
    return utterances[utterances["speaker"].isin(speakers.index[:n])]


def pick_chunks(utterances: pd.DataFrame, n_per_utterance: int | None = None) -> tuple[np.ndarray, pd.DataFrame]:
    """Returns chunks evenly spread over each utterance (None takes all), and the utterance's row of every chunk.

    Shapes: float32 (n_chunks, 16000), and a table of n_chunks rows.
    """
    chunks, rows = [], []
    for position, path in enumerate(utterances["path"]):
        cut = cut_chunks(read_audio(path))
        n = min(n_per_utterance or len(cut), len(cut))
        chunks.append(cut[((np.arange(n) + 0.5) * len(cut) / n).astype(int)])
        rows += [position] * n
    return np.concatenate(chunks), utterances.iloc[rows].reset_index(drop=True)


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


def show_experiment(results: Results, experiment: str, command: str) -> None:
    """Shows an experiment's table below a notebook's own heading, and which command runs it where nothing has been run."""
    if not results.conditions(experiment):
        not_run_yet(f"{experiment}; where the paper has numbers, they stand alone below", command)
    warn_if_synthetic(results, experiment)
    _show_below_heading(to_markdown(experiment, make_table(results, experiment)))


def show_comparison(results: Results, module: ModuleType, experiment: str, command: str) -> None:
    """Shows the table of a module, such as `robustness_table`, as `show_experiment` does."""
    table = module.make_table(results)
    if table.empty:  # also where all that was run has names of an earlier version
        not_run_yet(experiment, command)
        return
    warn_if_synthetic(results, experiment)
    _show_below_heading(module.to_markdown(results, table))


def _show_below_heading(text: str) -> None:
    # Without the title; headings one level lower.
    kept = (line for line in text.splitlines() if not line.startswith("# ") and line != MADE)
    say("\n".join(f"#{line}" if line.startswith("##") else line for line in kept))


def show_table(table: pd.DataFrame, number: str = ".1f") -> None:
    """Shows a table without its index; NaN stays empty, `number` formats the other floats."""
    table = table.rename(columns=lambda name: str(name).replace("_", " ")).rename_axis(columns=None)
    display(HTML(table.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:{number}}")))


def show_figure(figure: Figure | None, description: str) -> None:
    """Shows a figure with a description for those who cannot see it."""
    if figure is not None:
        file = io.BytesIO()
        save_figure(figure, file, format="png", dpi=110, metadata={"Software": None})
        display(Image(file.getvalue(), width=round(92 * figure.get_figwidth()), alt=description))


def show_sounds(rows: Mapping[str, Iterable[np.ndarray]]) -> None:
    """Shows waveforms, float, shape (n_samples,), at 16 kHz, to be listened to; a row for each name; as loud as can be."""
    lines = []
    for name, waveforms in rows.items():
        cells = "".join(f"<td>{Audio(waveform, rate=SAMPLE_RATE)._repr_html_()}</td>" for waveform in waveforms)
        lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    display(HTML(f"<table>{''.join(lines)}</table>"))
