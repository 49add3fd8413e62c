"""How fast the heads of a leave-one-speaker-out table train, against the usual way, in one run.

Ours: the corpus is embedded once; all folds' heads train on the cached maps. The usual way: a Keras model of frozen encoder
and head, and `fit` on spectrograms for every fold. Both get the same chunks, head, epochs, batch size and spectrograms.
"""

import time
from typing import Any

import numpy as np

from began.startup import count_cores, start_backend
from experiments.benchmarks import make_row


def benchmark(
    n_chunks: int = 1800,
    n_speakers: int = 10,
    epochs: int = 100,
    base_filters: int = 8,
    workers: int | None = None,
    parameters: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Times one run of leave one speaker out on noise, embedding included, and returns the rows.

    An epoch of the usual way costs the same however often it is repeated: the first two of one fold are measured, the first
    of which builds the graph, and the other epochs and folds are computed from them.

    Args:
        n_chunks: 1-s chunks of the corpus; EmoDB gives about 1,800.
        base_filters: n of the encoder, whose weights are random.
        workers: processes of our way; one per core by default.
        parameters: those that differ from the default head's.
    """
    start_backend()

    import keras

    from began.encoder import freeze
    from began.networks import build_encoder
    from began.spectrogram import SpectrogramConfig, compute_spectrograms
    from classifiers.head_parameters import resolve_parameters
    from classifiers.heads import build_head, build_optimizer, measure_normalization
    from classifiers.training import HeadJob
    from classifiers.workers import train_heads

    workers = workers or count_cores()
    parameters = resolve_parameters("categorical", parameters)
    generator, config = np.random.default_rng(0), SpectrogramConfig()
    chunks = generator.normal(0, 0.1, (n_chunks, 16000)).astype(np.float32)
    labels, speaker = generator.integers(0, 7, n_chunks), np.arange(n_chunks) % n_speakers
    encoder = freeze(build_encoder((config.n_bins, config.n_frames, 1), base_filters, seed=0), config, "benchmark")
    encoder.embed(chunks[:64])  # neither way pays for building the encoder's graph

    started = time.perf_counter()
    features = encoder.embed(chunks)
    embedding = time.perf_counter() - started
    settings: dict[str, Any] = {"task": "categorical", "epochs": epochs, "seed": 0, "n_outputs": 7}
    folds = [np.flatnonzero(speaker != fold) for fold in range(n_speakers)]
    jobs = [
        HeadJob(features, labels, utterance=np.arange(n_chunks), parameters=parameters, rows=rows, **settings) for rows in folds
    ]
    heads = train_heads(jobs, workers, progress="heads on cached maps")
    ours = time.perf_counter() - started
    ours_epoch = np.mean([head.seconds for head in heads]) / epochs

    keras.utils.set_random_seed(0)  # `fit` shuffles with it
    started = time.perf_counter()
    spectrograms = compute_spectrograms(chunks, config)[..., np.newaxis]
    prepared = time.perf_counter() - started
    rows = folds[0]
    head = build_head("categorical", encoder.feature_shape, 7, parameters, 0, measure_normalization(features, rows))
    inputs = keras.Input(spectrograms.shape[1:])
    model = keras.Model(inputs, head(encoder.model(inputs, training=False)))
    model.compile(build_optimizer(parameters), "sparse_categorical_crossentropy")
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        model.fit(spectrograms[rows], labels[rows], batch_size=parameters["batch_size"], verbose=0)
        seconds.append(time.perf_counter() - started)
    first_epoch, usual_epoch = seconds
    usual = prepared + n_speakers * (first_epoch + (epochs - 1) * usual_epoch)

    shape = " x ".join(map(str, encoder.feature_shape))
    note = (
        f"{n_chunks} chunks, maps of {shape}, {n_speakers} folds, {epochs} epochs, batch {parameters['batch_size']}; ours "
        f"measured in full: {embedding:.1f} s embedding, then {workers} processes, their start included; usual way (frozen "
        "encoder in the graph, one fit per fold) extrapolated from 2 epochs of 1 fold"
    )
    cores = f"ours on one core, with {workers} heads at a time; the usual way on all cores; embedding not included"
    return [
        make_row("leave one speaker out, embedding included", ours, usual, "s", note, inverse=True),
        make_row("epoch of one head", ours_epoch, usual_epoch, "s", cores, inverse=True),
    ]
