"""Altered recordings: each alteration does what it says, and the table of what they do to the methods."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from began.audio import SAMPLE_RATE, read_audio
from began.command_line import run_script
from began.sound_hashes import SoundHashes
from classifiers import head_parameters
from experiments import robustness
from experiments.corpora import open_corpus, synthetic
from experiments.corpora.duplicates import read_sounds
from experiments.corpora.record import Corpus
from experiments.evaluation import alterations
from experiments.evaluation.alterations import ALTERATIONS
from experiments.evaluation.functionals import compute_functionals
from experiments.evaluation.result_files import read_json, read_table
from experiments.evaluation.runs import find_runs
from experiments.reporting.consistency import check_results


@pytest.fixture(scope="module")
def speech():
    return synthetic.synthesize_utterance("03", "M", "neutral", seconds=4.0, seed=0)


def tone(frequency_hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)


def level_db(waveform: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(waveform, dtype=np.float64))))


def random():
    return np.random.default_rng(5)


def test_gain_changes_the_level(speech):
    for name, gain_db in (("gain_minus_12_db", -12), ("gain_minus_40_db", -40)):
        assert level_db(ALTERATIONS[name].alter(speech)) == pytest.approx(level_db(speech) + gain_db, abs=1e-3)


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 0.0])
def test_noise_has_its_ratio_and_is_white(speech, snr_db):
    noise = alterations.add_noise(speech, random(), snr_db).astype(np.float64) - speech
    assert level_db(speech) - level_db(noise) == pytest.approx(snr_db, abs=0.01)
    power = np.abs(np.fft.rfft(noise)) ** 2
    bands = [10 * np.log10(part.mean()) for part in np.array_split(power, 8)]
    assert np.ptp(bands) < 0.5


@pytest.mark.parametrize(
    ("frequency_hz", "low_db", "high_db"), [(1000, -0.2, 0.2), (2500, -0.2, 0.2), (100, -999, -60), (5000, -999, -60)]
)
def test_the_telephone_keeps_its_band_alone(frequency_hz, low_db, high_db):
    before, after = tone(frequency_hz), alterations.limit_to_telephone_band(tone(frequency_hz))
    assert len(after) == len(before) // 2
    middle = slice(len(after) // 4, -len(after) // 4)  # behind the onset
    assert low_db < level_db(after[middle]) - level_db(before) < high_db


def test_the_edges_of_the_telephone_band_lie_3_db_down():
    for frequency_hz in alterations.TELEPHONE_HZ:
        after = alterations.limit_to_telephone_band(tone(frequency_hz))
        assert level_db(after[4000:-4000]) - level_db(tone(frequency_hz)) == pytest.approx(-3, abs=0.5)


def test_reverberation_decays_by_60_db_in_its_time():
    click = np.zeros(4000, np.float32)
    click[100] = 1.0
    response = alterations.reverberate(click, random(), seconds=0.6).astype(np.float64)
    assert len(response) == 4000 + round(0.6 * SAMPLE_RATE)
    direct, tail = response[100], response[101:]
    assert np.abs(response[:100]).max() < 1e-6
    assert direct**2 == pytest.approx(0.5, abs=1e-3) and np.sum(tail**2) == pytest.approx(0.5, abs=1e-3)
    decay_db = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2))  # Schroeder's backward integration
    (first,), (last,) = (np.flatnonzero(decay_db < limit)[:1] for limit in (-5, -25))
    assert 60 * (last - first) / SAMPLE_RATE / 20 == pytest.approx(0.6, abs=0.05)


def test_reverberation_keeps_the_level(speech):
    after = alterations.reverberate(speech, random())
    assert np.sum(after.astype(np.float64) ** 2) == pytest.approx(np.sum(speech.astype(np.float64) ** 2), rel=0.4)


def test_silence_stands_around(speech):
    after = alterations.surround_with_silence(speech, 1.0)
    np.testing.assert_array_equal(after[SAMPLE_RATE:-SAMPLE_RATE], speech)
    assert not after[:SAMPLE_RATE].any() and not after[-SAMPLE_RATE:].any()


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_changes_tempo_and_pitch(factor):
    after = alterations.change_speed(tone(440), factor)
    assert len(after) == pytest.approx(2 * SAMPLE_RATE / factor, abs=2)
    peak_hz = np.abs(np.fft.rfft(after)).argmax() * SAMPLE_RATE / len(after)
    assert peak_hz == pytest.approx(440 * factor, abs=1)


@pytest.mark.parametrize("name", ALTERATIONS)
def test_files_can_be_read_and_are_the_same_every_time(speech, name, tmp_path):
    alteration = ALTERATIONS[name]
    paths = [tmp_path / f"{number}{alteration.suffix}" for number in range(3)]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        alteration.write(path, speech, seed)
    assert soundfile.info(paths[0]).samplerate == alteration.rate_hz
    first, again, other = map(read_audio, paths)
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) != alteration.is_random
    if name == "unaltered":
        np.testing.assert_array_equal(first, speech)
    elif name == "rate_48_khz":  # but for the edge of the band, where the resampler's filter falls
        assert len(first) == len(speech) and level_db(first - speech) < level_db(speech) - 25
    elif name != "gain_minus_12_db":
        assert not np.allclose(first[: len(speech) // 2], speech[: len(speech) // 2], atol=1e-2)


@pytest.mark.parametrize(("name", "kbit", "tolerance"), [("mp3_32_kbit", 32, 1.5), ("opus_16_kbit", 16, 3)])
def test_codecs_have_their_rate(speech, name, kbit, tolerance, tmp_path):
    path = tmp_path / f"speech{ALTERATIONS[name].suffix}"
    ALTERATIONS[name].write(path, speech, 0)
    assert 8 * path.stat().st_size / (len(speech) / SAMPLE_RATE) / 1000 == pytest.approx(kbit, abs=tolerance)


# ------------------------------------------------------------------------------------------------------------- the table


CHOSEN = ("unaltered", "gain_minus_12_db", "noise_0_db", "opus_16_kbit")
ADAPTED = tuple(f"utterance_head_adapted_to_{number}" for number in (5, 10, 20, "all"))
METHODS = ("utterance_head", *ADAPTED, "utterance_head_without_altered_copies", "head_per_second", "functionals")


@pytest.fixture(scope="module")
def done(tiny_encoder, tmp_path_factory):
    """The results of a small run, and the command that made them."""
    folder = tmp_path_factory.mktemp("robustness")
    emotions = ("anger", "neutral", "sadness")
    data = synthetic.write_emodb(folder / "EmoDB", speakers=4, n_texts=1, emotions=emotions, seconds=0.8)
    argv = ["--data-dir", data, "--encoder", tiny_encoder, "--results-dir", folder / "results"]
    argv += ["--alterations", *CHOSEN[1:]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(head_parameters._DEFAULTS["utterance", "categorical"], "n_steps", 20)
        patch.setattr(robustness, "EPOCHS", 2)
        assert run(*argv) == 0
    return folder / "results", argv


def run(*argv):
    return run_script(robustness.main, robustness.make_parser(), [str(word) for word in argv])


def test_every_method_has_a_run_of_each_alteration(done):
    results, _ = done
    assert sorted(run.condition for run in find_runs(results)) == sorted(f"{one}_{name}" for one in METHODS for name in CHOSEN)
    check_results(results)  # the metrics are those of the predictions, by speaker
    config = read_json(results / "robustness" / "utterance_head_noise_0_db" / "run1" / "config.json")
    assert config["alteration"] == "noise_0_db" and config["protocol"] == "leave one speaker out"
    assert config["altered_copies"] is True
    without = results / "robustness" / "utterance_head_without_altered_copies_noise_0_db" / "run1" / "config.json"
    assert read_json(without) == config | {"altered_copies": False}
    adapted = results / "robustness" / "utterance_head_adapted_to_all_noise_0_db" / "run1" / "config.json"
    assert read_json(adapted) == config | {"adapted_to": "all"}
    config = read_json(results / "robustness" / "functionals_unaltered" / "run1" / "config.json")
    assert config["front_end"] == "normalized"


def test_the_table_has_accuracies_and_changed_answers(done):
    results, _ = done
    table = read_table(results / "tables" / "robustness.csv").set_index(["method", "alteration"])
    for method in METHODS:
        before, after = (
            read_table(results / "robustness" / f"{method}_{name}" / "run1" / "predictions.csv").set_index("utterance")
            for name in ("unaltered", "noise_0_db")
        )
        assert table.loc[(method, "noise_0_db"), "changed"] == pytest.approx(
            100 * (before["prediction"] != after["prediction"]).mean()
        )
        assert table.loc[(method, "noise_0_db"), "accuracy"] == pytest.approx(
            100 * (after["prediction"] == after["target"]).mean()
        )
        assert table.loc[(method, "unaltered"), "changed"] == 0
    # The front end brings speech to one level.
    assert table.loc[("utterance_head", "gain_minus_12_db"), "changed"] == 0
    assert table.loc[("functionals", "gain_minus_12_db"), "changed"] == 0
    text = (results / "tables" / "robustness.md").read_text(encoding="utf-8")
    assert "| 12 dB less gain |" in text and "| white noise, SNR 0 dB |" in text and "synthetic speech" in text.lower()
    assert "telephone" not in text
    accuracies = [f"{table.loc[(method, 'noise_0_db'), 'accuracy']:.1f}" for method in ("utterance_head", *ADAPTED)]
    assert f"| white noise, SNR 0 dB | {' | '.join(accuracies)} |" in text
    assert "| adapted to 5 | adapted to 10 | adapted to 20 | adapted to all |" in text


@pytest.mark.parametrize(("number", "n_drawn"), [(1, 1), (2, 2), (20, 3), (None, 3)])
def test_a_head_is_adapted_as_predict_does(done, tiny_encoder, number, n_drawn):
    """The mean over what is adapted to becomes that of the training part, at every speed."""
    from classifiers.training import train_head
    from experiments.evaluation.alterations import UNALTERED
    from experiments.evaluation.conditions import on_altered
    from experiments.evaluation.methods import prepare
    from experiments.evaluation.options import Settings
    from experiments.evaluation.robustness_runs import adapt
    from experiments.evaluation.searched_heads import head_job

    results, argv = done
    corpus = read_sounds(open_corpus("emodb", argv[1]), SoundHashes(results / "cache"))
    settings = Settings(results, tiny_encoder)
    data, _ = prepare(on_altered("utterance_head", UNALTERED), corpus, settings)
    speakers = corpus.utterances["speaker"].to_numpy()
    first = np.flatnonzero(speakers == speakers[0])
    others = data.chunks_of(np.flatnonzero(speakers != speakers[0]), augmented=True)
    job = head_job(data, "categorical", settings)
    parameters = head_parameters.resolve_parameters("categorical", kind=job.kind) | {"n_steps": 1}
    head = train_head(replace(job, parameters=parameters, seed=0, rows=others))
    rows = data.scored_of(first)
    found = adapt(head, data, rows, number, [0])
    columns = head_parameters.choose_statistics(head.parameters, data.statistics)
    trained = data.features[others][..., columns].astype(np.float64).mean(axis=0)
    before = data.features[rows][..., columns].astype(np.float32)
    for copy in np.unique(data.number[rows]):
        shifts = (found - before)[data.number[rows] == copy]
        np.testing.assert_allclose(shifts, np.broadcast_to(shifts[0], shifts.shape), atol=2e-3)
        drawn = np.isin(data.utterance[rows], np.random.default_rng([0]).permutation(first)[:number])
        of_drawn = found[drawn & (data.number[rows] == copy)]
        assert len(of_drawn) == n_drawn
        np.testing.assert_allclose(of_drawn.mean(axis=0), trained, atol=5e-3)


def test_functionals_hear_neither_level_nor_silence_around(speech, tmp_path):
    paths = []
    for name in ("unaltered", "gain_minus_12_db", "silence_around"):
        paths.append(tmp_path / f"{name}.wav")
        ALTERATIONS[name].write(paths[-1], speech, seed=0)
    corpus = Corpus("c", pd.DataFrame({"path": list(map(str, paths)), "label": "x"}), ("x",))
    before, *after = compute_functionals(corpus, "normalized").features
    literal, *changed = compute_functionals(corpus, "literal").features
    for found, wrong in zip(after, changed, strict=True):
        # The loud level is found to a tenth of a decibel.
        np.testing.assert_allclose(found, before, rtol=0.02, atol=0.5)
        assert np.abs(wrong - literal).max() > 10


def test_what_is_complete_is_not_done_again(done, capsys, monkeypatch):
    results, argv = done
    before = (results / "tables" / "robustness.md").read_text(encoding="utf-8")
    monkeypatch.setattr("experiments.evaluation.robustness_runs._altered", None)
    monkeypatch.setattr(robustness, "EPOCHS", 2)
    assert run(*argv) == 0
    assert capsys.readouterr().out.count("complete in") == 32
    assert (results / "tables" / "robustness.md").read_text(encoding="utf-8") == before


@pytest.mark.parametrize("n_before", [0, 1], ids=["what is scored", "what is trained on"])
@pytest.mark.parametrize("method", ["functionals", "head_per_second"])
def test_recordings_that_change_are_named_before_and_meanwhile(method, n_before, done, monkeypatch, tmp_path, capsys):
    from experiments.evaluation import robustness_runs as machinery

    _, argv = done
    data, real, calls = Path(shutil.copytree(argv[1], tmp_path / "EmoDB")), machinery.prepare, []
    argv = ["--data-dir", data, *argv[2:4], "--results-dir", tmp_path / "results", "--methods", method]
    argv += ["--alterations", "unaltered"]
    first, second, *_ = sorted((data / "wav").iterdir())

    def change(*arguments):
        prepared = real(*arguments)
        calls.append(arguments)
        if len(calls) > n_before:
            first.write_bytes(second.read_bytes())
        return prepared

    monkeypatch.setattr(machinery, "prepare", change)
    monkeypatch.setattr(robustness, "EPOCHS", 1)
    before = first.read_bytes()
    assert run(*argv) == 2
    assert f"emodb: found recordings that were changed since the start: 1 of 12 ({first.stem})" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("metrics.csv"))
    monkeypatch.setattr(machinery, "prepare", None)  # what has changed since an earlier call is named before work begins
    assert run(*argv) == 2
    assert f"found a run on recordings that have changed since: 1 of 12 ({first.stem})" in capsys.readouterr().err
    if method == "functionals":  # what is restored is gone on with, whatever the method
        monkeypatch.undo()
        first.write_bytes(before)
        assert run(*argv) == 0


def test_what_is_missing_is_added_to_the_same_bits(done, monkeypatch, tmp_path):
    """A run that was interrupted alters what is missing, once for all methods, and its heads are those of before."""
    from experiments.evaluation import robustness_runs as machinery

    results, argv = done
    again, altering = tmp_path / "results", []
    shutil.copytree(results, again)
    folders = [again / "robustness" / f"{method}_noise_0_db" / "run1" for method in METHODS]
    before = [{name: (folder / name).read_bytes() for name in ("predictions.csv", "metrics.csv")} for folder in folders]
    for folder in folders:
        (folder / "metrics.csv").unlink()
    real = machinery._altered
    monkeypatch.setattr(
        machinery,
        "_altered",
        lambda corpus, alteration, *others: altering.append(alteration) or real(corpus, alteration, *others),
    )
    monkeypatch.setitem(head_parameters._DEFAULTS["utterance", "categorical"], "n_steps", 20)
    monkeypatch.setattr(robustness, "EPOCHS", 2)
    assert run(*argv[:4], "--results-dir", again, *argv[6:]) == 0
    assert altering == [ALTERATIONS["noise_0_db"]]
    assert [{name: (folder / name).read_bytes() for name in one} for folder, one in zip(folders, before, strict=True)] == before


def test_no_classifier_has_heard_its_test_speaker(done, monkeypatch, tmp_path):
    """Neither the support vector machines nor the heads."""
    from classifiers import training
    from experiments.evaluation import robustness_runs as machinery

    results, argv = done
    speakers = open_corpus("emodb", argv[1]).utterances["speaker"].to_numpy()
    fitted, trained, scored = [], [], []
    real_train, real_make, real_prepare = training.train_head, machinery.make_classifier, machinery.prepare

    def train(job):
        trained.append(set(speakers[job.utterance[job.rows]]))
        return real_train(job)

    def watch(real):
        def score(classifier, condition, data, rows, seed):
            scored.append(set(speakers[data.utterance[rows]]))
            return real(classifier, condition, data, rows, seed)

        return score

    def number(*arguments):  # hand-crafted features bear the number of their utterance
        data, trainer = real_prepare(*arguments)
        if data.features.ndim == 2:
            data.features[:, 0] = data.utterance
        return data, trainer

    class Machine:
        def __init__(self, penalty):
            self.machine = real_make(penalty)

        def fit(self, features, targets):
            fitted.append(set(speakers[features[:, 0].astype(int)]))
            return self.machine.fit(features, targets)

    monkeypatch.setattr(machinery, "prepare", number)
    monkeypatch.setitem(head_parameters._DEFAULTS["utterance", "categorical"], "n_steps", 5)
    monkeypatch.setattr(training, "train_head", train)
    monkeypatch.setattr(machinery, "_score", watch(machinery._score))
    monkeypatch.setattr(machinery, "make_classifier", Machine)
    monkeypatch.setattr(robustness, "EPOCHS", 1)
    chosen = ["--methods", "functionals", "head_per_second", "utterance_head", "--alterations", "unaltered"]
    assert run(*argv[:4], "--results-dir", tmp_path, *chosen) == 0
    everyone = set(speakers)
    others = [everyone - {speaker} for speaker in sorted(everyone)]
    assert fitted == others and trained == others * 2
    assert scored == [{speaker} for speaker in sorted(everyone)] * 3


def test_an_encoder_that_is_not_there_is_refused_at_once(done, tmp_path, capsys):
    _, argv = done
    assert run(*argv[:2], "--encoder", tmp_path / "nowhere.keras", "--results-dir", tmp_path / "results") == 2
    assert "nowhere.keras" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
