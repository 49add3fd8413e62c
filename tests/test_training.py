"""Training: learning, determinism, serial and parallel, no leak from validation or test, saved heads."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

# The count of threads decides the order of sums; one lets `train_heads` compare this process with its workers.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

from began.errors import InputError
from classifiers.heads import build_head
from classifiers.training import HeadJob, load_head, save_head, train_head, train_heads, train_job

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
        "utterance": corpus["utterance"],
    }
    return HeadJob(**{**settings, **changes})


def equal_weights(first, second) -> bool:
    pairs = zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_softmax_head_learns_and_keeps_its_best_epoch(corpus):
    head = train_job(make_job(corpus, epochs=15))
    assert list(head.history) == [
        "epoch",
        "loss",
        "validation_loss",
        "validation_accuracy",
        "validation_unweighted_average_recall",
    ]
    best = head.history.set_index("epoch").loc[head.best_epoch]
    assert best["validation_unweighted_average_recall"] == head.history["validation_unweighted_average_recall"].max()
    scores = head.predict(corpus["features"][corpus["test_rows"]])
    assert np.mean(scores.argmax(axis=1) == corpus["label"][corpus["test_rows"]]) > 0.7


@pytest.mark.parametrize("loss_function", ["mae", "ccc"])
def test_arousal_valence_head_learns(corpus, loss_function):
    head = train_job(
        make_job(
            corpus,
            task="dimensional",
            targets=corpus["dimensions"],
            n_outputs=2,
            epochs=15,
            aggregation="median",
            parameters={"filters": 8, "loss_function": loss_function, "learning_rate": 0.003},
        )
    )
    scores = head.predict(corpus["features"])
    assert scores.shape == (120, 2) and scores[:, 0].min() >= 0
    column = "validation_concordance_correlation_coefficient_arousal"
    assert head.history[column].max() > 0.5


def test_same_seed_same_weights_serial_and_parallel(corpus):
    jobs = [make_job(corpus, seed, epochs=3) for seed in (1, 2, 1)]
    serial = train_heads(jobs, workers=1, progress=None)
    parallel = train_heads(jobs, workers=2, progress=None)
    alone = train_head(
        corpus["features"][corpus["rows"]],
        corpus["label"][corpus["rows"]],
        jobs[0].parameters,
        task="categorical",
        epochs=3,
        seed=1,
        n_outputs=N_CLASSES,
        validation=tuple(corpus[n][corpus["validation_rows"]] for n in ("features", "label", "utterance")),
    )
    for first, second in zip(serial, parallel, strict=True):
        assert equal_weights(first, second)
        assert first.history.equals(second.history)
    assert equal_weights(serial[0], serial[2]) and not equal_weights(serial[0], serial[1])
    assert equal_weights(serial[0], alone)


MANY_HEADS = """
import numpy as np
from classifiers.training import train_head
features, targets = np.random.default_rng(0).normal(size=(20, 8, 4, 6)).astype("float32"), np.arange(20) % 2
for seed in range(6):
    train_head(features[:8], targets[:8], {"filters": 4}, task="categorical", epochs=1, seed=seed,
               validation=(features[8:], targets[8:], np.arange(12)))
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
    assert equal_weights(*heads)


def test_rows_outside_training_and_validation_change_nothing(corpus):
    poisoned = dict(corpus, features=corpus["features"].copy())
    poisoned["features"][corpus["test_rows"]] = np.nan
    assert equal_weights(train_job(make_job(corpus, epochs=2)), train_job(make_job(poisoned, epochs=2)))


def test_validation_selects_but_does_not_train(corpus):
    with_validation = train_job(make_job(corpus, epochs=4, patience=None))
    without = train_job(make_job(corpus, epochs=with_validation.best_epoch, validation_rows=None))
    assert equal_weights(with_validation, without)
    assert without.best_epoch == with_validation.best_epoch


def test_early_stopping(corpus):
    random_labels = np.random.default_rng(0).integers(0, N_CLASSES, 30)[corpus["utterance"]]
    head = train_job(make_job(corpus, targets=random_labels, epochs=60, patience=2))
    assert len(head.history) <= head.best_epoch + 2 < 60


def test_balanced_class_weights_change_training_only_where_classes_differ_in_size(corpus):
    plain = train_job(make_job(corpus, epochs=2))
    assert not equal_weights(plain, train_job(make_job(corpus, epochs=2, class_weight="balanced")))
    same_size = np.flatnonzero(corpus["utterance"] < 18)
    jobs = [make_job(corpus, epochs=2, rows=same_size, class_weight=weight) for weight in (None, "balanced")]
    assert equal_weights(*map(train_job, jobs))


