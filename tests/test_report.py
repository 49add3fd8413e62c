"""Tables, README and figures from fabricated run folders whose right answers are known."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from fabricated import SPEAKERS, classes, emodb, omg, savee, search, write_run
from smaller import draw_nothing

from began.command_line import run_script
from began.errors import InputError
from experiments import figures, report
from experiments.evaluation import paper
from experiments.evaluation.condition import DEFAULT_HEAD_SEEN, LEAKING, LEVEL_SEEN, PROTOCOLS, SPACE_SEEN, STATISTICS_SEEN
from experiments.evaluation.conditions import EXPERIMENTS, at_encoder_seed, carried_over
from experiments.reporting import encoder_seeds_table, error_analysis, tables, transfer_table
from experiments.reporting.intervals import crossed_interval, t_interval
from experiments.reporting.markdown import Footnotes, escape, number
from experiments.reporting.notes import list_notes
from experiments.reporting.readme import update_readme
from experiments.reporting.render import render
from experiments.reporting.summary import Results, best_trials, validation_and_test
from experiments.reporting.tables_markdown import to_markdown

ROOT = Path(__file__).resolve().parents[1]
T_2 = 4.302652729911275  # Student's t, 97.5 %, two degrees of freedom
PER_SECOND = "searched head on one second"


@pytest.fixture(autouse=True)
def _invented_scores(monkeypatch):
    """Which no predictions give."""
    monkeypatch.setattr("experiments.reporting.render.check_results", lambda results_dir: None)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def table_of(results, experiment):
    return tables.make_table(Results(results), experiment)


def text_of(results, experiment):
    return to_markdown(experiment, table_of(results, experiment))


def row_of(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def render_readme(results, folder):
    readme = folder / "README.md"
    readme.write_text("# Title\n\n<!-- results:begin -->\noutdated\n<!-- results:end -->\n\n## Install\n")
    render(results, readme)
    return readme.read_text()


# Statistics


def test_interval():
    interval = t_interval([0.70, 0.72, 0.74])
    half = T_2 * 0.02 / math.sqrt(3)
    assert (interval.mean, interval.n) == (pytest.approx(0.72), 3)
    assert (interval.low, interval.high) == (pytest.approx(0.72 - half), pytest.approx(0.72 + half))


def test_interval_over_rows_and_columns_holds_the_truth_as_often_as_it_says():
    """Ten speakers and three encoders with effects of their own, or none: 95 of 100 intervals hold the mean of all."""
    generator = np.random.default_rng(0)
    for speakers, encoders in ((3.0, 0.0), (3.0, 3.0), (0.0, 2.0)):
        n_held = 0
        for _ in range(1000):
            effects = speakers * generator.standard_normal((10, 1)) + encoders * generator.standard_normal((1, 3))
            interval = crossed_interval(pd.DataFrame(1 + effects + 2 * generator.standard_normal((10, 3))))
            n_held += interval.low <= 1 <= interval.high
        assert 925 <= n_held <= 985


@pytest.mark.parametrize(("step", "widest"), [(0.0, 0), (2.0, 1), (0.5, 2)])
def test_interval_over_rows_and_columns(step, widest):
    """Of ten rows and three columns: that of the row means, of the column means, or of both (Satterthwaite): the widest."""
    residuals = 0.1 * np.random.default_rng(0).standard_normal((10, 3))
    values = np.add.outer(np.arange(10.0), step * np.arange(3)) + residuals
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    residual = np.square(values - rows[:, None] - columns + values.mean()).sum() / 18
    parts = np.array([3 * rows.var(ddof=1), 10 * columns.var(ddof=1), residual])
    variances = [parts[0], parts[1], parts @ [1, 1, -1]]
    df = [9, 2, variances[2] ** 2 / (parts**2 / [9, 2, 18]).sum()]
    halves = [scipy.stats.t.ppf(0.975, one) * math.sqrt(variance / 30) for variance, one in zip(variances, df, strict=True)]
    assert np.argmax(halves) == widest
    half, mean = max(halves), values.mean()
    assert crossed_interval(pd.DataFrame(values)) == pytest.approx((mean, mean - half, mean + half, 10))


def test_interval_over_rows_and_columns_that_differ_by_less_than_the_residuals():
    """The estimate of the variance is all noise then, and would leave less than one degree of freedom."""
    values = np.array([[0.0, 1.0, -1.0], [1.1, -1.0, 0.0], [-1.0, 0.1, 1.0]])
    halves = [T_2 * means.std(ddof=1) / math.sqrt(3) for means in (values.mean(axis=0), values.mean(axis=1))]
    assert crossed_interval(pd.DataFrame(values)).high == pytest.approx(values.mean() + max(halves))


def test_interval_over_rows_and_columns_that_are_alike_few_or_bounded():
    # Columns that are alike: the interval of the rows' means alone. A bound cuts it.
    rows = [0.1, 0.5, 0.9]
    assert crossed_interval(pd.DataFrame({"a": rows, "b": rows})) == pytest.approx(t_interval(rows))
    assert crossed_interval(pd.DataFrame({"a": rows, "b": rows}), 0.0, 1.0)[1:3] == (0.0, 1.0)
    for few in (pd.DataFrame({"a": rows}), pd.DataFrame({"a": rows[:2], "b": rows[:2]}), pd.DataFrame()):
        assert math.isnan(crossed_interval(few).low)


@pytest.mark.parametrize(("values", "mean"), [([0.5, 0.9], 0.7), ([0.5, math.nan], 0.5), ([], math.nan)])
def test_no_interval_of_fewer_than_three(values, mean):
    interval = t_interval(values)
    assert interval.mean == pytest.approx(mean, nan_ok=True) and math.isnan(interval.low) and math.isnan(interval.high)


def test_no_interval_leaves_what_is_possible(results):
    """Speakers at 10, 90 and 100 %: t alone would give −55 to 188 %."""
    for condition, scores in (("head_per_second", (0.1, 0.9, 1.0)), ("utterance_statistics", (1.0, 0.0, 0.2))):
        folds = {(fold, "utterance"): {"accuracy": score} for fold, score in zip("abc", scores, strict=True)}
        write_run(results, "table3_emodb", condition, 1, {**folds, ("pooled", "utterance"): {"accuracy": 0.7}})
    table = table_of(results, "table3_emodb")
    row = row_of(table, condition="head_per_second", scope="mean over speakers")
    assert (row["ci_low"], row["ci_high"], row["n_speakers"]) == (0, 100, 3)
    row = row_of(table, condition="utterance_statistics", scope="mean over speakers")
    assert (row["difference_ci_low"], row["difference_ci_high"]) == (-100, 100)
    assert "66.7 (0.0 to 100.0)" in text_of(results, "table3_emodb")


@pytest.mark.parametrize(
    ("base", "expected"), [("initial_weights", (4.6, -0.4, 9.6)), ("functionals", (-12.8, -19.7, -5.9))], ids=str
)
def test_comparisons_of_the_committed_runs_are_paired_over_speakers(base, expected):
    results = Results(ROOT / "results")
    mean, low, high, n = results.compare("ablations", "began_16_epochs", base)
    assert tuple(round(100 * value, 1) for value in (mean, low, high)) == expected and n == 10
    # The same from the predictions alone.
    accuracy = {}
    for condition in ("began_16_epochs", base):
        predictions = results.predictions("ablations", condition)
        right = (predictions["target"] == predictions["prediction"]).groupby([predictions["speaker"], predictions["run"]])
        accuracy[condition] = right.mean().groupby("speaker").mean()
    assert t_interval(accuracy["began_16_epochs"] - accuracy[base]) == pytest.approx((mean, low, high, n))


def test_speakers_are_compared_where_each_is_a_fold(results):
    emodb(results, "a", "custom")
    emodb(results, "b", "custom", (0.6,))
    emodb(results, "folds", "custom", config={"protocol": "3 folds"})
    assert Results(results).compare("custom", "a", "b")[:1] == pytest.approx((0.12,))
    assert math.isnan(Results(results).compare("custom", "a", "folds").mean)
    assert math.isnan(Results(results).compare("custom", "a", "absent").mean)
    table = table_of(results, "custom")
    assert set(table.loc[table["condition"] == "a", "scope"]) == {"pooled", "03", "08", "09", "mean over speakers"}
    mean = row_of(table, condition="folds", metric="accuracy", level="utterance", scope="mean over folds")
    assert mean["mean"] == pytest.approx(72) and mean["sd_over_runs"] == pytest.approx(2) and math.isnan(mean["ci_low"])


# Numbers and footnotes


def test_numbers():
    assert [number(-1.25), number(0.5, ""), number(math.nan), number(2.04, sign="+"), number(-0.04, sign="+")] == [
        "−1.2",
        "0.500",
        "",
        "+2.0",
        "0.0",
    ]


def test_footnotes_stand_once():
    footnotes = Footnotes()
    assert [footnotes.marks(notes) for notes in ("seen; leaking", "", "leaking")] == [" ¹ ²", "", " ²"]
    assert footnotes.lines() == ["1. Seen.", "2. Leaking.", ""]
    for n in range(3, 11):
        footnotes.marks(f"note {n}")
    assert footnotes.marks("note 10") == " ¹⁰" and Footnotes().lines() == []


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
    render(results)
    rows = {"table1": ["utterance_split_utterance_head", "utterance_split", "chunk_split_leaking"]}
    heads = ["official", "source_disjoint", "official_test", "source_disjoint_test"]
    rows["table2"] = [*heads, *(f"{name}_utterance_head" for name in heads)]
    rows["table3"] = ["utterance_head", "utterance_head_16_filters", "head_per_second"]
    rows["table3"] += ["utterance_statistics", "utterance_statistics_speaker_normalized"]
    for name, conditions in rows.items():
        text = (results / "tables" / f"{name}.md").read_text()
        assert text.count("| not run |") == len(conditions) and all(f"| `{condition}`" in text for condition in conditions)
        assert (results / "tables" / f"{name}.csv").is_file()
    assert "Not run: `utterance_head`, `utterance_head_initial_weights`," in (results / "tables" / "ablations.md").read_text()
    assert "80.69 ± 2.96" in (results / "tables" / "table1.md").read_text()
    assert "85.1" in (results / "tables" / "table3.md").read_text()
    assert not (results / "figures").exists()


def test_no_results_folder(tmp_path):
    assert Results(tmp_path / "absent").conditions("table3_emodb") == []


# Table 1


def test_table1_beside_the_paper(results):
    savee(results)
    table = table_of(results, "table1_savee")
    row = row_of(table, condition="utterance_split", column="DC", metric="accuracy", level="utterance")
    assert row["mean"] == pytest.approx(72) and row["sd_over_runs"] == pytest.approx(2) and row["n_runs"] == 3
    assert row["paper"] == pytest.approx(80.69) and row["difference_to_paper"] == pytest.approx(72 - 80.69)
    text = text_of(results, "table1_savee")
    assert "|  | what it is | DC | JE | JK | KL | runs |" in text
    assert f"| `utterance_split` | {PER_SECOND} | 72.0 ± 2.0 | 72.0 ± 2.0 | 72.0 ± 2.0 | 72.0 ± 2.0 | 3 |" in text
    assert f"| `chunk_split_leaking` ³ | {PER_SECOND}, chunks split | not run |" in text
    assert f"3. {LEAKING}." in text
    assert "each speaker alone; 20 trials per search; at most 100 epochs" in text
    assert "WavLM large, frozen: UAR 66.7; leave one speaker out" in text


def test_table1_names_the_closest_reading(results):
    savee(results)
    distance = np.mean([0.31, 0.04, 0.85, 1.46])
    text = f"in `utterance_split`: binary accuracy (mean over the class outputs) at chunk level, {distance:.1f} away."
    assert f"- Closest to the paper {text}" in text_of(results, "table1_savee")


def test_table1_marks_the_leaking_condition_and_its_level(results):
    savee(results)
    savee(results, "chunk_split_leaking", levels=("chunk",))
    table = table_of(results, "table1_savee")
    leaking = table[table["condition"] == "chunk_split_leaking"]
    assert set(leaking["level"]) == {"chunk"} and leaking["notes"].str.contains("LEAKING").all()
    text = text_of(results, "table1_savee")
    assert f"| `chunk_split_leaking`, chunks ³ | {PER_SECOND}, chunks split | 62.0 ± 2.0 |" in text


# Table 2


def test_table2(results):
    omg(results, config={"pooling": {"categorical": "mean", "dimensional": "median"}, "n_missing": 7, "n_without_chunks": 1})
    row = row_of(table_of(results, "table2_omg"), metric="f1_micro", level="utterance")
    assert row["column"] == "F-score" and row["unit"] == "" and row["difference_to_paper"] == pytest.approx(0.32 - 0.73)
    text = text_of(results, "table2_omg")
    assert f"| `official` ³ ⁴ | {PER_SECOND} | 0.320 ± 0.020 | 0.200 ± 0.000 | −0.020 ± 0.000 | 3 |" in text
    assert f"| `source_disjoint` | {PER_SECOND} | not run |" in text
    assert "The F-score is compared with micro F1" in text
    assert (
        "- Closest to the paper in `official`: binary accuracy (mean over the class outputs) at chunk level, 0.010 away."
        in text
    )
    assert "| CCC, mean over videos, arousal | utterance | 0.110 ± 0.000 |" in text
    assert "3. 7 utterances without audio left out." in text and "4. 1 utterance shorter than a chunk left out." in text
    assert "chunks pooled by their mean (categorical), median (dimensional)" in text and "nan" not in text


# Table 3


def test_table3_pooled_and_over_speakers(results):
    emodb(results)
    emodb(results, "utterance_statistics", values=(0.8, 0.8), config={"method": "statistics"})
    table = table_of(results, "table3_emodb")
    chosen = {"condition": "head_per_second", "metric": "accuracy", "level": "utterance"}
    pooled = row_of(table, **chosen, scope="pooled")
    assert pooled["mean"] == pytest.approx(72) and pooled["difference_to_paper"] == pytest.approx(0, abs=1e-9)
    assert math.isnan(pooled["ci_low"])
    mean = row_of(table, **chosen, scope="mean over speakers")
    half = T_2 * np.std([74, 70, 72], ddof=1) / math.sqrt(3)
    assert mean["mean"] == pytest.approx(72) and mean["n_speakers"] == 3 and mean["n_runs"] == 3
    assert (mean["ci_low"], mean["ci_high"]) == (pytest.approx(72 - half), pytest.approx(72 + half))
    assert row_of(table, **chosen, scope="08")["mean"] == pytest.approx(70)
    text = text_of(results, "table3_emodb")
    assert f"| `head_per_second` ⁴ | {PER_SECOND} | 72.0 ± 2.0 | 0.0 | 72.0 (67.0 to 77.0) | base | 67.0 ± 2.0 | 3 |" in text
    assert "| 80.0 ± 0.0 | +8.0 | 80.0 (75.0 to 85.0) | +8.0 (+8.0 to +8.0) | 75.0 ± 0.0 | 2 |" in text
    assert "| 03 | 74.0 ± 2.0 | 69.0 ± 2.0 |" in text and "| Pereira et al. 2018 (the paper) |  | 72 |" in text
    assert f"4. {SPACE_SEEN[0].upper()}{SPACE_SEEN[1:]}." in text and text.count(STATISTICS_SEEN[1:]) == 1


def test_training_without_altered_copies_is_a_row_of_its_own(results):
    emodb(results)
    emodb(results, "utterance_head", config={"method": "utterance", "altered_copies": True})
    before = text_of(results, "table3_emodb")
    name, without = "utterance_head_without_altered_copies", {"method": "utterance", "altered_copies": False}
    assert name not in before and "altered copies" not in before
    emodb(results, name, config=without)
    text = text_of(results, "table3_emodb")
    assert re.search(rf"\| `{name}` .* \| searched head on the whole utterance, without altered copies \| 72.0 ± 2.0 \|", text)
    assert text.index("| `utterance_head`") < text.index(f"| `{name}`") < text.index("| `head_per_second`")
    assert f"- `{name}`: leave one speaker out; 20 trials per search; at most 100 epochs; without altered copies." in text
    emodb(results, "mine", "custom", config=without)
    assert "without altered copies." in text_of(results, "custom")
    emodb(results, "ours", "custom", config={"method": "utterance", "ensemble_size": 5})
    said = "- `ours`: leave one speaker out; 20 trials per search; at most 100 epochs; 5 seeds made into one; method utterance."
    assert said in text_of(results, "custom")


def test_a_condition_that_the_user_named_has_the_notes_of_its_method(results):
    emodb(results)
    emodb(results, "mine", config={"method": "statistics", "normalize_speakers": True, "note": "unfinished encoder"})
    notes = row_of(table_of(results, "table3_emodb"), condition="mine", metric="accuracy", level="chunk", scope="pooled")[
        "notes"
    ]
    assert STATISTICS_SEEN in notes and "standardised together" in notes and "unfinished encoder" in notes
    text = text_of(results, "table3_emodb")
    assert text.index("`utterance_statistics`") < text.index("`mine`") or text.index("`head_per_second`") < text.index("`mine`")
    emodb(results, "own", "custom", config={"normalize_speakers": True})
    assert len(list_notes(Results(results), "custom", "own")) == 1 and "## `own` ¹" in text_of(results, "custom")


def test_names_and_notes_from_a_results_folder_are_no_markup(results):
    """Speakers and notes may come from anybody: a table on a web page must neither run, nor load, nor link what they say."""
    name = "<img src=x onerror=alert(1)> [a](http://b.example) `c` | www.d.example \x1b[31m"
    scores = {(fold, "utterance"): {"accuracy": 0.5} for fold in (name, "03", "pooled")}
    write_run(results, "custom", "own", 1, scores, config={"note": name, "protocol": f"leave one speaker out {name}"})
    text = text_of(results, "custom")
    assert text.count("onerror") == 3
    for mark in ("<", "[", "|", "`", "]("):
        assert len(re.findall(rf"(?<!\\){re.escape(mark)}", escape(name))) == 0
    assert text.count(escape(name)) == 3
    assert "//b.example" in text and "http://" not in text and "www.d" not in text and "\x1b" not in text


def test_formulas_and_emphasis_are_no_markup_either():
    assert escape("$a$ _b_ __c__ d_e") == r"<span>$</span>a<span>$</span> \_b\_ \_\_c\_\_ d_e"


def test_conditions_on_other_recordings_are_not_compared(results):
    """Labels and names alike, the sound not: a difference between the scores would say nothing about the conditions."""
    emodb(results, "head_per_second", config={"sounds_sha256": "a"})
    emodb(results, "utterance_head", values=(0.8, 0.82, 0.84), config={"sounds_sha256": "a"})
    emodb(results, "utterance_statistics", values=(0.8, 0.82, 0.84), config={"sounds_sha256": "b"})
    emodb(results, "utterance_statistics_speaker_normalized", values=(0.8, 0.82, 0.84))  # of an earlier version: unknown
    found = {
        name: Results(results).compare("table3_emodb", name, "head_per_second").mean
        for name in EXPERIMENTS["table3_emodb"].conditions
    }
    assert found["utterance_head"] == pytest.approx(0.1) and math.isnan(found["utterance_statistics"])
    assert found["utterance_statistics_speaker_normalized"] == pytest.approx(0.1)
    notes = list_notes(Results(results), "table3_emodb", "utterance_statistics")
    assert "on other recordings than head_per_second, so not compared with it" in notes
    assert not any("other recordings" in note for note in list_notes(Results(results), "table3_emodb", "utterance_head"))


def test_conditions_on_other_encoders_say_so(results):
    """A user may name another encoder for every call; ablations have encoders of their own, and say which."""
    for digit, experiment, condition in (
        (1, "table3_emodb", "head_per_second"),
        (2, "table3_emodb", "utterance_head"),
        (1, "ablations", "began_16_epochs"),
        (2, "ablations", "autoencoder"),
        (1, "custom", "mine"),
        (2, "custom", "yours"),
        (1, "table1_savee", "utterance_split"),
        (1, "table1_savee", "utterance_split_utterance_head"),
    ):
        emodb(results, condition, experiment, config={"encoder_sha256": str(digit) * 64})
    emodb(results, "functionals", "table3_emodb")
    found = Results(results)
    notes = {key: [note for note in list_notes(found, *key) if "on the encoder" in note] for key in found.configs}
    assert {key: note for key, (note,) in ((key, note) for key, note in notes.items() if note)} == {
        ("table3_emodb", "head_per_second"): "on the encoder 11111111, others of this table on another one",
        ("table3_emodb", "utterance_head"): "on the encoder 22222222, others of this table on another one",
    }


def test_settings_that_differ_between_runs_are_named(results):
    emodb(results)
    path = results / "table3_emodb/head_per_second/run2/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"epochs": 5}))
    assert list_notes(Results(results), "table3_emodb", "head_per_second") == (
        SPACE_SEEN,
        "settings differ between runs: epochs",
    )


def test_partial_runs_are_left_out_and_counted(results):
    emodb(results)
    write_run(results, "table3_emodb", "head_per_second", 4, {}, predictions=classes(), finish=False)
    row = row_of(
        table_of(results, "table3_emodb"), condition="head_per_second", metric="accuracy", level="utterance", scope="pooled"
    )
    assert row["n_runs"] == 3 and row["notes"].endswith("; 1 unfinished run left out")


def run_report(monkeypatch, *argv):
    monkeypatch.setattr(report, "render", lambda results_dir, readme: [])
    return run_script(report.main, report.make_parser(), [str(word) for word in argv])


def test_folders_of_runs_that_no_table_reads_are_named(results, monkeypatch, capsys):
    emodb(results)
    assert run_report(monkeypatch, "--results-dir", results) == 0
    assert not capsys.readouterr().err
    condition = write_run(results, "table3_emodb", "head_per_second", 4, {}, predictions=classes(), finish=False).path.parent
    shutil.copytree(condition / "run1", condition / "run01")
    assert run_report(monkeypatch, "--results-dir", results) == 0
    said = capsys.readouterr().err
    assert said.startswith("note: 2 folders of runs left out: table3_emodb/head_per_second/run01 (not named run1, run2, …), ")
    assert "/run4 (no metrics.csv). A run that is in progress has no metrics.csv yet; " in said


@pytest.mark.parametrize(
    "words",
    [
        ("tables", "--out-dir"),
        ("tables", "--notebooks-dir"),
        ("tables", "--data-dir"),
        ("notebooks", "--out-dir"),
        ("notebooks", "--readme"),
        ("html", "--readme"),
    ],
)
def test_options_that_nothing_would_read_are_refused(results, monkeypatch, capsys, words):
    assert run_report(monkeypatch, *words, "x", "--results-dir", results) == 2
    assert f"{words[1]}: found it with {words[0]}; expected it with " in capsys.readouterr().err


def test_another_corpus_under_the_name_is_not_compared_with_the_paper(results):
    emodb(results, config={"n_unpublished": 3})
    row = row_of(
        table_of(results, "table3_emodb"), condition="head_per_second", metric="accuracy", scope="pooled", level="utterance"
    )
    assert math.isnan(row["difference_to_paper"]) and "3 are absent or added" in row["notes"]
    assert "Not the published corpus, so not compared with the paper: 3 are absent or added" in text_of(results, "table3_emodb")


def test_what_is_there_no_longer_is_rendered_no_longer(results):
    """But for files that are not the project's."""
    emodb(results, "gone", "custom", predictions=classes())
    emodb(results, "stays", "table3_emodb", predictions=classes())
    render(results)
    others = ["figures/custom_mine.png", "figures/ablations_of_mine.png", "tables/table3.tex", "tables/custom.xlsx"]
    for name in others:
        (results / name).touch()
    made = {path.name for path in results.glob("*/*.*")}
    assert {"custom.md", "custom.csv", "custom_gone_confusion.png", "table3_emodb_stays_confusion.png"} <= made
    shutil.rmtree(results / "custom")
    render(results)
    left = {path.name for path in results.glob("*/*.*")}
    assert {name for name in made - left if not name.startswith("custom_gone_")} == {"custom.md", "custom.csv"}
    assert not any(name.startswith("custom_gone_") for name in left) and all((results / name).exists() for name in others)


