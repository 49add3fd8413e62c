"""Hand-crafted features: what they are, and that openSMILE's are asked for where they cannot be computed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from began.command_line import run_script
from began.errors import InputError
from experiments.corpora.record import Corpus
from experiments.evaluation import functionals
from experiments.evaluation.baselines import classify_functionals
from experiments.evaluation.data import Data
from experiments.evaluation.functionals import compute_functionals
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import leave_one_speaker_out
from experiments.evaluation.result_files import read_table, write_table


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    """Four recordings of noise that swells and fades, of one to two seconds."""
    generator, rows = np.random.default_rng(0), []
    for number in range(4):
        n_samples = 16_000 + 5_000 * number
        speech = np.abs(np.sin(np.arange(n_samples) / 2000)) * generator.normal(0, 0.1, n_samples)
        soundfile.write(tmp_path / f"{number}.wav", speech, 16_000)
        rows.append({"utterance": str(number), "speaker": "a", "label": "anger", "path": str(tmp_path / f"{number}.wav")})
    return Corpus("noise", pd.DataFrame(rows), ("anger", "neutral"))


def test_functionals_of_librosa_are_in_the_order_of_the_recordings(corpus):
    data = compute_functionals(corpus, "literal")
    backwards = Corpus("noise", corpus.utterances[::-1].reset_index(drop=True), corpus.labels)
    assert data.features.shape == (4, 4 * (20 + 20 + 40 + 5)) and data.features.dtype == np.float32
    np.testing.assert_array_equal(compute_functionals(backwards, "literal").features[::-1], data.features)


def test_trials_that_are_not_those_of_the_grid_are_refused(tmp_path):
    labels = ("anger", "neutral")
    rows = [{"utterance": f"{i}", "speaker": f"{i // 4}", "label": labels[i % 2], "path": f"{i}"} for i in range(16)]
    data = replace(Data.of_utterances(Corpus("noise", table := pd.DataFrame(rows), labels)), features=np.arange(16.0)[:, None])

    def classify():
        return classify_functionals(data, "categorical", leave_one_speaker_out(table)[:1], Settings(tmp_path), 1, tmp_path)

    losses = classify().losses
    assert classify().losses == losses
    (path,) = tmp_path.iterdir()
    write_table(path, read_table(path)[1:].assign(trial=range(4)))
    with pytest.raises(InputError, match=r"found 4 trials with other parameters.*; expected the 5 of this search"):
        classify()


ITS_OWN = """
import sys, numpy, opensmile
smile = opensmile.Smile(opensmile.FeatureSet[sys.argv[1]], opensmile.FeatureLevel.Functionals)
numpy.save(sys.argv[2], smile.process_files(sys.argv[3:]).to_numpy())
"""


@pytest.mark.extras
@pytest.mark.parametrize(("method", "n_features"), [("egemaps", 88), ("compare_2016", 6373)])
def test_functionals_of_opensmile_are_its_own(corpus, method, n_features, tmp_path):
    """Also beside TensorFlow, with which it does not live in one process."""
    pytest.importorskip("opensmile")
    import tensorflow  # noqa: F401

    found = compute_functionals(corpus, "literal", method).features
    paths = [str(path) for path in corpus.utterances["path"]]
    words = [sys.executable, "-c", ITS_OWN, functionals.OPENSMILE[method], str(tmp_path / "expected.npy"), *paths]
    subprocess.run(words, check=True)
    assert found.shape == (4, n_features)
    np.testing.assert_allclose(found, np.load(tmp_path / "expected.npy"), rtol=1e-4, atol=1e-4)


def test_without_opensmile_its_conditions_are_left_out_and_named(corpus, tiny_corpora, tmp_path, monkeypatch, capsys):
    from experiments import ablations

    monkeypatch.setitem(sys.modules, "opensmile", None)
    find_spec = functionals.importlib.util.find_spec
    monkeypatch.setattr(functionals.importlib.util, "find_spec", lambda name: None if name == "opensmile" else find_spec(name))
    with pytest.raises(InputError, match="no package opensmile.*pip install opensmile"):
        compute_functionals(corpus, "literal", "egemaps")

    def run(*conditions: str) -> int:
        argv = ["--data-dir", tiny_corpora / "EmoDB", "--results-dir", tmp_path / "results", "--runs", "1"]
        return run_script(ablations.main, ablations.make_parser(), [*map(str, argv), "--conditions", *conditions])

    assert run("egemaps") == 2
    assert "egemaps" in (error := capsys.readouterr().err) and "pip install opensmile" in error
    assert run("majority", "compare_2016") == 0
    assert "left out: compare_2016; first pip install opensmile" in capsys.readouterr().out
    assert not (tmp_path / "results" / "ablations" / "compare_2016").exists()


def test_an_encoder_that_is_missing_is_named(tmp_path, capsys):
    from experiments import ablations

    words = ["--data-dir", str(tmp_path), "--results-dir", str(tmp_path), "--conditions", "began"]
    path = tmp_path / "pretrain_librispeech" / "began" / "encoder.keras"
    assert run_script(ablations.main, ablations.make_parser(), words) == 2
    error = capsys.readouterr().err
    assert (
        "First copy the folder results/pretrain_librispeech/began, or run python -m experiments.pretrain_librispeech" in error
    )
    assert f": there is no {path}." in error
