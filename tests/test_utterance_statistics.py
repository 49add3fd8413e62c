"""Statistics over utterances: as if each had been one long chunk, learned on the training part alone."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import pytest

from experiments.corpora.base import Corpus
from experiments.evaluation import CLASSES, DIMENSIONS, Data
from experiments.protocols import leave_one_speaker_out
from experiments.utterance_statistics import as_utterances, make_trainer, normalize_speakers, pool_utterances

LABELS = ("anger", "neutral")
SETTINGS = argparse.Namespace(class_weight=None)


def measure_frames(frames: np.ndarray) -> np.ndarray:
    """Statistics as the encoder gives them, of frames (n_frames, n_bands, n_channels)."""
    return np.stack([frames.mean(axis=0), np.square(frames).mean(axis=0), frames.max(axis=0), frames.min(axis=0)])


def make_data(seed: int = 0) -> Data:
    """Five speakers with eight utterances each, one row an utterance; n = 1 filter, so ten channels."""
    generator = np.random.default_rng(seed)
    rows = [{"utterance": f"s{speaker}-{number}", "speaker": f"s{speaker}", "label": LABELS[number % 2],
             "arousal": number % 2 / 2, "valence": number % 2 - 0.5} for speaker in range(5) for number in range(8)]
    table = pd.DataFrame(rows)
    shift = (table["label"] == "anger").to_numpy(np.float32)[:, None, None, None]
    features = (generator.standard_normal((len(table), 4, 3, 10)) + shift).astype(np.float32)
    return Data(Corpus("noise", table, LABELS), features, np.arange(len(table)))


def test_pooled_chunks_equal_one_long_chunk():
    generator = np.random.default_rng(0)
    chunks = [generator.standard_normal((5, 8, 3, 2)), generator.standard_normal((1, 8, 3, 2))]
    statistics = np.stack([measure_frames(frames) for utterance in chunks for frames in utterance])
    pooled = pool_utterances(statistics, np.array([0] * 5 + [1]))
    for number, utterance in enumerate(chunks):
        frames = utterance.reshape(-1, 3, 2)
        expected = np.stack([frames.mean(axis=0), frames.std(axis=0), frames.max(axis=0), frames.min(axis=0)])
        np.testing.assert_allclose(pooled[number], expected, atol=1e-6)


def test_as_utterances_has_a_row_an_utterance():
    table = make_data().corpus.utterances.head(2)
    data = as_utterances(Data(Corpus("two", table, LABELS), np.ones((3, 4, 3, 10), np.float32), np.array([0, 0, 1])))
    assert data.features.shape == (2, 4, 3, 10)
    assert data.targets(CLASSES).tolist() == [0, 1]


def test_normalized_speakers_have_no_mean_and_do_not_see_each_other():
    data, speakers = make_data(), make_data().corpus.utterances["speaker"].to_numpy()
    normalized = normalize_speakers(data.features, speakers)
    for speaker in np.unique(speakers):
        np.testing.assert_allclose(normalized[speakers == speaker].mean(axis=0), 0.0, atol=1e-5)
        np.testing.assert_allclose(normalized[speakers == speaker].std(axis=0), 1.0, atol=0.02)
    poisoned = data.features.copy()
    poisoned[speakers == "s0"] = 1e3
    np.testing.assert_array_equal(normalize_speakers(poisoned, speakers)[speakers != "s0"], normalized[speakers != "s0"])


@pytest.mark.parametrize("kind", [CLASSES, DIMENSIONS])
def test_it_learns_and_a_poisoned_test_part_changes_nothing_before_the_final_scores(kind, tmp_path):
    data, split = make_data(), leave_one_speaker_out(make_data().corpus.utterances)[0]
    copies = [make_data(seed=1).features]
    outcome = make_trainer(copies)(data, kind, [split], SETTINGS, 1, tmp_path)
    targets = data.targets(kind)[split.test]
    if kind == CLASSES:
        assert (outcome.scores[0].argmax(axis=1) == targets).mean() >= 0.75
        np.testing.assert_allclose(outcome.scores[0].sum(axis=1), 1.0, rtol=1e-5)
    else:
        assert np.corrcoef(outcome.scores[0][:, 0], targets[:, 0])[0, 1] > 0.5
        assert outcome.scores[0].min(axis=0).tolist() >= [0.0, -1.0]

    poisoned, poisoned_copy = data.features.copy(), copies[0].copy()
    poisoned[split.test] = poisoned_copy[split.test] = 1e3
    after = make_trainer([poisoned_copy])(Data(data.corpus, poisoned, data.utterance), kind, [split], SETTINGS, 1, tmp_path)
    pd.testing.assert_frame_equal(after.trials, outcome.trials)
    assert not np.array_equal(after.scores[0], outcome.scores[0])  # the poison does arrive in the scores


def test_copies_are_trained_on(tmp_path):
    data, split = make_data(), leave_one_speaker_out(make_data().corpus.utterances)[0]
    without, with_copies = (make_trainer(copies)(data, CLASSES, [split], SETTINGS, 1, tmp_path)
                            for copies in ([], [make_data(seed=1).features]))
    assert not without.trials.equals(with_copies.trials)
