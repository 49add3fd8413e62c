"""Support vector machines on the statistics of utterances: scikit-learn's own pipeline, learned on the training part alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from began.errors import InputError
from began.utterance_encoder import name_statistics
from classifiers.head_parameters import choose_statistics
from classifiers.metrics import CATEGORICAL, DIMENSIONAL, unweighted_average_recall
from experiments.corpora.record import Corpus
from experiments.evaluation import statistics_svm
from experiments.evaluation.baselines import score_classes
from experiments.evaluation.condition import Condition
from experiments.evaluation.data import Data, Outcome
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import leave_one_speaker_out
from experiments.evaluation.result_files import read_table, write_table
from experiments.evaluation.splits import Split

LABELS = ("anger", "neutral")
N_COPIES = 3
NAMES = name_statistics((1, 2, 3, 4))


def make_table() -> pd.DataFrame:
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
    return pd.DataFrame(rows)


def make_data() -> Data:
    """Statistics of `make_table`'s utterances and of two copies of each: noise whose mean tells the label, if not too well."""
    table = make_table()
    utterance, number = np.divmod(np.arange(len(table) * N_COPIES), N_COPIES)
    noise = np.random.default_rng(0).standard_normal((len(utterance), 40, 1, len(NAMES)))
    shift = 0.2 * (table["label"] == "anger").to_numpy(np.float32)[utterance]
    features, is_augmented = (noise + shift[:, None, None, None]).astype(np.float16), number > 0
    return Data(Corpus("noise", table, LABELS), features, utterance, is_augmented, NAMES, np.zeros(len(utterance), bool))


def first_split(data: Data) -> Split:
    return leave_one_speaker_out(data.corpus.utterances)[0]


def train(data: Data, folder: Path, task: str = CATEGORICAL, **options) -> tuple[Outcome, pd.DataFrame]:
    """The outcome of the first fold, and the trials of its search."""
    outcome = statistics_svm.train(data, task, [first_split(data)], Settings(Path("results")), 1, folder, **options)
    (trials,) = [read_table(path) for path in folder.glob("*.csv")]
    return outcome, trials


@pytest.mark.parametrize("family", [statistics_svm.FAMILIES[0], statistics_svm.FAMILIES[-2]])
def test_it_is_a_pipeline_of_scikit_learn(family, tmp_path, monkeypatch):
    monkeypatch.setattr(statistics_svm, "PENALTIES", (0.3,))
    data = make_data()
    outcome, trials = train(data, tmp_path, families=[family])

    split, labels = first_split(data), data.targets(CATEGORICAL)
    features = data.features[..., choose_statistics(dict(family), NAMES)].reshape(len(labels), -1).astype(float)
    model = make_pipeline(StandardScaler(), SVC(kernel="linear", C=0.3 / features.shape[1]))
    rows, tested = (np.isin(data.utterance, part) for part in (split.fitting, split.test))
    model.fit(features[rows], labels[rows])
    np.testing.assert_allclose(outcome.scores[0], score_classes(model, features[tested], len(LABELS)), atol=1e-4)

    standardized, losses = model[0].transform(features), []
    for inner in split.inner:
        rows = np.isin(data.utterance, inner.train)
        machine = SVC(kernel="linear", C=0.3 / features.shape[1]).fit(standardized[rows], labels[rows])
        of_copies = [
            score_classes(machine, standardized[N_COPIES * inner.validation + i], len(LABELS)) for i in range(N_COPIES)
        ]
        predicted = np.mean(of_copies, axis=0).argmax(axis=1)
        losses.append(1.0 - unweighted_average_recall(labels[N_COPIES * inner.validation], predicted))
    assert trials["loss"].tolist() == pytest.approx([np.mean(losses)])


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("task", [CATEGORICAL, DIMENSIONAL])
def test_it_learns_and_selects_on_the_training_part_alone(task, normalize, tmp_path):
    def run(data: Data, name: str) -> tuple[Outcome, pd.DataFrame]:
        return train(statistics_svm.normalize_speakers(data) if normalize else data, tmp_path / name, task)

    data, split = make_data(), first_split(make_data())
    outcome, trials = run(data, "clean")
    scores, targets = outcome.scores[0], data.targets(task)[data.scored_of(split.test)]
    assert outcome.losses == {"s0": trials["loss"].min()} and trials["loss"].max() > 0  # or else nothing could change
    assert len(scores) == N_COPIES * len(split.test)
    if task == CATEGORICAL:
        assert (scores.argmax(axis=1) == targets).mean() >= 0.75
        np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)
    else:
        assert np.corrcoef(scores[:, 0], targets[:, 0])[0, 1] > 0.5
        assert (scores >= [0.0, -1.0]).all() and (scores <= 1.0).all()

    of_test = np.isin(data.utterance, split.test)
    poisoned = data.features.copy()
    poisoned[of_test] = np.random.default_rng(2).standard_normal(poisoned[of_test].shape) * 100
    after, trials_after = run(replace(data, features=poisoned), "poisoned")
    pd.testing.assert_frame_equal(trials_after, trials)
    assert not np.array_equal(after.scores[0], scores)  # the poison does arrive in the scores

    table = data.corpus.utterances.copy()
    table.loc[split.test, "label"] = table.loc[split.test, "label"].to_numpy()[::-1]
    table.loc[split.test, ["arousal", "valence"]] = 0.9
    after, trials_after = run(replace(data, corpus=replace(data.corpus, utterances=table)), "relabelled")
    pd.testing.assert_frame_equal(trials_after, trials)
    np.testing.assert_array_equal(after.scores[0], scores)


