"""How tables are made: nothing of a test part leaks before the final scores, and every table's script runs to its end."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from smaller import draw_nothing, make_few_copies, shorten_heads

from began.command_line import run_script
from began.errors import InputError
from began.keras_file import read_attached_json
from began.utterance_encoder import name_statistics
from classifiers.head_parameters import SECOND, UTTERANCE
from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments import table2_omg, table3_emodb
from experiments.corpora import load, omg
from experiments.corpora.record import Corpus
from experiments.evaluation.condition import ON_UTTERANCES
from experiments.evaluation.conditions import EXPERIMENTS
from experiments.evaluation.data import Data
from experiments.evaluation.options import Settings, read_settings
from experiments.evaluation.predictions import list_predictions
from experiments.evaluation.protocols import k_fold, leave_one_speaker_out, make_splits, official, per_speaker
from experiments.evaluation.result_files import read_table
from experiments.evaluation.runs import read_metrics, read_predictions
from experiments.evaluation.searched_heads import head_job, search_and_train
from experiments.evaluation.searches import read_trials
from experiments.evaluation.splits import Split
from experiments.reporting.consistency import check_results

ROOT = Path(__file__).resolve().parents[1]
LABELS = ("anger", "neutral", "sadness")
SETTINGS = Settings(Path("results"), max_evals=1, epochs=2)

# -------------------------------------------------------------------------------------------------------- leakage


def make_data(n_chunks: int = 2, n_speakers: int = 5, per_class: int = 4) -> Data:
    """Noise features of a corpus with speakers, videos, labels, dimensions and an official split."""
    generator = np.random.default_rng(7)
    rows = [
        {
            "utterance": f"{speaker}-{label}-{number}",
            "path": "",
            "speaker": f"s{speaker}",
            "label": label,
            "arousal": float(generator.random()),
            "valence": float(generator.uniform(-1, 1)),
            "split": "validation" if number == 0 else "train",
            "video": f"v{speaker}-{number}",
        }
        for speaker in range(n_speakers)
        for label in LABELS
        for number in range(per_class)
    ]
    table = pd.DataFrame(rows)
    utterance = np.repeat(np.arange(len(table)), n_chunks)
    features = generator.standard_normal((len(utterance), 6)).astype(np.float32)
    return Data(Corpus("noise", table, LABELS), features, utterance)


def make_copies() -> Data:
    """The same corpus as the default method has it: an utterance, a copy at another speed and one with noise, as statistics."""
    data, names = make_data(n_chunks=3), name_statistics((1, 1, 1, 1))
    features = np.random.default_rng(3).standard_normal((len(data.features), 40, 1, len(names))).astype(np.float16)
    return replace(data, features=features, statistics=names, is_augmented=data.number > 0, is_altered=data.number > 1)


def poison(data: Data, utterances: np.ndarray) -> Data:
    """Returns the data with other features and other labels in some utterances, and features in their copies."""
    features = data.features.copy()
    features[data.chunks_of(utterances, augmented=True)] = 1e4
    table = data.corpus.utterances.copy()
    following = dict(zip(LABELS, (*LABELS[1:], LABELS[0]), strict=True))
    table.loc[utterances, "label"] = table.loc[utterances, "label"].map(following)
    table.loc[utterances, "arousal"] = 1.0 - table.loc[utterances, "arousal"]
    table.loc[utterances, "valence"] = -table.loc[utterances, "valence"]
    return replace(data, corpus=replace(data.corpus, utterances=table), features=features)


MAKE_DATA = {SECOND: make_data, UTTERANCE: make_copies}
GIVEN: dict[str, dict] = {SECOND: {}, UTTERANCE: {"statistics": "spread", "n_steps": 5}}
"""Kind of the heads -> the parameters that are not searched."""


PROTOCOLS = {
    "leave one speaker out": lambda data: leave_one_speaker_out(data.corpus.utterances)[1],
    "each speaker alone": lambda data: per_speaker(data.corpus.utterances, 0, 1)[0],
    "folds by speaker": lambda data: k_fold(data.corpus.utterances, 3, 0)[2],
    "folds by label": lambda data: k_fold(data.corpus.utterances.assign(speaker="unknown"), 3, 0)[0],
    "official": lambda data: official(data.corpus.utterances, 0)[0],
    "official, source-disjoint": lambda data: official(data.corpus.utterances, 0, disjoint="video")[0],
}


def train(data: Data, task: str, split: Split, folder: Path, monkeypatch: pytest.MonkeyPatch, trainer=search_and_train):
    """Returns the trials, all weights of the final head (normalisation statistics are among them), and its test scores."""
    from classifiers import workers

    heads, plain = [], workers.train_head

    def keep(job):
        heads.append(plain(job))
        return heads[-1]

    monkeypatch.setattr(workers, "train_head", keep)
    outcome = trainer(data, task, [split], SETTINGS, 1, folder)
    monkeypatch.undo()
    (trials,) = [read_table(path) for path in folder.glob("*.csv")]
    return trials.drop(columns="seconds"), heads[-1].model.get_weights(), outcome.scores[0]


@pytest.mark.parametrize("kind", MAKE_DATA)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_poisoned_test_part_changes_nothing_before_the_final_scores(name, kind, tmp_path, monkeypatch):
    data, trainer = MAKE_DATA[kind](), partial(search_and_train, given=GIVEN[kind])
    split = PROTOCOLS[name](data)
    task = DIMENSIONAL if name.startswith("official") else CATEGORICAL
    poisoned = poison(data, split.test)
    trials, weights, scores = train(data, task, split, tmp_path / "clean", monkeypatch, trainer)
    trials_after, weights_after, scores_after = train(poisoned, task, split, tmp_path / "poisoned", monkeypatch, trainer)
    pd.testing.assert_frame_equal(trials, trials_after)
    assert len(weights) == len(weights_after) > 4
    for before, after in zip(weights, weights_after, strict=True):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(scores, scores_after)  # the poison does arrive in the scores


@pytest.mark.parametrize("kind", MAKE_DATA)
def test_a_poisoned_training_part_is_noticed(kind, tmp_path, monkeypatch):
    """The test above could see a leak: the same poison elsewhere changes statistics, trials and weights."""
    data, trainer = MAKE_DATA[kind](), partial(search_and_train, given=GIVEN[kind])
    split = PROTOCOLS["leave one speaker out"](data)
    poisoned = poison(data, split.fitting[:3])
    trials, weights, _ = train(data, CATEGORICAL, split, tmp_path / "clean", monkeypatch, trainer)
    trials_after, weights_after, _ = train(poisoned, CATEGORICAL, split, tmp_path / "poisoned", monkeypatch, trainer)
    assert not trials.equals(trials_after)
    assert any(not np.array_equal(before, after) for before, after in zip(weights, weights_after, strict=True))


@pytest.mark.parametrize("kind", MAKE_DATA)
def test_a_poisoned_validation_part_changes_no_weights(kind):
    """Normalisation statistics are among them. It may choose the epoch, but not where there is one, or the last is taken."""
    from classifiers.training import train_head

    clean = MAKE_DATA[kind]()
    (inner, *_) = PROTOCOLS["leave one speaker out"](clean).inner
    heads = []
    for data in (clean, poison(clean, inner.validation)):
        rows, validation_rows = data.chunks_of(inner.train, augmented=True), data.scored_of(inner.validation)
        job = replace(head_job(data, CATEGORICAL, SETTINGS), parameters=GIVEN[kind], epochs=1, rows=rows)
        heads.append(train_head(replace(job, validation_rows=validation_rows)))
    first, second = (head.history["validation_loss"].iloc[-1] for head in heads)
    assert first != second  # the poison does arrive
    for before, after in zip(*(head.model.get_weights() for head in heads), strict=True):
        np.testing.assert_array_equal(before, after)


def test_fixed_parameters_search_nothing(tmp_path, monkeypatch):
    data = make_data()
    trials, _, _ = train(
        data, CATEGORICAL, PROTOCOLS["official"](data), tmp_path, monkeypatch, partial(search_and_train, search=False)
    )
    assert len(trials) == 1


def test_a_default_head_on_utterances_is_trained_once(tmp_path, monkeypatch):
    """Its steps are a parameter: there is nothing that inner folds could choose."""
    from classifiers import head_parameters, workers

    data, names, trained, plain = make_data(n_chunks=1), name_statistics((1, 1, 1, 1), True), [], workers.train_head
    features = np.random.default_rng(3).standard_normal((len(data.features), 40, 1, len(names))).astype(np.float32)
    data = replace(data, features=features, statistics=names)
    monkeypatch.setitem(head_parameters._DEFAULTS["utterance", CATEGORICAL], "n_steps", 5)
    monkeypatch.setattr(workers, "train_head", lambda job: trained.append(job) or plain(job))
    split, given = PROTOCOLS["leave one speaker out"](data), {"correlations": "none"}
    outcome = search_and_train(data, CATEGORICAL, [split], SETTINGS, 1, tmp_path, search=False, given=given)
    (job,) = trained
    assert job.parameters["correlations"] == "none" and set(job.rows) == set(split.fitting)
    assert outcome.losses == {} and len(outcome.scores[0]) == len(split.test) and not list(tmp_path.iterdir())
    given = EXPERIMENTS["table3_emodb"].conditions["utterance_head"].given | {"n_steps": 5}
    search_and_train(data, CATEGORICAL, [split], replace(SETTINGS, max_evals=2), 1, tmp_path, given=given)
    trials = pd.concat(map(pd.read_csv, tmp_path.rglob("*.csv")))
    assert len(trials) == 2 and set(trials["statistics"]) == {"spread"} and trials["blocks"].nunique() == 2


def test_a_search_leaves_the_means_out_where_the_level_is_out():
    """They bring back what the front end takes out; where one speaker and one microphone are known, both tell of emotion."""
    of = {name: EXPERIMENTS[name].conditions for name in ("table1_savee", "table3_emodb")}
    assert of["table3_emodb"]["utterance_head"].given == {"statistics": "spread"}
    assert of["table1_savee"]["utterance_split_utterance_head"].given == {}
    without = replace(of["table3_emodb"]["utterance_head"], correlations=False)
    assert without.given == {"statistics": "spread", "correlations": "none"}


def test_copies_are_trained_on_and_never_validated_or_tested_on(tmp_path, monkeypatch):
    data = make_data()
    split = PROTOCOLS["leave one speaker out"](data)
    n_chunks = len(data.utterance)

    def add_copies(factor: float) -> Data:
        copied = np.concatenate([data.features, factor * data.features]).astype(np.float32)
        return Data(data.corpus, copied, np.tile(data.utterance, 2), is_augmented=np.arange(2 * n_chunks) >= n_chunks)

    for part in (split.test, split.inner[0].validation):
        np.testing.assert_array_equal(add_copies(0.9).chunks_of(part), data.chunks_of(part))
    _, plain, _ = train(data, CATEGORICAL, split, tmp_path / "plain", monkeypatch)
    trials, weights, scores = train(add_copies(0.9), CATEGORICAL, split, tmp_path / "copies", monkeypatch)
    assert any(not np.array_equal(before, after) for before, after in zip(plain, weights, strict=True))
    assert len(scores) == len(data.chunks_of(split.test))
    poisoned = add_copies(0.9)
    poisoned.features[n_chunks:][data.chunks_of(split.test)] = 1e6
    trials_after, weights_after, scores_after = train(poisoned, CATEGORICAL, split, tmp_path / "poisoned", monkeypatch)
    pd.testing.assert_frame_equal(trials, trials_after)
    for before, after in zip([*weights, scores], [*weights_after, scores_after], strict=True):
        np.testing.assert_array_equal(before, after)


def test_chunks_as_utterances_keep_speaker_and_label():
    data = make_data()
    chunks = data.as_chunks()
    assert len(chunks.corpus.utterances) == len(data.features)
    assert chunks.corpus.utterances["utterance"].is_unique
    np.testing.assert_array_equal(chunks.targets(CATEGORICAL), data.targets(CATEGORICAL))
    np.testing.assert_array_equal(chunks.utterance, np.arange(len(data.features)))


def test_chunks_of_a_sound_are_sounds_of_their_own():
    data = make_data()
    sounds = np.arange(len(data.corpus.utterances)) // 2  # each is there twice
    table = data.corpus.utterances.assign(sound=sounds.astype(str))
    chunks = replace(data, corpus=replace(data.corpus, utterances=table)).as_chunks()
    assert chunks.corpus.utterances["sound"].value_counts().eq(2).all()
    assert chunks.corpus.utterances["sound"].nunique() == len(data.features) // 2


# ------------------------------------------------------------------------------------------------- frozen encoder


def test_the_encoder_stays_frozen_through_a_heads_training(tiny_encoder, speech_files, tmp_path):
    from began.encoder import load_frozen_encoder
    from began.representation import represent_corpus
    from classifiers.predictor import build_predictor
    from classifiers.training import HeadJob, train_head

    file_hash = hashlib.sha256(tiny_encoder.read_bytes()).hexdigest()
    encoder = load_frozen_encoder(tiny_encoder)
    before = encoder.model.get_weights()
    representation = represent_corpus(encoder, speech_files, tmp_path)
    targets = representation.utterance % 2
    job = HeadJob(
        features=representation.features,
        targets=targets,
        utterance=representation.utterance,
        task=CATEGORICAL,
        parameters={},
        epochs=2,
        seed=0,
        n_outputs=2,
        rows=np.arange(len(targets)),
    )
    metadata = {"task": CATEGORICAL, "labels": ["a", "b"], "tail": "overlap", "aggregation": "mean"}
    predictor = build_predictor(encoder, train_head(job).model, metadata)
    assert encoder.model.trainable_variables == []
    for old, new in zip(before, encoder.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    inside = predictor.model.get_weights()
    assert all(any(np.array_equal(old, new) for new in inside) for old in before)
    assert hashlib.sha256(tiny_encoder.read_bytes()).hexdigest() == file_hash


# --------------------------------------------------------------------------------------- the scripts, end to end


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """Those of a table are drawn by the fixtures `table1` and `table2`, and looked at in test_report.py."""
    draw_nothing(monkeypatch)


SMALL = ("--runs", 1, "--max-evals", 2, "--epochs", 2, "--workers", 1, "--method", "head")


def run_table(script: str, data: Path, encoder: Path, results: Path, *more: object) -> None:
    """Runs a table with few settings, and a head on one second at a time unless `more` names another method."""
    module = importlib.import_module(f"experiments.{script}")
    argv = ["--data-dir", data, "--encoder", encoder, "--results-dir", results, *SMALL, *more]
    assert run_script(module.main, module.make_parser(), [str(word) for word in argv]) == 0
    check_results(results)


@pytest.fixture(scope="module")
def table1(tiny_corpora, tiny_encoder, tmp_path_factory) -> Path:
    results = tmp_path_factory.mktemp("table1")
    run_table("table1_savee", tiny_corpora / "SAVEE", tiny_encoder, results)
    return results


@pytest.fixture(scope="module")
def table2(tiny_corpora, tiny_encoder, tmp_path_factory) -> Path:
    results = tmp_path_factory.mktemp("table2")
    run_table("table2_omg", tiny_corpora / "OMG", tiny_encoder, results, "--conditions", "official")
    return results


def test_table1(table1):
    metrics = read_metrics(table1, "table1_savee")
    assert set(metrics["condition"]) == {"utterance_split", "chunk_split_leaking"}
    of_test = metrics[metrics["split"] == "test"]
    assert set(of_test["fold"]) == {"DC", "JE", "pooled"}
    assert set(of_test.loc[of_test["condition"] == "chunk_split_leaking", "level"]) == {"chunk"}
    predictions = read_predictions(table1, "table1_savee", "utterance_split")
    assert predictions["utterance"].is_unique
    assert set(read_trials(table1, "table1_savee")["fold"]) == {"DC", "JE"}
    assert (table1 / "tables" / "table1.md").is_file()


def test_table1_of_one_speaker_has_a_row(tiny_corpora, tiny_encoder, tmp_path):
    corpus = tmp_path / "SAVEE"
    shutil.copytree(tiny_corpora / "SAVEE", corpus)
    shutil.rmtree(corpus / "AudioData" / "JE")
    run_table("table1_savee", corpus, tiny_encoder, tmp_path, "--conditions", "utterance_split", "--method", "statistics")
    metrics = read_metrics(tmp_path, "table1_savee")
    assert set(metrics.loc[metrics["split"] == "test", "fold"]) == {"DC", "pooled"}
    table = pd.read_csv(tmp_path / "tables" / "table1.csv").set_index(["condition", "scope"])
    assert table.loc[("utterance_split_utterance_statistics", "DC"), "n_runs"].eq(1).any()


def test_a_run_goes_on_with_its_own_utterances_only(table1, tiny_corpora, tiny_encoder, tmp_path, capsys):
    corpus, results = tmp_path / "SAVEE", tmp_path / "results"
    shutil.copytree(tiny_corpora / "SAVEE", corpus)
    shutil.rmtree(corpus / "AudioData" / "JE")
    shutil.copytree(table1, results)
    module = importlib.import_module("experiments.table1_savee")
    argv = ["--data-dir", corpus, "--encoder", tiny_encoder, "--results-dir", results, *SMALL, "--runs", 2]
    assert run_script(module.main, module.make_parser(), [str(word) for word in argv]) == 2
    assert "utterances_sha256" in capsys.readouterr().err
    assert not (results / "table1_savee" / "utterance_split" / "run2").exists()


def test_copies_are_named_and_stay_on_one_side(tiny_corpora, tiny_encoder, tmp_path, capsys):
    """A corpus that was unpacked into itself, with one recording that another speaker has, too."""
    from experiments import custom

    paths = sorted((tiny_corpora / "EmoDB" / "wav").glob("*.wav"))
    lines = ["file,label,speaker"]
    for number, path in enumerate(paths):
        shutil.copy(path, tmp_path / path.name)
        shutil.copy(path, tmp_path / f"copy-{path.name}")
        speaker, label = path.name[:2], path.name[5]
        lines += [f"{path.name},{label},{speaker}", f"copy-{path.name},{label},{'15' if number == 0 else speaker}"]
    (tmp_path / "my.csv").write_text("\n".join(lines))
    options = ["--manifest", tmp_path / "my.csv", "--encoder", tiny_encoder, "--results-dir", tmp_path / "results", "--runs", 1]
    options += ["--method", "statistics", "--protocol", "kfold", "--folds", 5, "--name", "mine"]
    assert run_script(custom.main, custom.make_parser(), [str(option) for option in options]) == 0
    said = capsys.readouterr().out
    assert "note: 27 sounds are there more than once: " in said and "and 22 more" in said
    assert f"{paths[0].name} (speaker 03)" in said and f"copy-{paths[0].name} (speaker 15)" in said
    predictions = read_predictions(tmp_path / "results", "custom", "mine")
    assert len(predictions) == 2 * len(paths)
    fold_of = predictions.set_index("utterance")["fold"]
    assert all(fold_of[path.name] == fold_of[f"copy-{path.name}"] for path in paths[1:])
    assert "28 recordings with the same sound as another one" in (tmp_path / "results" / "tables" / "custom.md").read_text()


def test_a_run_goes_on_with_its_own_recordings_only(tiny_corpora, tiny_encoder, tmp_path, capsys):
    corpus, results = tmp_path / "EmoDB", tmp_path / "results"
    shutil.copytree(tiny_corpora / "EmoDB", corpus)

    def run(runs: int) -> int:
        options = ["--data-dir", corpus, "--encoder", tiny_encoder, "--results-dir", results, "--method", "statistics"]
        arguments = [str(option) for option in [*options, "--runs", runs]]
        return run_script(table3_emodb.main, table3_emodb.make_parser(), arguments)

    assert run(1) == 0
    folder = results / "table3_emodb" / "utterance_statistics"
    files = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    waveforms = {path: soundfile.read(path, dtype="int16") for path in sorted((corpus / "wav").glob("*.wav"))}
    changed = [path for path in waveforms if path.name[:5] == "08a01"][:2]
    for path in changed:
        waveform, rate = waveforms[path]
        soundfile.write(path, waveform[::-1], rate)
    capsys.readouterr()
    for number in (1, 2):
        assert run(number) == 2
        names = ", ".join(path.stem for path in changed)
        message = f"run1: found a run on recordings that have changed since: 2 of 28 ({names}); expected the recordings"
        assert message in capsys.readouterr().err
    shutil.rmtree(folder / "run1")
    assert run(1) == 2  # the searches outlive their runs
    assert "search: found a run on recordings that have changed since: 2 of 28" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "search"]
    for path, content in files.items():
        if path.parent.name == "run1":
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    for path, (waveform, rate) in waveforms.items():  # the same samples
        path.unlink()
        soundfile.write(path.with_suffix(".flac"), waveform, rate)
    assert run(1) == 0
    assert "run 1 of 1: complete in" in capsys.readouterr().out
    assert (folder / "run1" / "metrics.csv").read_bytes() == files[folder / "run1" / "metrics.csv"]
    path = corpus / "wav" / f"{changed[0].stem}.flac"
    soundfile.write(path, waveforms[changed[0]][0][::2], 8_000)
    assert run(1) == 2  # a resampled one is another sound
    assert f"1 of 28 ({changed[0].stem})" in capsys.readouterr().err


@pytest.mark.parametrize("name, folder", [("emodb", "EmoDB"), ("savee", "SAVEE")])
def test_committed_runs_are_bound_to_their_recordings(name, folder, shared_data, tmp_path):
    from began.sound_hashes import SoundHashes
    from experiments.corpora import load
    from experiments.corpora.duplicates import read_sounds

    corpus, results = read_sounds(load(name, shared_data / folder), SoundHashes(tmp_path)), ROOT / "results"
    configs = [json.loads(path.read_text()) for path in results.glob("*/*/*/config.json")]
    sounds = {config["sounds_sha256"] for config in configs if config.get("corpus") == folder}
    assert sounds == {corpus.sounds_sha256}
    listed = results / "sounds" / f"{corpus.sounds_sha256[:16]}.csv"
    assert pd.read_csv(listed, dtype=str).equals(corpus.utterances[["utterance", "sound"]])
    assert not corpus.utterances["sound"].duplicated().any()


def test_utterances_without_a_chunk_are_counted(tiny_corpora, tiny_encoder, tmp_path, capsys):
    corpus = tmp_path / "EmoDB"
    shutil.copytree(tiny_corpora / "EmoDB", corpus)
    for path in sorted((corpus / "wav").glob("*.wav"))[1:]:
        waveform, rate = soundfile.read(path)
        soundfile.write(path, np.resize(waveform, rate), rate)  # a second long, all but the first
    run_table("table3_emodb", corpus, tiny_encoder, tmp_path, "--tail", "drop")
    assert "shorter than a chunk and left out: 1 of 28 utterances" in capsys.readouterr().out
    assert "1 utterance shorter than a chunk left out" in (tmp_path / "tables" / "table3.md").read_text()
    assert len(read_predictions(tmp_path, "table3_emodb", "head_per_second")) == 27
    model = read_attached_json(tmp_path / "table3_emodb" / "head_per_second" / "model.keras", "head")
    assert model["n_utterances"] == 27
    run_table("table3_emodb", corpus, tiny_encoder, tmp_path, "--tail", "drop")
    assert "run 1 of 1: complete in" in capsys.readouterr().out


def test_parts_without_a_chunk_are_refused_before_anything_is_trained(tiny_corpora, tiny_encoder, tmp_path, capsys):
    corpus = tmp_path / "EmoDB"
    shutil.copytree(tiny_corpora / "EmoDB", corpus)
    for path in sorted((corpus / "wav").glob("*.wav")):
        waveform, rate = soundfile.read(path)
        soundfile.write(path, np.resize(waveform, rate // 2 if path.name.startswith("03") else rate), rate)
    argv = ["--data-dir", corpus, "--encoder", tiny_encoder, "--results-dir", tmp_path / "results", "--method", "head"]
    argv += ["--tail", "drop"]
    assert run_script(table3_emodb.main, table3_emodb.make_parser(), list(map(str, argv))) == 2
    message = capsys.readouterr().err
    assert "--tail drop: found no utterance of a second or more in the test part of fold 03; expected" in message
    assert "Use --tail overlap." in message
    assert not (tmp_path / "results" / "table3_emodb").exists()


def test_level_is_heard_where_the_speaker_is_known_alone():
    for name, front_end in (("table1_savee", "trimmed"), ("table2_omg", "normalized"), ("table3_emodb", "normalized")):
        heard = {one.front_end for one in EXPERIMENTS[name].conditions.values() if one.method in ON_UTTERANCES}
        assert heard == {front_end}


def test_table2(table2):
    metrics = read_metrics(table2, "table2_omg", "official")
    assert set(metrics["fold"]) == {"pooled"}
    assert {"f1_micro", "concordance_correlation_coefficient_arousal", "concordance_correlation_coefficient_valence"} <= set(
        metrics["metric"]
    )
    predictions = read_predictions(table2, "table2_omg", "official")
    assert len(predictions) == 8  # the validation part: two videos of four utterances
    assert predictions["arousal_prediction"].between(0, 1).all()
    assert predictions["valence_prediction"].between(-1, 1).all()


def test_table2_leaves_a_test_part_with_labels_alone(tiny_corpora, tmp_path):
    from began.sound_hashes import SoundHashes
    from experiments.corpora.duplicates import read_sounds

    def list_parts(folder: Path) -> list[list[str]]:
        utterances = read_sounds(load("omg", folder), SoundHashes(tmp_path / "cache")).utterances
        (split,) = make_splits(EXPERIMENTS["table2_omg"].conditions["official"], utterances, 0, run=1)
        parts = [split.fitting, split.test, *(part for inner in split.inner for part in (inner.train, inner.validation))]
        return [utterances["utterance"].iloc[part].tolist() for part in parts]

    corpus = tmp_path / "OMG"
    shutil.copytree(tiny_corpora / "OMG", corpus)
    rows = pd.read_csv(corpus / "omg_ValidationVideos.csv")
    for video in rows["video"].unique():
        shutil.copytree(corpus / video, corpus / f"test_{video}")
    rows.assign(video="test_" + rows["video"]).to_csv(corpus / "omg_TestVideos_WithLabels.csv", index=False)
    assert set(load("omg", corpus).utterances["split"]) > {"test"}
    assert list_parts(corpus) == list_parts(tiny_corpora / "OMG")


def test_table2_tests_on_the_test_part_where_its_labels_are_there(tiny_corpora, tiny_encoder, tmp_path):
    options = ["--method", "statistics", "--conditions", "source_disjoint_test"]
    argv = [*options, "--data-dir", str(tiny_corpora / "OMG"), "--encoder", str(tiny_encoder)]
    with pytest.raises(InputError, match="no labelled test part; expected omg_TestVideos_WithLabels.csv"):
        table2_omg.main(table2_omg.make_parser().parse_args(argv))
    folder = shutil.copytree(tiny_corpora / "OMG", tmp_path / "OMG")
    lines = (folder / omg.FILES["test"]).read_text().splitlines()
    rows = [f"{line},0.5,{number / 10},{number}" for number, line in enumerate(lines[1:])]
    (folder / omg.TEST_WITH_LABELS).write_text("\n".join([",".join(omg.COLUMNS), *rows]))
    run_table("table2_omg", folder, tiny_encoder, tmp_path, *options)
    predictions = read_predictions(tmp_path, "table2_omg", "source_disjoint_test_utterance_statistics")
    assert set(predictions["utterance"]) == {row["utterance"] for row in omg.read_annotations(folder) if row["split"] == "test"}


def test_table3_from_start_to_model_and_again(tiny_corpora, tiny_encoder, tmp_path, capsys, monkeypatch):
    before = tiny_encoder.read_bytes()
    run_table("table3_emodb", tiny_corpora / "EmoDB", tiny_encoder, tmp_path, "--runs", 2)
    metrics = read_metrics(tmp_path, "table3_emodb", "head_per_second")
    assert sorted(set(metrics["run"])) == [1, 2]
    assert set(metrics.loc[metrics["split"] == "test", "fold"]) == {"03", "08", "09", "10", "pooled"}
    predictions = read_predictions(tmp_path, "table3_emodb", "head_per_second")
    assert (predictions.groupby("run")["utterance"].nunique() == 28).all()
    assert (predictions["fold"] == predictions["speaker"]).all()
    run = tmp_path / "table3_emodb" / "head_per_second" / "run1"
    assert {"config.json", "environment.json", "history.csv", "predictions.csv", "metrics.csv"} == {
        path.name for path in run.iterdir()
    }
    assert len(read_trials(tmp_path, "table3_emodb", "head_per_second")) == 4 * 2
    assert tiny_encoder.read_bytes() == before
    written = (run / "metrics.csv").stat().st_mtime_ns
    capsys.readouterr()
    monkeypatch.setattr("experiments.evaluation.evaluation_loop.prepare", None)  # with nothing left to do, it is not called
    run_table("table3_emodb", tiny_corpora / "EmoDB", tiny_encoder, tmp_path, "--runs", 2)
    assert capsys.readouterr().out.count("complete in") == 2
    assert (run / "metrics.csv").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("script", "folder", "condition", "n_tested"),
    [
        ("table1_savee", "SAVEE", "utterance_split_utterance_statistics_speaker_normalized", None),
        ("table2_omg", "OMG", "source_disjoint_utterance_statistics_speaker_normalized", 8),
        ("table3_emodb", "EmoDB", "utterance_statistics_speaker_normalized", 28),
    ],
)
def test_every_table_takes_the_second_method(tiny_corpora, tiny_encoder, tmp_path, capsys, script, folder, condition, n_tested):
    more = "--method", "statistics", "--normalize-speakers", "--tail", "pad"
    run_table(script, tiny_corpora / folder, tiny_encoder, tmp_path, *more)
    assert "note: --max-evals, --epochs, --tail: without effect with --method statistics" in capsys.readouterr().out
    metrics = read_metrics(tmp_path, script, condition)
    assert set(metrics.loc[metrics["split"] == "test", "level"]) == {"recording", "utterance"}
    assert n_tested in (None, len(read_predictions(tmp_path, script, condition)))
    trials = read_trials(tmp_path, script)
    assert set(trials["statistics"]) == {"spread", "spread_mean"} and set(trials["blocks"]) == {"all", "first"}
    config = json.loads((tmp_path / script / condition / "run1" / "config.json").read_text())
    assert (
        config["normalize_speakers"]
        and config["front_end"] == ("trimmed" if script == "table1_savee" else "normalized")
        and not {"epochs", "max_evals", "pooling"} & set(config)
    )


def test_classes_may_have_any_name():
    """`self` is no argument, nor are the names of columns that a class does not share."""
    table = pd.DataFrame({"utterance": ["a", "b"], "speaker": "x", "label": ["self", "other"]})
    data = SimpleNamespace(corpus=Corpus("own", table, ("other", "self")))
    scores = np.array([[0.2, 0.8], [0.7, 0.3]])
    listed = list_predictions(data.corpus.utterances.iloc[[0, 1]], "x", {CATEGORICAL: scores}, data.corpus.labels)
    assert list(listed.columns) == ["utterance", "speaker", "fold", "target", "prediction", "other", "self"]
    assert list(listed["prediction"]) == ["self", "other"] and list(listed["self"]) == [0.8, 0.3]


def test_utterance_heads_are_scored_as_recorded_and_with_their_copies(tiny_corpora, tiny_encoder, tmp_path, monkeypatch):
    from classifiers.predictor import load_predictor

    shorten_heads(monkeypatch)
    make_few_copies(monkeypatch)
    corpus = tiny_corpora / "EmoDB"
    run_table("table3_emodb", corpus, tiny_encoder, tmp_path, "--method", "utterance", "--max-evals", 1)
    metrics, folder = read_metrics(tmp_path, "table3_emodb"), tmp_path / "table3_emodb" / "utterance_head"
    assert set(metrics.loc[metrics["split"] == "test", "level"]) == {"recording", "utterance"}
    assert set(metrics.loc[metrics["split"] == "validation", "fold"]) == {"03", "08", "09", "10"}
    predictions = read_predictions(tmp_path, "table3_emodb", "utterance_head")
    assert len(predictions) == len(list((corpus / "wav").iterdir())) and predictions["utterance"].is_unique
    config = json.loads((folder / "run1" / "config.json").read_text())
    assert "tail" not in config and "epochs" not in config and config["method"] == "utterance"

    predictor = load_predictor(folder / "model.keras")
    assert predictor.kind == "utterance" and predictor.metadata["speeds"] == [1.0, 0.9]
    tested = predictor.metadata["tested"]
    rows = metrics[(metrics["fold"] == "pooled") & (metrics["level"] == "utterance") & (metrics["metric"] == "accuracy")]
    assert tested["accuracy"] == pytest.approx(rows["value"].mean(), abs=1e-4) and tested["runs"] == 1
    text = (tmp_path / "tables" / "table3.md").read_text()
    assert "| `utterance_head`" in text and "recording" in text

    assert predictor.metadata["components_sha256"] == config["components_sha256"]
    written = (folder / "model.keras").stat().st_mtime_ns
    run_table("table3_emodb", corpus, tiny_encoder, tmp_path, "--method", "utterance", "--max-evals", 1)
    assert (folder / "model.keras").stat().st_mtime_ns == written  # nothing is trained again

    run_table("table3_emodb", corpus, tiny_encoder, tmp_path, "--method", "utterance", "--max-evals", 1, "--ensemble", 2)
    ensemble = folder.with_name("utterance_head_ensemble_2")
    searches = [path.name for path in (folder / "search").glob("*.csv")]
    assert len(searches) == 4
    for name in searches:  # nothing is searched again
        assert (ensemble / "search" / name).read_bytes() == (folder / "search" / name).read_bytes()
    assert json.loads((ensemble / "run1" / "config.json").read_text()) == {**config, "ensemble_size": 2}
    merged = load_predictor(ensemble / "model.keras")
    trunks = [one.model.get_layer("head").get_layer("trunk") for one in (predictor, merged)]
    n_filters = [trunk.get_layer("convolution1").units for trunk in trunks]
    assert n_filters == [96, 192] and merged.metadata["ensemble_size"] == 2
    assert merged.metadata["calibration"]["folds"] == 3
    text = (tmp_path / "tables" / "table3.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith("| `utterance_head_ensemble_2`") and "seeds" in line]
    assert "| searched head on the whole utterance, 2 seeds made into one |" in row


def test_an_ensemble_scores_as_the_mean_of_its_members():
    from classifiers.head_parameters import UTTERANCE
    from classifiers.heads import merge_scores
    from classifiers.training import HeadJob, train_head
    from experiments.evaluation.searched_heads import list_members, train_ensembles

    generator = np.random.default_rng(0)
    names, targets = name_statistics((1, 1, 1, 1)), np.arange(24) % 2
    features = generator.standard_normal((24, 40, 1, len(names))).astype(np.float32)
    parameters = {"n_steps": 5, "filters": 4}
    job = HeadJob(
        features=features,
        targets=targets,
        utterance=np.arange(24),
        task=CATEGORICAL,
        parameters=parameters,
        epochs=1,
        seed=3,
        n_outputs=2,
        rows=np.arange(16),
        test_rows=np.arange(16, 24),
        statistics=names,
    )
    assert job.kind == UTTERANCE
    members = list_members(job, 3)
    assert members[0] == job and len({member.seed for member in members}) == 3
    (scores,), (history,) = train_ensembles([job], 3, workers=1, progress="training")
    each = np.stack([train_head(member).scores for member in members])
    np.testing.assert_allclose(scores, merge_scores(CATEGORICAL, each), atol=1e-6)
    assert np.abs(each - scores).max() > 1e-3 and history["epoch"].is_unique


def describe_copies_of(features_of: Path) -> list[int]:
    """Returns how many copies of an utterance each cache of features holds."""
    return sorted(np.load(path, mmap_mode="r").shape[1] for path in features_of.rglob("features.npy"))


def test_without_altered_copies_a_condition_has_its_own_name_and_features(tiny_corpora, tiny_encoder, tmp_path, monkeypatch):
    from classifiers.description import read_description

    shorten_heads(monkeypatch)
    make_few_copies(monkeypatch)
    options = ("--method", "utterance", "--max-evals", 1, "--no-augment")
    run_table("table3_emodb", tiny_corpora / "EmoDB", tiny_encoder, tmp_path, *options)
    folder = tmp_path / "table3_emodb" / "utterance_head_without_altered_copies"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert json.loads((folder / "run1" / "config.json").read_text())["altered_copies"] is False
    assert describe_copies_of(tmp_path / "cache") == [2]
    assert read_description(folder / "model.keras")["altered_copies"] is False
    assert "searched head on the whole utterance, without altered copies" in (tmp_path / "tables" / "table3.md").read_text()


@pytest.mark.parametrize(
    ("options", "name", "altered"),
    [
        ((), "utterance_split_utterance_head", True),
        (("--augment",), "utterance_split_utterance_head", True),
        (("--no-augment",), "utterance_split_utterance_head_without_altered_copies", False),
        (("--front-end", "literal"), "utterance_split_utterance_head", False),
    ],
)
def test_altered_copies_are_an_option_of_heads_on_whole_utterances(options, name, altered):
    from experiments import custom, table1_savee
    from experiments.evaluation.options import choose_method

    arguments = table1_savee.make_parser().parse_args(["--data-dir", "d", "--encoder", "e", *options])
    chosen = choose_method(table1_savee.EXPERIMENT.conditions["utterance_split"], arguments)
    assert (chosen.name, chosen.altered_copies) == (name, altered)
    if chosen.method == "utterance":
        assert chosen.options["altered_copies"] == altered
    words = ["--manifest", "m", "--encoder", "e", "--protocol", "loso", "--name", "mine", *options]
    assert custom.make_parser().parse_args(words).augment == arguments.augment


def test_utterance_heads_learn_arousal_and_valence(tiny_corpora, tiny_encoder, tmp_path, monkeypatch):
    """With all the copies that an utterance has outside of tests."""
    shorten_heads(monkeypatch)
    more = ("--conditions", "official", "--method", "utterance", "--max-evals", 1)
    run_table("table2_omg", tiny_corpora / "OMG", tiny_encoder, tmp_path, *more)
    predictions = read_predictions(tmp_path, "table2_omg", "official_utterance_head")
    assert {"arousal_prediction", "valence_prediction", "prediction"} <= set(predictions)
    assert describe_copies_of(tmp_path / "cache") == [21]
    assert (tmp_path / "table2_omg" / "official_utterance_head" / "model-dimensional.keras").is_file()


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("utterance_head", "any"),
        ("mine", "any"),
        ("utterance_head_16_filters", "began-16-filters"),
        ("utterance_head_16_filters", "any"),
    ],
)
def test_a_condition_of_table_3_runs_on_the_encoder_that_the_user_names(name, encoder, tmp_path, monkeypatch):
    """It must be the one of the record, where that has one."""
    ran = []
    monkeypatch.setattr(table3_emodb, "open_corpus", lambda *_: None)
    monkeypatch.setattr(table3_emodb, "evaluate", lambda conditions, *_: ran.extend(conditions))
    for step in ("check_conditions", "render"):
        monkeypatch.setattr(table3_emodb, step, lambda *_: None)
    path = tmp_path / encoder / "encoder.keras"
    arguments = ["--data-dir", "EmoDB", "--encoder", str(path), "--results-dir", str(tmp_path), "--condition", name]
    parsed = table3_emodb.make_parser().parse_args(arguments)
    if name.endswith("16_filters") and encoder == "any":
        with pytest.raises(
            InputError, match=r"any/encoder\.keras; expected …/began-16-filters/encoder\.keras\. Choose another"
        ):
            table3_emodb.main(parsed)
        return
    table3_emodb.main(parsed)
    assert [condition.name for condition in ran] == [name]
    assert read_settings(parsed).find_encoder(ran[0]) == path
