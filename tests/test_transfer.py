"""Carrying over to another corpus: who is trained on, who is tested on, and what the table says of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from smaller import make_few_copies
from synthetic_corpora import write_savee

from began.command_line import run_script
from began.errors import InputError
from classifiers import head_parameters
from experiments.corpora import load, synthetic
from experiments.corpora.record import Corpus
from experiments.evaluation import transfer_runs
from experiments.evaluation.condition import SET_ASIDE, SHOTS
from experiments.evaluation.conditions import TRAININGS, carried_over
from experiments.evaluation.data import Data
from experiments.evaluation.options import Settings
from experiments.evaluation.result_files import read_json, read_table
from experiments.evaluation.runs import find_runs
from experiments.evaluation.transfer_runs import Parts, divide, join, make_job, unite
from experiments.reporting.consistency import check_results

LABELS = ("anger", "fear", "sadness")


def corpus(name: str, labels: tuple[str, ...], n_each: int, n_speakers: int = 4) -> Corpus:
    """A corpus without files; each label is spread over the speakers."""
    rows = [
        (f"{name}{label}{number:02d}", f"{name}{number % n_speakers}", label) for label in labels for number in range(n_each)
    ]
    table = pd.DataFrame(rows, columns=["utterance", "speaker", "label"])
    return Corpus(name, table.assign(sound=table["utterance"], path=table["utterance"]), labels)


@pytest.fixture
def corpora() -> dict[str, Corpus]:
    return {"emodb": corpus("emodb", (*LABELS, "boredom"), 20), "savee": corpus("savee", (*LABELS, "surprise"), 15)}


# ------------------------------------------------------------------------------------------------------------ the parts


def test_both_are_reduced_to_the_classes_that_they_share(corpora):
    together = unite(corpora)
    assert together.labels == LABELS and set(together.utterances["label"]) == set(LABELS)
    assert together.utterances["corpus"].value_counts().to_dict() == {"emodb": 60, "savee": 45}


def test_one_class_in_common_is_not_enough():
    with pytest.raises(InputError, match=r"one: anger, fear; other: anger, joy; expected at least two classes"):
        unite({"one": corpus("one", ("anger", "fear"), 20), "other": corpus("other", ("anger", "joy"), 20)})


@pytest.mark.parametrize(("source", "target"), [("emodb", "savee"), ("savee", "emodb")])
def test_what_is_set_aside_is_neither_tested_on_nor_of_the_other_corpus(corpora, source, target):
    table = unite(corpora).utterances
    parts = divide(table, target, [0, 1])
    assert len(parts.set_aside) == len(set(parts.set_aside)) == SET_ASIDE
    assert set(table["corpus"].iloc[[*parts.set_aside, *parts.test]]) == {target}
    assert sorted([*parts.set_aside, *parts.test]) == np.flatnonzero(table["corpus"] == target).tolist()
    assert parts.source.tolist() == np.flatnonzero(table["corpus"] == source).tolist()


@pytest.mark.parametrize("shots", SHOTS[1:])
def test_labelled_utterances_are_drawn_evenly_and_anew_for_every_run(corpora, shots):
    table, drawn = unite(corpora).utterances, set()
    for run in range(5):
        labelled = divide(table, "savee", [0, run]).set_aside[:shots]
        counts = table["label"].iloc[labelled].value_counts().reindex(LABELS, fill_value=0)
        assert counts.max() - counts.min() <= 1
        assert labelled.tolist() == divide(table, "savee", [0, run]).set_aside[:shots].tolist()
        drawn.add(tuple(labelled))
    assert len(drawn) == 5


def test_a_class_that_is_used_up_leaves_its_place_to_the_others(corpora):
    table = unite(corpora).utterances
    table = table[
        (table["corpus"] == "emodb") | (table["label"] != "fear") | (table.groupby(["corpus", "label"]).cumcount() < 3)
    ]
    table = pd.concat([table, corpus("savee", ("joy",), 15).utterances.assign(corpus="savee")], ignore_index=True)
    counts = table["label"].iloc[divide(table, "savee", [0, 1]).set_aside].value_counts()
    assert counts["fear"] == 3 and counts.sum() == SET_ASIDE and counts.drop("fear").min() >= 5


def test_no_sound_is_in_two_parts(corpora):
    table = unite(corpora).utterances
    is_savee = table["corpus"] == "savee"
    savee = np.flatnonzero(is_savee)
    table.loc[savee[[1, 20]], "sound"] = table["sound"].iloc[savee[[0, 40]]].to_numpy()  # copies
    table.loc[0, "sound"] = table["sound"].iloc[savee[7]]  # of EmoDB, in SAVEE, too
    for run in range(20):
        parts = divide(table, "savee", [0, run])
        sounds = [set(table["sound"].iloc[part]) for part in parts]
        assert not sounds[0] & sounds[1] and not sounds[0] & sounds[2] and not sounds[1] & sounds[2]
        assert len(sounds[1]) == SET_ASIDE and 0 not in parts.source


def test_a_corpus_that_is_too_small_is_refused():
    two = {"emodb": corpus("emodb", LABELS, 20), "savee": corpus("savee", LABELS[:2], 10)}
    with pytest.raises(InputError, match="SAVEE: found 20 different recordings of shared classes; expected more than 20"):
        divide(unite(two).utterances, "savee", [0, 1])


def test_published_corpora_share_six_classes(shared_data):
    found = {name: load(name, shared_data / folder) for name, folder in (("emodb", "EmoDB"), ("savee", "SAVEE"))}
    table = unite(found).utterances
    assert sorted(set(table["label"])) == ["anger", "disgust", "fear", "happiness", "neutral", "sadness"]
    assert table["corpus"].value_counts().to_dict() == {"emodb": 454, "savee": 420}
    parts = divide(table.assign(sound=table["utterance"]), "savee", [0, 1])
    assert [*map(len, parts)] == [454, 20, 400]


# ---------------------------------------------------------------------------------------------------------- the features


@pytest.fixture
def parts(corpora) -> dict[str, Data]:
    """Two features per recording, and a copy of each behind it, 100 above."""
    random, made = np.random.default_rng(3), {}
    for (name, one), (mean, deviation) in zip(corpora.items(), ((0.0, 1.0), (5.0, 3.0)), strict=True):
        n = len(one.utterances)
        features = random.normal(mean, deviation, (n, 2)).astype(np.float32)
        copies = np.stack([features, features + 100], axis=1).reshape(2 * n, 2)
        is_augmented = np.arange(2 * n) % 2 == 1
        made[name] = Data(one, copies, np.arange(2 * n) // 2, is_augmented, is_altered=is_augmented)
    return made


def test_features_as_they_are_stay_as_they_are(corpora, parts, tmp_path):
    together = unite(corpora)
    plain, adapted = join(parts, together, tmp_path / "features.npy")
    for name, row in together.utterances["utterance"].items():
        source = "emodb" if row.startswith("emodb") else "savee"
        before = parts[source]
        wanted = before.features[before.chunks_of([before.corpus.utterances["utterance"].tolist().index(row)], augmented=True)]
        np.testing.assert_array_equal(plain.features[plain.chunks_of([name], augmented=True)], wanted)
        np.testing.assert_array_equal(plain.features[plain.scored_of([name])], wanted[:1])
        other = adapted["savee" if source == "emodb" else "emodb"]  # where this corpus is trained on
        np.testing.assert_array_equal(other.features[other.chunks_of([name], augmented=True)], wanted)


@pytest.mark.parametrize(("source", "target"), [("emodb", "savee"), ("savee", "emodb")])
def test_adapted_recordings_have_mean_and_spread_of_the_other_corpus(corpora, parts, tmp_path, source, target):
    together = unite(corpora)
    data = join(parts, together, tmp_path / "features.npy")[1][target]
    moments = []
    for name in (source, target):
        recordings = data.features[data.chunks_of(np.flatnonzero(together.utterances["corpus"] == name))]
        moments.append((recordings.mean(axis=0), recordings.std(axis=0)))
    np.testing.assert_allclose(moments[1], moments[0], rtol=1e-4, atol=1e-4)
    # A copy lies as far from its recording as before, in standard deviations of the corpus.
    before = parts[target]
    shared = np.flatnonzero(before.corpus.utterances["label"].isin(LABELS))
    deviation = before.features[before.chunks_of(shared)].std(axis=0)
    recording, copy = data.features[data.chunks_of(np.flatnonzero(together.utterances["corpus"] == target)[:1], augmented=True)]
    np.testing.assert_allclose((copy - recording) / moments[0][1], 100 / deviation, rtol=1e-4)


def test_a_constant_becomes_the_other_mean():
    zero, one, half = np.zeros(2), np.ones(2), np.full(2, 0.5)
    np.testing.assert_array_equal(
        transfer_runs.match_moments(np.full((3, 2), 7.0), (np.full(2, 7.0), zero), (half, one)), [[0.5, 0.5]] * 3
    )


# ---------------------------------------------------------------------------------------------------------- the training


def job_of(training: str, shots: int, data: Data, parts: Parts):
    return make_job(carried_over("emodb", "savee", "functionals", training, shots), data, parts)


@pytest.mark.parametrize("shots", SHOTS[1:])
def test_labelled_utterances_weigh_as_much_as_the_other_corpus(corpora, parts, tmp_path, shots):
    plain, _ = join(parts, unite(corpora), tmp_path / "features.npy")
    divided = divide(plain.corpus.utterances, "savee", [0, 1])
    both, alone = (job_of(training, shots, plain, divided) for training in ("source", "alone"))
    trained = pd.Series(plain.utterance[both.rows])
    of_source = trained.isin(divided.source)
    assert sorted(trained[of_source]) == sorted([*divided.source] * 2)  # each recording and its copy
    assert set(trained[~of_source]) == set(divided.set_aside[:shots])
    assert (~of_source).sum() == of_source.sum()  # 60 utterances: 12, 6 and 3 times 5, 10 and 20
    np.testing.assert_array_equal(alone.rows, both.rows[~of_source])


def test_without_labels_the_other_corpus_alone_is_trained_on(corpora, parts, tmp_path):
    plain, adapted = join(parts, unite(corpora), tmp_path / "features.npy")
    divided = divide(plain.corpus.utterances, "savee", [0, 1])
    for training, data in (("source", plain), ("adapted", adapted["savee"])):
        job = job_of(training, 0, data, divided)
        np.testing.assert_array_equal(job.rows, data.chunks_of(divided.source, augmented=True))
        assert [split.fold for split in job.splits] == ["savee0", "savee1", "savee2", "savee3"]
        np.testing.assert_array_equal(np.sort(data.utterance[np.concatenate(job.scored)]), divided.test)
        assert not data.is_altered[np.concatenate(job.scored)].any()


def test_what_differs_in_mean_and_spread_alone_is_recognised_once_adapted(corpora, tmp_path):
    """Classes lie on a line; the other corpus is the same, moved and stretched."""
    made = {}
    for (name, one), (shift, factor) in zip(corpora.items(), ((0.0, 1.0), (40.0, 5.0)), strict=True):
        place = one.utterances["label"].map({"anger": 0.0, "fear": 1.0, "sadness": 2.0}).fillna(99.0).to_numpy()
        made[name] = Data.of_utterances(one, (shift + factor * place[:, np.newaxis]).astype(np.float32))
    plain, adapted = join(made, unite(corpora), tmp_path / "features.npy")
    divided, shares = divide(plain.corpus.utterances, "savee", [0, 1]), []
    for training, data in (("source", plain), ("adapted", adapted["savee"])):
        job = job_of(training, 0, data, divided)
        (scores,) = transfer_runs.train_classifiers([job], Settings(tmp_path), 1)
        right = [
            scores_of.argmax(axis=1) == data.targets("categorical")[scored]
            for scores_of, scored in zip(scores, job.scored, strict=True)
        ]
        shares.append(np.concatenate(right).mean())
    assert shares[0] < 0.5 and shares[1] == 1.0


# ------------------------------------------------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def done(tiny_encoder, tmp_path_factory):
    """The results of a small run, and the command that made them."""
    folder = tmp_path_factory.mktemp("transfer")
    emotions = ("anger", "neutral", "sadness")
    emodb = synthetic.write_emodb(folder / "EmoDB", speakers=4, n_texts=4, emotions=emotions, seconds=0.4)
    savee = write_savee(folder / "SAVEE", n_per_emotion=4, speakers=("DC", "JE", "JK"), sample_rate=16_000, seconds=0.3)
    argv = ["--emodb-dir", emodb, "--savee-dir", savee, "--encoder", tiny_encoder, "--results-dir", folder / "results"]
    argv += ["--runs", 2, "--shots", 0, 10, "--workers", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(head_parameters._DEFAULTS["utterance", "categorical"], "n_steps", 20)
        make_few_copies(patch)
        assert run(*argv) == 0
    return folder / "results", argv


def run(*argv):
    from experiments.transfer import main, make_parser

    return run_script(main, make_parser(), [str(word) for word in argv])


def predictions_of(results, name: str, number: int) -> pd.DataFrame:
    return read_table(results / "transfer" / name / f"run{number}" / "predictions.csv")


def test_every_condition_has_its_runs(done):
    results, _ = done
    names = {
        carried_over(*direction, method, training, shots).name
        for direction in (("emodb", "savee"), ("savee", "emodb"))
        for method in ("utterance_head", "functionals")
        for training, shots in (("source", 0), ("source", 10), ("adapted", 0), ("alone", 10))
    }
    assert {(run.condition, run.run) for run in find_runs(results)} == {(name, number) for name in names for number in (1, 2)}
    check_results(results)
    assert not list(results.glob("transfer/.writing-*")) and len(list((results / "sounds").iterdir())) == 2


def test_all_conditions_of_a_run_are_tested_on_what_none_has_been_trained_on(done):
    results, argv = done
    corpora = {name: load(name, argv[argv.index(f"--{name}-dir") + 1]) for name in ("emodb", "savee")}
    table = unite(corpora).utterances
    for target, source in (("savee", "emodb"), ("emodb", "savee")):
        tested = []
        for number in (1, 2):
            parts = divide(table.assign(sound=table["utterance"]), target, [0, number])
            wanted = set(table["utterance"].iloc[parts.test])
            for folder in (results / "transfer").glob(f"{source}_to_{target}_*"):
                found = predictions_of(results, folder.name, number)
                assert set(found["utterance"]) == wanted and (found["fold"] == found["speaker"]).all()
            tested.append(wanted)
        assert tested[0] != tested[1]


def test_runs_are_bound_to_the_sounds_of_both_corpora(done):
    results, _ = done
    config = {
        target: read_json(results / "transfer" / f"{source}_to_{target}_functionals_source_10" / "run1" / "config.json")
        for source, target in (("emodb", "savee"), ("savee", "emodb"))
    }
    for what in ("utterances_sha256", "sounds_sha256"):
        assert config["savee"][what] == config["emodb"][f"source_{what}"] != config["emodb"][what]
    assert (config["savee"]["source"], config["savee"]["corpus"], config["savee"]["shots"]) == ("EmoDB", "SAVEE", 10)
    assert config["savee"]["synthetic"] is True and config["savee"]["protocol"].startswith("trained on another corpus")


def test_the_table_has_the_means_over_the_speakers(done):
    results, _ = done
    table = read_table(results / "tables" / "transfer.csv").set_index(["target", "method", "training", "shots"])
    assert len(table) == 16
    for method in ("utterance_head", "functionals"):
        accuracies = {}
        for training in ("source", "alone"):
            found = pd.concat([predictions_of(results, f"emodb_to_savee_{method}_{training}_10", number) for number in (1, 2)],
                              keys=(1, 2), names=["run", "row"])  # fmt: skip
            right = found["target"] == found["prediction"]
            by_speaker = right.groupby([found["speaker"], found.index.get_level_values("run")]).mean()
            row = table.loc[("savee", method, training, 10)]
            assert row["accuracy"] == pytest.approx(100 * by_speaker.groupby("speaker").mean().mean(), abs=1e-4)
            recalls = right.groupby([found["speaker"], found.index.get_level_values("run"), found["target"]], sort=False).mean()
            accuracies[training] = 100 * recalls.groupby(["speaker", "run"]).mean().groupby("speaker").mean().mean()
            assert row["uar"] == pytest.approx(accuracies[training], abs=1e-4)
            assert row["n_test"] == 28 and row["chance"] == pytest.approx(100 / 3, abs=1e-4) and row["n_runs"] == 2
        difference = table.loc[("savee", method, "source", 10), "difference"]
        assert difference == pytest.approx(accuracies["source"] - accuracies["alone"], abs=1e-4)
    recalls = [table.loc[("savee", "functionals", training, 0), "uar"] for training in ("adapted", "source")]
    adapted = table.loc[("savee", "functionals", "adapted", 0), "difference"]
    assert adapted == pytest.approx(recalls[0] - recalls[1], abs=1e-4)
    text = (results / "tables" / "transfer.md").read_text(encoding="utf-8")
    for words in ("## From EmoDB to SAVEE", "| EmoDB, adapted | none |", "| SAVEE alone | 10 of SAVEE |", "always “neutral”"):
        assert words in text
    assert "synthetic speech" in text.lower() and "5 of" not in text


def test_what_is_complete_is_not_done_again_and_what_is_missing_comes_out_the_same(done, capsys, monkeypatch, tmp_path):
    results, argv = done
    again = tmp_path / "results"
    shutil.copytree(results, again)
    argv = [*argv[:6], "--results-dir", again, *argv[8:]]
    before = (results / "tables" / "transfer.md").read_text(encoding="utf-8")
    monkeypatch.setitem(head_parameters._DEFAULTS["utterance", "categorical"], "n_steps", 20)
    make_few_copies(monkeypatch)
    missing = [
        again / "transfer" / f"emodb_to_savee_{name}" / "run2" for name in ("functionals_alone_10", "utterance_head_source_10")
    ]
    for folder in missing:
        shutil.rmtree(folder)
    assert run(*argv) == 0
    assert capsys.readouterr().out.count("15 of 16 runs are complete") == 2
    for folder in missing:
        pd.testing.assert_frame_equal(read_table(folder / "predictions.csv"), predictions_of(results, folder.parent.name, 2))
    assert (again / "tables" / "transfer.md").read_text(encoding="utf-8") == before
    monkeypatch.setattr(transfer_runs, "_run_method", None)
    assert run(*argv) == 0


def test_a_run_that_was_tested_on_others_is_found(done, tmp_path):
    results, _ = done
    copied = tmp_path / "results"
    shutil.copytree(results, copied)
    path = copied / "transfer" / "emodb_to_savee_functionals_alone_10" / "run2" / "predictions.csv"
    table = read_table(path)
    table.loc[0, "utterance"] = "DC_x01"
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match="differ in 2 rows"):
        check_results(copied)


def test_recordings_that_have_changed_are_named(done, tmp_path, capsys):
    _, argv = done
    emodb, results = tmp_path / "EmoDB", tmp_path / "results"
    shutil.copytree(argv[1], emodb)
    shutil.copytree(argv[7], results)
    first, second = sorted((emodb / "wav").iterdir())[:2]
    shutil.copy(second, first)
    assert run("--emodb-dir", emodb, *argv[2:6], "--results-dir", results, *argv[8:]) == 2
    assert first.stem in capsys.readouterr().err


def test_recordings_that_change_meanwhile_are_named(done, tmp_path, capsys, monkeypatch):
    """Hand-crafted features compare no hashes themselves: their scores would be of other sounds than those written down."""
    _, argv = done
    emodb, real = Path(shutil.copytree(argv[1], tmp_path / "EmoDB")), transfer_runs.prepare
    first, second = sorted((emodb / "wav").iterdir())[:2]

    def change(*arguments):
        prepared = real(*arguments)
        shutil.copy(second, first)
        return prepared

    monkeypatch.setattr(transfer_runs, "prepare", change)
    more = "--results-dir", tmp_path / "results", "--methods", "functionals", *argv[8:]
    assert run("--emodb-dir", emodb, *argv[2:6], *more) == 2
    assert f"recordings that were changed since the start: 1 of 48 ({first.stem})" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("metrics.csv"))


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--encoder", "nowhere.keras"], "nowhere.keras"), (["--runs", "0"], "--runs"), (["--emodb-dir", "nowhere"], "nowhere")],
)
def test_wrong_arguments_are_refused_at_once(done, more, said, tmp_path, capsys):
    _, argv = done
    assert run(*argv, "--results-dir", tmp_path / "results", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_other_settings_are_refused_before_anything_is_trained(done, capsys, monkeypatch):
    _, argv = done
    monkeypatch.setattr(transfer_runs, "_run_method", None)
    assert run(*argv, "--seed", 1) == 2
    assert "made with other settings" in capsys.readouterr().err


def test_every_training_has_labels_or_the_other_corpus():
    assert all(0 not in numbers for training, numbers in TRAININGS.items() if training == "alone")
    assert all(max(numbers) <= SET_ASIDE for numbers in TRAININGS.values())
