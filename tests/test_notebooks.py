"""The notebooks executed on fabricated results and on none, and the HTML report made of them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from fabricated import classes, emodb, omg, savee, search, write_run
from nbformat import v4

from began.command_line import run_script
from began.errors import InputError
from experiments import report
from experiments.evaluation.conditions import carried_over, on_altered
from experiments.reporting import encoders, robustness_table, transfer_table
from experiments.reporting.notebook import find_corpora, pick_chunks, pick_speakers, show_comparison
from experiments.reporting.pages import execute_notebooks, read_notebooks, render_html, save_notebook
from experiments.reporting.summary import Results
from experiments.reporting.tables_markdown import list_findings

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
NAMES = ["01_corpora_and_spectrograms", "02_began_representation", "03_tables", "04_search", "05_ablations_and_errors"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two tiny corpora of synthetic speech."""
    from experiments.corpora import synthetic

    folder = tmp_path_factory.mktemp("data")
    synthetic.write_librispeech(folder / "LibriSpeech", n_speakers=3, n_utterances=2, seconds=2.2)
    synthetic.write_emodb(folder / "EmoDB", speakers=2, n_texts=1)
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory, data):
    """Something of every experiment, and the smallest networks, untrained."""
    from began.networks import build_decoder, build_encoder, build_generator
    from began.pretraining import save_networks
    from began.spectrogram import SpectrogramConfig

    folder = tmp_path_factory.mktemp("results")
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    predictions = classes().assign(**dict(zip(("anger", "neutral", "sadness"), probabilities.T, strict=True)))
    savee(folder, predictions=predictions, trials=search())
    omg(folder, predictions=classes(dimensions=True), trials=pd.concat([search(), search(seed=1).assign(task="dimensional")]))
    emodb(folder, predictions=predictions, trials=pd.concat([search(), search("08", seed=2)]))
    for name, value in (("began", 0.7), ("initial_weights", 0.6)):
        emodb(folder, name, "ablations", (value, value + 0.02))
        for percent in (10, 100):
            emodb(folder, f"emodb_{name}_{percent:03d}", "label_efficiency", (value, value + 0.02))
    for alteration in ("unaltered", "noise_10_db"):
        emodb(folder, on_altered("utterance_head", alteration).name, "robustness", (0.5,), predictions=predictions)
    carried = carried_over("emodb", "savee", "functionals", "source", 0).name
    emodb(folder, carried, "transfer", predictions=predictions)
    run = folder / "pretrain_librispeech" / "began"
    run.mkdir(parents=True)
    pd.DataFrame(
        {
            "epoch": [1, 2],
            "step": [10, 20],
            "reconstruction_loss": [0.2, 0.1],
            "generator_loss": 0.1,
            "k": 0.0,
            "convergence_measure": [0.3, 0.2],
            "learning_rate": 5e-5,
        }
    ).to_csv(run / "history.csv", index=False)
    sizes = {"base_filters": 1, "latent_size": 4, "seed": 0}
    networks = SimpleNamespace(
        encoder=build_encoder(**sizes), decoder=build_decoder(**sizes), generator=build_generator(**sizes)
    )
    save_networks(networks, run, SpectrogramConfig(), {})
    return folder


def outputs(notebook):
    """All that a notebook shows, as text; pictures and sounds count by their kind."""
    shown = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type == "display_data", output  # nothing printed, no warning, no error
            data = output["data"]
            shown.append("<image>" if "image/png" in data else data.get("text/html", data.get("text/markdown", "")))
    return "\n".join("".join(text) for text in shown)


