"""Damaged, cut and hand-made files of results: whatever does not belong together is refused before anything is rendered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from began.command_line import run_script
from classifiers.metrics import evaluate_dimensions
from experiments import report
from experiments.evaluation.predictions import list_predictions
from experiments.evaluation.result_files import read_table, write_table
from experiments.reporting import consistency

ROOT = Path(__file__).resolve().parents[1]
HEADS, STATISTICS = "table3_emodb/head_per_second", "table3_emodb/utterance_statistics"


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Two conditions of the project's own results, two runs each."""
    folder = tmp_path_factory.mktemp("results")
    for condition in (HEADS, STATISTICS):
        for path in (ROOT / "results" / condition).glob("run[12]/*"):
            (folder / condition / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / condition / path.parent.name)
        shutil.copytree(ROOT / "results" / condition / "search", folder / condition / "search")
    return folder


@pytest.fixture
def results(published, tmp_path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "results"))


def render(results: Path) -> int:
    return run_script(report.main, report.make_parser(), ["--results-dir", str(results)])


def test_whole_results_are_rendered(results, capsys):
    assert render(results) == 0
    assert "Wrote" in capsys.readouterr().out


def rewrite(name: str, change: Callable[[pd.DataFrame], pd.DataFrame], condition: str = HEADS) -> Callable[[Path], Path]:
    def damage(results: Path) -> Path:
        path = results / condition / name
        write_table(path, change(read_table(path)))
        return path

    return damage


