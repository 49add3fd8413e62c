"""Support vector machines on pooled utterances: learned on the training part alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from began.errors import InputError
from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments.corpora.record import Corpus
from experiments.evaluation.data import Data, Outcome
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import leave_one_speaker_out
from experiments.evaluation.runs import read_table
from experiments.evaluation.utterance_pooling import Recordings
from experiments.evaluation.utterance_statistics import MAX_ROWS, SPEEDS, choose_speeds, make_trainer

LABELS = ("anger", "neutral")
SETTINGS = Settings(Path("results"))
CHUNKS_A_FILE = 2


def make_data() -> Data:
    """Five speakers with eight utterances each."""
    rows = [
        {
            "utterance": f"s{speaker}-{number}",
            "speaker": f"s{speaker}",
            "label": LABELS[number % 2],
            "arousal": number % 2 / 2,
            "valence": number % 2 - 0.5,
        }
        for speaker in range(5)
        for number in range(8)
    ]
    table = pd.DataFrame(rows)
    return Data(Corpus("noise", table, LABELS), np.zeros((len(table), 1), np.float32), np.arange(len(table)))


def make_features(seed: int = 0) -> np.ndarray:
    """Frames of `make_data`'s utterances, two chunks each, n = 1 filter: noise whose mean tells the label, if not too well."""
    shift = (make_data().corpus.utterances["label"] == "anger").to_numpy(np.float32).repeat(CHUNKS_A_FILE)[:, None]
    noise = np.random.default_rng(seed).standard_normal((len(shift), 2400))
    return (noise + 0.1 * shift).astype(np.float16)


def train(task: str, versions: list[np.ndarray], folder: Path, **options) -> tuple[Outcome, pd.DataFrame]:
    """The outcome of the first fold, and the trials of its search."""
    data = make_data()
    utterance = np.arange(len(data.utterance)).repeat(CHUNKS_A_FILE)
    recordings = [Recordings(features, utterance) for features in versions]
    split = leave_one_speaker_out(data.corpus.utterances)[0]
    outcome = make_trainer(recordings, **options)(data, task, [split], SETTINGS, 1, folder)
    (trials,) = [read_table(path) for path in folder.glob("*.csv")]
    return outcome, trials


@pytest.mark.parametrize("speakers", [None, make_data().corpus.utterances["speaker"].to_numpy()])
@pytest.mark.parametrize("task", [CATEGORICAL, DIMENSIONAL])
def test_it_learns_and_a_poisoned_test_part_changes_nothing_before_the_final_scores(task, speakers, tmp_path):
    data, split = make_data(), leave_one_speaker_out(make_data().corpus.utterances)[0]
    versions = [make_features(), make_features(seed=1)]
    outcome, trials = train(task, versions, tmp_path / "clean", speakers=speakers)
    targets = data.targets(task)[split.test]
    assert trials["loss"].max() > 0.1  # or else nothing could change
    if task == CATEGORICAL:
        assert (outcome.scores[0].argmax(axis=1) == targets).mean() >= 0.75
        np.testing.assert_allclose(outcome.scores[0].sum(axis=1), 1.0, rtol=1e-5)
    else:
        assert np.corrcoef(outcome.scores[0][:, 0], targets[:, 0])[0, 1] > 0.5
        assert (outcome.scores[0] >= [0.0, -1.0]).all() and (outcome.scores[0] <= 1.0).all()

    of_test = np.isin(np.arange(len(data.utterance)).repeat(CHUNKS_A_FILE), split.test)
    poisoned = [features.copy() for features in versions]
    for features in poisoned:
        features[of_test] = np.random.default_rng(2).standard_normal((of_test.sum(), 2400)) * 100
    after, trials_after = train(task, poisoned, tmp_path / "poisoned", speakers=speakers)
    pd.testing.assert_frame_equal(trials_after, trials)
    assert not np.array_equal(after.scores[0], outcome.scores[0])  # the poison does arrive in the scores


def test_copies_are_trained_on_and_tested(tmp_path):
    split, altered = leave_one_speaker_out(make_data().corpus.utterances)[0], make_features(seed=1)
    _, without = train(CATEGORICAL, [make_features()], tmp_path / "without")
    first, with_copies = train(CATEGORICAL, [make_features(), altered], tmp_path / "with")
    assert not without.equals(with_copies)
    altered[split.test.repeat(CHUNKS_A_FILE) * CHUNKS_A_FILE] += 1.0  # the first chunks of the test part
    again, trials = train(CATEGORICAL, [make_features(), altered], tmp_path / "again")
    pd.testing.assert_frame_equal(trials, with_copies)
    assert not np.array_equal(again.scores[0], first.scores[0])


def test_runs_that_share_a_split_share_the_search(tmp_path):
    train(CATEGORICAL, [make_features()], tmp_path)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_mtime_ns
    _, trials = train(CATEGORICAL, [make_features()], tmp_path)
    assert path.stat().st_mtime_ns == written
    assert list(trials.columns[:2]) == ["fold", "task"] and set(trials["fold"]) == {"s0"}


def test_an_inner_fold_with_one_class_is_named(tmp_path):
    data = make_data()
    table = data.corpus.utterances.assign(label=["anger"] * 32 + ["neutral"] * 8)  # one speaker says all that is neutral
    corpus, utterance = Corpus("noise", table, LABELS), np.arange(40).repeat(CHUNKS_A_FILE)
    split = leave_one_speaker_out(data.corpus.utterances)[0]
    trainer = make_trainer([Recordings(make_features(), utterance)])
    with pytest.raises(InputError, match="one class only"):
        trainer(Data(corpus, data.features, data.utterance), CATEGORICAL, [split], SETTINGS, 1, tmp_path)


def test_copies_are_as_many_as_there_is_room_for():
    assert choose_speeds(535) == SPEEDS[1:]
    assert choose_speeds(3059) == SPEEDS[1:3]
    assert choose_speeds(MAX_ROWS) == ()
    with pytest.raises(InputError, match="12001 utterances"):
        choose_speeds(MAX_ROWS + 1)


def test_correlations_can_be_left_out(tmp_path):
    with_them, without = (
        train(CATEGORICAL, [make_features()], tmp_path / str(use), correlations=use)[0] for use in (True, False)
    )
    assert not np.array_equal(with_them.scores[0], without.scores[0])
