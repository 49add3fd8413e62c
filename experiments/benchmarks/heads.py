"""How fast the heads of a leave-one-speaker-out table train, against the usual way, in one run.

Ours: the corpus is embedded once; all folds' heads train on the cached maps. The usual way: a Keras model of frozen encoder
and head, and `fit` on spectrograms for every fold. Both get the same chunks, head, epochs, batch size and spectrograms.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np


def benchmark_loso(
    n_chunks: int = 1800,
    n_speakers: int = 10,
    epochs: int = 100,
    alternative_folds: int = 1,
    alternative_epochs: int = 2,
    base_filters: int = 8,
    workers: int | None = None,
    parameters: dict[str, Any] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Times one run of leave one speaker out on synthetic chunks, embedding included.

    An epoch of the usual way costs the same however often it is repeated: its first epoch, which builds the graph, and the
    mean of the following ones are measured in `alternative_folds` folds, and the others are computed from them.

    Args:
        n_chunks: 1-s chunks of the corpus; EmoDB gives about 1,800.
        n_speakers: folds.
        epochs: of every head, without early stopping.
        alternative_folds, alternative_epochs: measured of the usual way; at least 1 and 2.
        base_filters: n of the encoder, whose weights are random.
        workers: processes of our way; one a core by default.
        parameters: what differs from the default head.
        seed: of chunks, encoder and heads.
    Returns:
        Rows with name, ours, alternative, ratio, unit, note: the whole table, and one epoch of one head.
    """
    import keras

    from began.encoder import freeze
    from began.networks import build_encoder
    from began.spectrogram import SpectrogramConfig, compute_spectrograms
    from classifiers.heads import build_head, measure_normalization, resolve_parameters
    from classifiers.training import HeadJob, train_heads

    workers = workers or os.cpu_count() or 1
    parameters = resolve_parameters("categorical", parameters)
    generator = np.random.default_rng(seed)
    config = SpectrogramConfig()
    chunks = generator.normal(0, 0.1, (n_chunks, 16000)).astype(np.float32)
    labels, speaker = generator.integers(0, 7, n_chunks), np.arange(n_chunks) % n_speakers
    encoder = freeze(build_encoder((config.n_bins, config.n_frames, 1), base_filters, seed=seed), config, "benchmark")
    encoder.embed(chunks[:64])  # neither way pays for building the encoder's graph

    started = time.perf_counter()
    features = encoder.embed(chunks)
    embedding = time.perf_counter() - started
    jobs = [
        HeadJob(features, labels, parameters, "categorical", epochs, seed, 7, rows=np.flatnonzero(speaker != fold))
        for fold in range(n_speakers)
    ]
    heads = train_heads(jobs, workers, progress="heads on cached maps")
    ours = time.perf_counter() - started
    ours_epoch = float(np.mean([head.seconds for head in heads])) / epochs

    keras.utils.set_random_seed(seed)  # `fit` shuffles with it
    started = time.perf_counter()
    spectrograms = compute_spectrograms(chunks, config)[..., np.newaxis]
    prepared = time.perf_counter() - started
    first, following = [], []
    for fold in range(max(1, alternative_folds)):
        rows = np.flatnonzero(speaker != fold)
        head = build_head("categorical", encoder.feature_shape, 7, parameters, seed, measure_normalization(features, rows))
        inputs = keras.Input(spectrograms.shape[1:])
        model = keras.Model(inputs, head(encoder.model(inputs, training=False)))
        model.compile(optimizer=head.optimizer, loss="sparse_categorical_crossentropy")
        clock = _EpochClock()
        model.fit(
            spectrograms[rows],
            labels[rows],
            batch_size=parameters["batch_size"],
            epochs=max(2, alternative_epochs),
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=clock.tick)],
        )
        first.append(clock.seconds[0])
        following += clock.seconds[1:]
    alternative_epoch = float(np.mean(following))
    alternative = prepared + n_speakers * (float(np.mean(first)) + (epochs - 1) * alternative_epoch)

    shape = " x ".join(map(str, encoder.feature_shape))
    about = f"{n_chunks} chunks, maps of {shape}, {n_speakers} folds, {epochs} epochs, batch {parameters['batch_size']}"
    measured = f"{max(1, alternative_folds)} folds of {max(2, alternative_epochs)} epochs"
    return [
        {
            "name": "leave one speaker out, embedding included",
            "ours": round(ours, 2),
            "alternative": round(alternative, 2),
            "ratio": round(alternative / ours, 2),
            "unit": "s",
            "note": f"{about}; ours measured whole: {embedding:.1f} s embedding, then {workers} processes, their start "
            f"included; usual way (frozen encoder in the graph, fit a fold) extrapolated from {measured}",
        },
        {
            "name": "epoch of one head",
            "ours": round(ours_epoch, 4),
            "alternative": round(alternative_epoch, 4),
            "ratio": round(alternative_epoch / ours_epoch, 2),
            "unit": "s",
            "note": f"ours on one core, with {workers} heads at a time; the usual way on all cores; embedding not included",
        },
    ]


class _EpochClock:
    """Seconds of each epoch of a `fit`; the first includes building the graph."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = time.perf_counter()

    def tick(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now