def set_value(value: float, **where: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Sets the score of the first row with the given values."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        chosen = np.all([table[name] == wanted for name, wanted in where.items()], axis=0)
        table.loc[np.flatnonzero(chosen)[0], "value"] = value
        return table

    return change


def without(**where: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table[~np.all([table[name] == wanted for name, wanted in where.items()], axis=0)]


def of_test(**where: str) -> dict[str, str]:
    return {"split": "test", "fold": "03", "level": "utterance", "metric": "accuracy"} | where


def swap(first: str, second: str) -> Callable[[Path], Path]:
    def damage(results: Path) -> Path:
        shutil.copy(results / HEADS / second, results / HEADS / first)
        return results / HEADS / first

    return damage


def find_search(results: Path, fold: str, condition: str = HEADS) -> Path:
    return next((results / condition / "search").glob(f"{fold}-*.csv"))


def rewrite_search(change: Callable[[Path, pd.DataFrame], pd.DataFrame], condition: str = HEADS) -> Callable[[Path], Path]:
    def damage(results: Path) -> Path:
        path = find_search(results, "03", condition)
        write_table(path, change(results, read_table(path)))
        return path

    return damage


def rewrite_json(change: Callable[[dict], Any]) -> Callable[[Path], Path]:
    def damage(results: Path) -> Path:
        path = results / HEADS / "run1" / "config.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
        return path

    return damage


def write_text(text: str) -> Callable[[Path], Path]:
    def damage(results: Path) -> Path:
        (results / HEADS / "run1" / "config.json").write_text(text)
        return results / HEADS / "run1" / "config.json"

    return damage


def remove(results: Path) -> Path:
    path = results / HEADS / "run2" / "predictions.csv"
    path.unlink()
    return path


def remove_searches(results: Path) -> Path:
    shutil.rmtree(results / HEADS / "search")
    return results / HEADS / "search"


def leave_out_a_right_one(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(index=table.index[table["target"] == table["prediction"]][0])


def append_elsewhere(results: Path, trials: pd.DataFrame) -> pd.DataFrame:
    other = read_table(find_search(results, "08")).assign(trial=20, fold="03")
    return pd.concat([trials, other.iloc[:1]])


PREDICTIONS, METRICS = "run2/predictions.csv", "run2/metrics.csv"
DAMAGES: dict[str, Callable[[Path], Path]] = {
    "predictions without their last row": rewrite(PREDICTIONS, lambda table: table[:-1]),
    "predictions without a right one": rewrite(PREDICTIONS, leave_out_a_right_one),
    "a prediction changed": rewrite(PREDICTIONS, lambda table: table.assign(prediction=["anger", *table["prediction"][1:]])),
    "targets changed": rewrite(PREDICTIONS, lambda table: table.assign(target=table["prediction"])),
    "a probability changed": rewrite(PREDICTIONS, lambda table: table.assign(fear=[0.7, *table["fear"][1:]])),
    "a probability that is none": rewrite(PREDICTIONS, lambda table: table.assign(fear=[7, *table["fear"][1:]])),
    "a label that has no column": rewrite(PREDICTIONS, lambda table: table.assign(target=["joy", *table["target"][1:]])),
    "an utterance twice": rewrite(PREDICTIONS, lambda table: pd.concat([table, table[:1]])),
    "folds that are not the speakers": rewrite(PREDICTIONS, lambda table: table.assign(fold=table["fold"].to_numpy()[::-1])),
    "no column fold": rewrite(PREDICTIONS, lambda table: table.drop(columns="fold")),
    "no row": rewrite(PREDICTIONS, lambda table: table[:0]),
    "no predictions": remove,
    "predictions of another run": swap(PREDICTIONS, "run1/predictions.csv"),
    "metrics of another run": swap(METRICS, "run1/metrics.csv"),
    "predictions of another method": lambda results: Path(
        shutil.copy(results / STATISTICS / "run1/predictions.csv", results / HEADS / PREDICTIONS)
    ),
    "a pooled score changed": rewrite(METRICS, set_value(0.9, **of_test(fold="pooled"))),
    "a score of a fold changed": rewrite(METRICS, set_value(0.9, **of_test(metric="f1_weighted"))),
    "a score of chunks that none can be": rewrite(METRICS, set_value(1.5, **of_test(level="chunk"))),
    "a score that is not finite": rewrite(METRICS, set_value(np.nan, **of_test(level="chunk"))),
    "no score of a fold's utterances": rewrite(METRICS, without(fold="03", level="utterance")),
    "no score of a fold's chunks": rewrite(METRICS, without(fold="03", level="chunk")),
    "no chunks": rewrite(METRICS, without(level="chunk")),
    "no pooled scores": rewrite(METRICS, without(fold="pooled")),
    "one measure less": rewrite(METRICS, without(metric="f1_macro", fold="16")),
    "a measure that there is not": rewrite(METRICS, lambda t: pd.concat([t, t[:1].assign(metric="beauty")])),
    "a fold that there is not": rewrite(METRICS, lambda t: pd.concat([t, t[:1].assign(fold="17")])),
    "no validation score of a fold": rewrite(METRICS, without(split="validation", fold="03")),
    "a validation score of another search": rewrite(METRICS, set_value(0.9, split="validation", fold="03")),
    "a score of a run that there is not": rewrite(METRICS, lambda t: pd.concat([t[:1].assign(run=99, value=0.99), t])),
    "a score of another condition": rewrite(METRICS, lambda t: pd.concat([t[:1].assign(condition="mine"), t])),
    "text in place of a probability": rewrite(PREDICTIONS, lambda table: table.assign(fear=["n.a.", *table["fear"][1:]])),
    "no validation scores in one run": rewrite(METRICS, without(split="validation")),
    "no searches": remove_searches,
    "a run that is a copy": lambda results: shutil.copytree(results / HEADS / "run1", results / HEADS / "run3"),
    "a condition under another name": lambda results: (results / HEADS).rename(results / "table3_emodb" / "utterance_head"),
    "a trial from elsewhere": rewrite_search(append_elsewhere),
    "trials of another fold": lambda results: Path(shutil.copy(find_search(results, "08"), find_search(results, "03"))),
    "a search without its last trial": rewrite_search(lambda _, trials: trials[:-1]),
    "a search without its first trial": rewrite_search(lambda _, trials: trials[1:]),
    "a small search without its last trial": rewrite_search(lambda _, trials: trials[:-1], STATISTICS),
    "a trial without a number": rewrite_search(lambda _, trials: trials.assign(trial=[None, *trials["trial"][1:]])),
    "a loss that is no number": rewrite_search(lambda _, trials: trials.assign(loss="low")),
    "a trial that failed with a loss": rewrite_search(lambda _, trials: trials.assign(status="fail")),
    "no column loss": rewrite_search(lambda _, trials: trials.drop(columns="loss"), STATISTICS),
    "settings that are a list": rewrite_json(lambda config: [config]),
    "settings that are text": rewrite_json(lambda config: "protocol"),
    "settings that are null": rewrite_json(lambda config: None),
    "settings cut": write_text('{"protocol": '),
    "settings nested deep": write_text('{"a":' * 100_000),
    "a protocol that is a list": rewrite_json(lambda config: config | {"protocol": ["loso"]}),
    "pooling that is a list": rewrite_json(lambda config: config | {"pooling": ["mean"]}),
    "a count that is text": rewrite_json(lambda config: config | {"n_missing": "many"}),
    "a count below zero": rewrite_json(lambda config: config | {"n_missing": -3}),
    "trials that are text": rewrite_json(lambda config: config | {"max_evals": "20"}),
    "a method that there is not": rewrite_json(lambda config: config | {"method": "magic"}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_does_not_belong_together_is_refused(damage, results, capsys):
    path = DAMAGES[damage](results)
    assert render(results) == 2
    message = capsys.readouterr().err
    near = (path.parent, path.parent.with_name("run1"), path.parent.parent)
    assert any(str(folder) in message for folder in near), message
    assert message.startswith("error: ") and ": found " in message and "; expected " in message
    assert not (results / "tables").exists()
    if path.parent.name == "search":  # whose runs cannot do without it
        assert f"Remove {path.parents[1]} (its runs belong to these searches), and run the experiment again." in message


def test_searches_that_were_all_cut_alike_are_found(results, capsys):
    """Of heads on whole utterances, too: config.json says how many trials a search has."""
    condition = "table3_emodb/utterance_head"
    for name in ("run1", "search"):
        shutil.copytree(ROOT / "results" / condition / name, results / condition / name)
    path = results / condition / "run1" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_evals": 21}))
    assert render(results) == 2
    assert "found 20 trials; expected 21" in capsys.readouterr().err


def test_folds_are_named_once(results, capsys):
    """Those of k-fold are called fold1, fold2 and so on."""
    for path in (results / HEADS).glob("run*/*.csv"):
        table = read_table(path)
        write_table(path, table.assign(fold=table["fold"].replace({"03": "fold1"})))
    for path in (results / HEADS).glob("run*/config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol": "10 folds"}))
    rewrite(METRICS, set_value(0.9, **of_test(fold="fold1")))(results)
    assert render(results) == 2
    assert "found accuracy 0.9 of fold1 at utterance level" in capsys.readouterr().err
    rewrite(METRICS, without(fold="08", level="utterance"))(results)
    assert render(results) == 2
    assert "of fold 08 at utterance level" in capsys.readouterr().err


@pytest.mark.parametrize("spread", [1.0, 2e-3, 1e-4, 0.0])
def test_answers_that_hardly_differ_belong_to_their_correlation(spread):
    """As of a head that was trained for a few steps: predictions.csv rounds what the correlations were computed from."""
    draw = np.random.default_rng(0)
    targets = draw.uniform(0, 1, (20, 2))
    scores = 0.5 + spread * (targets + draw.normal(0, 0.3, targets.shape) - 0.5) / 2
    table = pd.DataFrame({"utterance": range(20), "speaker": "a", "arousal": targets[:, 0], "valence": targets[:, 1]})
    measured = consistency._measure(list_predictions(table, "a", {"dimensional": scores}, ()))
    before_rounding = evaluate_dimensions(targets[:, 0], scores[:, 0], targets[:, 1], scores[:, 1])
    for name, (value, tolerance) in measured.items():
        assert abs(value - before_rounding[name]) <= tolerance, name
    assert spread < 1 or {tolerance for _, tolerance in measured.values()} == {1e-4}
