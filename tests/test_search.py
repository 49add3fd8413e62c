"""The search: repeatable, resumable, the same serial and parallel, undisturbed by neighbours, deaf to the test part."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # so that this process trains as its workers do

from began.errors import InputError
from began.utterance_encoder import name_statistics
from classifiers import search, workers
from classifiers.head_parameters import DEFAULT_PARAMETERS, resolve_parameters
from classifiers.search import search_head
from classifiers.spaces import SPACES, compile_space
from classifiers.training import HeadJob, train_head

ROOT = Path(__file__).parent.parent


def make_corpus() -> dict[str, np.ndarray]:
    """72 chunks of 36 utterances; the last 12 utterances are the test part."""
    generator = np.random.default_rng(0)
    utterance = np.repeat(np.arange(36), 2)
    targets = utterance % 3
    pattern = generator.normal(size=(3, 8, 1, 4))
    features = (generator.normal(size=(72, 8, 2, 4)) + 0.5 * pattern[targets]).astype(np.float32)
    parts = [np.flatnonzero((utterance >= first) & (utterance < first + 8)) for first in (0, 8, 16)]
    folds = [(np.concatenate(parts[:2]), parts[2]), (np.concatenate(parts[1:]), parts[0])]
    return {"features": features, "targets": targets, "utterance": utterance, "folds": folds}


def make_jobs(corpus=None, **changes) -> list[HeadJob]:
    """One head per inner fold."""
    corpus = dict(corpus or make_corpus())
    settings = {"task": "categorical", "parameters": {}, "epochs": 2, "seed": 3, "n_outputs": 3}
    return [
        HeadJob(**{**corpus, **settings, **changes}, rows=rows, validation_rows=validation_rows)
        for rows, validation_rows in corpus.pop("folds")
    ]


def run_search(corpus=None, path=None, max_evals=5, fixed=None, workers=1, spark_master=None, **changes) -> search.SearchResult:
    with mock.patch.object(search, "RANDOM_TRIALS", 2):  # so that TPE's model has a say in five trials
        return search_head(
            make_jobs(corpus, **changes),
            max_evals=max_evals,
            fixed=fixed,
            path=path,
            workers=workers,
            spark_master=spark_master,
            progress=None,
            labels={"fold": "03", "task": "categorical"},
        )


def untimed(trials: pd.DataFrame) -> pd.DataFrame:
    return trials.drop(columns="seconds")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def undisturbed(folder) -> search.SearchResult:
    """A search that ran through, and left its file in this folder."""
    return run_search(path=folder / "trials.csv")


def test_result(undisturbed):
    trials = undisturbed.trials
    assert list(trials)[:4] == ["fold", "task", "trial", "loss"] and set(trials["fold"]) == {"03"}
    assert trials["trial"].tolist() == list(range(5)) and set(trials["status"]) == {"ok"}
    best = trials.loc[trials["loss"].idxmin()]
    assert undisturbed.epochs == best["epochs"]
    assert set(undisturbed.parameters) == set(DEFAULT_PARAMETERS["categorical"])
    assert all(undisturbed.parameters[name] == best[name] for name in undisturbed.parameters)
    assert {type(value) for value in undisturbed.parameters.values()} <= {int, float, str}
    assert trials["learning_rate"].nunique() == 5


def test_another_seed_gives_other_trials(undisturbed):
    other = run_search(seed=4, max_evals=1)
    assert other.trials["learning_rate"][0] != undisturbed.trials["learning_rate"][0]


def test_the_same_seed_gives_the_same_trials_on_two_workers_and_without_a_file(undisturbed):
    parallel = run_search(workers=2)
    pd.testing.assert_frame_equal(untimed(parallel.trials), untimed(undisturbed.trials))
    assert parallel.parameters == undisturbed.parameters


def test_more_workers_than_trials_at_a_time_are_suggested_the_same(undisturbed, monkeypatch):
    start = search.head_workers
    monkeypatch.setattr(search, "head_workers", lambda workers: start(1))
    pd.testing.assert_frame_equal(untimed(run_search(workers=16).trials), untimed(undisturbed.trials))


def score_by_hand(result: search.SearchResult) -> float:
    """The loss of the best trial: one head an inner fold, and their scores' mean at the best common epoch."""
    heads = [train_head(job) for job in make_jobs(parameters=result.parameters)]
    histories = [head.history["validation_score"].to_numpy() for head in heads]
    assert result.epochs == np.mean(histories, axis=0).argmax() + 1
    return 1 - np.mean(histories, axis=0).max()


def test_a_trial_is_the_head_that_its_parameters_train(undisturbed):
    assert score_by_hand(undisturbed) == undisturbed.trials["loss"].min()


def test_longer_search_begins_with_the_shorter_one(undisturbed, tmp_path):
    path = tmp_path / "trials.csv"
    run_search(max_evals=2, path=path)
    longer = run_search(path=path)
    pd.testing.assert_frame_equal(untimed(longer.trials), untimed(undisturbed.trials))
    assert len(pd.read_csv(path)) == 5