def test_normalized_speakers_have_no_mean_and_do_not_see_each_other():
    data = make_data()
    is_first, is_fast = data.utterance < 8, np.arange(len(data.utterance)) % N_COPIES == 2
    features = data.features.copy()
    features[is_fast] += 5  # as other speeds do
    data = replace(data, features=features)
    normalized = statistics_svm.normalize_speakers(data).features
    for part in (is_first & is_fast, is_first & ~is_fast, (data.utterance >= 8) & (data.utterance < 16) & is_fast):
        np.testing.assert_allclose(normalized[part].mean(axis=0), 0.0, atol=2e-3)
        np.testing.assert_allclose(normalized[part].std(axis=0), 1.0, atol=2e-3)
    poisoned = data.features.copy()
    poisoned[is_first] = 1e3
    after = statistics_svm.normalize_speakers(replace(data, features=poisoned)).features
    np.testing.assert_array_equal(after[~is_first], normalized[~is_first])


def test_a_large_corpus_is_trained_on_with_fewer_copies(tmp_path, monkeypatch):
    data = make_data()
    assert first_split(data).fitting.size == 32
    monkeypatch.setattr(statistics_svm, "MAX_ROWS", 2 * 32 + 31)
    outcome, trials = train(data, tmp_path / "two")
    features = data.features.copy()
    features[2::N_COPIES] = np.where(
        np.isin(data.utterance[2::N_COPIES], first_split(data).test)[:, None, None, None], features[2::N_COPIES], 100.0
    )
    after, trials_after = train(replace(data, features=features), tmp_path / "poisoned")
    pd.testing.assert_frame_equal(trials_after, trials)
    np.testing.assert_array_equal(after.scores[0], outcome.scores[0])  # the third versions are not trained on
    assert len(outcome.scores[0]) == N_COPIES * 8  # but scored


def test_what_cannot_be_done_is_refused_before_anything_is_extracted(monkeypatch):
    condition, settings = Condition("custom", "mine", method="statistics", normalize_speakers=True), Settings(Path("results"))
    table = make_table()
    alone = Corpus("noise", pd.concat([table, table[:1].assign(speaker="s9")]), LABELS)
    with pytest.raises(InputError, match="one utterance of s9"):
        statistics_svm.prepare(condition, alone, settings)
    monkeypatch.setattr(statistics_svm, "MAX_ROWS", 39)
    with pytest.raises(InputError, match="40 utterances"):
        statistics_svm.prepare(condition, Corpus("noise", table, LABELS), settings)


def test_runs_that_share_a_split_share_the_search(tmp_path):
    train(make_data(), tmp_path)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_mtime_ns
    _, trials = train(make_data(), tmp_path)
    assert path.stat().st_mtime_ns == written
    assert list(trials.columns[:2]) == ["fold", "task"] and set(trials["fold"]) == {"s0"}


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """The file of a search, and its trials."""
    folder = tmp_path_factory.mktemp("searched")
    _, trials = train(make_data(), folder)
    (path,) = folder.iterdir()
    return path, trials


@pytest.mark.parametrize(
    "damage",
    [
        lambda trials: trials[:3],
        lambda trials: trials.assign(C=[0.5, *trials["C"][1:]]),
        lambda trials: trials.assign(C="high"),
        lambda trials: trials.drop(columns="blocks"),
        lambda trials: trials.assign(statistics=trials["statistics"].to_numpy()[::-1]),
        lambda trials: trials.assign(status="fail", loss=np.nan),
    ],
    ids=["cut", "another C", "text", "a column less", "another order", "failed"],
)
def test_trials_that_are_not_those_of_the_grid_are_refused(damage, searched, tmp_path):
    path, trials = searched
    write_table(tmp_path / path.name, damage(trials))
    with pytest.raises(InputError, match=r"s0-categorical-\w+\.csv: found .*; expected the 16 of this search\. Remove its"):
        train(make_data(), tmp_path)


def test_correlations_and_copies_can_be_left_out(monkeypatch):
    def prepare(**options) -> list[dict[str, str]]:
        _, trainer = statistics_svm.prepare(
            Condition("custom", "mine", method="statistics", **options), Corpus("noise", make_table(), LABELS), Settings(Path())
        )
        return trainer.keywords["families"]

    monkeypatch.setattr(statistics_svm, "represent", lambda *_: make_data())
    assert prepare() == [*statistics_svm.FAMILIES]
    assert {family["correlations"] for family in prepare(correlations=False)} == {"none"}