def run_nbmake(folder, results, data):
    """Executes the notebooks of a folder through nbmake, in place, as a test of each."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "-q", "-p", "no:cacheprovider", folder],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "RESULTS_DIR": str(results), "DATA_DIR": str(data), "PYTHONPATH": str(ROOT)},
    )


def test_notebooks_on_results(results, data, tmp_path):
    """By nbmake, on copies, which find the results as the notebooks always do: by RESULTS_DIR."""
    folder = tmp_path / "notebooks"
    shutil.copytree(NOTEBOOKS, folder)
    done = run_nbmake(folder, results, data)
    assert done.returncode == 0 and f"{len(NAMES)} passed" in done.stdout, done.stdout
    executed = read_notebooks(folder)
    assert [path.stem for path in executed] == NAMES
    shown = {path.stem: outputs(notebook) for path, notebook in executed.items()}
    pictures = {name: text.count("<image>") for name, text in shown.items()}
    assert pictures == {NAMES[0]: 6, NAMES[1]: 6, NAMES[2]: 2, NAMES[3]: 8, NAMES[4]: 6}
    assert not any(re.search(r"not run yet", text, re.IGNORECASE) for text in shown.values())
    assert "LibriSpeech (synthetic)" in shown[NAMES[0]] and shown[NAMES[0]].count("<audio") == 4
    assert shown[NAMES[1]].count("<audio") == 15 and "by chance (%)" in shown[NAMES[1]]
    assert "white noise, SNR 10 dB" in shown[NAMES[4]] and "From EmoDB to SAVEE" in shown[NAMES[4]]
    for text in ("80.69 ± 2.96", "72.0 ± 2.0", "67.0 to 77.0", "0.320 ± 0.020"):
        assert text in shown[NAMES[2]]
    assert "Of 30 utterances" in shown[NAMES[4]]
    for path in executed:
        assert str(results) not in path.read_text() and str(data) not in path.read_text()
    check_html(render_html(executed, tmp_path / "html"))


def check_html(index):
    pages = [path.stem for path in sorted(index.parent.glob("0*.html"))]
    assert pages == NAMES
    contents = index.read_text()
    assert [contents.index(f'href="{name}.html"') for name in NAMES] == sorted(
        contents.index(f'href="{name}.html"') for name in NAMES
    )
    for name in NAMES:
        text = (index.parent / f"{name}.html").read_text()
        assert all(f'href="{other}.html"' in text for other in ["index", *NAMES]) and "<details" in text
        # It opens from disk, without a network.
        assert not re.search(r'(?:src|href)="https?://[^"]*\.(?:js|css)', text) and "<script" not in text


def test_notebooks_say_what_has_not_been_run(tmp_path):
    """And: what is saved of an execution names no folder and no time of this machine; the originals stay as they are."""
    (tmp_path / "results").mkdir()
    before = {path: path.read_bytes() for path in NOTEBOOKS.glob("*.ipynb")}
    executed = execute_notebooks(NOTEBOOKS, tmp_path / "results", tmp_path / "data")
    assert {path: path.read_bytes() for path in before} == before
    for path, notebook in executed.items():
        shown = outputs(notebook)
        assert "Not run yet" in shown, path.stem
        assert "<image>" not in shown, path.stem
        save_notebook(notebook, tmp_path / path.name)
        text = (tmp_path / path.name).read_text()
        assert str(tmp_path) not in text and "iopub" not in text
        assert json.loads(text)["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("beside", [False, True])
def test_results_of_arousal_and_valence_alone(tmp_path, monkeypatch, beside):
    """A data set of one's own may have no classes, or another condition of it may."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the kernel
    others = shutil.ignore_patterns("0[1234]*" if beside else "0[124]*")  # 03 shows a row for each condition in both cases
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks", ignore=others)
    dimensions = classes(dimensions=True).drop(columns=["target", "prediction"])
    scores = {("pooled", "utterance"): {f"concordance_correlation_coefficient_{name}": 0.1 for name in ("arousal", "valence")}}
    write_run(tmp_path / "results", "custom", "av", 1, scores, predictions=dimensions)
    if beside:
        emodb(tmp_path / "results", "words", "custom", predictions=classes())
    executed = execute_notebooks(tmp_path / "notebooks", tmp_path / "results", tmp_path)
    shown = outputs(next(notebook for path, notebook in executed.items() if "05" in path.name))
    assert ("custom, condition words" in shown) == beside
    assert ("no table has complete runs with emotions as classes" in shown) != beside