def test_finished_search_is_read_from_its_file(undisturbed, folder, monkeypatch):
    monkeypatch.setattr(search, "_run_trials", None)
    again = run_search(path=folder / "trials.csv")
    pd.testing.assert_frame_equal(again.trials, undisturbed.trials)
    assert again.parameters == undisturbed.parameters and again.epochs == undisturbed.epochs


SCRIPT = textwrap.dedent("""
    import sys
    sys.path[:0] = sys.argv[1:3]
    from test_search import run_search
    if __name__ == "__main__":
        run_search(path=sys.argv[3])
""")


def test_killed_search_ends_as_an_undisturbed_one(undisturbed, tmp_path):
    path = tmp_path / "trials.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, ROOT, ROOT / "tests", path],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1"},
    )
    deadline = time.monotonic() + 240
    while not (path.exists() and len(pd.read_csv(path)) >= 2) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    resumed = run_search(path=path)
    pd.testing.assert_frame_equal(untimed(resumed.trials), untimed(undisturbed.trials))
    assert {file.name for file in tmp_path.iterdir() if not file.name.startswith(".writing-")} == {"trials.csv"}


def test_test_part_is_never_read(undisturbed):
    corpus = make_corpus()
    corpus["features"][corpus["utterance"] >= 24] = np.nan
    pd.testing.assert_frame_equal(untimed(run_search(corpus).trials), untimed(undisturbed.trials))


def test_failing_trial_is_recorded_and_the_search_goes_on(monkeypatch, tmp_path, undisturbed):
    from classifiers import workers

    train, calls = workers.train_head, []

    def fail_second(job):
        calls.append(job)
        if len(calls) == 4:  # the second inner fold of the second trial
            raise FloatingPointError("the loss is not finite, on purpose")
        return train(job)

    monkeypatch.setattr(workers, "train_head", fail_second)
    path = tmp_path / "trials.csv"
    trials = run_search(path=path).trials
    assert trials["status"].tolist() == ["ok", "fail", "ok", "ok", "ok"]
    assert "on purpose" in trials["error"][1] and np.isnan(trials["loss"][1])
    again = run_search(path=path, max_evals=6).trials
    pd.testing.assert_frame_equal(again.head(5), trials)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError("out of memory"), KeyError("defect")])
def test_an_error_of_the_machine_is_no_outcome_and_the_search_goes_on_later(monkeypatch, tmp_path, undisturbed, error):
    from classifiers import workers

    train, calls = workers.train_head, []

    def fail_once(job):
        calls.append(job)
        if len(calls) == 4:  # the second inner fold of the second trial
            raise error
        return train(job)

    monkeypatch.setattr(workers, "train_head", fail_once)
    path = tmp_path / "trials.csv"
    with pytest.raises(type(error)):
        run_search(path=path)
    assert len(pd.read_csv(path)) == 1
    if isinstance(error, OSError):  # a file is gone on with whatever ended the search
        pd.testing.assert_frame_equal(untimed(run_search(path=path).trials), untimed(undisturbed.trials))


def test_search_of_failures_says_why():
    corpus = make_corpus()
    corpus["features"][0] = np.inf
    with pytest.raises(InputError, match="all failed.*not finite"):
        run_search(corpus, max_evals=1)


def test_file_of_another_search_is_refused(tmp_path):
    path = tmp_path / "trials.csv"
    run_search(path=path, max_evals=1)
    for changes in ({"seed": 9}, {"epochs": 3}, {"fixed": {"filters": 2}}):
        with pytest.raises(InputError, match="another search"):
            run_search(path=path, max_evals=2, **changes)
    path.write_text("trial,loss\n0,0.5\n")
    with pytest.raises(InputError, match="columns"):
        run_search(path=path)
    run_search(path=tmp_path / "other.csv", max_evals=1)
    pd.read_csv(tmp_path / "other.csv", dtype=str).assign(fold="08").to_csv(path, index=False)
    with pytest.raises(InputError, match="another search"):
        run_search(path=path)
    path.write_bytes(b"\xff\x00garbage")
    with pytest.raises(InputError, match="trials.csv"):
        run_search(path=path)


def test_a_search_goes_on_where_features_differ_by_rounding_as_on_another_processor(tmp_path):
    path, corpus = tmp_path / "trials.csv", make_corpus()
    first = run_search(corpus, path=path, max_evals=1).trials
    corpus["features"] *= np.float32(1 + 1e-6)
    pd.testing.assert_frame_equal(run_search(corpus, path=path, max_evals=2).trials.head(1), first)
    corpus["features"] = corpus["features"][:, :-1]
    with pytest.raises(InputError, match="another search"):
        run_search(corpus, path=path, max_evals=2)


