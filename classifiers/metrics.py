"""Metrics of emotion recognition as pure functions: validate, measure, evaluate.

`evaluate_classification` and `evaluate_dimensions` return flat dictionaries ready for `metrics.csv`. No
TensorFlow here.

Two readings of "accuracy" and of "F-score" that the paper (Pereira et al. 2018) leaves open are measured beside the
usual ones: `binary_accuracy`, what Keras calls `accuracy` when the class outputs are trained one by one with binary
cross-entropy, and `fbeta_0.5_rounded`, micro F with beta 0.5 over class outputs rounded at one half.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from began.errors import InputError

AGGREGATIONS = ("mean", "median", "mode")
CATEGORICAL, DIMENSIONAL = TASKS = ("categorical", "dimensional")

# The mode of a continuous score is taken over values rounded to this step; arousal and valence were annotated at it
# or finer.
MODE_STEP = 0.05


def validate_classification(
    target: Sequence[str],
    prediction: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Target and prediction as indices into `labels`, and probabilities as float64.

    Args:
        target: true labels, shape (n,).
        prediction: predicted labels, shape (n,).
        labels: every label of the task, in the order of the probability columns.
        probabilities: shape (n, n_classes), rows in [0, 1], or None.
    Returns:
        int64 (n,), int64 (n,), float64 (n, n_classes) or None.
    Raises:
        InputError: empty input, unequal lengths, unknown labels, probabilities of a wrong shape or outside [0, 1].
    """
    labels = [str(label) for label in labels]
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise InputError.about("labels", found=labels, expected="at least 2 different labels", action="name each class once")
    target = np.asarray(target, dtype=object).ravel()
    prediction = np.asarray(prediction, dtype=object).ravel()
    if len(target) == 0:
        raise InputError.about(
            "target", found="0 labels", expected="at least 1", action="evaluate a part that holds utterances"
        )
    if len(target) != len(prediction):
        raise InputError.about(
            "prediction",
            found=f"{len(prediction)} labels",
            expected=f"{len(target)}, as many as targets",
            action="give one prediction for each target",
        )
    index = {label: position for position, label in enumerate(labels)}
    for name, values in (("target", target), ("prediction", prediction)):
        unknown = sorted({str(value) for value in values} - set(labels))
        if unknown:
            raise InputError.about(name, found=unknown, expected=f"only {labels}", action="correct the labels")
    target_index = np.array([index[str(value)] for value in target], dtype=np.int64)
    prediction_index = np.array([index[str(value)] for value in prediction], dtype=np.int64)
    if probabilities is None:
        return target_index, prediction_index, None
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape != (len(target), len(labels)):
        raise InputError.about(
            "probabilities",
            found=f"shape {probabilities.shape}",
            expected=f"shape {(len(target), len(labels))}",
            action="give one row a target and one column a label",
        )
    outside = ~((probabilities >= -1e-6) & (probabilities <= 1 + 1e-6))  # also true for NaN
    if outside.any():
        raise InputError.about(
            "probabilities",
            found=float(probabilities[outside][0]),
            expected="values in [0, 1]",
            action="pass the head's softmax outputs",
        )
    return target_index, prediction_index, probabilities


