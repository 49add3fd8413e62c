"""Training: learning, determinism, serial and parallel, no leak from validation or test, saved heads."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# The count of threads decides the order of sums; one lets `train_heads` compare this process with its workers.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

from began.errors import InputError
from began.utterance_encoder import name_statistics
from classifiers import training
from classifiers.heads import as_columns, build_head
from classifiers.training import HeadJob, train_head
from classifiers.workers import head_workers, train_heads

N_CLASSES = 3


@pytest.fixture(scope="module")
def corpus() -> dict[str, np.ndarray]:
    """120 chunks of 30 utterances, whose class shows in a pattern over frequency and channels."""
    generator = np.random.default_rng(0)
    utterance = np.repeat(np.arange(30), 4)
    label = utterance % N_CLASSES
    pattern = generator.normal(size=(N_CLASSES, 8, 1, 6))
    features = (generator.normal(size=(120, 8, 4, 6)) + 0.6 * pattern[label]).astype(np.float32)
    dimensions = np.stack([label / 2, 1 - label], axis=1).astype(np.float32)
    return {
        "features": features,
        "utterance": utterance,
        "label": label,
        "dimensions": dimensions,
        "rows": np.flatnonzero(utterance < 20),
        "validation_rows": np.flatnonzero((utterance >= 20) & (utterance < 26)),
        "test_rows": np.flatnonzero(utterance >= 26),
    }


def make_job(corpus, seed=1, **changes) -> HeadJob:
    parameters = {"filters": 8, "batch_size": 16, "learning_rate": 0.004, "pooling": "mean_max_time"}
    settings = {
        "features": corpus["features"],
        "targets": corpus["label"],
        "parameters": parameters,
        "task": "categorical",
        "epochs": 8,
        "seed": seed,
        "n_outputs": N_CLASSES,
        "rows": corpus["rows"],
        "validation_rows": corpus["validation_rows"],
        "test_rows": corpus["test_rows"],
        "utterance": corpus["utterance"],
    }
    return HeadJob(**{**settings, **changes})


def equal_weights(first, second) -> bool:
    pairs = zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_softmax_head_learns_and_keeps_its_best_epoch(corpus):
    head = train_head(make_job(corpus, epochs=15))
    assert list(head.history) == ["epoch", "loss", "validation_loss", "validation_score", "validation_accuracy"]
    best = head.history.set_index("epoch").loc[head.best_epoch]
    assert best["validation_score"] == head.history["validation_score"].max()
    assert np.mean(head.scores.argmax(axis=1) == corpus["label"][corpus["test_rows"]]) > 0.7
    assert np.array_equal(head.scores, head.model(corpus["features"][corpus["test_rows"]]))


@pytest.mark.parametrize("loss_function", ["mae", "ccc"])
def test_arousal_valence_head_learns(corpus, loss_function):
    head = train_head(
        make_job(
            corpus,
            task="dimensional",
            targets=corpus["dimensions"],
            n_outputs=2,
            epochs=15,
            aggregation="median",
            test_rows=np.arange(120),
            parameters={"filters": 8, "loss_function": loss_function, "learning_rate": 0.003},
        )
    )
    assert head.scores.shape == (120, 2) and head.scores[:, 0].min() >= 0
    column = "validation_concordance_correlation_coefficient_arousal"
    assert head.history[column].max() > 0.5


@pytest.mark.parametrize("loss_function", ["mae", "mse", "ccc"])
def test_arousal_valence_head_on_utterances_fits_what_it_is_trained_on(loss_function):
    """Hundreds of statistics would drive a tanh unit whose weights start at random to its ends, where no gradient is left."""
    names, draw = name_statistics((8, 16, 24, 32)), np.random.default_rng(0)
    features = draw.standard_normal((48, 40, 1, len(names))).astype("<f2")
    targets = draw.uniform((0.1, -0.8), (0.9, 0.8), (48, 2)).astype(np.float32)
    parameters, every = {"loss_function": loss_function, "n_steps": 200}, np.arange(48)
    job = HeadJob(features, targets, every, "dimensional", parameters, 1, 0, 2, every, test_rows=every, statistics=names)
    scores = train_head(job).scores
    assert (np.mean((scores - targets) ** 2, axis=0) < 0.2 * targets.var(axis=0)).all()
    assert np.mean(np.abs(scores * [2, 1] - [1, 0]) > 0.99) < 0.05


def equal_results(first, second) -> bool:
    return np.array_equal(first.scores, second.scores) and first.history.equals(second.history)


def test_same_seed_same_scores_serial_and_parallel(corpus):
    jobs = [make_job(corpus, seed, epochs=3) for seed in (1, 2, 1)]
    serial = train_heads(jobs, workers=1, progress=None)
    parallel = train_heads(jobs, workers=2, progress=None)
    alone = [train_head(job) for job in jobs]
    for others in (parallel, alone):
        assert all(equal_results(first, second) for first, second in zip(serial, others, strict=True))
    assert equal_weights(alone[0], alone[2]) and not equal_weights(alone[0], alone[1])
    assert equal_results(serial[0], serial[2]) and not equal_results(serial[0], serial[1])


MANY_HEADS = """
import numpy as np
from classifiers.training import HeadJob, train_head
features, chunk = np.random.default_rng(0).normal(size=(20, 8, 4, 6)).astype("float32"), np.arange(20)
for seed in range(6):
    train_head(HeadJob(features, chunk % 2, chunk, "categorical", {"filters": 4}, 1, seed, 2, chunk[:8], chunk[8:]))
