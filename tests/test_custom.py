"""A user's own data set: every protocol, all of the tables' machinery, and the model it leaves for prediction."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from smaller import draw_nothing

from began.command_line import run_script
from began.errors import InputError
from began.keras_file import attach_json, read_attached_json
from began.spectrogram import SpectrogramConfig
from experiments import custom
from experiments.corpora import load, synthetic
from experiments.evaluation.condition import Condition
from experiments.evaluation.final_model import FILES, choose_parameters, write_final_models
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import make_splits
from experiments.evaluation.result_files import read_table, write_table
from experiments.reporting.consistency import check_results

EMOTIONS = ("anger", "neutral", "sadness")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Rows of a manifest: 4 speakers, 3 emotions, 3 sentences."""
    folder = synthetic.write_emodb(tmp_path_factory.mktemp("own"), speakers=4, n_texts=3, emotions=EMOTIONS, seconds=1.2)
    codes = {"W": "anger", "N": "neutral", "T": "sadness"}
    rows = []
    for number, path in enumerate(sorted((folder / "wav").glob("*.wav"))):
        emotion = synthetic.EMOTIONS[codes[path.name[5]]]
        rows.append(
            {
                "file": str(path),
                "label": codes[path.name[5]],
                "speaker": f"voice {path.name[:2]}",
                "arousal": emotion.arousal,
                "valence": emotion.valence,
                "split": ("train", "train", "validation", "test")[number * 4 // 36],
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    pytest.importorskip("keras")
    from began.networks import build_encoder

    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    build_encoder(base_filters=2, latent_size=4, seed=1).save(path)
    attach_json(path, "spectrogram", SpectrogramConfig().to_dict())
    return path


@pytest.fixture
def manifest(recordings, tmp_path):
    """Writes the named columns to a manifest."""

    def write(*columns):
        recordings[["file", *columns]].to_csv(tmp_path / "my.csv", index=False)
        return tmp_path / "my.csv"

    return write


def run(*argv):
    return run_script(custom.main, custom.make_parser(), [str(word) for word in argv])


def small(manifest, encoder, results, *more):
    return [
        "--manifest",
        manifest,
        "--encoder",
        encoder,
        "--results-dir",
        results,
        "--name",
        "mine",
        "--method",
        "head",
        "--runs",
        1,
        "--max-evals",
        2,
        "--epochs",
        2,
        "--workers",
        1,
        *more,
    ]


def test_speakers_on_both_sides_are_named(manifest, tiny_encoder, tmp_path, capsys, monkeypatch):
    draw_nothing(monkeypatch)
    argv = small(
        manifest("label", "speaker"), tiny_encoder, tmp_path, "--protocol", "kfold", "--folds", 6, "--method", "statistics"
    )
    assert run(*argv) == 0
    said = capsys.readouterr().out
    assert "note: trained and tested on 4 speakers: of unknown ones, expect lower scores" in said
    assert "no model is left behind: --method utterance or head makes one" in said
    assert "4 speakers are trained and tested on" in (tmp_path / "tables" / "custom.md").read_text().lower()

    # What `experiments.report` refuses, no other command makes tables of.
    metrics, table = tmp_path / "custom" / "mine" / "run1" / "metrics.csv", tmp_path / "tables" / "custom.md"
    scores, before = read_table(metrics), table.read_bytes()
    is_pooled = (scores["fold"] == "pooled") & (scores["metric"] == "accuracy") & (scores["level"] == "utterance")
    assert is_pooled.sum() == 1
    write_table(metrics, scores.assign(value=scores["value"].where(~is_pooled, 0.99)))
    assert run(*argv) == 2
    assert f"{metrics}: found accuracy 0.99" in capsys.readouterr().err
    assert table.read_bytes() == before


def arguments_of(*argv):
    return custom.make_parser().parse_args([str(word) for word in argv])


@pytest.mark.parametrize(
    ("protocol", "folds", "n_folds"),
    [("official", None, 1), ("loso", None, 4), ("kfold", 3, 3), ("kfold", 6, 6), ("speaker-dependent", None, 4)],
)
def test_every_protocol_splits_the_manifest(manifest, protocol, folds, n_folds):
    path = manifest("label", "speaker", "split")
    arguments = arguments_of(
        "--manifest", path, "--encoder", "e", "--name", "n", "--protocol", protocol, *(["--folds", folds] if folds else [])
    )
    corpus = load("manifest", path)
    condition = custom.describe_condition(arguments, corpus)
    splits = make_splits(condition, corpus.utterances, 0, run=1)
    assert len(splits) == n_folds
    if protocol != "official":
        tested = np.concatenate([split.test for split in splits])
        assert len(set(tested)) == len(tested) and (protocol == "speaker-dependent" or len(tested) == 36)
    again = make_splits(condition, corpus.utterances, 0, run=2)
    assert (splits[0].test.tolist() == again[0].test.tolist()) == (protocol != "speaker-dependent")


def read_everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_speakers_names_are_no_paths(recordings, encoder, tmp_path):
    """Slashes, dots and great length: all that is written lies in the condition's folder, and the model is found."""
    names = {"voice 03": "../../anna", "voice 08": "corpus/ben", "voice 09": "x" * 230, "voice 10": "Ünal"}
    assert set(names) == set(recordings["speaker"])
    path = tmp_path / "data" / "my.csv"
    path.parent.mkdir()
    recordings[["file", "label"]].assign(speaker=recordings["speaker"].map(names)).to_csv(path, index=False)
    results = tmp_path / "deep" / "results"
    assert run(*small(path, encoder, results, "--protocol", "loso", "--max-evals", 1, "--epochs", 1)) == 0
    folder = results / "custom" / "mine"
    assert (folder / "model.keras").is_file()
    assert len(list((folder / "search").glob("*.csv"))) == 4
    assert {entry.name for entry in tmp_path.rglob("*.csv")} - {entry.name for entry in results.rglob("*.csv")} == {"my.csv"}
    assert set(read_table(folder / "run1" / "metrics.csv")["fold"]) == {*names.values(), "pooled"}
    check_results(results)


def test_class_weights_need_labels(manifest, encoder, tmp_path, capsys):
    path = manifest("arousal", "valence")
    assert run(*small(path, encoder, tmp_path, "--protocol", "kfold", "--class-weight", "balanced")) == 2
    assert "found no column label; expected one, for --class-weight balanced" in capsys.readouterr().err


def test_labels_by_folds_give_runs_a_report_and_a_model(manifest, encoder, tmp_path, capsys, monkeypatch):
    """The whole way: search, run, table, model, prediction."""
    results = tmp_path / "my results"
    path = manifest("label", "speaker")
    argv = small(path, encoder, results, "--protocol", "kfold", "--folds", 2)
    assert run(*argv) == 0
    folder = results / "custom" / "mine"
    assert f"--model '{folder / 'model.keras'}' FILE_OR_FOLDER" in capsys.readouterr().out
    assert [model.name for model in folder.glob("*.keras")] == ["model.keras"]  # with several folds, none of a training part
    metrics = pd.read_csv(folder / "run1" / "metrics.csv")
    assert set(metrics["fold"]) == {"fold1", "fold2", "pooled"}
    assert len(pd.read_csv(folder / "run1" / "predictions.csv")) == 36
    config = json.loads((folder / "run1" / "config.json").read_text())
    assert config["protocol"] == "2 folds" and len(config["utterances_sha256"]) == 64
    assert "n_shared_speakers" not in config  # folds of speakers
    assert "mine" in (results / "tables" / "custom.md").read_text()
    assert (results / "figures" / "custom_mine_confusion.png").is_file()
    draw_nothing(monkeypatch)
    assert run(*argv) == 0  # complete: nothing to do

    from classifiers.predictor import load_predictor

    scores = read_everything(folder / "run1") | read_everything(folder / "search")
    model = folder / FILES["categorical"]
    description = read_attached_json(model, "head")
    model.unlink()
    assert run(*argv) == 0
    assert read_attached_json(model, "head") == description
    assert read_everything(folder / "run1") | read_everything(folder / "search") == scores
    best = choose_parameters(results, Condition("custom", "mine"), "categorical")
    assert description["parameters"] == best["parameters"] and description["best_epoch"] == best["epochs"]
    assert description["labels"] == list(EMOTIONS) and description["n_utterances"] == 36
    assert description["sounds_sha256"] == config["sounds_sha256"]
    written = model.stat().st_mtime_ns, model.read_bytes()
    assert run(*argv) == 0
    assert (model.stat().st_mtime_ns, model.read_bytes()) == written  # it was there already
    model.write_bytes(b"half")
    assert run(*argv) == 0
    prediction = load_predictor(model).predict_file(load("manifest", path).utterances["path"][0])
    assert prediction.scores.sum() == pytest.approx(1, abs=1e-5)


def test_a_model_of_other_recordings_is_not_kept(encoder, tmp_path):
    """Its scores alone would not tell: one sample may change none of them."""
    from experiments.evaluation.final_model import _is_current

    path, known = tmp_path / "model.keras", {"task": "categorical", "utterances_sha256": "a", "sounds_sha256": "b"}

    def is_current(**attached):
        path.write_bytes(encoder.read_bytes())
        attach_json(path, "head", attached)
        return _is_current(path, known)

    assert is_current(**known) and is_current(**known, calibration={"folds": 3})
    assert not is_current(**known | {"sounds_sha256": "c"}) and not is_current(**known | {"utterances_sha256": "c"})
    assert not is_current(task="categorical")


def test_arousal_and_valence_beside_labels_by_the_official_split(manifest, encoder, tmp_path):
    results = tmp_path / "results"
    path = manifest("label", "arousal", "valence", "split", "speaker")
    argv = small(path, encoder, results, "--protocol", "official", "--max-evals", 1)
    assert run(*argv) == 0
    metrics = pd.read_csv(results / "custom" / "mine" / "run1" / "metrics.csv")
    assert {"accuracy", "concordance_correlation_coefficient_valence"} <= set(metrics["metric"])
    assert set(metrics["fold"]) == {"pooled"}

    from classifiers.predictor import load_predictor

    check_results(results)
    models = sorted((results / "custom" / "mine").glob("*.keras"))
    names = ["model-dimensional-training-part.keras", "model-dimensional.keras", "model-training-part.keras", "model.keras"]
    assert [model.name for model in models] == names
    arousal, valence = load_predictor(models[1]).predict_file(load("manifest", path).utterances["path"][0]).scores
    assert 0 <= arousal <= 1 and -1 <= valence <= 1

    # The models of the training part score the test part as run 1 did: they have seen no other recordings.
    tested = read_table(results / "custom" / "mine" / "run1" / "predictions.csv").set_index("utterance")
    paths = load("manifest", path).utterances.set_index("utterance").loc[tested.index, "path"]
    for model, columns in ((models[2], EMOTIONS), (models[0], ["arousal_prediction", "valence_prediction"])):
        scores = [outcome.scores for _, outcome in load_predictor(model).predict_files(paths)]
        np.testing.assert_allclose(scores, tested[[*columns]], atol=2e-3)
    sizes = [read_attached_json(model, "head")["n_utterances"] for model in models]
    assert sizes == [27, 36, 27, 36]
    before = [model.read_bytes() for model in models]
    assert run(*argv) == 0  # trains nothing again
    assert [model.read_bytes() for model in models] == before


def test_no_model_where_none_can_be_made(tmp_path):
    settings = Settings(tmp_path, Path("encoder.keras"))
    for differences in ({"chunk_split": True}, {"search": False}, {"method": "functionals"}, {"method": "statistics"}):
        assert write_final_models(Condition("custom", "mine", **differences), None, None, settings, {}) == []


def test_the_models_parameters_are_the_best_in_the_mean_over_all_searches(tmp_path):
    """Losses of searches with other training parts do not compare: the lowest of all is not the best."""
    from classifiers.head_parameters import resolve_parameters

    condition, filters = Condition("custom", "mine"), (16, 32, 48, 64)
    losses = {"a-categorical": (0.6, 0.5, 0.1, np.nan), "b": (0.3, 0.1, np.nan, 0.1), "c": (0.3, 0.4, 0.1, 0.1)}
    for number, (fold, of_trials) in enumerate(losses.items()):
        rows = [
            {"task": "categorical", "trial": trial, "search": fold, "fold": fold, "loss": loss, "epochs": 5 + number}
            | {"status": "fail" if np.isnan(loss) else "ok"}
            | resolve_parameters("categorical", {"filters": filters[trial]})
            for trial, loss in enumerate(of_trials)
        ]
        path = tmp_path / "custom" / "mine" / "search" / f"{fold}-categorical-0123abcd.csv"
        write_table(path, pd.DataFrame(rows))
    best = choose_parameters(tmp_path, condition, "categorical")
    assert (best["epochs"], best["parameters"]["filters"], best["n_searches"]) == (6, 32, 3)
    assert best["loss"] == pytest.approx(1 / 3)
    cut = read_table(path).assign(fold="d", search="d").iloc[:1]  # a run that was killed and never gone on with
    write_table(path.with_name("d-categorical-0123abcd.csv"), cut)
    assert choose_parameters(tmp_path, condition, "categorical") == best
    with pytest.raises(InputError, match="succeeded in all searches"):
        choose_parameters(tmp_path, condition, "dimensional")


def test_searches_without_a_success_in_common_leave_no_model_and_their_scores(tmp_path, capsys):
    from classifiers.head_parameters import resolve_parameters

    condition = Condition("custom", "mine")
    for fold, failed in (("a", 1), ("b", 0)):
        rows = [
            {"fold": fold, "task": "categorical", "trial": trial, "epochs": 1}
            | {"status": "fail" if trial == failed else "ok", "loss": np.nan if trial == failed else 0.5}
            | resolve_parameters("categorical", {"filters": filters})
            for trial, filters in enumerate((16, 32))
        ]
        write_table(tmp_path / "custom" / "mine" / "search" / f"{fold}-categorical-0123abcd.csv", pd.DataFrame(rows))
    assert write_final_models(condition, None, None, Settings(tmp_path), {}) == []
    said = capsys.readouterr().out
    assert said.startswith("note: no categorical model for own recordings is left behind: ")
    assert "no trial of a categorical head that succeeded in all searches" in said


@pytest.mark.parametrize(
    ("columns", "argv", "said"),
    [
        (["label", "speaker"], ["--protocol", "loso", "--folds", "3"], "--protocol kfold"),
        (["label"], ["--protocol", "kfold", "--folds", "13"], "at least 13 utterances per class"),
        (["label"], ["--protocol", "speaker-dependent"], "no column speaker"),
        (["arousal", "valence", "speaker"], ["--protocol", "speaker-dependent"], "no column label"),
        (["speaker"], ["--protocol", "kfold"], "label"),
        (["label"], ["--protocol", "kfold", "--name", "../mine"], "name of the condition"),
        (["label"], ["--protocol", "kfold", "--runs", "0"], "--runs"),
        (
            ["label"],
            ["--protocol", "kfold", "--method", "utterance", "--ensemble", "11"],
            "--ensemble: found 11; expected 1 to 10",
        ),
        (
            ["label"],
            ["--protocol", "kfold", "--method", "statistics", "--ensemble", "2"],
            "--ensemble 2: found it with --method",
        ),
        (["label"], ["--protocol", "kfold", "--encoder", "nowhere.keras"], "no such file"),
        (["label"], ["--protocol", "kfold", "--manifest", "nowhere.csv"], "no such file"),
    ],
)
def test_mistakes_get_one_message_before_long_work(manifest, encoder, tmp_path, capsys, columns, argv, said):
    assert run(*small(manifest(*columns), encoder, tmp_path / "results", *argv)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_protocols_by_speaker_refuse_recordings_of_unknown_ones(manifest, encoder, tmp_path, capsys):
    """They may be of a speaker on the other side."""
    path = manifest("label", "speaker")
    table = pd.read_csv(path, dtype=str)
    table.assign(speaker=["unknown", *table["speaker"][1:]]).to_csv(path, index=False)
    assert run(*small(path, encoder, tmp_path / "results", "--protocol", "loso")) == 2
    found = "found 1 recording of unknown speakers; expected the speaker of each, for the protocol loso"
    assert found in capsys.readouterr().err