def test_an_undefined_correlation_counts_for_nobody(results):
    """A speaker with one utterance has none: the mean is over the others."""
    name = "concordance_correlation_coefficient_arousal"
    for run in (1, 2):
        scores = {(fold, "utterance"): {name: value} for fold, value in (("a", 0.5), ("b", 0.7), ("c", 0.9), ("d", math.nan))}
        write_run(results, "custom", "mine", run, {**scores, ("pooled", "utterance"): {name: 0.8}})
    row = row_of(table_of(results, "custom"), scope="mean over speakers")
    assert row["mean"] == pytest.approx(0.7) and row["n_speakers"] == 3
    assert "nan" not in text_of(results, "custom")


def test_one_run_has_no_spread(results):
    emodb(results, values=(0.7,))
    text = text_of(results, "table3_emodb")
    assert "| 70.0 | −2.0 | 70.0 (65.0 to 75.0) | base | 65.0 | 1 |" in text and "nan" not in text


# Ablations and label efficiency


def test_ablations_are_compared_with_the_base_speaker_by_speaker(results):
    emodb(results, "began_16_epochs", "ablations", (0.70, 0.72, 0.74), config={"max_evals": None})
    emodb(results, "initial_weights", "ablations", (0.60, 0.63, 0.66), config={"max_evals": None})
    emodb(results, "majority", "ablations", (0.24,), config={"method": "majority"})
    table = table_of(results, "ablations")
    assert list(dict.fromkeys(table["condition"])) == ["majority", "began_16_epochs", "initial_weights"]
    rows = tables.accuracies(table)
    row = row_of(rows, condition="initial_weights")
    assert row["difference_to_base"] == pytest.approx(-9) and row["base"] == "began_16_epochs" and row["n_speakers"] == 3
    assert row["difference_ci_high"] == pytest.approx(-9)  # every speaker is nine points below
    text = text_of(results, "ablations")
    assert "| 72.0 ± 2.0 | 72.0 (67.0 to 77.0) | base | 67.0 ± 2.0 | 62.0 ± 2.0 |  | 3 |" in text
    assert "−9.0 (−9.0 to −9.0)" in text and "nan" not in text
    assert "`began_16_epochs` is +9.0 points (+9.0 to +9.0) above `initial_weights`." in text
    assert text.count(DEFAULT_HEAD_SEEN[1:]) == 1 and "default parameters; at most 100 epochs" in text
    assert "Not run: `utterance_head`, `utterance_head_initial_weights`," in text


