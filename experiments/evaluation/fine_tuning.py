"""Encoder and head trained together on spectrograms, from scratch or fine-tuned: what a frozen encoder is held against."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from classifiers.head_parameters import DEFAULT_PARAMETERS
from classifiers.heads import build_head, measure_normalization
from experiments.corpora.record import Corpus
from experiments.evaluation.condition import Condition
from experiments.evaluation.data import Data, Outcome, Trainer
from experiments.evaluation.options import Settings
from experiments.evaluation.result_files import read_table, write_table
from experiments.evaluation.searches import search_path
from experiments.evaluation.splits import Split, draw_seed

LEARNING_RATE = 5e-4
"""Of Adam, for all weights. Assumption: 0.001 and 0.002 had higher losses on an inner fold of EmoDB."""

BATCH_SIZE = 32
PATIENCE_EPOCHS = 3

Examples = tuple[np.ndarray, np.ndarray]
"""Chunks, float32, shape (n_chunks, n_bins, n_frames, 1), and their class indices, int, shape (n_chunks,)."""


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the spectrograms of a corpus, and the trainer that starts from the encoder's weights, or initial ones."""
    from began.encoder import read_config, read_seed, reset_weights
    from began.network_file import load_network
    from began.startup import start_backend

    start_backend()
    path = settings.find_encoder(condition)
    encoder = load_network(path)
    if condition.initial_weights:
        reset_weights(encoder, read_seed(path))
    data = load_spectrograms(corpus, read_config(path), settings.tail)
    return data, make_trainer(encoder, condition.learning_rate or LEARNING_RATE)


def load_spectrograms(corpus: Corpus, config: Any, tail: str) -> Data:
    """Returns a corpus with its spectrograms as features, float32, shape (n_chunks, n_bins, n_frames, 1)."""
    from began.chunks import CHUNK_SAMPLES
    from began.front_end import stream_chunks
    from began.spectrogram import compute_spectrograms

    none = np.zeros((0, CHUNK_SAMPLES), np.float32)
    of_files = [
        compute_spectrograms(np.concatenate([none, *stream_chunks(path, config.front_end, tail=tail)]), config)
        for path in corpus.utterances["path"]
    ]
    utterance = np.repeat(np.arange(len(of_files)), [len(chunks) for chunks in of_files])
    return Data(corpus, np.concatenate(of_files)[..., np.newaxis], utterance)


def make_trainer(encoder: Any, learning_rate: float) -> Trainer:
    """Returns a trainer of encoder and default head together.

    The head has the default parameters, but is trained otherwise than on a frozen encoder: with Adam at one rate for all
    weights, without decay, for the number of epochs with the lowest loss of chunks on the first inner fold (the others would
    triple the time). As with the heads, runs that share a split share this number: it is kept in the folder of the searches.

    Args:
        encoder: keras.Model, whose weights every fold starts from; they stay as they are.
        learning_rate: of Adam.
    """

    def train(
        data: Data, task: str, splits: Sequence[Split], settings: Settings, run_number: int, search_folder: Path
    ) -> Outcome:
        from tqdm import tqdm

        targets, scores, history = data.targets(task), [], []
        network = WholeNetwork(encoder, task, data.n_outputs(task), learning_rate)

        def take(utterances: np.ndarray) -> Examples:
            chunks = data.chunks_of(utterances)
            return data.features[chunks], targets[chunks]

        for number, split in enumerate(tqdm(splits, desc=f"run {run_number}, whole networks", unit="fold")):
            path = search_path(search_folder, split, "epochs")
            inner = split.inner[0]
            n_epochs = _choose_epochs(network, take(inner.train), take(inner.validation), settings, path)
            seed = draw_seed(settings.seed, run_number, number)
            losses = network.fit(*take(split.fitting), n_epochs, seed)["loss"]
            scores.append(network.predict(take(split.test)[0]))
            history.append(pd.DataFrame({"fold": split.fold, "epoch": np.arange(1, n_epochs + 1), "loss": losses}))
        return Outcome(scores, history=pd.concat(history, ignore_index=True))

    return train


