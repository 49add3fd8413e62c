"""Run folders: settings, completion, resumption, and reading back exactly what was written."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from began.errors import InputError
from experiments.corpora.record import Corpus
from experiments.evaluation import runs
from experiments.evaluation.environment import describe_environment
from experiments.evaluation.result_files import plain, read_json, read_table, write_table
from experiments.evaluation.resuming import refuse_other_sounds, write_sounds
from experiments.evaluation.runs import RunFolder, metrics_rows
from experiments.evaluation.searches import read_trials, start_searches

CONFIG = {"epochs": 100, "max_evals": 20, "encoder": Path("encoder.keras"), "workers": 1}


def scores(run, value=0.5, **changes):
    row = {"fold": "pooled", "split": "test", "level": "utterance"} | changes
    return metrics_rows({"accuracy": value}, run.experiment, run.condition, run.run, **row)


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "results", "table3_emodb", "head_per_second", 1)


def test_layout_and_order_of_completion(run):
    run.start(CONFIG)
    assert run.path.parts[-3:] == ("table3_emodb", "head_per_second", "run1")
    assert run.is_started and not run.is_complete
    run.write_table("history", pd.DataFrame({"epoch": [1], "loss": [0.25]}))
    run.finish(scores(run))
    assert run.is_complete
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "environment.json", "history.csv", "metrics.csv"]
    assert run.read_config()["encoder"] == "encoder.keras"


def test_work_done_once_has_no_run_number(tmp_path):
    run = RunFolder(tmp_path, "pretrain_librispeech", "published")
    run.start({"gamma": 0.7})
    assert (tmp_path / "pretrain_librispeech" / "published" / "config.json").is_file()


def test_the_same_settings_resume_and_other_settings_are_refused(run):
    run.start(CONFIG)
    run.start(CONFIG)
    assert len(read_json(run.path / "environment.json")["resumed"]) == 1
    with pytest.raises(InputError) as error:
        run.start(CONFIG | {"epochs": 50, "new": True})
    message = str(error.value)
    assert "epochs=100" in message and "epochs=50" in message and "new not set" in message
    assert "max_evals" not in message
    assert "another --name" in message and "remove" in message


def test_searches_outlive_their_runs_and_are_not_used_with_other_settings(run):
    start_searches(run.search_folder, CONFIG)
    start_searches(run.search_folder, CONFIG)
    with pytest.raises(
        InputError, match=r"search \(made with other settings\): found method not set; expected method=\"statistics\""
    ):
        start_searches(run.search_folder, CONFIG | {"method": "statistics"})


def test_whole_searches_alone_are_taken_over(run, tmp_path):
    start_searches(run.search_folder, CONFIG)
    for name, n_trials in (("03-categorical-0123abcd", CONFIG["max_evals"]), ("08-categorical-0123abcd", 1)):
        trials = pd.DataFrame({"trial": range(n_trials), "fold": name[:2], "task": "categorical", "loss": 0.5, "status": "ok"})
        write_table(run.path.parent / "search" / f"{name}.csv", trials)
    ensemble = RunFolder(tmp_path / "results", "table3_emodb", "head_per_second_ensemble_5", 1)
    start_searches(ensemble.search_folder, CONFIG | {"ensemble_size": 5}, "head_per_second")
    found = sorted(path.name for path in (ensemble.path.parent / "search").iterdir())
    assert found == ["03-categorical-0123abcd.csv", "config.json"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["utterances_sha256"], "names, labels or speakers of utterances are not the same"),
        (["components_sha256"], "principal components beside the encoder are not the same"),
        (["encoder_sha256", "components_sha256"], "encoders are not the same"),
        (["source_sounds_sha256"], "recordings of the other corpus are not the same"),
    ],
)
def test_what_a_hash_is_of_is_named(run, names, said):
    run.start(CONFIG | dict.fromkeys(names, "a" * 64))
    with pytest.raises(InputError) as error:
        run.start(CONFIG | dict.fromkeys(names, "b" * 64))
    message = str(error.value)
    assert f"(made with other settings; {said})" in message and f'{names[0]}="aaaaaaaa"' in message
    assert "a" * 9 not in message


def test_settings_that_change_no_result_may_differ(run):
    run.start(CONFIG)
    run.start(CONFIG | {"workers": 8}, may_differ=("workers",))
    with pytest.raises(InputError, match="workers=1"):
        run.start(CONFIG | {"workers": 8})
    assert run.read_config()["workers"] == 1


def test_a_run_whose_sounds_are_unknown_is_taken_as_it_is(run):
    run.start(CONFIG)
    run.start(CONFIG | {"sounds_sha256": "a" * 64})
    assert "sounds_sha256" not in run.read_config()  # nothing is claimed of what was made before
    start_searches(run.search_folder, CONFIG)
    start_searches(run.search_folder, CONFIG | {"sounds_sha256": "a" * 64})
    with pytest.raises(InputError, match="epochs=100; expected epochs=1"):
        run.start(CONFIG | {"sounds_sha256": "a" * 64, "epochs": 1})


def test_other_sounds_are_named(tmp_path, run):
    table = pd.DataFrame({"utterance": ["0101", "a", "b", "c"], "path": "x", "label": "y", "sound": list("1234")})
    corpus = Corpus("own", table, ("y",))
    run.start(CONFIG | {"sounds_sha256": corpus.sounds_sha256, "utterances_sha256": corpus.sha256})
    write_sounds(tmp_path, corpus)
    refuse_other_sounds(tmp_path, run.path, corpus)
    refuse_other_sounds(tmp_path, run.path.with_name("run2"), corpus)  # which does not exist
    other = Corpus("own", table.assign(sound=["0", "2", "3", "1"]), ("y",))
    with pytest.raises(InputError, match=r"run1: found a run on recordings that have changed since: 2 of 4 \(0101, c\)"):
        refuse_other_sounds(tmp_path, run.path, other)
    write_sounds(tmp_path, Corpus("renamed", table.assign(utterance=list("defg")), ("y",)))  # which are others
    with pytest.raises(InputError, match=r"2 of 4 \(0101, c\)"):
        refuse_other_sounds(tmp_path, run.path, other)
    for path in (tmp_path / "sounds").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="found a run on recordings that have changed since; expected the recordings"):
        refuse_other_sounds(tmp_path, run.path, other)
    with pytest.raises(InputError, match="sounds_sha256="):
        run.start(CONFIG | {"sounds_sha256": other.sounds_sha256, "utterances_sha256": other.sha256})


def test_a_complete_run_is_not_reopened_with_other_settings(run):
    run.start(CONFIG)
    run.finish(scores(run))
    before = (run.path / "environment.json").read_bytes()
    run.start(CONFIG)
    assert (run.path / "environment.json").read_bytes() == before
    with pytest.raises(InputError):
        run.start(CONFIG | {"epochs": 1})


def test_scores_without_settings_are_refused(run):
    run.finish(scores(run))
    with pytest.raises(InputError, match="epochs not set"):
        run.start(CONFIG)


def test_a_write_that_fails_leaves_nothing(run, monkeypatch):
    run.start(CONFIG)

    def fail(self, path, **options):
        Path(path).write_text("experiment,cond")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(InputError, match="No space left"):
        run.finish(scores(run))
    assert not run.is_complete
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "environment.json"]
    assert runs.read_metrics(run.results_dir).empty


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_input_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        RunFolder(tmp_path, "custom", "a", 1).start(CONFIG)


def test_a_results_folder_that_is_a_file_is_an_input_error(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(InputError):
        RunFolder(tmp_path / "results", "custom", "a", 1).start(CONFIG)


@pytest.mark.parametrize("names", [("", "a"), ("a", "b/c"), ("..", "a"), ("a", ".hidden"), ("a", "b c"), ("a", "_b")])
def test_names_that_are_not_folders_are_refused(tmp_path, names):
    with pytest.raises(InputError, match="name of the"):
        RunFolder(tmp_path, *names, 1)


def test_text_stays_text_and_numbers_are_exact(run):
    table = pd.DataFrame(
        {
            "utterance": ["0101", "NA", 'a,"b"'],
            "speaker": ["03", "08", "nan"],
            "fold": ["03", "08", "1e5"],
            "target": ["anger", "null", "é"],
            "anger": [1 / 3, np.nan, 1e-17],
            "count": [1, 2, 3],
        }
    )
    run.write_table("predictions", table)
    pd.testing.assert_frame_equal(read_table(run.path / "predictions.csv"), table, check_exact=True)


def test_reading_gathers_complete_runs_only_in_order(tmp_path):
    for number in (10, 2, 1):
        run = RunFolder(tmp_path, "table3_emodb", "head_per_second", number)
        run.start(CONFIG)
        run.write_table("predictions", pd.DataFrame({"utterance": ["03a"], "speaker": ["03"]}))
        if number != 2:
            run.finish(scores(run, number / 10))
    (tmp_path / "table3_emodb" / "head_per_second" / "run01").mkdir()
    (tmp_path / "tables").mkdir()
    metrics = runs.read_metrics(tmp_path)
    assert metrics["run"].tolist() == [1, 10] and metrics["value"].tolist() == [0.1, 1.0]
    assert list(metrics.columns) == list(runs.METRICS_COLUMNS)
    assert runs.read_metrics(tmp_path, "table1_savee").empty
    assert len(runs.read_metrics(tmp_path, "table3_emodb", "head_per_second")) == 2
    assert runs.read_predictions(tmp_path)["run"].tolist() == [1, 10]
    assert read_trials(tmp_path).empty
    assert [found.run for found in runs.find_runs(tmp_path)] == [1, 10]
    assert [found.run for found in runs.find_runs(tmp_path, complete=False)] == [1, 2, 10]


def test_nothing_there(tmp_path):
    assert runs.read_metrics(tmp_path / "absent").empty


@pytest.mark.parametrize("text", ["", "experiment,value\na,1\n", "\x00\x01"])
def test_a_damaged_metrics_file_is_named(run, text):
    run.start(CONFIG)
    (run.path / "metrics.csv").write_text(text)
    with pytest.raises(InputError, match="metrics.csv"):
        runs.read_metrics(run.results_dir)


def test_metrics_out_of_the_schema_are_a_fault_of_the_caller(run):
    good = scores(run)
    for wrong in (
        good.drop(columns="level"),
        good.iloc[:0],
        good.assign(split="train"),
        good.assign(level="frame"),
        good.assign(value="high"),
        pd.concat([good, good]),
    ):
        with pytest.raises(ValueError):
            run.finish(wrong)
    assert not run.is_complete


def test_plain_types():
    value = {"a": np.float32(0.5), "b": (1, np.int64(2)), "c": np.arange(2), "d": float("nan")}
    assert plain(value) == {"a": 0.5, "b": [1, 2], "c": [0, 1], "d": None}
    with pytest.raises(TypeError):
        plain(object())


def test_environment():
    environment = describe_environment()
    assert environment["versions"]["numpy"] == np.__version__
    assert environment["cpu_count"] >= 1 and environment["date"].startswith("20")
    json.dumps(environment)


def test_environment_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert describe_environment()["commit"] is None


def test_changes_that_are_on_record_are_those_of_the_code(tmp_path, monkeypatch):
    """Results and what is rendered from them change with every run that is written."""

    def git(*arguments):
        author = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True, capture_output=True)

    git("init")
    for name in ("began/audio.py", "results/tables/table1.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr("experiments.evaluation.environment._PROJECT", tmp_path)
    (tmp_path / "results/tables/table1.md").write_text("77.2", encoding="utf-8")
    assert describe_environment()["uncommitted_changes"] is False
    (tmp_path / "began/new.py").write_text("", encoding="utf-8")
    assert describe_environment()["uncommitted_changes"] is True