@pytest.mark.parametrize("module", [robustness_table, transfer_table])
def test_conditions_of_earlier_names_alone_are_no_table(module, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("experiments.reporting.notebook.say", said.append)
    experiment = module.__name__.rpartition(".")[2].removesuffix("_table")
    emodb(tmp_path, "of_an_earlier_version", experiment)
    show_comparison(Results(tmp_path), module, experiment, "the command")
    assert said == [f"**Not run yet:** {experiment}. `the command`"]


def test_notebooks_are_clean():
    for path, notebook in read_notebooks(NOTEBOOKS).items():
        nbformat.validate(notebook)
        # Pictures and sounds are text, too, and may hold any letters.
        text = re.sub(r"[A-Za-z0-9+/=\\]{200,}", "", path.read_text())
        assert notebook.metadata.kernelspec.name == "python3"
        assert all(not cell.metadata for cell in notebook.cells), path
        assert not re.search(r"/(?:home|root|Users|tmp|work)/", text), path
        source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        assert not re.search(r"\.fit\(|train_head|pretrain\(|import librosa|def (?!show\b)", source), path


def test_notebook_without_a_results_folder(tmp_path):
    assert run_script(report.main, report.make_parser(), ["html", "--results-dir", str(tmp_path / "absent")]) == 2


def test_failing_and_damaged_notebooks(tmp_path):
    with pytest.raises(InputError, match="no notebook"):
        execute_notebooks(tmp_path, tmp_path)
    notebook = v4.new_notebook(cells=[v4.new_code_cell("raise KeyError('speaker')")])
    save_notebook(notebook, tmp_path / "a.ipynb")
    with pytest.raises(InputError, match=r"a.ipynb: found a cell that fails with KeyError"):
        execute_notebooks(tmp_path, tmp_path)
    (tmp_path / "a.ipynb").write_text("{")
    with pytest.raises(InputError, match="no readable notebook"):
        execute_notebooks(tmp_path, tmp_path)


@pytest.mark.parametrize("same", [True, False])
def test_what_only_recordings_show_is_kept_where_they_are_missing(tmp_path, same):
    """Of the same encoder alone; what needs no recordings is made anew, and a note that is no longer true goes."""
    for name in ("results", "copy"):
        path = tmp_path / name / "pretrain_librispeech" / "began" / "encoder.keras"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"encoder" if same or name == "results" else b"another")
    picture = v4.new_output("display_data", {"image/png": "cGljdHVyZQ=="})
    left_out = v4.new_output("display_data", {"text/markdown": "Left out: EmoDB"})
    show = "from IPython.display import HTML, display; display(HTML('<b>new</b>'))"
    cells = [
        v4.new_code_cell("pass", outputs=[left_out]),
        v4.new_code_cell("pass", outputs=[picture]),
        v4.new_code_cell(show, outputs=[picture]),
    ]
    path = tmp_path / "notebooks" / "a.ipynb"
    path.parent.mkdir()
    save_notebook(v4.new_notebook(cells=cells), path)
    for _ in range(2 if same else 1):  # what was kept is kept again, with a single note
        executed = execute_notebooks(path.parent, tmp_path / "copy")[path]
        assert [len(cell.outputs) for cell in executed.cells] == [0, 2 if same else 0, 1]
        assert "<b>new</b>" in outputs(executed)
        assert outputs(executed).count("Kept from an earlier run") == same == outputs(executed).count("<image>")
        save_notebook(executed, path)


def test_the_contents_begin_with_the_findings(tmp_path):
    emodb(tmp_path / "results")
    findings = list_findings(Results(tmp_path / "results"))
    page = render_html({tmp_path / "a.ipynb": v4.new_notebook()}, tmp_path / "html", findings).read_text()
    assert page.index("Findings") < page.index("72.0\u00a0±\u00a02.0") < page.index("Pages")
    assert "Table 1" in findings[-1] and findings[-1].startswith("Not run: ")


