"""Tables, README and figures from fabricated run folders whose right answers are known."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricated import SPEAKERS, classes, emodb, omg, savee, search, write_run

from began.command_line import run_script
from began.errors import InputError
from experiments import figures, report
from experiments.evaluation import paper
from experiments.reporting import markdown, tables
from experiments.reporting.readme import readme_section, update_readme
from experiments.reporting.results import EXPECTED, Results, summarise

T_2 = 4.302652729911275  # Student's t, 97.5 %, two degrees of freedom


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def row_of(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    assert len(table) == 1, table
    return table.iloc[0]


# Summaries


def test_summary():
    summary = summarise([0.70, 0.72, 0.74])
    half = T_2 * 0.02 / math.sqrt(3)
    assert (summary.mean, summary.sd, summary.n) == (pytest.approx(0.72), pytest.approx(0.02), 3)
    assert (summary.low, summary.high) == (pytest.approx(0.72 - half), pytest.approx(0.72 + half))


def test_summary_of_one_and_of_none():
    one = summarise([0.5])
    assert one.mean == 0.5 and one.n == 1 and math.isnan(one.sd) and math.isnan(one.low)
    assert summarise([]).n == 0 and math.isnan(summarise([math.nan]).mean)


# The paper's numbers


def test_published_numbers():
    assert [paper.paper_value("table1_savee", name) for name in SPEAKERS] == [0.8069, 0.8096, 0.8015, 0.8246]
    assert [paper.published("table1_savee", paper.PAPER, name)[0].sd for name in SPEAKERS] == [0.0296, 0.0341, 0.0185, 0.0270]
    assert [paper.paper_value("table2_omg", name) for name in ("F-score", "arousal CCC", "valence CCC")] == [0.73, 0.17, 0.16]
    assert paper.paper_value("table3_emodb", "accuracy") == 0.72
    assert paper.paper_value("table3_emodb", "UAR") is None
    assert all(score.source for score in paper.SCORES)


# Nothing run


def test_nothing_run_says_so(results):
    report.render(results)
    for name in ("table1", "table2", "table3", "ablations"):
        text = (results / "tables" / f"{name}.md").read_text()
        assert "not run" in text
        assert (results / "tables" / f"{name}.csv").is_file()
    assert "80.69 ± 2.96" in (results / "tables" / "table1.md").read_text()
    assert "85.1" in (results / "tables" / "table3.md").read_text()
    assert not list((results / "figures").glob("*")) if (results / "figures").exists() else True


def test_no_results_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        report.render(tmp_path / "absent")


# Table 1


def test_table1_beside_the_paper(results):
    savee(results)
    table = tables.table1(Results.read(results))
    row = row_of(table, system="ours", condition="utterance_split", column="DC", metric="accuracy", level="utterance")
    assert row["mean"] == pytest.approx(72) and row["sd"] == pytest.approx(2) and row["n"] == 3
    assert row["paper"] == pytest.approx(80.69) and row["difference"] == pytest.approx(72 - 80.69)
    assert row["ci_high"] == pytest.approx(72 + T_2 * 2 / math.sqrt(3))
    mean = row_of(
        table, system="ours", condition="utterance_split", column="mean of speakers", metric="accuracy", level="utterance"
    )
    assert mean["mean"] == pytest.approx(72) and mean["paper"] == pytest.approx((80.69 + 80.96 + 80.15 + 82.46) / 4)
    text = markdown.markdown_table1(table)
    assert "| DC | 79 | 80.69 ± 2.96 | 72.0 ± 2.0 | 67.0 to 77.0 | −8.7 | 3 |" in text
    assert "## `chunk_split_leaking` (LEAKING)" in text and "not run" in text
    assert "one search per fold, inside its training part (honest); 20 trials; 100 epochs" in text


def test_table1_names_the_closest_reading(results):
    savee(results)
    table = tables.table1(Results.read(results))
    closest = tables.closest_reading(table)
    assert (closest["metric"], closest["level"]) == ("binary_accuracy", "chunk")
    assert closest["distance"] == pytest.approx(np.mean([0.31, 0.04, 0.85, 1.46]))
    assert "binary accuracy (mean over the class outputs) at chunk level: 0.7 points away" in (markdown.markdown_table1(table))


def test_table1_marks_the_leaking_condition_and_its_level(results):
    savee(results)
    savee(results, "chunk_split_leaking", levels=("chunk",))
    table = tables.table1(Results.read(results))
    leaking = table[table["condition"] == "chunk_split_leaking"]
    assert set(leaking["level"]) == {"chunk"} and leaking["note"].str.contains("LEAKING").all()
    text = markdown.markdown_table1(table)
    assert "## `chunk_split_leaking` (LEAKING): accuracy, chunk level" in text
    assert "ours, `chunk_split_leaking` (LEAKING) | accuracy | chunk | 62.0 ± 2.0" in text


# Table 2


def test_table2(results):
    omg(results, config={"pooling": {"categorical": "mean", "dimensional": "median"}, "n_missing": 7})
    table = tables.table2(Results.read(results))
    row = row_of(table, system="ours", metric="f1_micro", level="utterance", condition="official")
    assert row["column"] == "F-score" and row["unit"] == "" and row["difference"] == pytest.approx(0.32 - 0.73)
    text = markdown.markdown_table2(table)
    assert "| ours, `official` | 0.320 ± 0.020 | 0.200 ± 0.000 | −0.020 ± 0.000 | 3 |" in text
    assert "| ours, `source_disjoint` | not run | not run | not run |" in text
    assert "held against the challenge's official F, micro F1" in text
    assert "Closest to the paper's 0.73: binary accuracy (mean over the class outputs) at chunk level, 0.740" in text
    assert "| CCC, mean over videos | utterance | 0.110 ± 0.000 |  |" in text
    assert "7 utterances without audio left out" in text
    assert "utterance score from its chunks': mean (classes), median (arousal and valence)" in text


# Table 3


def test_table3_pooled_and_over_folds(results):
    emodb(results)
    table = tables.table3(Results.read(results))
    pooled = row_of(table, condition="head_per_second", metric="accuracy", level="utterance", fold="pooled")
    assert pooled["mean"] == pytest.approx(72) and pooled["difference"] == pytest.approx(0, abs=1e-9)
    folds = row_of(table, condition="head_per_second", metric="accuracy", level="utterance", fold="mean over folds")
    assert folds["n"] == 2 and folds["spread_over"] == "folds"
    assert folds["sd"] == pytest.approx(np.std([74, 70], ddof=1))
    one = row_of(table, condition="head_per_second", metric="accuracy", level="utterance", fold="08")
    assert one["mean"] == pytest.approx(70)
    text = markdown.markdown_table3(table)
    assert "| ours, `head_per_second` | 72.0 ± 2.0 | 67.0 ± 2.0 | 0.0 | 3 |  |" in text
    assert "| 03 | 74.0 ± 2.0 | 69.0 ± 2.0 |" in text
    assert "| Pereira et al. 2018 (the paper) | 72 |" in text


def test_table3_names_what_must_be_known(results):
    emodb(results)
    emodb(results, "best", values=(0.8, 0.82), config={"search": "once", "selected_after_test": True})
    table = tables.table3(Results.read(results))
    note = row_of(table, condition="best", metric="accuracy", level="utterance", fold="pooled")["note"]
    assert "optimistic: one search for all folds" in note and "chosen after looking at test scores" in note
    assert markdown.markdown_table3(table).index("`head_per_second`") < markdown.markdown_table3(table).index("`best`")


def test_settings_that_differ_between_runs_are_named(results):
    emodb(results)
    emodb_config = json.loads((results / "table3_emodb/head_per_second/run2/config.json").read_text()) | {"epochs": 5}
    (results / "table3_emodb/head_per_second/run2/config.json").write_text(json.dumps(emodb_config))
    assert Results.read(results).note("table3_emodb", "head_per_second") == "settings differ between runs: epochs"


def test_partial_runs_are_left_out_and_counted(results):
    emodb(results)
    write_run(results, "table3_emodb", "head_per_second", 4, {}, predictions=classes(), finish=False)
    table = tables.table3(Results.read(results))
    row = row_of(table, condition="head_per_second", metric="accuracy", level="utterance", fold="pooled")
    assert row["n"] == 3 and row["note"] == "1 unfinished run left out"


def test_one_run_has_no_interval(results):
    emodb(results, values=(0.7,))
    text = markdown.markdown_table3(tables.table3(Results.read(results)))
    assert "| ours, `head_per_second` | 70.0 | 65.0 | −2.0 | 1 |  |" in text and "nan" not in text


# Ablations and label efficiency


def test_ablations_are_paired_with_the_base(results):
    emodb(results, "began", "ablations", (0.70, 0.72, 0.74), config={"description": "ours"})
    emodb(results, "random_frozen", "ablations", (0.60, 0.63, 0.66))
    emodb(results, "svc", "ablations", (0.80,))
    table = tables.ablations(Results.read(results))
    assert table["condition"].tolist() == ["svc", "began", "random_frozen"]
    row = row_of(table, condition="random_frozen")
    assert row["difference"] == pytest.approx(-9) and row["n_pairs"] == 3
    assert row["difference_ci_high"] == pytest.approx(-9 + T_2 * 1 / math.sqrt(3))
    assert row_of(table, condition="svc")["n_pairs"] == 1
    text = markdown.markdown_ablations(table)
    assert "| `began` | ours | 72.0 ± 2.0 | 67.0 to 77.0 | 67.0 ± 2.0 | 62.0 |  | base | 3 |" in text
    assert "−9.0 (−11.5 to −6.5)" in text and "nan" not in text


def test_runs_are_averaged(results):
    """Two runs err on another utterance each, and are surer where they are right: together they make no mistake."""
    for run, scores in ((1, [[0.9, 0.1], [0.6, 0.4]]), (2, [[0.4, 0.6], [0.1, 0.9]])):
        predictions = pd.DataFrame(scores, columns=["anger", "sadness"])
        predictions = predictions.assign(
            utterance=["a", "b"], target=["anger", "sadness"], prediction=predictions.idxmax(axis=1)
        )
        write_run(results, "ablations", "began", run, {("pooled", "utterance"): {"accuracy": 0.5}}, predictions=predictions)
    row = row_of(tables.ablations(Results.read(results)), condition="began")
    assert row["accuracy"] == pytest.approx(50) and row["averaged_accuracy"] == pytest.approx(100)


def test_a_marked_base_wins(results):
    emodb(results, "began", "ablations")
    emodb(results, "tuned", "ablations", config={"base": True})
    assert set(tables.ablations(Results.read(results))["base"]) == {"tuned"}


def test_label_efficiency(results):
    for percent, value in ((5, 0.3), (100, 0.7)):
        emodb(results, f"from_scratch_{percent:03d}", "label_efficiency", (value, value + 0.02))
    emodb(results, "unnumbered", "label_efficiency", (0.5,))
    table = tables.label_efficiency(Results.read(results))
    assert table[["encoder", "percent"]].values.tolist() == [["from_scratch", 5], ["from_scratch", 100]]
    assert table["accuracy"].tolist() == pytest.approx([31, 71])


def test_own_data_sets(results):
    emodb(results, "my_corpus", "custom")
    report.render_tables(results)
    text = (results / "tables" / "custom.md").read_text()
    assert "## `my_corpus`" in text and "| accuracy | utterance | pooled | 72.0 ± 2.0 |" in text
    assert "nan" not in text


# Synthetic speech


def test_synthetic_runs_are_marked_and_never_reach_the_readme(results, tmp_path):
    savee(results, config={"synthetic": True})
    omg(results, config={"synthetic": True})
    emodb(results, config={"synthetic": True})
    emodb(results, "began", "ablations", config={"synthetic": True})
    report.render_tables(results)
    for name in ("table1", "table2", "table3", "ablations"):
        assert "**Synthetic speech: not comparable with the paper**" in (results / "tables" / f"{name}.md").read_text()
        assert "synthetic speech" in (results / "tables" / f"{name}.csv").read_text()
    section = readme_section(results, tmp_path / "README.md")
    assert "72.0" not in section and "ynthetic" not in section and "Ablations" not in section
    assert section.count("not run") == sum(len(conditions) for conditions in EXPECTED.values())


def test_readme_takes_the_real_ones_among_synthetic_ones(results, tmp_path):
    emodb(results)
    emodb(results, "demo", values=(0.99,), config={"synthetic": True})
    section = readme_section(results, tmp_path / "README.md")
    assert "| 3, EmoDB | `head_per_second` | accuracy (%) | 72 | 72.0 ± 2.0 | 67.0 to 77.0 | 0.0 | 3 |  |" in section
    assert "demo" not in section and "99.0" not in section


# README


def test_readme_markers(results, tmp_path):
    emodb(results)
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n\n<!-- results:begin -->\noutdated\n<!-- results:end -->\n\n## Install\n")
    section = readme_section(results, readme)
    assert update_readme(readme, section) is True
    text = readme.read_text()
    assert text.startswith("# Title\n\n<!-- results:begin -->\nTest part") and text.endswith("-->\n\n## Install\n")
    assert "outdated" not in text and "(results/tables/table3.md)" in text
    assert update_readme(readme, section) is False and readme.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "no marker",
        "<!-- results:begin -->",
        "<!-- results:end --><!-- results:begin -->",
        "<!-- results:begin --><!-- results:begin --><!-- results:end -->",
    ],
)
def test_readme_without_its_markers_is_left_alone(tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(InputError, match="marker"):
        update_readme(readme, "new")
    assert readme.read_text() == text


def test_absent_readme(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        update_readme(tmp_path / "README.md", "new")


# Everything together


@pytest.fixture
def full(results):
    options = {"predictions": classes(), "trials": search()}
    savee(results, **options)
    savee(results, "chunk_split_leaking", levels=("chunk",))
    omg(results, predictions=classes(dimensions=True), trials=pd.concat([search(), search(seed=1).assign(task="dimensional")]))
    emodb(results, **options)
    emodb(results, "began", "ablations")
    emodb(results, "random_frozen", "ablations", values=(0.5,))
    for percent in (10, 100):
        emodb(results, f"began_{percent:03d}", "label_efficiency")
    history = results / "pretrain_librispeech" / "published" / "history.csv"
    history.parent.mkdir(parents=True)
    pd.DataFrame(
        {
            "epoch": [1, 2],
            "step": [10, 20],
            "reconstruction_loss": [0.2, 0.1],
            "generator_loss": math.nan,
            "k": 0.0,
            "convergence_measure": [0.3, 0.2],
            "learning_rate": 5e-5,
        }
    ).to_csv(history, index=False)
    return results


def test_script_renders_everything_twice_the_same(full, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:begin -->\n<!-- results:end -->\n")
    arguments = ["--results-dir", str(full), "--readme", str(readme)]
    assert run_script(report.main, report.make_parser(), arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Wrote ")
    drawn = {path.stem for path in (full / "figures").glob("*.png")}
    assert drawn == {
        "table1_savee_chunk_split_leaking_speakers",
        *(
            f"{name}_{task}"
            for name in ("table1_savee_utterance_split", "table3_emodb_head_per_second")
            for task in ("confusion", "speakers", "search", "search_parameters")
        ),
        "table2_omg_official_confusion",
        "table2_omg_official_arousal_valence",
        *(
            f"table2_omg_official_{task}_{head}"
            for task in ("search", "search_parameters")
            for head in ("categorical", "dimensional")
        ),
        "ablations",
        "label_efficiency",
        "pretrain_published_convergence",
        "architecture",
    }
    assert "(results/figures/ablations.png)" in readme.read_text()
    files = [readme, *sorted((full / "tables").iterdir())]
    before = [path.read_bytes() for path in files]
    report.render_tables(full)
    assert update_readme(readme, readme_section(full, readme)) is False
    assert [path.read_bytes() for path in files] == before
    assert not [path for path in files if path.suffix == ".md" and "nan" in path.read_text()]


def test_script_without_results(tmp_path, capsys):
    assert run_script(report.main, report.make_parser(), ["--results-dir", str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_imports_nothing_heavy():
    code = (
        "import sys, experiments.report, experiments.figures; "
        "print([m for m in ('tensorflow','matplotlib','scipy','sklearn','nbconvert') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(report.__file__).parents[1]
    )
    assert done.stdout.strip() == "[]"


# Figures


def test_the_same_data_give_the_same_file(tmp_path):
    counts = pd.DataFrame([[3, 1], [1, 2]], index=["a", "b"], columns=["a", "b"])
    for name in ("first", "second"):
        figures.plot_confusion(counts, "title", path=tmp_path / f"{name}.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_spectrogram_grid_and_pictures_of_a_pre_training(tmp_path):
    rows = {"real": np.random.default_rng(0).random((3, 512, 32)), "generated": np.zeros((2, 512, 32, 1))}
    history = pd.DataFrame(
        {"step": [10], "convergence_measure": [0.3], "reconstruction_loss": [0.2], "k": [0.0], "learning_rate": [1e-4]}
    )
    drawn = figures.draw_pretraining(rows, history, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in drawn] == [
        "pictures/latest.png",
        "pictures/step_0000010.png",
        "convergence.png",
    ]
    assert all(path.stat().st_size > 5000 for path in drawn)
    drawn = figures.draw_pretraining(rows, pd.concat([history] * 3), tmp_path)
    assert [path.name for path in drawn] == ["latest.png", "convergence.png"]


def test_shared_searches_count_once():
    trials = pd.concat([search().assign(run=1), search().assign(run=2), search(seed=3).assign(run=3)])
    assert figures.distinct_searches(trials)["run"].unique().tolist() == [1, 3]


def test_figures_of_awkward_data():
    figures.plot_search(pd.DataFrame({"trial": [0], "loss": [math.nan]}))
    same = pd.DataFrame({"trial": [0, 1], "loss": [1.0, 2.0], "filters": [8, 8]})
    assert figures.plot_search_parameters(same) is None
    figures.plot_arousal_valence(classes(1, dimensions=True))
    figures.plot_confusion(pd.DataFrame([[0, 0], [1, 2]], index=["a", "b"], columns=["a", "b"]))
    figures.plot_speakers(pd.DataFrame({"only": [50.0]}))


# The architecture


def test_the_architecture_says_what_the_networks_are(tmp_path):
    """Shapes and layers in the picture follow the networks, whatever their size."""
    from began.networks import build_decoder, build_encoder
    from classifiers.heads import build_head
    from experiments.figures.architecture import read_stages

    encoder = read_stages(build_encoder((64, 16, 1), base_filters=2, latent_size=5, seed=0))
    assert [stage.shape for stage in encoder] == [(64, 16, 1), (32, 8, 2), (16, 4, 4), (8, 2, 6), (8, 2, 8), (5,)]
    assert [stage.words for stage in encoder[1:]] == 3 * ["2 conv 3×3\nstride 2"] + ["2 conv 3×3", "dense"]
    decoder = read_stages(build_decoder((64, 16, 1), base_filters=2, latent_size=5, seed=0))
    assert [stage.shape for stage in decoder] == [
        (5,),
        (8, 2, 2),
        (16, 4, 2),
        (32, 8, 2),
        (64, 16, 2),
        (64, 16, 2),
        (64, 16, 1),
    ]
    parameters = {"n_convolutions": 1, "filters": 3, "stride_frequency": 1, "pooling": "max_time", "dense_units": 9}
    softmax = read_stages(build_head("categorical", (8, 2, 8), 4, parameters))
    assert [(stage.shape, stage.words) for stage in softmax[1:]] == [
        ((2, 2, 8), "standardise\nmean 4×1"),
        ((2, 2, 3), "conv 3×3"),
        ((2, 1, 3), "max 1×2"),
        ((9,), "dense\nelu"),
        ((4,), "dense\nsoftmax"),
    ]
    both = read_stages(build_head("dimensional", (8, 2, 8), 2))
    assert (both[-1].shape, both[-1].words) == ((2,), "dense\ntanh")


def test_the_architecture_is_legible(tmp_path):
    """No words lie on others or outside, and the same networks give the same file."""
    for name in "ab":
        figure = figures.draw_architecture(tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    words = [text for text in figure.axes[0].texts if text.get_text().strip()]
    figure.draw_without_rendering()  # places were last worked out for the file's resolution
    boxes = [text.get_window_extent() for text in words]
    assert len(words) > 60
    for number, box in enumerate(boxes):
        assert figure.bbox.x0 < box.x0 and box.x1 < figure.bbox.x1 and figure.bbox.y0 < box.y0 and box.y1 < figure.bbox.y1
        on = [words[other].get_text() for other in range(number) if box.overlaps(boxes[other])]
        assert not on, (words[number].get_text(), on)
