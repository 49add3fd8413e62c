"""The corpora under one folder, as far as they are there: counts, lengths and samples for the notebooks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from began.errors import InputError
from experiments.corpora import CORPORA, load
from experiments.corpora.record import Corpus

FOLDERS = {"librispeech": "LibriSpeech", "emodb": "EmoDB", "savee": "SAVEE", "omg": "OMG"}
"""Corpus -> its folder under the data folder, as in the README."""


def find_corpora(data_dir: str | os.PathLike) -> tuple[dict[str, Corpus], list[str]]:
    """Returns the corpora that load, by the name of their folder, and a line for each that does not."""
    corpora, absent = {}, []
    for name, folder in FOLDERS.items():
        path = Path(data_dir) / folder
        if not path.is_dir():
            absent.append(f"{folder}: no such folder under DATA_DIR")
            continue
        try:
            corpora[folder] = load(name, path)
        except InputError as error:
            # Whose machine the folder lies on is nobody's business.
            absent.append(str(error).replace(str(data_dir), "DATA_DIR"))
    return corpora, absent


def measure_lengths(utterances: pd.DataFrame) -> pd.Series:
    """Returns the length of every utterance in seconds, read from the files' headers."""
    import soundfile

    infos = (soundfile.info(os.fsencode(path)) for path in utterances["path"])
    return pd.Series([info.frames / info.samplerate for info in infos], index=utterances.index, name="seconds")


def summarise_corpora(corpora: Mapping[str, Corpus], seconds: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Returns a row a corpus: how much of it there is, and what it is made for here."""
    rows = []
    for name, corpus in corpora.items():
        table, lengths = corpus.utterances, seconds[name]
        rows.append(
            {
                "corpus": name + (" (synthetic)" if corpus.synthetic else ""),
                "utterances": len(table),
                "speakers": table["speaker"].nunique(),
                "classes": len(corpus.labels) or "–",
                "hours": f"{lengths.sum() / 3600:.2f}",
                "median length (s)": f"{lengths.median():.1f}",
                "shorter than 1 s": int((lengths < 1).sum()),
                "licence": CORPORA[corpus.name].LICENCE,
            }
        )
    return pd.DataFrame(rows)


def pick_speakers(utterances: pd.DataFrame, n: int) -> pd.DataFrame:
    """Returns the utterances of n speakers with many of them, as many women as men where the sex is known."""
    counts = utterances.groupby("speaker").size().sort_values(ascending=False, kind="stable")
    if "sex" not in utterances:
        return utterances[utterances["speaker"].isin(counts.index[:n])]
    sexes = utterances.groupby("speaker")["sex"].first()[counts.index]
    chosen = [name for sex in sorted(sexes.dropna().unique()) for name in sexes.index[sexes == sex][: n // 2]]
    return utterances[utterances["speaker"].isin(chosen)]


def pick_chunks(utterances: pd.DataFrame, n_per_utterance: int | None = None) -> tuple[np.ndarray, pd.DataFrame]:
    """Returns chunks of some utterances, evenly spread over each, and the utterance's row of every chunk.

    Args:
        n_per_utterance: None takes all.
    Returns:
        float32, shape (n_chunks, 16000), and a table of n_chunks rows.
    """
    from began.audio import cut_chunks, read_audio

    chunks, rows = [], []
    for position, path in enumerate(utterances["path"]):
        cut = cut_chunks(read_audio(path))
        n = len(cut) if n_per_utterance is None else min(n_per_utterance, len(cut))
        chunks.append(cut[((np.arange(n) + 0.5) * len(cut) / n).astype(int)])
        rows += [position] * n
    return np.concatenate(chunks), utterances.iloc[rows].reset_index(drop=True)