def test_findings_name_classes_and_dimensions(tmp_path):
    emodb(tmp_path, "emotions", "custom")
    emodb(tmp_path, "emotions_again", "custom", (0.5,))
    scores = {"concordance_correlation_coefficient_arousal": 0.25, "concordance_correlation_coefficient_valence": 0.5}
    write_run(tmp_path, "custom", "dimensions", 1, {("pooled", "utterance"): scores})
    assert list_findings(Results(tmp_path))[0] == (
        "**Own data sets.** accuracy (%): `emotions` 72.0 ± 2.0, `emotions_again` 50.0; CCC, pooled over utterances, arousal: "
        "`dimensions` 0.250; CCC, pooled over utterances, valence: `dimensions` 0.500."
    )


@pytest.mark.parametrize("synthetic", [False, True])
def test_findings_name_the_paper_in_its_own_units(tmp_path, synthetic):
    omg(tmp_path, config={"synthetic": synthetic})
    said = ", the paper 0.17; CCC, pooled over utterances, valence: `official` −0.020 ± 0.000, the paper 0.16."
    assert (said in list_findings(Results(tmp_path))[0]) != synthetic


def test_html_pages(tmp_path):
    made = {}
    for name, title in (("01_first", "First & foremost"), ("02_second", "Second")):
        shown = v4.new_output("display_data", {"text/markdown": "72.0 ± 2.0"})
        cells = [
            v4.new_markdown_cell(f"# {title}\n\nWhat *this* shows, see [x](y).\n\n## More"),
            v4.new_code_cell("print('a result')", outputs=[shown], execution_count=1),
        ]
        made[tmp_path / f"{name}.ipynb"] = v4.new_notebook(cells=cells)
    made[tmp_path / "03_bare.ipynb"] = v4.new_notebook()
    contents = render_html(made, tmp_path / "html").read_text()
    assert '<a href="01_first.html">First &amp; foremost</a>' in contents
    assert 'What <em>this</em> shows, see <a href="y">x</a>.' in contents and ">03_bare<" in contents
    page = (tmp_path / "html" / "01_first.html").read_text()
    assert '<a href="02_second.html">Second</a>' in page and '<a aria-current="page" href="01_first.html">' in page
    assert "<title>First &amp; foremost</title>" in page and "72.0\u00a0±\u00a02.0" in page


# What the notebooks show


def test_the_encoder_in_use_comes_first(tmp_path):
    for name, is_saved in (("a", True), ("autoencoder", True), ("began", True), ("began-1", False), ("z", True)):
        folder = tmp_path / "pretrain_librispeech" / name
        folder.mkdir(parents=True)
        pd.DataFrame({column: [1.0] for column in encoders.MEASURED}).to_csv(folder / "history.csv", index=False)
        (folder / "config.json").write_text(json.dumps({"adversarial": name != "autoencoder"}))
        if is_saved:
            (folder / "encoder.keras").touch()
    assert [one.name for one in encoders.find_pretrainings(tmp_path)] == ["began", "a", "z", "autoencoder", "began-1"]


def test_neighbours_of_two_clusters():
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 3)) + 50 * (np.arange(40) % 2)[:, np.newaxis]
    labels = pd.Series(np.arange(40) % 2)
    agreeing, by_chance = encoders.neighbour_agreement(features, labels)
    assert agreeing == 100 and by_chance == pytest.approx(100 * 19 / 39)
    # Where neighbours of the same label do not count, none agrees.
    assert encoders.neighbour_agreement(features, labels, apart=labels) == (0, 0)


def test_pick_chunks_and_speakers(data):
    corpora, absent = find_corpora(data)
    assert list(corpora) == ["LibriSpeech", "EmoDB"] and absent == [
        "SAVEE: no such folder under DATA_DIR",
        "OMG: no such folder under DATA_DIR",
    ]
    utterances = corpora["LibriSpeech"].utterances
    assert pick_speakers(utterances, 2)["speaker"].nunique() == 2
    chunks, rows = pick_chunks(utterances, n_per_utterance=1)
    assert chunks.shape == (len(utterances), 16000) and rows["utterance"].tolist() == utterances["utterance"].tolist()
    every, rows = pick_chunks(utterances)
    assert len(every) == len(rows) > len(chunks)
    # One chunk of three is the one in the middle.
    assert (chunks[0] == every[1]).all()
