"""A corpus made ready for a method: labels beside features, and what training on them gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from began.components import hash_components, read_components
from began.files import sha256_of
from classifiers.metrics import CATEGORICAL
from experiments.corpora.record import Corpus
from experiments.evaluation.condition import ON_UTTERANCES, Condition
from experiments.evaluation.options import Settings
from experiments.evaluation.splits import Split

if TYPE_CHECKING:
    from began.encoder import FrozenEncoder
    from began.utterance_encoder import UtteranceEncoder


SPEEDS = (1.0, 0.9, 1.1, 0.95, 1.05, 0.85, 1.15)
"""Of an utterance and its copies. Ko et al. 2015 take three; on EmoDB's inner folds all seven gave two points more."""


ALTERED_SPEEDS = SPEEDS
"""Of further copies with noise, and of as many with noise behind a random channel, for training alone."""


@dataclass(frozen=True)
class Data:
    """The labels of a corpus beside its features.

    Attributes:
        corpus: labels, speakers and file names.
        features: float32, or float16 where rows are statistics of whole utterances, shape (n_chunks, *feature_shape).
        utterance: int64, shape (n_chunks,); row of the corpus' table that a chunk comes from.
        is_augmented: bool, shape (n_chunks,): copies at other speeds, with masks, or with noise; None: there are none.
        statistics: where a "chunk" is a whole utterance, names of the columns of `features`
            (`began.utterance_encoder.name_statistics`); its copies are then scored with it, but for altered ones.
        is_altered: bool, shape (n_chunks,): which copies have noise; None where copies are not scored.
    """

    corpus: Corpus
    features: np.ndarray
    utterance: np.ndarray
    is_augmented: np.ndarray | None = None
    statistics: np.ndarray | None = None
    is_altered: np.ndarray | None = None

    @classmethod
    def of_utterances(cls, corpus: Corpus, features: np.ndarray | None = None) -> Data:
        """Returns data with one row per utterance; without features for methods that bring their own."""
        n_utterances = len(corpus.utterances)
        return cls(corpus, np.zeros((n_utterances, 1), np.float32) if features is None else features, np.arange(n_utterances))

    def targets(self, task: str) -> np.ndarray:
        """Returns the target of every chunk: class index, shape (n_chunks,), or arousal and valence, (n_chunks, 2)."""
        table = self.corpus.utterances
        if task == CATEGORICAL:
            index = pd.Categorical(table["label"], categories=list(self.corpus.labels)).codes.astype(np.int64)
            return index[self.utterance]
        return table[["arousal", "valence"]].to_numpy(np.float32)[self.utterance]

    def n_outputs(self, task: str) -> int:
        """Returns the number of classes, or 2 for arousal and valence."""
        return len(self.corpus.labels) if task == CATEGORICAL else 2

    @property
    def number(self) -> np.ndarray:
        """Which chunk, or which copy, of its utterance each one is, int, shape (n_chunks,), from 0."""
        return pd.Series(self.utterance).groupby(self.utterance).cumcount().to_numpy()

    def chunks_of(self, utterances: np.ndarray, augmented: bool = False) -> np.ndarray:
        """Returns the positions of some utterances' chunks, and of their augmented copies where they are asked for."""
        chosen = np.isin(self.utterance, utterances)
        return np.flatnonzero(chosen if augmented or self.is_augmented is None else chosen & ~self.is_augmented)

    def scored_of(self, utterances: np.ndarray) -> np.ndarray:
        """Returns the positions of what is scored of some utterances: their chunks, or they and their copies."""
        if self.is_altered is None:
            return self.chunks_of(utterances)
        return np.flatnonzero(np.isin(self.utterance, utterances) & ~self.is_altered)

    def labelled(self, task: str) -> np.ndarray:
        """Returns the positions of the utterances that have chunks and the targets of a task."""
        columns = ["label"] if task == CATEGORICAL else ["arousal", "valence"]
        return np.intersect1d(np.flatnonzero(self.corpus.utterances[columns].notna().all(axis=1)), self.utterance)

    def as_chunks(self) -> Data:
        """Returns the same data with every chunk as an utterance of its own: what a split of chunks works on."""
        table = self.corpus.utterances.iloc[self.utterance].reset_index(drop=True)
        for column in table.columns.intersection(["utterance", "sound"]):
            table[column] += [f"#{number}" for number in self.number]
        return Data(Corpus(self.corpus.name, table, self.corpus.labels), self.features, np.arange(len(self.utterance)))