def test_ablations_on_utterances_and_on_seconds_have_bases_of_their_own(results):
    """Encoders of other seeds, which have a table of their own, are in the CSV file alone."""
    values = {"utterance_head": 0.7, "functionals": 0.65, "utterance_head_seed_1": 0.72, "began_16_epochs": 0.5, "began": 0.6}
    for name, value in values.items():
        emodb(results, name, "ablations", (value,))
    rows = tables.accuracies(table_of(results, "ablations")).set_index("condition")
    assert rows["base"].to_dict() == {
        name: "began_16_epochs" if name.startswith("began") else "utterance_head" for name in values
    }
    assert rows["difference_to_base"].dropna().to_dict() == pytest.approx(
        {"functionals": -5, "utterance_head_seed_1": 2, "began": 10}
    )
    text = text_of(results, "ablations")
    seconds = text.index("## On one second at a time")
    assert text.index("## On whole utterances") < text.index("| `functionals`") < seconds < text.index("| `began`")
    assert "minus `utterance_head`, paired" in text[:seconds] and "minus `began_16_epochs`, paired" in text[seconds:]
    assert "seed_1`" not in text.split("Not run")[0]
    render(results)
    assert {path.name for path in (results / "figures").glob("*.png")} == {
        "ablations_utterance_head.png",
        "ablations_began_16_epochs.png",
    }