def binary_accuracy(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean over all class outputs of the agreement of "score above 0.5" with the one-hot target.

    With K classes, predicting nothing scores 1 - 1/K (85.7 % for seven), and confident predictions of accuracy a
    score 1 - 2 (1 - a) / K.  Source: Keras' metric `accuracy` under binary cross-entropy.

    Args:
        target: int, shape (n,), class indices.
        scores: shape (n, n_classes), in [0, 1].
    """
    scores = np.asarray(scores)
    one_hot = np.arange(scores.shape[1])[None, :] == np.asarray(target)[:, None]  # (n, n_classes)
    return float(np.mean((scores > 0.5) == one_hot))


def fbeta_rounded(target: np.ndarray, scores: np.ndarray, beta: float = 0.5) -> float:
    """Micro F-beta over all class outputs, each rounded at 0.5: an utterance with none above 0.5 predicts nothing.

    Source: the reading of `fbeta_score` in early Keras toolkits, here over all rows at once and not averaged over
    batches.

    Args:
        target: int, shape (n,), class indices.
        scores: shape (n, n_classes), in [0, 1].
    """
    scores = np.asarray(scores)
    positive = scores > 0.5
    hits = float(positive[np.arange(len(scores)), np.asarray(target)].sum())
    if hits == 0:
        return 0.0
    precision, recall = hits / float(positive.sum()), hits / len(scores)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def unweighted_average_recall(target: np.ndarray, prediction: np.ndarray) -> float:
    """Mean recall over the classes that occur in the target (a held-out speaker may lack some).

    Args:
        target: int, shape (n,). prediction: int, shape (n,).
    """
    target, prediction = np.asarray(target), np.asarray(prediction)
    return float(np.mean([np.mean(prediction[target == label] == label) for label in np.unique(target)]))


def evaluate_classification(
    target: Sequence[str],
    prediction: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray | None = None,
) -> dict[str, float]:
    """Every classification metric of the tables.

    Averages over classes take the classes that occur in target or prediction (`f1_*`, as scikit-learn does) or in the
    target (recall). `f1_micro` equals accuracy for single labels; it is OMG-Emotion's official F.

    Args:
        target, prediction: labels, shape (n,).
        labels: every label of the task, in the order of the probability columns.
        probabilities: shape (n, n_classes), or None: then the predictions count as certain.
    Returns:
        accuracy, unweighted_average_recall, f1_macro, f1_micro, f1_weighted, binary_accuracy, fbeta_0.5_macro,
        fbeta_0.5_rounded; all in [0, 1].
    Raises:
        InputError: see `validate_classification`.
    """
    from sklearn.metrics import accuracy_score, f1_score, fbeta_score

    target_index, prediction_index, scores = validate_classification(target, prediction, labels, probabilities)
    if scores is None:
        scores = np.eye(len(labels))[prediction_index]
    result = {
        "accuracy": float(accuracy_score(target_index, prediction_index)),
        "unweighted_average_recall": unweighted_average_recall(target_index, prediction_index),
    }
    for average in ("macro", "micro", "weighted"):
        result[f"f1_{average}"] = float(f1_score(target_index, prediction_index, average=average, zero_division=0))
    result["binary_accuracy"] = binary_accuracy(target_index, scores)
    result["fbeta_0.5_macro"] = float(fbeta_score(target_index, prediction_index, beta=0.5, average="macro", zero_division=0))
    result["fbeta_0.5_rounded"] = fbeta_rounded(target_index, scores)
    return result


def confusion(target: Sequence[str], prediction: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Confusion matrix: rows are true labels, columns predicted ones, values counts.

    Raises:
        InputError: see `validate_classification`.
    """
    from sklearn.metrics import confusion_matrix

    target_index, prediction_index, _ = validate_classification(target, prediction, labels)
    counts = confusion_matrix(target_index, prediction_index, labels=range(len(labels)))
    return pd.DataFrame(counts, index=pd.Index(labels, name="target"), columns=pd.Index(labels, name="prediction"))


def validate_dimension(name: str, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target and prediction of one dimension as float64, shape (n,).

    Raises:
        InputError: empty input, unequal lengths, a value that is not finite.
    """
    target = np.asarray(target, dtype=np.float64).ravel()
    prediction = np.asarray(prediction, dtype=np.float64).ravel()
    if len(target) == 0:
        raise InputError.about(
            f"{name} target", found="0 values", expected="at least 1", action="evaluate a part that holds utterances"
        )
    if len(target) != len(prediction):
        raise InputError.about(
            f"{name} prediction",
            found=f"{len(prediction)} values",
            expected=f"{len(target)}, as many as targets",
            action="give one prediction for each target",
        )
    for role, values in (("target", target), ("prediction", prediction)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputError.about(
                f"{name} {role}",
                found=f"{values[bad[0]]} at position {bad[0]}",
                expected="finite values",
                action="leave out utterances without a value",
            )
    return target, prediction


def concordance_correlation_coefficient(target: np.ndarray, prediction: np.ndarray) -> float:
    """Lin's concordance correlation coefficient with population moments, in [-1, 1].

    2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2); 0 where one side is constant, which shows no
    concordance.
    Source: Lin 1989; OMG-Emotion challenge, final script.

    Args:
        target, prediction: float, shape (n,).
    """
    target, prediction = validate_dimension("dimension", target, prediction)
    if np.ptp(target) == 0 or np.ptp(prediction) == 0:
        return 0.0  # exactly, also where rounding leaves the mean of a constant a little beside it
    deviation_target, deviation_prediction = target - target.mean(), prediction - prediction.mean()
    spread = np.mean(deviation_target**2) + np.mean(deviation_prediction**2)
    denominator = spread + (target.mean() - prediction.mean()) ** 2
    if denominator == 0:
        return 0.0
    return float(2 * np.mean(deviation_target * deviation_prediction) / denominator)


def pearson_correlation(target: np.ndarray, prediction: np.ndarray) -> float:
    """Pearson's correlation, in [-1, 1]; 0 where one side is constant.

    Args:
        target, prediction: float, shape (n,).
    """
    target, prediction = validate_dimension("dimension", target, prediction)
    if np.ptp(target) == 0 or np.ptp(prediction) == 0:
        return 0.0
    deviation_target, deviation_prediction = target - target.mean(), prediction - prediction.mean()
    scale = np.sqrt(np.mean(deviation_target**2)) * np.sqrt(np.mean(deviation_prediction**2))
    if scale == 0:
        return 0.0
    return float(np.clip(np.mean(deviation_target * deviation_prediction) / scale, -1, 1))


def evaluate_dimensions(
    arousal_target: np.ndarray,
    arousal_prediction: np.ndarray,
    valence_target: np.ndarray,
    valence_prediction: np.ndarray,
    video: Sequence[str] | None = None,
) -> dict[str, float]:
    """Every metric of arousal and valence, over all utterances and, where `video` is given, averaged over videos.

    Args:
        arousal_target, arousal_prediction: shape (n,), arousal in [0, 1].
        valence_target, valence_prediction: shape (n,), valence in [-1, 1].
        video: shape (n,), the source video of each utterance, or None.
    Returns:
        concordance_correlation_coefficient_<dimension>, mean_squared_error_<dimension>,
        pearson_correlation_<dimension> and, with `video`, concordance_correlation_coefficient_<dimension>_per_video.
    Raises:
        InputError: see `validate_dimension`; also for `video` of another length.
    """
    result: dict[str, float] = {}
    pairs = {"arousal": (arousal_target, arousal_prediction), "valence": (valence_target, valence_prediction)}
    for name, pair in pairs.items():
        target, prediction = validate_dimension(name, *pair)
        result[f"concordance_correlation_coefficient_{name}"] = concordance_correlation_coefficient(target, prediction)
        result[f"mean_squared_error_{name}"] = float(np.mean((target - prediction) ** 2))
        result[f"pearson_correlation_{name}"] = pearson_correlation(target, prediction)
        if video is None:
            continue
        videos = np.asarray(video, dtype=object).astype(str).ravel()
        if len(videos) != len(target):
            raise InputError.about(
                "video",
                found=f"{len(videos)} names",
                expected=f"{len(target)}, one an utterance",
                action="name the source video of each utterance",
            )
        result[f"concordance_correlation_coefficient_{name}_per_video"] = float(
            np.mean(
                [
                    concordance_correlation_coefficient(target[videos == one], prediction[videos == one])
                    for one in np.unique(videos)
                ]
            )
        )
    return result


def aggregate_chunks(
    chunk_scores: np.ndarray, utterance: np.ndarray, how: str = "mean", task: str = "categorical"
) -> np.ndarray:
    """One score vector an utterance from those of its chunks.

    "mean" and "median" work a column at a time; the median of probabilities is scaled to sum to one again. "mode" of
    probabilities is the share of chunks that vote for each class (ties go to the class with the larger mean
    probability); of arousal and valence it is the most frequent value after rounding to 0.05 (the lowest of ties).

    Args:
        chunk_scores: shape (n_chunks, d).
        utterance: int, shape (n_chunks,), which utterance a chunk belongs to, in any order.
        how: "mean", "median" or "mode".
        task: "categorical" (rows are probabilities) or "dimensional".
    Returns:
        float64, shape (n_utterances, d); row i belongs to `np.unique(utterance)[i]`.
    Raises:
        InputError: unknown `how` or `task`, no chunk, unequal lengths, a score that is not finite.
    """
    if how not in AGGREGATIONS:
        raise InputError.about("aggregation", found=how, expected=f"one of {AGGREGATIONS}", action="choose one of them")
    if task not in TASKS:
        raise InputError.about("task", found=task, expected=f"one of {TASKS}", action="choose one of them")
    chunk_scores = np.asarray(chunk_scores, dtype=np.float64)
    utterance = np.asarray(utterance).ravel()
    if chunk_scores.ndim != 2 or len(chunk_scores) == 0:
        raise InputError.about(
            "chunk scores",
            found=f"shape {chunk_scores.shape}",
            expected="shape (n_chunks >= 1, d)",
            action="give one row a chunk",
        )
    if len(utterance) != len(chunk_scores):
        raise InputError.about(
            "utterance",
            found=f"{len(utterance)} indices",
            expected=f"{len(chunk_scores)}, one a chunk",
            action="name the utterance of each chunk",
        )
    if not np.isfinite(chunk_scores).all():
        raise InputError.about(
            "chunk scores",
            found=float(chunk_scores[~np.isfinite(chunk_scores)][0]),
            expected="finite values",
            action="look at the audio of these chunks, and at the head's training history",
        )
    order = np.argsort(utterance, kind="stable")
    _, starts, counts = np.unique(utterance[order], return_index=True, return_counts=True)
    ordered = chunk_scores[order]
    mean = np.add.reduceat(ordered, starts, axis=0) / counts[:, None]  # (n_utterances, d)
    if how == "mean":
        return mean
    groups = np.split(ordered, starts[1:])
    if how == "median":
        median = np.stack([np.median(group, axis=0) for group in groups])
        if task != "categorical":
            return median
        total = median.sum(axis=1, keepdims=True)
        return np.where(total > 1e-12, median / np.maximum(total, 1e-12), mean)
    if task == "categorical":
        votes = np.stack([np.bincount(group.argmax(axis=1), minlength=group.shape[1]) for group in groups])
        # Half a vote, shared out by mean probability, settles ties and overturns no majority.
        return (votes + 0.5 * mean / np.maximum(mean.sum(axis=1, keepdims=True), 1e-12)) / (counts[:, None] + 0.5)
    return np.stack([[_mode(column) for column in group.T] for group in groups])


def _mode(values: np.ndarray) -> float:
    """Most frequent value of a column after rounding to `MODE_STEP`, the lowest of ties."""
    rounded, counts = np.unique(np.round(values / MODE_STEP).astype(np.int64), return_counts=True)
    return float(rounded[counts.argmax()] * MODE_STEP)