@dataclass(frozen=True)
class Outcome:
    """What training on some folds gave.

    Attributes:
        scores: of the test chunks of each fold: float32, shape (n_chunks, n_outputs).
        losses: fold -> the validation loss that its parameters and epochs were chosen by; empty where nothing is chosen.
        history: one row per fold and epoch, with the column `fold`; None for methods that have no epochs.
    """

    scores: list[np.ndarray]
    losses: dict[str, float] = field(default_factory=dict)
    history: pd.DataFrame | None = None


Trainer = Callable[[Data, str, Sequence[Split], Settings, int, Path], Outcome]
"""(data, task, folds, settings, number of the run, folder of the searches) -> outcome."""

Prepare = Callable[[], tuple[Data, Trainer]]
"""Gives the data and the trainer of a condition, which takes long when it is first called."""


def represent(condition: Condition, corpus: Corpus, settings: Settings) -> Data:
    """Returns a corpus with the features of a condition's encoder, computed once and cached under the results folder.

    Args:
        condition: its method says what is extracted: statistics of whole utterances, or the condition's features of chunks.
        corpus: whose files are embedded.
        settings: with results_dir and tail.
    """
    from began.audio import SAMPLE_RATE
    from began.representation import represent_corpus
    from began.startup import start_backend
    from began.utterance_encoder import UtteranceEncoder

    start_backend()
    encoder = open_encoder(condition, settings)
    if isinstance(encoder, UtteranceEncoder):
        return _represent_utterances(encoder, condition, corpus, settings)
    first, *copies = [
        represent_corpus(
            encoder,
            list(corpus.utterances["path"]),
            settings.cache_dir,
            tail=settings.tail,
            hop_samples=round(condition.hop_seconds * SAMPLE_RATE),
            mask_seed=mask_seed,
            sound_hashes=list(corpus.utterances["sound"]),
            progress=show_embedding,
        )
        for mask_seed in (None, *range(condition.masked_copies))
    ]
    if not copies:
        return Data(corpus, first.features, first.utterance)  # mapped, not in memory
    utterance = np.concatenate([first.utterance, *(copy.utterance for copy in copies)])
    stacked = np.concatenate([first.features, *(copy.features for copy in copies)])
    return Data(corpus, stacked, utterance, is_augmented=np.arange(len(utterance)) >= len(first.utterance))


def open_encoder(condition: Condition, settings: Settings) -> FrozenEncoder | UtteranceEncoder:
    """Returns the frozen encoder of a condition, over whole utterances where its method reads those."""
    path = settings.find_encoder(condition)
    if condition.method not in ON_UTTERANCES:
        return _open_encoder(path, sha256_of(path), condition.components, condition.features)
    components = read_components(path, condition.components)
    hashes = sha256_of(path), hash_components(components)
    return _open_encoder(path, hashes, condition.components, condition.features, condition.front_end)


@lru_cache(maxsize=2)
def _open_encoder(path: Path, hashes: object, origin: str, output: str, front_end: str | None = None) -> Any:
    """The encoder of a file with these hashes is kept for what is represented next: TensorFlow traces what it has not seen."""
    from began.encoder import load_frozen_encoder, load_initial_encoder
    from began.utterance_encoder import UtteranceEncoder

    encoder = (load_initial_encoder if origin == "initial" else load_frozen_encoder)(path, output)
    if front_end is None:
        return encoder
    return UtteranceEncoder.of(encoder, front_end, read_components(path, origin))


def _represent_utterances(encoder: UtteranceEncoder, condition: Condition, corpus: Corpus, settings: Settings) -> Data:
    from began.representation import represent_utterances

    speeds = SPEEDS if condition.copies else SPEEDS[:1]
    altered_speeds = ALTERED_SPEEDS if condition.altered_copies and condition.method == "utterance" else ()
    features = represent_utterances(
        encoder,
        list(corpus.utterances["path"]),
        settings.cache_dir,
        speeds=speeds,
        noisy_speeds=altered_speeds,
        channel_speeds=altered_speeds,
        sound_hashes=list(corpus.utterances["sound"]),
        progress=show_embedding,
    )
    rows = features.reshape(-1, *features.shape[2:])  # a view: still mapped
    utterance, number = np.divmod(np.arange(len(rows)), features.shape[1])
    is_altered, names = number >= len(speeds), encoder.statistics
    return Data(corpus, rows, utterance, is_augmented=number > 0, is_altered=is_altered, statistics=names)


def show_embedding(files: Iterable, n_files: int | None = None) -> Iterable:
    """Wraps an iteration over files in a progress bar; their number is needed where it is not theirs to tell."""
    from tqdm import tqdm

    return tqdm(files, desc="embedding", unit="file", total=n_files)