def test_features_that_are_mapped_are_not_copied_for_the_workers(tmp_path):
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float16, (6, 2, 5))
    rows[:] = np.arange(60).reshape(rows.shape)
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    (tmp_path / "copies").mkdir()
    files = workers._FeatureFiles(str(tmp_path / "copies"))
    for view, is_copied in (
        (rows, False),
        (rows.reshape(-1, 5), False),
        (rows[:3], False),
        (rows[1:], True),
        (rows[:, 1], True),
    ):
        np.testing.assert_array_equal(files._write(view)(), view)
        assert bool(list((tmp_path / "copies").iterdir())) == is_copied


def test_utterance_in_both_parts_is_refused():
    corpus = make_corpus()
    rows, validation_rows = corpus["folds"][1]
    corpus["folds"][1] = (rows, np.append(validation_rows, rows[0]))
    with pytest.raises(InputError, match="1 utterance in"):
        run_search(corpus)


def test_fixed_parameters_and_arousal_valence():
    corpus = make_corpus()
    corpus["targets"] = np.stack([corpus["targets"] / 2, 1.0 - corpus["targets"]], axis=1)
    result = run_search(corpus, task="dimensional", n_outputs=2, max_evals=2, fixed={"loss_function": "mae"})
    assert set(result.trials["loss_function"]) == {"mae"} and len(result.trials) == 2


@pytest.mark.parametrize(("kind", "task"), SPACES)
def test_every_point_of_a_space_is_a_valid_head(kind, task):
    from hyperopt.pyll.stochastic import sample

    module = compile_space(kind, task)
    assert module.__name__.startswith("hyperas_space_") and module.__name__ not in sys.modules
    space, generator = module.get_space(), np.random.default_rng(0)
    points = [resolve_parameters(task, module.keras_fmin_fnct(sample(space, generator)), kind) for _ in range(60)]
    if kind == "utterance":
        assert {point["n_convolutions"] for point in points} == {0, 1}
        assert {point["kernel_frequency"] for point in points} == {5, 8}
        return
    assert {point["momentum"] > 0 for point in points if point["optimizer"] == "sgd"} == {True}
    assert {point["momentum"] for point in points if point["optimizer"] != "sgd"} == {0.0}  # conditional
    assert {point["dense_dropout"] for point in points if point["dense_units"] == 0} == {0.0}


def test_hyperas_leaves_the_import_path_as_it_was():
    compile_space("second", "categorical")
    assert "." not in sys.path


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is not None, reason="pyspark is installed")
def test_spark_without_pyspark_says_what_to_install():
    with pytest.raises(InputError, match="pip install pyspark"):
        run_search(spark_master="local[2]")


def test_spark_without_java_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match="found no Java runtime; expected pyspark and a Java runtime.*default-jre-headless"):
        run_search(spark_master="local[2]")


@pytest.mark.extras
@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="pyspark is not installed (optional)")
@pytest.mark.skipif(shutil.which("java") is None, reason="no Java runtime (Debian: default-jre-headless)")
def test_spark_gives_the_same_trials_as_this_machine_and_goes_on(undisturbed, tmp_path):
    path = tmp_path / "search" / "trials.csv"  # the first trial makes the folder
    run_search(spark_master="local[2]", workers=2, max_evals=2, path=path)
    result = run_search(spark_master="local[2]", workers=2, path=path)
    pd.testing.assert_frame_equal(untimed(result.trials), untimed(undisturbed.trials))
    assert [file.name for file in path.parent.iterdir()] == ["trials.csv"]
    corpus = make_corpus()
    corpus["features"][0] = np.inf
    with pytest.raises(InputError, match="all failed.*not finite"):
        run_search(corpus, spark_master="local[2]", workers=2, max_evals=1)
    with pytest.raises(InputError, match="class index|class indices"):
        run_search(spark_master="local[2]", workers=2, max_evals=1, n_outputs=2)


@pytest.mark.parametrize("task", ["categorical", "dimensional"])
def test_a_search_of_utterance_heads_begins_with_its_first_points(task):
    """The first of them is the default head, but for the loss of arousal and valence; the second one reads other statistics."""
    names = name_statistics((2, 2, 2, 2))
    generator, utterance = np.random.default_rng(0), np.arange(24)
    targets = utterance % 3 if task == "categorical" else generator.uniform(0, 1, (24, 2)).astype(np.float32)
    features = generator.normal(size=(24, 40, 1, len(names))).astype(np.float32)
    parts = {"rows": utterance[:16], "validation_rows": utterance[16:], "statistics": names}
    n_outputs = 3 if task == "categorical" else 2
    job = HeadJob(features, targets, utterance, task, {}, 1, 0, n_outputs, **parts)
    found = search_head([job], max_evals=4, fixed={"n_steps": 2}, progress=None).trials
    assert found["trial"].tolist() == [0, 1, 2, 3] and set(found["status"]) == {"ok"}
    defaults = resolve_parameters(task, {"n_steps": 2}, "utterance")
    if task == "dimensional":
        defaults["loss_function"] = "ccc"
    assert {name: found[name][0] for name in defaults} == defaults
    others = {"statistics": "spread_mean", "blocks": "first"}
    assert {name: found[name][1] for name in defaults} == {**defaults, **others}
    assert found["dropout"].nunique() == 3