def test_ablations_on_savee_stand_apart(results):
    """They have a part and a picture of their own, without the paper's score on EmoDB."""
    for name, value in {
        "utterance_head": 0.7,
        "savee_utterance_head": 0.6,
        "savee_utterance_head_initial_weights": 0.5,
    }.items():
        emodb(results, name, "ablations", (value,))
    emodb_text, savee_text = text_of(results, "ablations").split("## On whole utterances of SAVEE")
    assert "`savee_" not in emodb_text.split("## On whole utterances")[1]
    assert "`savee_utterance_head_initial_weights`" in savee_text and "`utterance_head`" not in savee_text.split("Not run")[0]
    assert "−10.0 (−10.0 to −10.0)" in savee_text
    rows = tables.split_ablations(tables.accuracies(table_of(results, "ablations")))
    assert tables.label_ablations("utterance_head", rows["utterance_head"])["reference"] == ("the paper", pytest.approx(72))
    assert tables.label_ablations("savee_utterance_head", rows["savee_utterance_head"])["reference"] is None
    render(results)
    assert (results / "figures" / "ablations_savee_utterance_head.png").is_file()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"synthetic": True}, "synthetic speech: not comparable with the paper"),
        ({"n_unpublished": 3}, "not the published corpus, so not compared with the paper: 3 are absent or added"),
    ],
)
def test_the_paper_is_no_line_beside_other_recordings(results, config, said):
    """Each picture speaks of what it shows."""
    emodb(results, "utterance_head", "ablations")
    emodb(results, "functionals", "ablations", config=config)
    emodb(results, "began_16_epochs", "ablations")
    rows = tables.split_ablations(tables.accuracies(table_of(results, "ablations")))
    labels = {base: tables.label_ablations(base, of_base) for base, of_base in rows.items()}
    assert labels["utterance_head"]["reference"] is None and labels["utterance_head"]["note"] == said
    assert labels["began_16_epochs"]["reference"] and labels["began_16_epochs"]["note"] == ""
    emodb(results)
    emodb(results, "utterance_statistics", config=config)
    lines = {"the paper, all speakers": pytest.approx(72)}
    assert tables.mark_speakers(Results(results), "table3_emodb", "head_per_second") == ({}, lines)
    assert tables.mark_speakers(Results(results), "table3_emodb", "utterance_statistics") == ({}, {})


