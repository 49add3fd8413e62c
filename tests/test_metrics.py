"""Metrics: golden values, perfect scores, empty and invalid input."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from began.errors import InputError
from classifiers import metrics

LABELS = ["anger", "fear", "neutral"]
TARGET = ["anger", "anger", "anger", "fear", "fear", "neutral"]
PREDICTION = ["anger", "anger", "fear", "fear", "neutral", "neutral"]


def test_classification_golden():
    result = metrics.evaluate_classification(TARGET, PREDICTION, LABELS)
    # recalls 2/3, 1/2, 1; precisions 1, 1/2, 1/2
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["unweighted_average_recall"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    f1 = [0.8, 0.5, 2 / 3]
    assert result["f1_macro"] == pytest.approx(np.mean(f1))
    assert result["f1_weighted"] == pytest.approx((3 * f1[0] + 2 * f1[1] + f1[2]) / 6)
    assert result["f1_micro"] == pytest.approx(result["accuracy"])
    assert result["binary_accuracy"] == pytest.approx(1 - 2 * (1 - 4 / 6) / 3)
    f_half = [1.25 * p * r / (0.25 * p + r) for p, r in [(1, 2 / 3), (0.5, 0.5), (0.5, 1)]]
    assert result["fbeta_0.5_macro"] == pytest.approx(np.mean(f_half))
    assert result["fbeta_0.5_rounded"] == pytest.approx(4 / 6)


@pytest.mark.parametrize("seed", range(20))
def test_classification_equals_scikit_learn(seed):
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, fbeta_score

    generator = np.random.default_rng(seed)
    target, scores = generator.integers(0, 4, 9), generator.dirichlet([0.2] * 5, 9)
    prediction, one_hot = scores.argmax(axis=1), np.eye(5, dtype=bool)[target]
    result = metrics.evaluate_classification(*(values.astype(str) for values in (target, prediction, np.arange(5))), scores)
    expected = {f"f1_{name}": f1_score(target, prediction, average=name) for name in ("macro", "micro", "weighted")} | {
        "accuracy": accuracy_score(target, prediction),
        "binary_accuracy": np.mean((scores > 0.5) == one_hot),
        "fbeta_0.5_macro": fbeta_score(target, prediction, beta=0.5, average="macro", zero_division=0),
        "fbeta_0.5_rounded": fbeta_score(one_hot, scores > 0.5, beta=0.5, average="micro", zero_division=0),
    }
    with pytest.warns() if set(prediction) - set(target) else contextlib.nullcontext():  # of labels without a target
        expected["unweighted_average_recall"] = balanced_accuracy_score(target, prediction)
    assert result == pytest.approx(expected, abs=1e-12)


def test_classification_perfect():
    assert set(metrics.evaluate_classification(TARGET, TARGET, LABELS).values()) == {1.0}


def test_binary_accuracy_of_predicting_nothing_and_of_the_notes_example():
    nothing = np.full((10, 7), 1 / 7)
    labels = [str(number) for number in range(7)]
    result = metrics.evaluate_classification(["0"] * 10, ["0"] * 10, labels, nothing)
    assert result["binary_accuracy"] == pytest.approx(6 / 7)
    assert result["fbeta_0.5_rounded"] == 0
    target = np.zeros(20, int)
    prediction = np.array([0] * 7 + [1] * 13)  # seven-class accuracy 0.35
    assert metrics.binary_accuracy(target, np.eye(7)[prediction]) == pytest.approx(0.8143, abs=1e-4)


def test_recall_and_f1_leave_out_classes_that_do_not_occur():
    result = metrics.evaluate_classification(["anger", "fear"], ["anger", "fear"], LABELS)
    assert result["unweighted_average_recall"] == result["f1_macro"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (([], [], LABELS), "0 labels"),
        ((["anger"], [], LABELS), "0 labels"),
        ((["anger"], ["joy"], LABELS), "joy"),
        ((["anger"], ["anger"], ["anger"]), "['anger']"),
        ((["anger"], ["anger"], LABELS, np.zeros((1, 2))), "(1, 2)"),
        ((["anger"], ["anger"], LABELS, np.array([[0.2, 1.7, 0]])), "1.7"),
        ((["anger"], ["anger"], LABELS, np.array([[0.2, np.nan, 0]])), "nan"),
    ],
)
def test_invalid_classification_names_the_value(arguments, found):
    with pytest.raises(InputError, match="expected") as caught:
        metrics.evaluate_classification(*arguments)
    assert found in str(caught.value)


def test_calibration_error_golden():
    # Two bins of a half: 0.6 and 0.8 (right, wrong) in one; 0.5, which belongs to the lower one (right), in the other.
    scores = np.array([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]])
    target = ["anger", "anger", "neutral"]
    expected = (abs(0.6 + 0.8 - 1) + abs(0.5 - 1)) / 3
    assert metrics.expected_calibration_error(target, LABELS, scores, n_bins=2) == pytest.approx(expected)
    # With a bin for each, all gaps count.
    apart = metrics.expected_calibration_error(target, LABELS, scores, n_bins=10)
    assert apart == pytest.approx((0.4 + 0.8 + 0.5) / 3)


def test_calibration_error_of_certainty_is_the_share_of_errors():
    scores = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    assert metrics.expected_calibration_error(TARGET, LABELS, scores) == pytest.approx(2 / 6)
    with pytest.raises(InputError, match="0 labels"):
        metrics.expected_calibration_error([], LABELS, np.zeros((0, 3)))


def test_dimensions_golden():
    target, prediction = np.array([0.0, 0.5, 1.0, 0.5]), np.array([0.2, 0.4, 0.8, 0.8])
    result = metrics.evaluate_dimensions(target, prediction, target, target, video=["a", "a", "b", "b"])
    covariance = np.mean(target * prediction) - target.mean() * prediction.mean()
    expected = 2 * covariance / (target.var() + prediction.var() + (target.mean() - prediction.mean()) ** 2)
    assert result["concordance_correlation_coefficient_arousal"] == pytest.approx(expected)
    assert result["mean_squared_error_arousal"] == pytest.approx((0.04 + 0.01 + 0.04 + 0.09) / 4)
    assert result["pearson_correlation_arousal"] == pytest.approx(np.corrcoef(target, prediction)[0, 1])
    first = 2 * 0.025 / (0.0625 + 0.01 + 0.05**2)  # video a: 0, 0.5 against 0.2, 0.4
    second = 0.0  # video b: the prediction is constant
    assert result["concordance_correlation_coefficient_arousal_per_video"] == pytest.approx((first + second) / 2)
    for name, value in result.items():
        if "valence" in name:
            assert value == (0.0 if "error" in name else pytest.approx(1.0))


@pytest.mark.parametrize(
    ("target", "prediction", "found"),
    [([], [], "0 values"), ([1.0], [1.0, 2.0], "2 values"), ([np.nan], [0.0], "nan"), ([0.0], [np.inf], "inf")],
)
def test_invalid_dimensions_name_the_value(target, prediction, found):
    with pytest.raises(InputError) as caught:
        metrics.evaluate_dimensions(target, prediction, [0.0], [0.0])
    assert found in str(caught.value)


def test_video_of_another_length():
    with pytest.raises(InputError, match="1 names"):
        metrics.evaluate_dimensions([0, 1], [0, 1], [0, 1], [0, 1], video=["a"])


def test_nothing_can_agree_with_a_constant_target():
    result = metrics.evaluate_dimensions([0.5], [0.4], [0.1, 0.1], [0.3, 0.2], video=None)
    for name, value in result.items():
        assert np.isnan(value) == ("error" not in name)


def test_constant_prediction_shows_no_concordance():
    assert metrics.concordance_correlation_coefficient(np.ones(4), np.ones(4)) == 0
    assert metrics.pearson_correlation(np.arange(4), np.ones(4)) == 0


values = arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(-1, 1, width=32))


@given(values, st.randoms(use_true_random=False))
def test_concordance_is_symmetric_bounded_and_below_pearson(target, random):
    prediction = np.array(random.choices(list(target) + [0.0], k=len(target)))
    value = metrics.concordance_correlation_coefficient(target, prediction)
    assert value == pytest.approx(metrics.concordance_correlation_coefficient(prediction, target))
    assert abs(value) <= abs(metrics.pearson_correlation(target, prediction)) + 1e-6


UTTERANCE = np.array([5, 2, 2, 5, 2])
SCORES = np.array([[0.9, 0.1, 0.0], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.5, 0.4, 0.1]])


def test_aggregation_golden():
    mean = metrics.aggregate_chunks(SCORES, UTTERANCE, "mean")
    assert mean == pytest.approx(np.stack([SCORES[[1, 2, 4]].mean(axis=0), SCORES[[0, 3]].mean(axis=0)]))
    median = metrics.aggregate_chunks(SCORES, UTTERANCE, "median")
    assert median[0] == pytest.approx(np.array([0.5, 0.4, 0.1]))
    assert median.sum(axis=1) == pytest.approx(1)
    values = np.array([[0.11, -1], [0.12, -0.5], [0.4, -0.5]])
    raw = metrics.aggregate_chunks(values, [0, 0, 0], "median", "dimensional")
    assert raw == pytest.approx(np.array([[0.12, -0.5]]))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.sampled_from(metrics.AGGREGATIONS), st.integers(0, 99))
def test_aggregation_of_probabilities_gives_probabilities_in_any_order(utterance, how, seed):
    generator = np.random.default_rng(seed)
    scores, utterance = generator.dirichlet(np.full(4, 0.3), len(utterance)), np.array(utterance)
    result = metrics.aggregate_chunks(scores, utterance, how)
    assert result.shape == (len(np.unique(utterance)), 4)
    assert result.sum(axis=1) == pytest.approx(1) and (result >= 0).all()
    order = generator.permutation(len(utterance))
    assert metrics.aggregate_chunks(scores[order], utterance[order], how) == pytest.approx(result)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((SCORES, UTTERANCE, "max"), "max"),
        ((SCORES, UTTERANCE, "mean", "svm"), "svm"),
        ((SCORES, UTTERANCE[:2]), "2 indices"),
        ((np.zeros((0, 3)), []), "(0, 3)"),
        ((SCORES * np.nan, UTTERANCE), "nan"),
    ],
)
def test_invalid_aggregation_names_the_value(arguments, found):
    with pytest.raises(InputError) as caught:
        metrics.aggregate_chunks(*arguments)
    assert found in str(caught.value)
