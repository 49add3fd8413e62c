"""Pooling: an utterance's chunks give what one long chunk would, and components come from the given utterances alone."""

from __future__ import annotations

import numpy as np
import pytest

from began.errors import InputError
from experiments.evaluation.utterance_pooling import (
    Recordings,
    check_speakers,
    fit_components,
    linear_kernel,
    normalize_speakers,
    standardize,
)

CHUNKS = 2400  # numbers of a chunk's frames, with n = 1 filter


@pytest.fixture
def recordings() -> Recordings:
    features = np.random.default_rng(0).standard_normal((60, CHUNKS)).astype(np.float16)
    return Recordings(features, np.repeat(np.arange(12), 5))


def test_statistics_are_those_of_all_frames_of_an_utterance(recordings):
    for block, n_channels in ((1, 1), (2, 2), (3, 3), (4, 4)):
        assert recordings.statistics[block].shape == (12, 4, 40, n_channels)
        frames = recordings.frames(block, np.arange(5, 10)).reshape(-1, 40, n_channels)  # of the second utterance
        assert len(frames) == 5 * {1: 16, 2: 8, 3: 4, 4: 4}[block]
        expected = np.stack([frames.mean(axis=0), frames.std(axis=0), frames.max(axis=0), frames.min(axis=0)])
        np.testing.assert_allclose(recordings.statistics[block][1], expected, atol=1e-6)


def test_correlations_are_those_between_components(recordings, monkeypatch):
    components = fit_components(recordings, 1, np.arange(12))
    found = recordings.correlate(1, components)
    assert found.shape == (12, 40 * 39 // 2)
    values = components.transform(recordings.frames(1, np.arange(5)))
    np.testing.assert_allclose(found[0], np.corrcoef(values.T)[np.triu_indices(40, 1)], atol=5e-3)
    monkeypatch.setattr("experiments.evaluation.utterance_pooling.CHUNKS_AT_ONCE", 7)  # no multiple of an utterance's five
    np.testing.assert_allclose(recordings.correlate(1, components), found, atol=1e-5)


def test_components_see_the_given_utterances_alone(monkeypatch):
    features = np.random.default_rng(0).standard_normal((60, CHUNKS)).astype(np.float16)
    utterance, seen = np.repeat(np.arange(12), 5), np.arange(6)
    first = fit_components(Recordings(features, utterance), 2, seen)
    poisoned = features.copy()
    poisoned[30:] = 100.0
    np.testing.assert_array_equal(fit_components(Recordings(poisoned, utterance), 2, seen).components_, first.components_)
    monkeypatch.setattr("experiments.evaluation.utterance_pooling.FRAMES_FOR_COMPONENTS", 80)  # ten chunks of eight frames
    assert fit_components(Recordings(features, utterance), 2, seen).n_samples_ == 80


def test_normalized_speakers_have_no_mean_and_do_not_see_each_other():
    features = np.random.default_rng(0).standard_normal((40, 4, 3, 10)).astype(np.float32)
    speakers = np.repeat([f"s{number}" for number in range(5)], 8)
    normalized = normalize_speakers(features, speakers)
    for speaker in np.unique(speakers):
        np.testing.assert_allclose(normalized[speakers == speaker].mean(axis=0), 0.0, atol=1e-5)
        np.testing.assert_allclose(normalized[speakers == speaker].std(axis=0), 1.0, atol=0.02)
    poisoned = features.copy()
    poisoned[speakers == "s0"] = 1e3
    np.testing.assert_array_equal(normalize_speakers(poisoned, speakers)[speakers != "s0"], normalized[speakers != "s0"])


def test_a_speaker_with_one_utterance_is_named():
    check_speakers(np.array(["a", "a", "b", "b"]))
    with pytest.raises(InputError, match="one utterance of c"):
        check_speakers(np.array(["a", "a", "c"]))


def test_an_utterance_without_a_chunk_is_refused():
    with pytest.raises(ValueError, match="without a chunk"):
        Recordings(np.zeros((3, CHUNKS), np.float16), np.array([0, 2, 2]))


def test_what_stands_still_is_not_blown_up():
    features = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    features[:, 2] = 1.0 + 1e-7 * features[:, 2]
    standardized = standardize(features, features)
    assert np.abs(standardized[:, 2]).max() < 1e-2 < 0.5 < np.abs(standardized[:, 0]).max()
    np.testing.assert_allclose(np.diag(linear_kernel(standardized[:, :2], standardized[:, :2])).mean(), 1.0, rtol=1e-5)