def _choose_epochs(network: WholeNetwork, train: Examples, validation: Examples, settings: Settings, path: Path) -> int:
    """Returns the epoch with the lowest validation loss, from a file where it was found before with the same of everything."""
    constants = [settings.epochs, settings.seed, network.learning_rate, BATCH_SIZE, PATIENCE_EPOCHS, DEFAULT_PARAMETERS]
    seen = hashlib.sha256(json.dumps([*constants, keras.backend.backend()], sort_keys=True).encode())
    for array in (*network.start_weights, *train, *validation):
        seen.update(array.tobytes())
    path = path.with_stem(f"{path.stem}-{seen.hexdigest()[:12]}")
    if not path.exists():
        write_table(path, pd.DataFrame(network.fit(*train, settings.epochs, settings.seed, validation)))
    return int(read_table(path)["val_loss"].argmin()) + 1


class WholeNetwork:
    """Encoder and default head as one model, built once and started anew by every `fit`: to trace it takes seconds.

    Args:
        encoder: keras.Model, float32 (batch, n_bins, n_frames, 1) -> (batch, h) with a layer named "map"; it is copied.
        task: of head, "categorical".
        n_outputs: number of classes.
        learning_rate: of Adam.

    Attributes:
        learning_rate: as given.
        start_weights: of the encoder's layers up to the map.
    """

    def __init__(self, encoder: Any, task: str, n_outputs: int, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        own = keras.models.clone_model(encoder)  # the given one keeps its weights, for the next run to start from
        own.set_weights(encoder.get_weights())
        self._maps = keras.Model(own.input, own.get_layer("map").output)
        shape = tuple(self._maps.output.shape[1:])
        self.start_weights = self._maps.get_weights()
        self._make_head = lambda seed: build_head(task, shape, n_outputs, seed=seed)
        self._head = self._make_head(0)
        # Not the head's own normalisation: its statistics are constants of the graph, and every fold has others.
        self._standardize = keras.layers.EinsumDense("nftc,fc->nftc", shape, bias_axes="fc", name="standardize")
        self._model = keras.Model(own.input, self._head(self._standardize(self._maps.output)))
        self._model.trainable = True
        self._standardize.trainable = False
        optimizer = keras.optimizers.Adam(learning_rate)
        self._model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
        optimizer.build(self._model.trainable_variables)
        self._optimizer_start = [np.array(variable) for variable in optimizer.variables]

    def fit(
        self, chunks: np.ndarray, targets: np.ndarray, epochs: int, seed: int, validation: Examples | None = None
    ) -> dict[str, list[float]]:
        """Trains from the start weights, and returns Keras' history.

        Args:
            chunks, targets: see `Examples`; the start weights' maps of the chunks give the statistics that the head's input is
                standardised with.
            epochs: at most so many.
            seed: of the head's weights, dropout and the order of chunks.
            validation: chunks and targets; the training ends when their loss has not fallen for PATIENCE_EPOCHS.
        """
        self._maps.set_weights(self.start_weights)
        for variable, value in zip(self._head.variables, self._make_head(seed).variables, strict=True):
            variable.assign(value)
        for variable, value in zip(self._model.optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(value)
        mean, variance = measure_normalization(self._maps.predict(_Batches(chunks), verbose=0))
        deviation = np.sqrt(variance)
        self._standardize.set_weights([1 / deviation, (-mean / deviation)[:, np.newaxis]])
        batches, options = _Batches(chunks, targets, seed=seed), {}
        if validation is not None:
            stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=PATIENCE_EPOCHS)
            options = {"validation_data": _Batches(*validation), "callbacks": [stopping]}
        return self._model.fit(batches, epochs=epochs, shuffle=False, verbose=0, **options).history

    def predict(self, chunks: np.ndarray) -> np.ndarray:
        """Returns the scores of chunks, float32, shape (n_chunks, n_outputs)."""
        return self._model.predict(_Batches(chunks), verbose=0)


class _Batches(keras.utils.PyDataset):
    """Arrays in batches; with a seed, in another order every epoch, which is the same on every backend.

    Not left to `fit`: its pipeline reports an error of TensorFlow's own at every start where operations are deterministic.
    """

    def __init__(self, *arrays: np.ndarray, seed: int | None = None) -> None:
        super().__init__()
        self._arrays = arrays
        self._generator = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(arrays[0]))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._order) // BATCH_SIZE)

    def __getitem__(self, number: int) -> tuple[np.ndarray, ...]:
        rows = self._order[number * BATCH_SIZE : (number + 1) * BATCH_SIZE]
        return tuple(array[rows] for array in self._arrays)

    def on_epoch_end(self) -> None:
        if self._generator is not None:
            self._order = self._generator.permutation(len(self._order))