def test_where_every_run_has_a_test_part_of_its_own_equal_runs_are_compared(results):
    """The second run is easy for both; only one of them has done it."""
    drawn, other = {"protocol": PROTOCOLS["per_speaker"], "seed": 0}, "savee_utterance_head_initial_weights"
    emodb(results, "savee_utterance_head", "ablations", (0.5, 0.9), config=drawn)
    emodb(results, other, "ablations", (0.4,), config=drawn)
    emodb(results, "savee_utterance_head_seed_1", "ablations", (0.4,), config=drawn | {"seed": 7})
    compared = Results(results).compare("ablations", "savee_utterance_head", other)
    assert compared[:3] == pytest.approx((0.1, 0.1, 0.1))
    note = "compared with savee_utterance_head over the 1 run that both have done"
    assert note in list_notes(Results(results), "ablations", other)
    assert Results(results).subtract("ablations", "savee_utterance_head", "savee_utterance_head_seed_1") is None
    note = "not compared with savee_utterance_head: no run has the same seed"
    emodb(results, "savee_utterance_statistics", "ablations", (0.4,), config=drawn | {"seed": 7})
    assert note in list_notes(Results(results), "ablations", "savee_utterance_statistics")


def test_runs_on_other_test_parts_are_not_averaged(results):
    """Utterances are in as many runs as they were drawn for."""
    for run, names in ((1, ["a", "b"]), (2, ["a", "c"])):
        predictions = pd.DataFrame({"utterance": names, "target": "anger", "prediction": "anger", "anger": 1.0, "sadness": 0.0})
        write_run(results, "ablations", "began", run, {("pooled", "utterance"): {"accuracy": 1.0}}, predictions=predictions)
    assert math.isnan(row_of(table_of(results, "ablations"), scope="runs averaged")["mean"])


