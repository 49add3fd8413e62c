"""Encoder and head trained together: every fold starts anew, and learns from its own training part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from began.front_end import stream_chunks
from began.networks import build_encoder
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from classifiers.heads import build_head, measure_normalization
from classifiers.metrics import CATEGORICAL
from experiments.corpora.record import Corpus
from experiments.evaluation.data import Data
from experiments.evaluation.fine_tuning import LEARNING_RATE, WholeNetwork, load_spectrograms, make_trainer
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import leave_one_speaker_out

LABELS = ("anger", "neutral")
SHAPE = (32, 16, 1)
SETTINGS = Settings(Path("results"), epochs=40)


@pytest.fixture(scope="module")
def encoder():
    return build_encoder(SHAPE, 2, 4, seed=1)


@pytest.fixture(scope="module")
def network(encoder):
    return WholeNetwork(encoder, CATEGORICAL, len(LABELS), LEARNING_RATE)


def make_data() -> Data:
    """Five speakers with eight utterances of a chunk each: noise, with an offset in the lower half for one of the classes."""
    table = pd.DataFrame(
        [
            {"utterance": f"s{speaker}-{number}", "speaker": f"s{speaker}", "label": LABELS[number % 2]}
            for speaker in range(5)
            for number in range(8)
        ]
    )
    chunks = np.random.default_rng(0).standard_normal((len(table), *SHAPE)).astype(np.float32)
    chunks[::2, :16] += 1.0
    return Data(Corpus("noise", table, LABELS), chunks, np.arange(len(table)))


def test_an_untrained_network_is_the_head_on_the_standardised_map(encoder, network):
    """Its own layer for the standardisation changes nothing."""
    import keras

    data = make_data()
    maps = keras.Model(encoder.input, encoder.get_layer("map").output).predict(data.features, verbose=0)
    head = build_head(CATEGORICAL, maps.shape[1:], len(LABELS), seed=7, normalization=measure_normalization(maps))
    network.fit(data.features, data.targets(CATEGORICAL), epochs=0, seed=7)
    np.testing.assert_allclose(network.predict(data.features), head.predict(maps, verbose=0), atol=1e-5)


def test_it_hears_what_the_frozen_encoder_hears(tmp_path):
    """Behind the front end that the encoder was pre-trained with."""
    speech = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(32_000), speech, np.zeros(32_000)]), 16_000)
    corpus = Corpus("one", pd.DataFrame({"utterance": ["a"], "path": [str(tmp_path / "a.wav")]}), LABELS)
    for front_end, n_chunks in (("literal", 5), ("normalized", 2)):
        config = SpectrogramConfig.of(front_end)
        data = load_spectrograms(corpus, config, "overlap")
        chunks = np.concatenate(list(stream_chunks(tmp_path / "a.wav", front_end)))
        assert len(data.features) == len(chunks) == n_chunks
        assert (data.features[..., 0] == compute_spectrograms(chunks, config)).all()


def test_every_fit_starts_anew(network):
    data = make_data()
    arguments = data.features, data.targets(CATEGORICAL), 2
    scores = []
    for seed in (3, 4, 3):
        losses = network.fit(*arguments, seed=seed)["loss"]
        scores.append(network.predict(data.features))
    assert len(losses) == 2
    np.testing.assert_array_equal(scores[0], scores[2])
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_the_encoder_learns_and_the_given_one_stays(encoder, network):
    data, before = make_data(), encoder.get_weights()
    network.fit(data.features, data.targets(CATEGORICAL), 0, seed=3)
    standardisation = network._standardize.get_weights()
    network.fit(data.features, data.targets(CATEGORICAL), 1, seed=3)
    for old, kept in zip(standardisation, network._standardize.get_weights(), strict=True):
        np.testing.assert_array_equal(old, kept)
    for old, kept in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, kept)
    kernels = [(old, new) for old, new in zip(before, network._maps.get_weights(), strict=False) if old.ndim == 4]
    assert kernels and all(np.abs(old - new).max() > 0 for old, new in kernels)


def test_it_learns_and_a_poisoned_test_part_changes_nothing_but_its_scores(encoder, tmp_path):
    data, split = make_data(), leave_one_speaker_out(make_data().corpus.utterances)[0]
    train = make_trainer(encoder, LEARNING_RATE)
    poisoned = Data(data.corpus, data.features.copy(), data.utterance)
    poisoned.features[data.chunks_of(split.test)] = 100.0
    first, second = (
        train(one, CATEGORICAL, [split], SETTINGS, 1, tmp_path / name) for name, one in (("a", data), ("b", poisoned))
    )
    assert (first.scores[0].argmax(axis=1) == data.targets(CATEGORICAL)[split.test]).mean() >= 0.75
    pd.testing.assert_frame_equal(first.history, second.history)
    assert np.abs(first.scores[0] - second.scores[0]).max() > 1e-3


def test_runs_share_the_number_of_epochs(encoder, tmp_path):
    data, split = make_data(), leave_one_speaker_out(make_data().corpus.utterances)[0]
    train = make_trainer(encoder, LEARNING_RATE)
    first = train(data, CATEGORICAL, [split], Settings(Path("results"), epochs=3), 1, tmp_path)
    (kept,) = tmp_path.iterdir()
    assert pd.read_csv(kept)["val_loss"].argmin() + 1 == len(first.history)
    written = kept.stat().st_mtime_ns
    second = train(data, CATEGORICAL, [split], Settings(Path("results"), epochs=3), 2, tmp_path)
    assert kept.stat().st_mtime_ns == written and len(second.history) == len(first.history)
    assert np.abs(first.scores[0] - second.scores[0]).max() > 1e-4  # of another seed
    train(data, CATEGORICAL, [split], Settings(Path("results"), epochs=2), 1, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