print("trained")
"""


def test_tensorflow_does_not_complain_about_many_heads():
    """In a process of its own: TensorFlow warns twice at most, whoever calls."""
    done = subprocess.run(
        [sys.executable, "-c", MANY_HEADS], cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True
    )
    assert done.stdout == "trained\n", done.stderr
    assert "retracing" not in done.stderr


def test_memory_mapped_features_train_the_same_head(corpus, tmp_path):
    np.save(tmp_path / "features.npy", corpus["features"])
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    heads = train_heads([make_job(corpus, features=f, epochs=2) for f in (mapped, corpus["features"])], 2, None)
    assert equal_results(*heads)


@pytest.mark.parametrize("n_convolutions", [0, 1])
def test_utterances_are_read_as_stored_and_block_by_block(n_convolutions, tmp_path):
    """In whatever type, and however many at a time: the graphs that train see what the saved layers see."""
    names, generator = name_statistics((2, 2, 2, 2)), np.random.default_rng(2)
    features = generator.normal(1.0, 3.0, size=(40, 40, 1, len(names))).astype(np.float16)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    parameters = {"batch_size": 3, "n_steps": 25, "n_convolutions": n_convolutions, "filters": 4, "blocks": "first"}
    utterance, rows = np.arange(40), {"rows": np.arange(30), "validation_rows": np.arange(30, 40), "statistics": names}
    job = HeadJob(mapped, utterance % 3, utterance, "categorical", parameters, 1, 0, 3, **rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS_TOGETHER", 2)
        by_blocks = train_head(job)
    at_once = train_head(replace(job, features=features.astype(np.float32)))
    assert equal_weights(by_blocks, at_once)
    scores = by_blocks.score(features, job.validation_rows, names)
    expected = -np.log(scores[np.arange(10), utterance[30:] % 3]).mean()
    assert by_blocks.history["validation_loss"].iloc[-1] == pytest.approx(expected, rel=1e-5)


def test_rows_outside_training_and_validation_change_nothing(corpus):
    poisoned = dict(corpus, features=corpus["features"].copy())
    poisoned["features"][corpus["test_rows"]] = np.nan
    poisoned["dimensions"] = np.where(np.isin(np.arange(120), corpus["test_rows"])[:, None], np.nan, corpus["dimensions"])
    assert equal_weights(train_head(make_job(corpus, epochs=2)), train_head(make_job(poisoned, epochs=2)))
    jobs = [make_job(c, task="dimensional", targets=c["dimensions"], n_outputs=2, epochs=2) for c in (corpus, poisoned)]
    assert equal_weights(*map(train_head, jobs))


def test_validation_selects_but_does_not_train(corpus):
    with_validation = train_head(make_job(corpus, epochs=4, patience=None))
    without = train_head(make_job(corpus, epochs=with_validation.best_epoch, validation_rows=None))
    assert equal_weights(with_validation, without)
    assert without.best_epoch == with_validation.best_epoch


def test_early_stopping(corpus):
    random_labels = np.random.default_rng(0).integers(0, N_CLASSES, 30)[corpus["utterance"]]
    head = train_head(make_job(corpus, targets=random_labels, epochs=60, patience=2))
    assert len(head.history) <= head.best_epoch + 2 < 60


def test_balanced_class_weights_change_training_only_where_classes_differ_in_size(corpus):
    plain = train_head(make_job(corpus, epochs=2))
    assert not equal_weights(plain, train_head(make_job(corpus, epochs=2, class_weight="balanced")))
    same_size = np.flatnonzero(corpus["utterance"] < 18)
    jobs = [make_job(corpus, epochs=2, rows=same_size, class_weight=weight) for weight in (None, "balanced")]
    assert equal_weights(*map(train_head, jobs))


def test_agrees_with_keras_fit_to_rounding(corpus):
    """One batch an epoch and no dropout leave nothing to the order of chunks: plain `fit` does the same steps."""
    parameters = {"filters": 4, "batch_size": 1000, "dropout": 0.0}
    ours = train_head(make_job(corpus, parameters=parameters, epochs=5, validation_rows=None))
    from classifiers.head_parameters import resolve_parameters
    from classifiers.heads import build_optimizer, measure_normalization

    features, label = corpus["features"][corpus["rows"]], corpus["label"][corpus["rows"]]
    theirs = build_head("categorical", features.shape[1:], N_CLASSES, parameters, 1, measure_normalization(features))
    optimizer = build_optimizer(resolve_parameters("categorical", parameters))
    theirs.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    theirs.fit(features, label, batch_size=1000, epochs=5, shuffle=False, verbose=0)
    for a, b in zip(ours.model.get_weights(), theirs.get_weights(), strict=True):
        assert a == pytest.approx(b, abs=2e-4)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"targets": np.zeros((120, 2))}, "(120, 2)"),
        ({"targets": np.full(120, 9)}, "9"),
        ({"targets": np.full(120, -1)}, "-1"),
        ({"task": "dimensional", "targets": np.full((120, 2), 1.5), "n_outputs": 2}, "1.5"),
        ({"task": "dimensional", "targets": np.full((120, 2), np.nan), "n_outputs": 2}, "nan"),
        ({"rows": np.array([], int)}, "0 training chunks"),
        ({"epochs": 0}, "0 epochs"),
        ({"class_weight": "even"}, "even"),
        ({"parameters": {"filters": -1}}, "-1"),
    ],
)
def test_unusable_jobs_are_refused(corpus, changes, found):
    with pytest.raises(InputError) as caught:
        train_head(make_job(corpus, **changes))
    assert found in str(caught.value)


def test_a_head_on_utterances_without_training_rows_is_refused():
    names, none = name_statistics((2, 2, 2, 2)), np.array([], int)
    features, label = np.zeros((4, 40, 1, len(names)), np.float16), np.arange(4) % 2
    job = HeadJob(features, label, np.arange(4), "categorical", {"n_steps": 5}, 1, 0, 2, rows=none, statistics=names)
    with pytest.raises(InputError, match="training: found 0 training chunks"):
        train_head(job)


def test_a_loss_that_explodes_is_an_error(corpus):
    features = corpus["features"].copy()
    features[corpus["rows"][0]] = np.inf
    with pytest.raises(FloatingPointError, match="not finite"):
        train_head(make_job(corpus, features=features))
    with pytest.raises(FloatingPointError, match="not finite"):
        train_heads([make_job(corpus, features=features)], 2, None)


@pytest.mark.parametrize("task", ["dimensional", "categorical"])
@pytest.mark.parametrize("kind", ["map", "embedding"])
def test_saved_head_predicts_the_same_and_every_layer_of_it_is_known(corpus, task, kind, tmp_path):
    import keras

    from began.network_file import load_network

    features = corpus["features"] if kind == "map" else corpus["features"].reshape(120, -1)[:, :10]
    parameters = {"input_dropout": 0.1, "dense_units": 4, "dense_dropout": 0.1, "filters": 2}
    targets, n_outputs = (corpus["label"], 3) if task == "categorical" else (corpus["dimensions"], 2)
    changes = {"features": features, "targets": targets, "n_outputs": n_outputs, "parameters": parameters}
    head = train_head(make_job(corpus, task=task, epochs=1, **changes))
    head.model.save(tmp_path / "head.keras")
    for loaded in (load_network(tmp_path / "head.keras"), keras.models.load_model(tmp_path / "head.keras", safe_mode=True)):
        assert np.array_equal(as_columns(loaded(features[corpus["test_rows"]])), head.scores)


def test_a_killed_worker_gets_one_message(corpus):
    """As the kernel kills where memory is short."""
    with pytest.raises(InputError, match="killed.*--workers"), head_workers(2) as submit:
        wait = submit([make_job(corpus, epochs=1_000_000, patience=None)])
        for process in multiprocessing.active_children():
            process.kill()
        wait()