def test_one_speaker_of_another_corpus_has_a_score_without_an_interval(results):
    name = carried_over("emodb", "savee", "functionals", "source", 0).name
    predictions = pd.DataFrame({"utterance": ["a", "b"], "speaker": "DC", "fold": "DC", "target": ["anger", "fear"]})
    predictions = predictions.assign(prediction="anger", anger=0.9, fear=0.1)
    scores = {(fold, "utterance"): {"accuracy": 0.5, "unweighted_average_recall": 0.5} for fold in ("DC", "pooled")}
    write_run(results, "transfer", name, 1, scores, predictions=predictions)
    (row,) = transfer_table.make_table(Results(results)).itertuples()
    assert row.accuracy == row.accuracy_pooled == 50 and math.isnan(row.accuracy_ci_low)
    assert "1 run: accuracy" in transfer_table.to_markdown(Results(results), transfer_table.make_table(Results(results)))


def test_seeds_on_different_recordings_are_not_averaged_and_it_is_said(results):
    for seed, sounds in ((0, "a"), (1, "a"), (2, "b")):
        for name in ("utterance_head", "utterance_head_initial_weights"):
            emodb(results, at_encoder_seed(name, seed), "ablations", (0.7,), config={"sounds_sha256": sounds})
    table = encoder_seeds_table.make_table(Results(results))
    assert list(table["seed"]) == ["0", "1", "2"]
    assert "The seeds were run on different recordings" in encoder_seeds_table.to_markdown(Results(results), table)


def test_every_caveat_is_one_footnote(results):
    emodb(results, "functionals", "ablations", config={"n_copies": 2, "n_shared_speakers": 1})
    assert all("; " not in note for note in list_notes(Results(results), "ablations", "functionals"))


def test_what_pre_training_gains_over_encoders_of_several_seeds(results):
    for seed, gain in ((0, 0.02), (1, 0.05)):
        for name, value in (("utterance_head", 0.7 + gain), ("utterance_head_initial_weights", 0.7)):
            emodb(results, at_encoder_seed(name, seed), "ablations", (value,))
    table = encoder_seeds_table.make_table(Results(results))
    assert list(table["seed"]) == ["0", "1"] and list(table["difference"]) == pytest.approx([2, 5])
    text = encoder_seeds_table.to_markdown(Results(results), table)
    assert "+2.0 (+2.0 to +2.0) | +5.0 (+5.0 to +5.0) |  |  |" in text  # of all seeds nothing, while one is missing
    for name, value in (("utterance_head", 0.78), ("utterance_head_initial_weights", 0.7)):
        emodb(results, at_encoder_seed(name, 2), "ablations", (value,))
    render(results)
    text = (results / "tables" / "encoder_seeds.md").read_text()
    half = T_2 * 3 / math.sqrt(3)  # speakers do not differ, so that only the encoders' spread is left
    assert f"| +8.0 (+8.0 to +8.0) | +5.0 (−{half - 5:.1f} to +{half + 5:.1f}) |" in text


def test_runs_are_averaged(results):
    """Two runs err on another utterance each, and are surer where they are right: together they make no mistake."""
    for run, scores in ((1, [[0.9, 0.1], [0.6, 0.4]]), (2, [[0.4, 0.6], [0.1, 0.9]])):
        predictions = pd.DataFrame(scores, columns=["anger", "sadness"])
        predictions = predictions.assign(
            utterance=["a", "b"], target=["anger", "sadness"], prediction=predictions.idxmax(axis=1)
        )
        write_run(results, "ablations", "began", run, {("pooled", "utterance"): {"accuracy": 0.5}}, predictions=predictions)
    table = table_of(results, "ablations")
    assert row_of(table, scope="pooled")["mean"] == pytest.approx(50)
    assert row_of(table, scope="runs averaged")["mean"] == pytest.approx(100)