def test_agrees_with_keras_fit_to_rounding(corpus):
    """One batch an epoch and no dropout leave nothing to the order of chunks: plain `fit` does the same steps."""
    parameters = {"filters": 4, "batch_size": 1000, "dropout": 0.0}
    ours = train_job(make_job(corpus, parameters=parameters, epochs=5, validation_rows=None))
    from classifiers.heads import measure_normalization

    features, label = corpus["features"][corpus["rows"]], corpus["label"][corpus["rows"]]
    theirs = build_head("categorical", features.shape[1:], N_CLASSES, parameters, 1, measure_normalization(features))
    theirs.fit(features, label, batch_size=1000, epochs=5, shuffle=False, verbose=0)
    for a, b in zip(ours.model.get_weights(), theirs.get_weights(), strict=True):
        assert a == pytest.approx(b, abs=2e-4)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"targets": np.zeros((120, 2))}, "(120, 2)"),
        ({"targets": np.full(120, 9)}, "9"),
        ({"targets": np.full(120, -1)}, "-1"),
        ({"task": "dimensional", "targets": np.full((120, 2), 1.5)}, "1.5"),
        ({"task": "dimensional", "targets": np.full((120, 2), np.nan)}, "nan"),
        ({"rows": np.array([], int)}, "0 training chunks"),
        ({"epochs": 0}, "0 epochs"),
        ({"class_weight": "even"}, "even"),
        ({"parameters": {"filters": -1}}, "-1"),
    ],
)
def test_unusable_jobs_are_refused(corpus, changes, found):
    with pytest.raises(InputError) as caught:
        train_job(make_job(corpus, **changes))
    assert found in str(caught.value)


def test_a_loss_that_explodes_is_an_error(corpus):
    features = corpus["features"].copy()
    features[corpus["rows"][0]] = np.inf
    with pytest.raises(FloatingPointError, match="not finite"):
        train_job(make_job(corpus, features=features))
    with pytest.raises(FloatingPointError, match="not finite"):
        train_heads([make_job(corpus, features=features)], 2, None)


def test_saved_head_predicts_the_same_with_plain_keras(corpus, tmp_path):
    import keras

    head = train_job(make_job(corpus, epochs=2))
    path = tmp_path / "head.keras"
    save_head(path, head, {"labels": ["a", "b", "c"], "encoder_sha256": "0" * 64})
    loaded = load_head(path)
    expected = head.predict(corpus["features"])
    assert np.array_equal(loaded.predict(corpus["features"]), expected)
    assert loaded.metadata["labels"] == ["a", "b", "c"] and loaded.metadata["task"] == "categorical"
    assert loaded.parameters == head.parameters and loaded.best_epoch == head.best_epoch
    assert np.array_equal(np.asarray(keras.models.load_model(path, safe_mode=True)(corpus["features"])), expected)
    with pytest.raises(InputError, match="shape"):
        loaded.predict(corpus["features"][:, :4])


@pytest.mark.parametrize("task", ["dimensional", "categorical"])
def test_every_layer_that_a_head_can_have_is_allowed_in_its_file(corpus, task, tmp_path):
    parameters = {"input_dropout": 0.1, "dense_units": 4, "dense_dropout": 0.1, "filters": 2}
    targets = corpus["label"] if task == "categorical" else corpus["dimensions"]
    embeddings = corpus["features"].reshape(120, -1)[:, :10]
    changes = {"features": embeddings, "targets": targets, "n_outputs": None, "parameters": parameters}
    job = make_job(corpus, task=task, epochs=1, **changes)
    save_head(tmp_path / "head.keras", train_job(job), {})
    assert load_head(tmp_path / "head.keras").predict(embeddings).shape == (120, 3 if task == "categorical" else 2)


def test_strange_files_are_refused(corpus, tmp_path):
    import keras

    from began.files import attach_json

    inputs = keras.Input((2,))
    evil = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    path = tmp_path / "evil.keras"
    evil.save(path)
    with pytest.raises(InputError, match="head.json"):
        load_head(path)
    attach_json(path, "head", {"task": "categorical", "parameters": {}})
    with pytest.raises(InputError, match="Lambda"):
        load_head(path)
    (tmp_path / "text.keras").write_text("not a zip")
    with pytest.raises(InputError, match="damaged"):
        load_head(tmp_path / "text.keras")
    with pytest.raises(InputError, match="no such file"):
        load_head(tmp_path / "absent.keras")


def test_a_class_of_a_foreign_module_is_not_imported(corpus, tmp_path):
    save_head(tmp_path / "head.keras", train_job(make_job(corpus, epochs=1)), {})
    with zipfile.ZipFile(tmp_path / "head.keras") as source, zipfile.ZipFile(tmp_path / "foreign.keras", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                content = content.replace(b'"module": "keras.layers"', b'"module": "some_module"', 1)
            target.writestr(name, content)
    with pytest.raises(InputError, match="some_module"):
        load_head(tmp_path / "foreign.keras")
