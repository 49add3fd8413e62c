"""Models on other corpora: which classes are shared, what is scored, and what is written and said."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricated import fill_with_noise

from began.command_line import run_script
from began.errors import InputError
from classifiers.metrics import evaluate_classification, expected_calibration_error
from experiments import custom, evaluate
from experiments.corpora import open_corpus, savee, synthetic
from experiments.evaluation.result_files import read_table, write_table
from experiments.evaluation.runs import RunFolder
from experiments.reporting.consistency import read_scored
from experiments.reporting.intervals import t_interval

LABELS = ["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"]


@pytest.fixture(scope="module")
def models(tiny_encoder, tmp_path_factory):
    """Kind and task -> file of a model with initial weights, trained on nothing."""
    from began.components import read_components
    from began.encoder import load_frozen_encoder
    from began.utterance_encoder import UtteranceEncoder
    from classifiers import head_parameters, heads
    from classifiers.predictor import build_predictor, save_predictor

    folder, made = tmp_path_factory.mktemp("models"), {}
    frozen = load_frozen_encoder(tiny_encoder)
    whole = UtteranceEncoder.of(frozen, "normalized", read_components(tiny_encoder))
    common = {"tail": "overlap", "aggregation": "mean", "corpus": "toy", "experiment": "custom", "condition": "toy"}
    for kind, task in (("second", "categorical"), ("utterance", "categorical"), ("utterance", "dimensional")):
        parameters, shape = head_parameters.resolve_parameters(task, kind=kind), frozen.feature_shape
        if kind == "utterance":
            columns = head_parameters.choose_statistics(parameters, whole.statistics)
            shape = (40, 1, len(columns))
        n_outputs = len(LABELS) if task == "categorical" else 2
        normalization = np.zeros((shape[0], shape[-1]), np.float32), np.ones((shape[0], shape[-1]), np.float32)
        head = fill_with_noise(heads.build_head(task, shape, n_outputs, parameters, 3, normalization, kind))
        metadata = {**common, "task": task, "kind": kind, "parameters": parameters, "speeds": [1.0, 0.9], "n_utterances": 5}
        metadata |= {"labels": LABELS} if task == "categorical" else {}
        path = folder / f"{kind}-{task}" / "model.keras"
        save_predictor(path, build_predictor(whole if kind == "utterance" else frozen, head, metadata))
        made[kind, task] = path
    return made


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Rows of a manifest in other words than the models': 3 speakers, 4 emotions, 2 sentences."""
    words = {"W": "angry", "N": "neutral", "T": "sad", "F": "amused"}
    emotions = ("anger", "neutral", "sadness", "happiness")
    folder = synthetic.write_emodb(tmp_path_factory.mktemp("own"), speakers=3, n_texts=2, emotions=emotions, seconds=1.2)
    rows = []
    for number, path in enumerate(sorted((folder / "wav").glob("*.wav"))):
        rows.append({"file": str(path), "label": words[path.name[5]], "speaker": f"voice {path.name[:2]}"})
        rows[-1] |= {"arousal": (number % 5) / 4, "valence": (number % 3) - 1, "split": ("train", "test")[number // 4 % 2]}
    return pd.DataFrame(rows)


@pytest.fixture
def manifest(recordings, tmp_path):
    def write(*columns):
        recordings[["file", *columns]].to_csv(tmp_path / "other.csv", index=False)
        return tmp_path / "other.csv"

    return write


def run(*argv):
    return run_script(evaluate.main, evaluate.make_parser(), [str(word) for word in argv])


@pytest.fixture
def without_pictures(monkeypatch):
    """Where nobody looks at them."""
    monkeypatch.setattr(evaluate, "_draw", lambda *arguments: None)


MAP = ("--map", "angry=anger", "sad=sadness")


@pytest.mark.parametrize("kind", ["second", "utterance"])
def test_scores_are_those_of_predict_with_and_without_labels(models, manifest, tmp_path, kind, capsys):
    from classifiers.predictor import load_predictor

    model = models[kind, "categorical"]
    path = manifest("label", "speaker")
    assert run("--model", model, "--manifest", path, *MAP, "--results-dir", tmp_path) == 0
    said = capsys.readouterr().out
    folder = tmp_path / "evaluate" / "custom_toy_on_other_angry_as_anger_sad_as_sadness"
    assert json.loads((folder / "config.json").read_text())["map"] == {"angry": "anger", "sad": "sadness"}

    table = read_table(folder / "predictions.csv")
    assert len(table) == 18 and set(table["target"]) == {"anger", "neutral", "sadness"}
    predictor = load_predictor(model)
    shared = predictor.restrict(["anger", "neutral", "sadness"])
    for name, one in (("predictions", predictor), ("predictions_restricted", shared)):
        found = read_table(folder / f"{name}.csv")
        for row in found.sample(4, random_state=0).to_dict("records"):
            expected = one.predict_file(row["utterance"])
            np.testing.assert_allclose([row[label] for label in LABELS], expected.scores, atol=1e-6)
            assert row["prediction"] == one.label_of(expected.scores)
    assert set(read_table(folder / "predictions_restricted.csv")["prediction"]) <= {"anger", "neutral", "sadness"}

    metrics = read_table(folder / "metrics.csv")
    values = metrics.set_index(["fold", "metric"])["value"]
    assert set(metrics["fold"]) == {"pooled", "voice 03", "voice 08", "voice 09"}
    for prefix, name in (("", "predictions"), ("restricted_", "predictions_restricted")):
        found = read_table(folder / f"{name}.csv")
        expected = evaluate_classification(found["target"], found["prediction"], LABELS, found[LABELS].to_numpy())
        for metric, value in expected.items():
            assert values["pooled", prefix + metric] == pytest.approx(value)
        error = expected_calibration_error(found["target"], LABELS, found[LABELS].to_numpy())
        assert values["pooled", f"{prefix}expected_calibration_error"] == pytest.approx(error)

    assert "6 utterances left out, for the model has no such class: amused 6" in said
    assert "the corpus has no boredom, disgust, fear, happiness" in said
    mean, low, high, n = t_interval([values[f"voice {name}", "unweighted_average_recall"] for name in ("03", "08", "09")], 0, 1)
    assert n == 3 and f"{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})" in said
    assert re.search(r"always anger +33\.3 +33\.3", said)
    for name in ("confusion", "confusion_restricted", "calibration", "calibration_restricted"):
        assert (folder / f"{name}.png").stat().st_size > 5000


@pytest.mark.usefixtures("without_pictures")
def test_a_second_call_predicts_nothing_and_says_the_same(models, manifest, tmp_path, capsys, monkeypatch):
    argv = ["--model", models["utterance", "categorical"], "--name", "mine", "--manifest", manifest("label", "speaker"), *MAP]
    assert run(*argv, "--results-dir", tmp_path) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("experiments.evaluation.trained_model.predict_corpus", None)
    path = tmp_path / "evaluate" / "mine" / "metrics.csv"
    metrics = path.read_bytes()
    change(value=0.123)(path)  # its predictions tell better
    assert run(*argv, "--results-dir", tmp_path) == 0
    assert capsys.readouterr().out == first and path.read_bytes() == metrics
    assert run(*argv[:-1], "--results-dir", tmp_path) == 2  # another map
    message = capsys.readouterr().err
    assert "mine (made with other settings; names, labels or speakers of utterances are not the same): found map=" in message
    argv[1] = models["second", "categorical"]
    assert run(*argv, "--results-dir", tmp_path) == 2
    assert "mine (made with other settings; models are not the same): found model_sha256=" in capsys.readouterr().err


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize(("one", "other"), [("ravdess", "tess"), ("日本語", "русский")])
def test_each_corpus_and_each_map_has_its_folder(models, recordings, tmp_path, capsys, one, other):
    """Manifests that the project writes all have one name; and the hint at --map is followed where a first call has ended."""
    argv, manifests = ["--model", models["utterance", "categorical"], "--results-dir", tmp_path], []
    for corpus, rows in ((one, recordings[:16]), (other, recordings[8:])):
        manifests.append(tmp_path / corpus / "manifest.csv")
        manifests[-1].parent.mkdir()
        rows[["file", "label", "speaker"]].to_csv(manifests[-1], index=False)
    assert run(*argv, "--manifest", manifests[0], *MAP) == 0 == run(*argv, "--manifest", manifests[1], *MAP)
    assert f", trained on toy (5 utterances), on {other}:" in capsys.readouterr().out
    assert run(*argv, "--manifest", manifests[1], *MAP, "amused=happiness") == 0
    names = (f"{one}_angry_as_anger", f"{other}_amused_as_happiness_angry_as_anger", f"{other}_angry_as_anger")
    folders = sorted(path.name for path in (tmp_path / "evaluate").iterdir())
    assert folders == sorted(f"custom_toy_on_{name}_sad_as_sadness" for name in names)


def test_names_of_folders_tell_corpora_apart():
    def name(corpus, **renamed):
        model = {"experiment": "table3_emodb", "condition": "utterance_head"}
        arguments = SimpleNamespace(model=Path("model.keras"), split=None)
        made = evaluate._name(arguments, model, SimpleNamespace(name=corpus), renamed)
        assert RunFolder("results", "evaluate", made).condition == made and len(made.encode()) < 255
        return made.removeprefix("table3_emodb_utterance_head_on_")

    assert name("my  corpus-2__b") == "my_corpus_2_b" and name("müller", wütend="anger") == "müller_wütend_as_anger"
    assert name("mu\u0308ller") == "müller"
    assert name("RAVDESS – speech") == "RAVDESS_speech"
    long = "anger" * 60
    alike = [name(one) for one in ("हिन्दी", "हान्दा", "---", "??", "\udcff", "\udcfe", "日" * 100, long + "a", long + "b")]
    assert len(set(alike)) == 9


def change(**columns):
    """Sets the first cells of some columns of a table."""

    def damage(path):
        table = read_table(path)
        write_table(path, table.assign(**{name: [value, *table[name][1:]] for name, value in columns.items()}))

    return damage


def without(column):
    return lambda path: write_table(path, read_table(path).drop(columns=column))


def keep(n_letters):
    return lambda path: path.write_text(path.read_text()[:n_letters])


DAMAGES = {
    "gone": Path.unlink,
    "empty": keep(0),
    "its header alone": lambda path: write_table(path, read_table(path)[:0]),
    "cut between rows": lambda path: write_table(path, read_table(path)[:-1]),
    "cut in a row": keep(-30),
    "text": change(fear="high"),
    "no number": change(fear=np.nan),
    "no prediction": change(prediction=""),
    "a class that is none": change(target="joy"),
    "another speaker": change(speaker="voice 09", fold="voice 09"),
    "another order": lambda path: write_table(path, read_table(path)[::-1]),
    **{
        f"no column {name}": without(name) for name in ("utterance", "speaker", "fold", "target", "prediction", "fear", "anger")
    },
}


@pytest.fixture(scope="module")
def scored(models, recordings, tmp_path_factory):
    """Command line of a call whose results are there, and what it reads them again with."""
    folder, given = tmp_path_factory.mktemp("scored"), {}
    recordings[["file", "label", "speaker"]].to_csv(folder / "other.csv", index=False)
    argv = ["--model", models["utterance", "categorical"], "--manifest", folder / "other.csv", *MAP, "--name", "mine"]

    def read(run, name, *of_corpus):
        given[name] = of_corpus
        return read_scored(run, name, *of_corpus)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "read_scored", read)
        patch.setattr(evaluate, "_draw", lambda *arguments: None)
        assert run(*argv, "--results-dir", folder / "results") == 0
    assert list(given) == list(evaluate.FILES)
    return argv, folder / "results", given


@pytest.mark.parametrize("name", evaluate.FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_get_one_message(scored, tmp_path, damage, name):
    _, results, given = scored
    folder = RunFolder(shutil.copytree(results, tmp_path / "results"), "evaluate", "mine")
    read_scored(folder, name, *given[name])
    DAMAGES[damage](folder.path / f"{name}.csv")
    with pytest.raises(InputError) as error:
        read_scored(folder, name, *given[name])
    assert str(error.value).startswith(f"{folder.path / f'{name}.csv'}: found ") and "; expected " in str(error.value)
    assert str(error.value).endswith("Remove its folder and run the experiment again.")


@pytest.mark.parametrize("name", evaluate.FILES)
def test_damaged_results_end_the_command(scored, tmp_path, capsys, name):
    argv, results, _ = scored
    path = shutil.copytree(results, tmp_path / "results") / "evaluate" / "mine" / f"{name}.csv"
    DAMAGES["another order"](path)
    assert run(*argv, "--results-dir", tmp_path / "results") == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: found ")


def test_a_recording_that_changes_meanwhile_gets_no_scores(models, tmp_path, capsys, monkeypatch):
    from experiments.evaluation import trained_model

    real, folder = trained_model.predict_corpus, synthetic.write_emodb(tmp_path / "EmoDB", speakers=3, n_texts=1, seconds=0.5)
    argv = ["--model", models["second", "categorical"], "--corpus", "emodb", "--data-dir", folder, "--name", "mine"]

    def change(predictor, corpus):
        first, second = (Path(path) for path in corpus.utterances["path"][:2])
        first.write_bytes(second.read_bytes())
        return real(predictor, corpus)

    monkeypatch.setattr(trained_model, "predict_corpus", change)
    assert run(*argv, "--results-dir", tmp_path) == 2
    assert "emodb: found recordings that were changed since the start: 1 of 21 (03a01Aa)" in capsys.readouterr().err
    assert not list((tmp_path / "evaluate" / "mine").glob("*.csv"))
    assert run(*argv, "--results-dir", tmp_path) == 2  # the run was begun with what was there at first
    assert "found a run on recordings that have changed since: 1 of 21" in capsys.readouterr().err


@pytest.mark.usefixtures("without_pictures")
def test_scores_on_a_manifest_go_where_git_does_not_look(models, manifest, tiny_corpora, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("--model", models["utterance", "categorical"], "--manifest", manifest("label"), *MAP) == 0
    assert (
        "wrote my-results/evaluate/custom_toy_on_other_angry_as_anger_sad_as_sadness\n" in capsys.readouterr().out
        and not Path("results").exists()
    )
    assert run("--model", models["second", "categorical"], "--corpus", "emodb", "--data-dir", tiny_corpora / "EmoDB") == 0
    assert [path.name for path in Path("results", "evaluate").iterdir()] == ["custom_toy_on_emodb"]


def test_what_is_there_is_said_before_it_is_read(models, manifest, tmp_path, capsys, monkeypatch):
    """A thousand files take a while: whoever waits, or follows a log file, sees at once what for."""
    said = []

    def look(*_, **__):
        said.append(capsys.readouterr().out)
        raise InputError("stopped")

    argv = ["--manifest", manifest("label", "speaker"), "--results-dir", tmp_path]
    monkeypatch.setattr("experiments.corpora.check_audio", look)
    assert run("--model", models["utterance", "categorical"], *argv, *MAP) == 2
    monkeypatch.setattr("experiments.custom.check_audio", look)
    words = [*argv, "--encoder", "e", "--name", "n", "--protocol", "kfold"]
    monkeypatch.setattr("experiments.custom.check_conditions", lambda *_: None)
    assert run_script(custom.main, custom.make_parser(), list(map(str, words))) == 2
    assert said == ["other: 24 utterances; 3 speakers; amused 6, angry 6, neutral 6, sad 6\n"] * 2


@pytest.mark.usefixtures("without_pictures")
def test_a_corpus_with_all_classes_is_scored_once(models, tmp_path, capsys):
    folder = synthetic.write_emodb(tmp_path / "EmoDB", speakers=3, n_texts=1, seconds=0.5)
    argv = ["--model", models["utterance", "categorical"], "--corpus", "emodb", "--data-dir", folder, "--name", "mine"]
    assert run(*argv, "--results-dir", tmp_path) == 0
    assert sorted(path.name for path in (tmp_path / "evaluate" / "mine").glob("*.csv")) == ["metrics.csv", "predictions.csv"]
    assert not read_table(tmp_path / "evaluate" / "mine" / "metrics.csv")["metric"].str.startswith("restricted").any()
    assert "shared classes" not in capsys.readouterr().out


def test_arousal_and_valence_get_concordance(models, manifest, tmp_path, capsys):
    argv = ["--model", models["utterance", "dimensional"], "--manifest", manifest("arousal", "valence", "speaker")]
    assert run(*argv, "--results-dir", tmp_path) == 0
    folder = tmp_path / "evaluate" / "custom_toy_on_other"
    values = read_table(folder / "metrics.csv").set_index(["fold", "metric"])["value"]
    found = f"{values['pooled', 'concordance_correlation_coefficient_valence']:.3f}".replace("-", "−")
    assert found in capsys.readouterr().out
    assert (folder / "arousal_valence.png").is_file()


@pytest.mark.usefixtures("without_pictures")
def test_one_part_of_the_corpus_is_scored_alone(models, manifest, recordings, tmp_path):
    argv = ["--model", models["utterance", "categorical"], "--manifest", manifest("label", "split"), *MAP, "--split", "test"]
    assert run(*argv, "--results-dir", tmp_path) == 0
    folder = tmp_path / "evaluate" / "custom_toy_on_other_test_angry_as_anger_sad_as_sadness"
    expected = recordings[(recordings["split"] == "test") & (recordings["label"] != "amused")]["file"]
    assert set(read_table(folder / "predictions.csv")["utterance"]) == set(expected)
    assert set(read_table(folder / "metrics.csv")["fold"]) == {"pooled"}  # no speakers are known


@pytest.mark.usefixtures("without_pictures")
def test_recordings_of_unknown_speakers_count_in_pooled_scores_alone(models, recordings, tmp_path, capsys):
    speakers = recordings["speaker"].replace({"voice 09": "unknown"})
    recordings[["file", "label"]].assign(speaker=speakers).to_csv(tmp_path / "other.csv", index=False)
    argv = ["--model", models["utterance", "categorical"], "--manifest", tmp_path / "other.csv", *MAP, "--name", "mine"]
    assert run(*argv, "--results-dir", tmp_path) == 0
    said = capsys.readouterr().out
    assert "24 utterances; 2 speakers and 8 utterances of unknown speakers" in said
    assert "mean UAR over 2 speakers  " in said and not re.search("^unknown", said, re.MULTILINE)
    assert "95 % interval" not in said  # two have none
    assert len(read_table(tmp_path / "evaluate" / "mine" / "predictions.csv")) == 18
    assert set(read_table(tmp_path / "evaluate" / "mine" / "metrics.csv")["fold"]) == {"pooled", "voice 03", "voice 08"}


@pytest.mark.parametrize(
    ("task", "columns", "more", "said"),
    [
        ("categorical", ["label"], ["--map", "angry"], "expected LABEL=CLASS"),
        ("categorical", ["label"], ["--map", "angry=anger", "angry=fear"], "angry twice"),
        ("categorical", ["label"], ["--map", "cross=anger"], "a label of the corpus: amused, angry, neutral, sad"),
        ("categorical", ["label"], ["--map", "angry=rage"], "a class of the model: anger, boredom"),
        ("categorical", ["label"], [], "at least two classes of the model"),
        ("categorical", ["label"], ["--map", "amused=neutral"], "found the labels angry, neutral, sad after --map; expected"),
        ("categorical", ["arousal", "valence"], [], "no column label"),
        ("categorical", ["label"], [*MAP, "--split", "test"], "no column split"),
        ("categorical", ["label"], [*MAP, "--data-dir", "data"], "--data-dir"),
        ("dimensional", ["label"], [], "no columns arousal and valence"),
        ("dimensional", ["label", "arousal", "valence"], MAP, "no --map"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(models, manifest, tmp_path, capsys, task, columns, more, said):
    argv = [
        "--model",
        models["utterance", task],
        "--manifest",
        manifest(*columns),
        *more,
        "--results-dir",
        tmp_path / "results",
    ]
    assert run(*argv) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["../x", ".x"])
def test_names_that_no_folder_can_have_are_refused_before_the_corpus_is_read(models, manifest, tmp_path, capsys, name):
    argv = ["--model", models["utterance", "categorical"], "--manifest", manifest("label"), *MAP, "--results-dir", tmp_path]
    assert run(*argv, "--name", name) == 2
    out, err = capsys.readouterr()
    assert not out and f"name of the condition: found {name!r}; expected" in err


def test_a_model_on_what_it_was_trained_on_says_so(models, tmp_path, capsys):
    from experiments.corpora import load
    from experiments.evaluation.trained_model import describe_warnings

    folder = synthetic.write_emodb(tmp_path / "EmoDB", speakers=3, n_texts=1, seconds=0.3)
    corpus, known = load("emodb", folder), {"corpus": "EmoDB", "labels": LABELS}
    assert "was trained on EmoDB" in describe_warnings(corpus, known, {}, None)[0]
    assert describe_warnings(corpus, known | {"corpus": "SAVEE"}, {}, None) == []
    of_training_part = known | {"trained_on": "training part"}
    assert describe_warnings(corpus, of_training_part, {}, "test") == []
    assert len(describe_warnings(corpus, of_training_part, {}, "train")) == 1
    sounds = corpus.utterances.assign(sound=[f"{number:064x}" for number in range(10, 10 + len(corpus.utterances))][::-1])
    corpus = replace(corpus, name="manifest", utterances=sounds.assign(sound=sounds["sound"].str[::-1]))
    of_two = known | {"sounds": [sound[:8] for sound in corpus.utterances["sound"][:2]]}
    assert describe_warnings(corpus, of_two, {}, None)[0].startswith("the model was trained on 2 of these")
    of_others = known | {"sounds": ["0"]}
    assert describe_warnings(corpus, of_others, {}, None) == []
    assert "was trained on EmoDB" in describe_warnings(replace(corpus, name="emodb"), of_others, {}, None)[0]
    assert describe_warnings(corpus, of_others | {"corpus": "manifest"}, {}, None) == []  # files of one name, other recordings
    assert "was trained on manifest" in describe_warnings(corpus, known | {"corpus": "manifest"}, {}, None)[0]


@pytest.mark.usefixtures("without_pictures")
def test_labels_are_matched_whatever_their_case_where_one_class_is_meant(models, recordings, tmp_path, capsys):
    from experiments.evaluation.trained_model import match_classes

    labels = recordings["label"].replace({"angry": "Anger", "sad": "SADNESS"})
    recordings[["file"]].assign(label=labels).to_csv(tmp_path / "other.csv", index=False)
    assert run("--model", models["second", "categorical"], "--manifest", tmp_path / "other.csv", "--results-dir", tmp_path) == 0
    said = capsys.readouterr().out
    assert "note: taken for classes of the model: Anger for anger, SADNESS for sadness\n" in said
    assert "warning: 6 utterances left out, for the model has no such class: amused 6. " in said
    assert (tmp_path / "evaluate" / "custom_toy_on_other").is_dir()  # the name has what the user mapped
    corpus = open_corpus("manifest", tmp_path / "other.csv")
    matched, left_out, by_case = match_classes(corpus, ["anger", "ANGER", "neutral", "sadness"], {})
    assert left_out == {"Anger": 6, "amused": 6} and by_case == {"SADNESS": "sadness"}
    matched, left_out, by_case = match_classes(corpus, ["anger", "neutral"], {"SADNESS": "anger", "Anger": "neutral"})
    assert left_out == {"amused": 6} and by_case == {} and len(matched.utterances) == 18


def test_a_hint_can_be_pasted(tiny_corpora):
    """Whatever the labels hold that a shell would take apart."""
    from experiments.corpora import load
    from experiments.evaluation.trained_model import describe_warnings

    for labels in (["x, y"], ["it's"], ["calm", "it's", "surprise"]):
        left_out = dict.fromkeys(labels, 1)
        (line,) = describe_warnings(load("emodb", tiny_corpora / "EmoDB"), {"labels": []}, left_out, None)
        words = shlex.split(line[line.index("--map") :])
        assert words[0] == "--map" and evaluate._read_map(words[1:]) == dict.fromkeys(labels, "CLASS")
    assert line.endswith(" surprise=CLASS")


def test_the_published_model_on_real_recordings(shared_data, tmp_path, capsys):
    if not (shared_data / "SAVEE").is_dir():
        pytest.skip("no SAVEE")
    corpus = savee.load(shared_data / "SAVEE").utterances
    chosen = corpus[corpus["speaker"] == "JK"].groupby("label").head(1)
    chosen.rename(columns={"path": "file"})[["file", "label", "speaker"]].to_csv(tmp_path / "jk.csv", index=False)
    assert run("--manifest", tmp_path / "jk.csv", "--results-dir", tmp_path) == 0
    said = capsys.readouterr().out
    assert "surprise 1" in said and "the corpus has no boredom" in said and "trained on EmoDB (535 utterances)" in said
    folder = tmp_path / "evaluate" / "table3_emodb_utterance_head_on_jk"
    assert not read_table(folder / "predictions_restricted.csv")["boredom"].any()