def test_label_efficiency(results):
    for percent, value in ((5, 0.3), (100, 0.7)):
        emodb(results, f"emodb_from_scratch_{percent:03d}", "label_efficiency", (value, value + 0.02))
    table = tables.accuracies(table_of(results, "label_efficiency"), "pooled")
    assert table[["corpus", "method", "percent"]].values.tolist() == [
        ["emodb", "from_scratch", 5],
        ["emodb", "from_scratch", 100],
    ]
    assert table["mean"].tolist() == pytest.approx([31, 71])


def test_label_efficiency_of_other_methods_is_left_out(results):
    """Results of an earlier version: their conditions were named after encoders."""
    emodb(results, "from_scratch_005", "label_efficiency")
    rows = tables.accuracies(table_of(results, "label_efficiency"), "pooled")
    assert rows["corpus"].isna().all()
    assert not [path for path in render(results) if "label_efficiency" in path.name and path.suffix == ".png"]


def test_the_note_on_level_is_of_runs_that_hear_it(results):
    for name, front_end in (
        ("utterance_split_utterance_head", "trimmed"),
        ("utterance_split_utterance_statistics", "normalized"),
    ):
        savee(results, name, config={"front_end": front_end})
        notes = list_notes(Results(results), "table1_savee", name)
        assert (LEVEL_SEEN in notes) == (front_end == "trimmed")


def test_own_data_sets(results):
    emodb(results, "my_corpus", "custom")
    render(results)
    text = (results / "tables" / "custom.md").read_text()
    assert "## `my_corpus`" in text and "| accuracy | utterance | 72.0 ± 2.0 | 72.0 (67.0 to 77.0) |" in text
    assert "nan" not in text
    assert "paper" not in (results / "tables" / "custom.csv").read_text().partition("\n")[0]


def test_own_data_sets_stand_beside_guessing(results):
    """Chance, the most frequent class, and how many utterances each fold has: of the first run, not of all together."""
    table = pd.concat([classes(12).assign(fold=fold, speaker=fold) for fold in ("03", "08", "09")]).iloc[:-2]
    table["target"] = ["anger"] * 4 + ["sadness"] * 10 + ["neutral"] * 20
    emodb(results, "mine", "custom", predictions=table)
    part = Results(results).test_part("custom", "mine")
    text = to_markdown("custom", table_of(results, "custom"), {"mine": part})
    assert "Without listening, accuracy is: chance, 3 classes: 33.3 %, always “neutral”: 58.8 %." in text
    assert "| fold, utterance level | accuracy ± over runs | UAR ± over runs | utterances |" in text
    assert "| 08 | 70.0 ± 2.0 | 65.0 ± 2.0 | 12 |" in text and "| 09 | 72.0 ± 2.0 | 67.0 ± 2.0 | 10 |" in text
    # A class that the test part lacks can be answered all the same.
    emodb(results, "four", "custom", predictions=table.assign(anger=0.4, fear=0.1, neutral=0.3, sadness=0.2))
    assert Results(results).test_part("custom", "four").lines["chance, 4 classes"] == 25
    emodb(results, "tie", "custom", predictions=table.assign(target=["neutral", "anger"] * 17))
    assert "always “anger”" in Results(results).test_part("custom", "tie").lines  # as `experiments.evaluate` has it


def test_searches_of_heads_alone_are_drawn(results):
    """Of heads on whole utterances, too; other methods try all of a grid, in no order."""
    for method in ("utterance", "head", "statistics"):
        emodb(results, method, "custom", config={"method": method}, trials=search())
    render(results)
    drawn = {path.stem for path in (results / "figures").glob("custom_*_search*.png")}
    assert drawn == {f"custom_{name}_{kind}" for name in ("utterance", "head") for kind in ("search", "search_parameters")}


def test_own_data_sets_with_dimensions_alone_and_with_chunks_alone(results):
    ccc = {f"concordance_correlation_coefficient_{name}": 0.25 for name in ("arousal", "valence")}
    scores = {(fold, "utterance"): ccc for fold in ("1", "2", "pooled")}
    write_run(results, "custom", "dimensions", 1, scores, config={"protocol": "2 folds"})
    write_run(results, "custom", "chunks", 1, {(fold, "chunk"): {"accuracy": 0.5} for fold in ("1", "2", "pooled")})
    text = text_of(results, "custom")
    assert "| CCC, pooled over utterances, arousal | utterance | 0.250 | 0.250 |" in text
    assert (
        "| fold, utterance level | CCC, pooled over utterances, arousal ± over runs |" in text
        and "| 2 | 0.250 | 0.250 |" in text
    )
    assert "| fold, chunk level | accuracy ± over runs |" in text and "| 1 | 50.0 |" in text


# Synthetic speech


def test_synthetic_runs_are_marked_and_never_reach_the_readme(results, tmp_path):
    savee(results, config={"synthetic": True})
    omg(results, config={"synthetic": True})
    emodb(results, config={"synthetic": True})
    emodb(results, "began_16_epochs", "ablations", config={"synthetic": True})
    section = render_readme(results, tmp_path)
    for name in ("table1", "table2", "table3", "ablations"):
        assert "**Synthetic speech: not comparable with the paper**" in (results / "tables" / f"{name}.md").read_text()
        assert "synthetic speech" in (results / "tables" / f"{name}.csv").read_text()
        assert pd.read_csv(results / "tables" / f"{name}.csv")["difference_to_paper"].isna().all()
        assert "away." not in (results / "tables" / f"{name}.md").read_text()
    assert "72.0" not in section and "ynthetic" not in section and "blations" not in section


def test_readme_takes_the_real_ones_among_synthetic_ones(results, tmp_path):
    emodb(results)
    emodb(results, "demo", values=(0.99,), config={"synthetic": True})
    section = render_readme(results, tmp_path)
    assert "| 72.0 ± 2.0 | 0.0 | 72.0 (67.0 to 77.0) | base | 67.0 ± 2.0 | 3 |" in section
    assert "demo" not in section and "99.0" not in section


# README


