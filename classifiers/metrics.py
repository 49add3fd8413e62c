"""Metrics of emotion recognition as pure functions: validate, measure, evaluate.

`evaluate_classification` and `evaluate_dimensions` return flat dictionaries, ready for `metrics.csv`. No TensorFlow here.

The paper (Pereira et al. 2018) leaves open how its "accuracy" and "F-score" were computed. Two possibilities are measured
beside the usual ones: `binary_accuracy`, what Keras calls `accuracy` when the class outputs are trained one by one with
binary cross-entropy, and `fbeta_0.5_rounded`, micro F with beta 0.5 over class outputs rounded at one half.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from began.errors import InputError

CATEGORICAL, DIMENSIONAL = TASKS = ("categorical", "dimensional")
"""The tasks: classes of emotion, or arousal and valence."""

DIMENSIONS = ("arousal", "valence")
CONCORDANCE = tuple(f"concordance_correlation_coefficient_{name}" for name in DIMENSIONS)
"""Of the dimensions, in their order: names of metrics."""

AGGREGATIONS = ("mean", "median")
"""How an utterance's scores come from those of its chunks."""


def validate_classification(
    target: Sequence[str], prediction: Sequence[str], labels: Sequence[str], probabilities: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target and prediction as indices into `labels`, and the probabilities of all classes.

    Args:
        target, prediction: labels, shape (n,).
        labels: every label of the task, in the order of the probability columns.
        probabilities: in [0, 1], shape (n, n_classes); None: the predictions are certain.
    Returns:
        int64 (n,), int64 (n,), float64 (n, n_classes).
    Raises:
        InputError: empty input, unequal lengths, unknown labels, probabilities of a wrong shape or outside [0, 1].
    """
    index = {str(label): position for position, label in enumerate(labels)}
    if len(index) != len(labels) or len(labels) < 2:
        raise InputError.about("labels", list(labels), "at least 2 different labels", "name each class once")
    indices = []
    for name, values in (("target", target), ("prediction", prediction)):
        values = np.asarray(values, dtype=object).ravel().astype(str).tolist()
        if unknown := sorted(set(values) - set(index)):
            raise InputError.about(name, unknown, f"only {list(index)}", "correct the labels")
        indices.append(np.array([index[value] for value in values], dtype=np.int64))
    target_index, predicted = indices
    _check_lengths("", target_index, predicted, unit="labels")
    if probabilities is None:
        return target_index, predicted, np.eye(len(labels))[predicted]
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape != (expected := (len(target_index), len(labels))):
        raise InputError.about("shape of probabilities", probabilities.shape, expected, "give one row per target")
    outside = probabilities[~((probabilities >= -1e-6) & (probabilities <= 1 + 1e-6))]  # NaN, too
    if len(outside):
        raise InputError.about("probability", outside[0], "0 to 1", "take the outputs of a softmax")
    return target_index, predicted, probabilities


def _check_lengths(name: str, target: np.ndarray, prediction: np.ndarray, unit: str) -> None:
    if len(target) == 0:
        raise InputError.about(f"{name}target", f"0 {unit}", "at least 1", "evaluate some utterances")
    if len(target) != len(prediction):
        raise InputError.about(f"{name}prediction", f"{len(prediction)} {unit}", len(target), "give one per target")


def binary_accuracy(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean over all class outputs of the agreement of "score above 0.5" with the one-hot target.

    With K classes, never predicting a class scores 1 - 1/K (85.7 % for seven), and one-hot predictions of accuracy a
    score 1 - 2 (1 - a) / K.  Source: Keras' metric `accuracy` under binary cross-entropy.

    Args:
        target: int, shape (n,), class indices.
        scores: shape (n, n_classes), in [0, 1].
    """
    return float(np.mean((np.asarray(scores) > 0.5) == _one_hot(target, scores)))


def fbeta_rounded(target: np.ndarray, scores: np.ndarray) -> float:
    """Micro F-beta, beta 0.5, over all class outputs, each rounded at 0.5: an utterance with none above 0.5 predicts nothing.

    Source: `fbeta_score` in early Keras toolkits, here over all utterances at once and not averaged over batches.

    Args:
        target, scores: see `binary_accuracy`.
    """
    rounded = np.asarray(scores) > 0.5
    return float(_fbeta(np.sum(_one_hot(target, scores) & rounded), len(rounded), rounded.sum(), 0.5))


def _fbeta(n_hits: ArrayLike, n_true: ArrayLike, n_predicted: ArrayLike, beta: float) -> np.ndarray:
    """F-beta from counts, of any shape; 0 where nothing is true and nothing predicted.

    Not scikit-learn's, which takes 25 ms for the metrics of a fold: tables compute all of them again to check them.
    """
    return (1 + beta**2) * np.asarray(n_hits) / np.maximum(beta**2 * np.asarray(n_true) + np.asarray(n_predicted), 1e-12)


def _one_hot(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.arange(np.shape(scores)[1]) == np.asarray(target)[:, None]  # bool (n, n_classes)


def unweighted_average_recall(target: np.ndarray, prediction: np.ndarray) -> float:
    """Mean recall over the classes that occur in the target, int (n,): a held-out speaker may lack some."""
    target, prediction = np.asarray(target), np.asarray(prediction)
    # Not scikit-learn's recall_score, which takes 40 times as long: it is measured after every epoch of every head.
    return float(np.mean([np.mean(prediction[target == label] == label) for label in np.unique(target)]))


def score_utterances(
    task: str, scores: np.ndarray, targets: np.ndarray, utterance: np.ndarray, how: str = "mean"
) -> dict[str, float]:
    """Returns the `score` of utterances that epochs and parameters are selected on, and the metrics that it consists of.

    It is unweighted average recall, beside `accuracy`, or the mean of both concordance correlation coefficients.

    Args:
        task: one of TASKS.
        scores, targets, utterance: of chunks, shapes (n, d), (n,) class indices or (n, 2), and (n,).
        how: see `aggregate_chunks`.
    """
    _, first = np.unique(utterance, return_index=True)
    target, predicted = targets[first], aggregate_chunks(scores, utterance, how, task)
    if task == CATEGORICAL:
        predicted = predicted.argmax(axis=1)
        return {"score": unweighted_average_recall(target, predicted), "accuracy": float(np.mean(predicted == target))}
    values = [concordance_correlation_coefficient(target[:, i], predicted[:, i]) for i in (0, 1)]
    return {"score": float(np.mean(values)), **dict(zip(CONCORDANCE, values, strict=True))}


def evaluate_classification(
    target: Sequence[str], prediction: Sequence[str], labels: Sequence[str], probabilities: np.ndarray | None = None
) -> dict[str, float]:
    """Every classification metric of the tables, by name, in [0, 1].

    Averages over classes take the classes that occur in target or prediction (`f1_*`, as scikit-learn does) or in the
    target (recall). `f1_micro` equals accuracy for single labels; it is OMG-Emotion's official F.

    Args:
        target, prediction, labels, probabilities: see `validate_classification`, also for errors.
    """
    true, predicted, scores = validate_classification(target, prediction, labels, probabilities)
    hits = true[true == predicted]
    counts = [np.bincount(indices, minlength=len(labels)) for indices in (hits, true, predicted)]
    occurs = (counts[1] + counts[2]) > 0
    f1, f_half = (_fbeta(counts[0], counts[1], counts[2], beta)[occurs] for beta in (1.0, 0.5))
    accuracy = len(hits) / len(true)
    return {
        "accuracy": accuracy,
        "unweighted_average_recall": unweighted_average_recall(true, predicted),
        "f1_macro": float(f1.mean()),
        "f1_micro": accuracy,
        "f1_weighted": float(np.average(f1, weights=counts[1][occurs])),
        "binary_accuracy": binary_accuracy(true, scores),
        "fbeta_0.5_macro": float(f_half.mean()),
        "fbeta_0.5_rounded": fbeta_rounded(true, scores),
    }


def expected_calibration_error(
    target: Sequence[str], labels: Sequence[str], probabilities: np.ndarray, n_bins: int = 15
) -> float:
    """How far the probability of the most probable class lies from how often it is right, in [0, 1].

    The absolute difference of the two means in equally wide bins of that probability, averaged over the predictions.
    Source: Guo et al. 2017, equation 3.

    Args:
        target, labels, probabilities: see `validate_classification`, also for errors.
        n_bins: number of bins; theirs is 15.
    """
    most_probable = np.asarray(labels)[np.argmax(probabilities, axis=1)]
    true, predicted, scores = validate_classification(target, most_probable, labels, probabilities)
    confidence, right = scores.max(axis=1), true == predicted
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(true))


def validate_dimension(name: str, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target and prediction of one dimension as float64, shape (n,).

    Raises:
        InputError: empty input, unequal lengths, a value that is not finite.
    """
    target, prediction = (np.asarray(values, dtype=np.float64).ravel() for values in (target, prediction))
    _check_lengths(f"{name} ", target, prediction, unit="values")
    for role, values in (("target", target), ("prediction", prediction)):
        if len(bad := values[~np.isfinite(values)]):
            raise InputError.about(f"{name} {role}", bad[0], "finite values", "leave out utterances without a value")
    return target, prediction


def concordance_correlation_coefficient(target: np.ndarray, prediction: np.ndarray) -> float:
    """Lin's concordance correlation coefficient with population moments, in [-1, 1].

    2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2) of float (n,); 0 where one side is constant, which shows no
    concordance.  Source: Lin 1989; OMG-Emotion challenge, final script.
    """
    target, prediction = validate_dimension("dimension", target, prediction)
    if np.ptp(target) == 0 or np.ptp(prediction) == 0:
        return 0.0  # exactly, also where rounding leaves the mean of a constant a little beside it
    covariance = np.mean((target - target.mean()) * (prediction - prediction.mean()))
    spread = target.var() + prediction.var() + (target.mean() - prediction.mean()) ** 2
    return float(2 * covariance / spread) if spread > 0 else 0.0


def pearson_correlation(target: np.ndarray, prediction: np.ndarray) -> float:
    """Pearson's correlation of float (n,), in [-1, 1]; 0 where one side is constant."""
    from scipy.stats import pearsonr

    target, prediction = validate_dimension("dimension", target, prediction)
    if np.ptp(target) == 0 or np.ptp(prediction) == 0:
        return 0.0
    return float(pearsonr(target, prediction).statistic)


def evaluate_dimensions(
    arousal_target: np.ndarray,
    arousal_prediction: np.ndarray,
    valence_target: np.ndarray,
    valence_prediction: np.ndarray,
    video: Sequence[str] | None = None,
) -> dict[str, float]:
    """Every metric of arousal and valence, over all utterances and, where `video` is given, averaged over videos.

    Correlations with a constant target, such as that of one utterance, are NaN: nothing can agree with it, or fail to. Of
    videos they count as 0, as in the script of the challenge.

    Args:
        arousal_target, arousal_prediction: shape (n,), arousal in [0, 1].
        valence_target, valence_prediction: shape (n,), valence in [-1, 1].
        video: shape (n,), the source video of each utterance, or None.
    Raises:
        InputError: see `validate_dimension`; also for `video` of another length.
    """
    result: dict[str, float] = {}
    pairs = {"arousal": (arousal_target, arousal_prediction), "valence": (valence_target, valence_prediction)}
    for (name, pair), agreement in zip(pairs.items(), CONCORDANCE, strict=True):
        target, prediction = validate_dimension(name, *pair)
        is_constant = np.ptp(target) == 0
        concordance = np.nan if is_constant else concordance_correlation_coefficient(target, prediction)
        result[agreement] = concordance
        result[f"mean_squared_error_{name}"] = float(np.mean((target - prediction) ** 2))
        result[f"pearson_correlation_{name}"] = np.nan if is_constant else pearson_correlation(target, prediction)
        if video is None:
            continue
        videos = np.asarray(video, dtype=object).astype(str).ravel()
        if len(videos) != len(target):
            raise InputError.about("video", f"{len(videos)} names", len(target), "name the video of each utterance")
        groups = [videos == one for one in np.unique(videos)]
        of_videos = [concordance_correlation_coefficient(target[group], prediction[group]) for group in groups]
        result[f"{agreement}_per_video"] = float(np.mean(of_videos))
    return result


def aggregate_chunks(chunk_scores: np.ndarray, utterance: np.ndarray, how: str = "mean", task: str = CATEGORICAL) -> np.ndarray:
    """One row of scores per utterance: mean or median of its chunks; medians of probabilities again sum to one.

    Args:
        chunk_scores: shape (n_chunks, d); probabilities where `task` is "categorical".
        utterance: int, shape (n_chunks,), which utterance a chunk belongs to, in any order.
        how: one of AGGREGATIONS.
        task: one of TASKS.
    Returns:
        float64, shape (n_utterances, d); row i belongs to `np.unique(utterance)[i]`.
    Raises:
        InputError: unknown `how` or `task`, no chunk, unequal lengths, a score that is not finite.
    """
    for name, value, known in (("aggregation", how, AGGREGATIONS), ("task", task, TASKS)):
        if value not in known:
            raise InputError.about(name, value, f"one of {known}", "choose one of them")
    chunk_scores, utterance = np.asarray(chunk_scores, dtype=np.float64), np.asarray(utterance).ravel()
    if chunk_scores.ndim != 2 or len(chunk_scores) == 0:
        raise InputError.about("shape of scores", chunk_scores.shape, "(n_chunks, d)", "give one row per chunk")
    if len(utterance) != len(chunk_scores):
        raise InputError.about("utterance", f"{len(utterance)} indices", len(chunk_scores), "give one per chunk")
    if len(bad := chunk_scores[~np.isfinite(chunk_scores)]):
        raise InputError.about("scores", bad[0], "finite ones", "look at the audio of these chunks")
    order = np.argsort(utterance, kind="stable")
    _, starts, counts = np.unique(utterance[order], return_index=True, return_counts=True)
    mean = np.add.reduceat(chunk_scores[order], starts, axis=0) / counts[:, None]  # (n_utterances, d)
    if how == "mean":
        return mean
    median = np.stack([np.median(chunks, axis=0) for chunks in np.split(chunk_scores[order], starts[1:])])
    if task == DIMENSIONAL:
        return median
    total = median.sum(axis=1, keepdims=True)
    return np.where(total > 1e-12, median / np.maximum(total, 1e-12), mean)