def test_readme_section(results, tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    emodb(results)
    emodb(results, "began_16_epochs", "ablations")
    for number_of in range(9):
        emodb(results, f"mine_{number_of}", config={"note": f"of row {number_of}"})
    text = render_readme(results, tmp_path)
    assert text.startswith("# Title\n\n<!-- results:begin -->\nTest scores") and text.endswith("-->\n\n## Install\n")
    assert (
        "outdated" not in text
        and "](results/tables/table3.md)" in text
        and "](results/figures/ablations_began_16_epochs.png)" in text
    )
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len(block) - 2 for block in blocks] == [6]  # rows of Table 3, the only one that has been run
    assert re.findall(r"Of row \d", text) == [f"Of row {number}" for number in range(4)]  # footnotes of what is shown
    assert "table1.md)**: not run." in text and "table2.md)**: not run." in text
    assert all(block[2].startswith("| Pereira et al. 2018 (the paper) |") for block in blocks)
    assert text.count("not run") == 2
    before = (tmp_path / "README.md").stat().st_mtime_ns
    render(results, tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == text and (tmp_path / "README.md").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "text",
    [
        "no marker",
        "<!-- results:begin -->",
        "<!-- results:end --><!-- results:begin -->",
        "<!-- results:begin --><!-- results:begin --><!-- results:end -->",
        "<!-- results:begin --><!-- results:end --><!-- results:end -->",
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
    emodb(results, "began_16_epochs", "ablations")
    emodb(results, "initial_weights", "ablations", values=(0.5,))
    for percent in (10, 100):
        emodb(results, f"emodb_utterance_head_{percent:03d}", "label_efficiency")
    return results


def test_everything_is_rendered_twice_the_same(full, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:begin -->\n<!-- results:end -->\n")
    render(full, readme)
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
        "ablations_began_16_epochs",
        "label_efficiency_emodb",
    }
    files = [readme, *sorted((full / "tables").iterdir()), *sorted((full / "figures").iterdir())]
    before = [path.read_bytes() for path in files]
    render(full, readme)
    assert [path.read_bytes() for path in files] == before
    assert not [path for path in files if path.suffix == ".md" and "nan" in path.read_text()]


def test_every_table_has_the_same_columns(full, monkeypatch):
    draw_nothing(monkeypatch)
    render(full)
    heads = {(full / "tables" / f"{name}.csv").read_text().split("\n")[0] for name in tables.FILES.values() if name != "custom"}
    assert len(heads) == 1 and "sd_over_runs" in heads.pop()


def test_script_without_results(tmp_path, capsys):
    assert run_script(report.main, report.make_parser(), ["--results-dir", str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err and not (tmp_path / "absent").exists()


def test_figures_of_ablations_without_intervals():
    """Two speakers, one run: means alone; and a base that has not been run."""
    row = {"condition": "began", "base": "began_16_epochs", "mean": 50.0}
    empty = ("ci_low", "ci_high", "difference_to_base", "difference_ci_low", "difference_ci_high", "sd_over_runs")
    table = pd.DataFrame([row | dict.fromkeys(empty, math.nan)])
    assert len(figures.plot_ablations(table).axes) == 2
    assert figures.plot_ablations(table.assign(condition="majority")) is None  # left out, so nothing is left to draw
    figures.plot_label_efficiency(table.assign(method="egemaps", percent=5))


# Errors and searches


def test_errors_of_known_predictions():
    predictions = pd.DataFrame(
        {
            "run": [1] * 4 + [2] * 4,
            "utterance": list("abcd") * 2,
            "speaker": ["03", "03", "08", "08"] * 2,
            "target": ["anger", "anger", "anger", "sadness"] * 2,
            "prediction": ["anger", "sadness", "anger", "sadness", "anger", "sadness", "sadness", "sadness"],
            "anger": [0.9, 0.4, 0.8, 0.3, 0.9, 0.4, 0.45, 0.3],
        }
    ).assign(sadness=lambda table: 1 - table["anger"])
    assert error_analysis.count_confusions(predictions).to_numpy().tolist() == [[3, 3], [0, 2]]
    assert error_analysis.rank_confusions(predictions).values.tolist() == [["anger", "sadness", 50.0, 100.0]]
    by_speaker = error_analysis.recall_by(predictions, "speaker").set_index("speaker")
    assert by_speaker["accuracy"].tolist() == [50, 75] and by_speaker["utterances"].tolist() == [2, 2]
    assert by_speaker["sd"].tolist() == pytest.approx([0, np.std([100, 50], ddof=1)])
    assert error_analysis.share_right(predictions).to_dict() == {"a": 1.0, "b": 0.0, "c": 0.5, "d": 1.0}
    sure = error_analysis.measure_reliability(predictions, n_bins=2)
    assert sure["predictions"].tolist() == [4, 4] and sure["accuracy"].tolist()[1] >= sure["accuracy"].tolist()[0]
    lengths = error_analysis.group_lengths(pd.Series([0.5, 1.5, 10.0]))
    assert lengths.astype(str).tolist() == ["< 1.5 s", "1.5–2 s", "≥ 4 s"]


def test_search_tables(results):
    emodb(results, trials=pd.concat([search(), search("08", seed=2)]))
    read = Results(results)
    trials = read.trials("table3_emodb", "head_per_second")
    assert trials.columns[:3].tolist() == ["experiment", "condition", "fold"] and len(trials) == 24
    best = best_trials(trials)
    assert best["fold"].tolist() == ["03", "08"] and best["loss"].tolist() == trials.groupby("fold")["loss"].min().tolist()
    assert validation_and_test(read, "table3_emodb", "head_per_second").empty
    found = read.metrics[(read.metrics["fold"] == "03") & (read.metrics["metric"] == "unweighted_average_recall")]
    read.metrics = pd.concat([read.metrics, found.assign(split="validation", value=0.8)])
    scores = validation_and_test(read, "table3_emodb", "head_per_second")
    assert scores["fold"].tolist() == ["03"] and scores["validation"].tolist() == pytest.approx([80])
    assert scores["test"].tolist() == pytest.approx([69])
