"""The tables of `experiments.reporting.tables` in Markdown, and in words."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from classifiers.metrics import CONCORDANCE
from experiments.corpora.record import AVERAGED, MEAN_OVER_FOLDS, MEAN_OVER_SPEAKERS, POOLED, SCOPES
from experiments.evaluation.conditions import EXPERIMENTS, find_condition
from experiments.evaluation.data import SPEEDS
from experiments.reporting import markdown as md
from experiments.reporting.notes import SYNTHETIC_NOTICE
from experiments.reporting.summary import RECALL, RECORDS, Results, TestPart, find_base, select
from experiments.reporting.tables import ABLATIONS, METRIC_NAMES, OURS, READINGS, accuracies, make_table, split_ablations

_COMPARED = {"utterance_head": ("utterance_head_initial_weights", "functionals"), "began_16_epochs": ("initial_weights",)}
"""Base of ablations -> what it is compared with in words."""

_MAIN = ("accuracy", RECALL, *CONCORDANCE)

_SPREAD = (
    "± is the sample standard deviation over runs, which differ in their seeds (and share a search where they share a split). "
    "Intervals are Student's t over speakers; they are not widened for the number of comparisons."
)
_READING = (
    "The paper does not define this measure; this shows which definition comes closest, and does not claim that the authors "
    "used it. Over seven one-vs-rest outputs, binary accuracy is 85.7 % if no class is ever predicted, and 1 − 2(1 − a)/7 for "
    "one-hot predictions of accuracy a. Distance: the mean absolute difference to the paper's numbers, in points."
)
_LEVELS_IN_WORDS = (
    "Levels: `chunk`, one second; `recording`, an utterance in a single pass; `utterance`, the scores of an utterance averaged "
    f"over its chunks, or, where it has copies, over its {len(SPEEDS)} speeds."
)

COLUMNS = {
    "table1_savee": "Accuracy of each speaker's test utterances; one model per speaker.",
    "table2_omg": "The F-score is compared with micro F1, the challenge's; CCC is the concordance correlation coefficient.",
    "table3_emodb": "Accuracy and UAR of all utterances together, and the mean of the speakers' accuracies.",
    "ablations": "EmoDB as in Table 3, SAVEE as in Table 1; runs averaged: accuracy after averaging each utterance's "
    "probabilities over runs. Intervals are over speakers, each for one encoder or one draw of initial weights; "
    "encoder_seeds.md compares several seeds.",
}
"""What the columns of a table are."""


def to_markdown(experiment: str, table: pd.DataFrame, parts: Mapping[str, TestPart] | None = None) -> str:
    """Returns a table as Markdown: the paper's numbers beside ours, then all that was measured.

    `parts` are what conditions of own data sets were tested on.
    """
    lines = [f"# {RECORDS[experiment].title}{name_unit(table)}", "", md.MADE, ""]
    if table["notes"].str.contains(SYNTHETIC_NOTICE, regex=False).any():
        lines += [f"**{SYNTHETIC_NOTICE.capitalize()}** (rows marked so).", ""]
    footnotes = md.Footnotes()
    if experiment == "ablations":
        lines += [f"{COLUMNS[experiment]} {compare_in_words(table)}".strip(), ""]
        for base, rows in split_ablations(table).items():
            beside = md.markdown_table(*beside_the_paper(experiment, rows, footnotes))
            lines += [f"## {ABLATIONS[base]}", "", beside, ""]
        lines += footnotes.lines()
        missing = [f"`{name}`" for name in RECORDS[experiment].conditions if name not in set(table["condition"])]
        lines += [f"{md.NOT_RUN.capitalize()}: {', '.join(missing)}.", ""] if missing else []
    else:
        if RECORDS[experiment].columns:
            beside = md.markdown_table(*beside_the_paper(experiment, table, footnotes))
            lines += [COLUMNS[experiment], "", beside, "", *footnotes.lines(), *_other_protocols(experiment, table)]
        lines += _readings(experiment, table) + _measures(table, footnotes, parts or {})
    if not RECORDS[experiment].columns:
        lines += footnotes.lines()
    protocols = select(table, system=OURS).drop_duplicates("condition").groupby("protocol", sort=False)["condition"]
    lines += ["## Protocols", ""] if len(protocols) else []
    lines += [f"- {', '.join(f'`{name}`' for name in names)}: {md.escape(protocol)}." for protocol, names in protocols]
    return "\n".join([*lines, "", _LEVELS_IN_WORDS, "", _SPREAD, ""])


def beside_the_paper(
    experiment: str, table: pd.DataFrame, footnotes: md.Footnotes, most_rows: float = math.inf
) -> tuple[list[str], list[list[str]]]:
    """Returns heads and the first rows of the main table of an experiment: published systems, then our conditions."""
    columns, base = RECORDS[experiment].columns, find_base(experiment, table["condition"].iloc[-1])
    what, to_paper, chunk = "what it is", "minus the paper's", "chunk accuracy"
    over, paired = f"{MEAN_OVER_SPEAKERS} (95 % interval)", f"minus `{base}`, paired over speakers (95 % interval)"
    heads = {
        "table3_emodb": [what, "accuracy", to_paper, over, paired, "UAR"],
        "ablations": [what, "accuracy", over, paired, "UAR", *([chunk] if "chunk" in set(table["level"]) else []), AVERAGED],
    }.get(experiment, [what, *columns])
    rows = []
    for (system, condition), block in table.groupby(["system", "condition"], sort=False):
        found, level = _index(block), "utterance" if "utterance" in set(block["level"]) else "chunk"
        name, n_runs = f"`{condition}`" if condition else system, block["n_runs"].fillna(0).max()
        if not condition:
            cells = {row.column: md.printed(row) for row in block.itertuples() if row.column in columns}
        elif not n_runs:
            cells = {next(iter(columns)): md.NOT_RUN}
        else:
            name += ", chunks" if level == "chunk" else ""
            scopes = {column: column if experiment == "table1_savee" else POOLED for column in columns}
            cells = {column: md.mean_sd(found.get((columns[column], level, scopes[column]))) for column in columns}
            accuracy, mean = (found.get(("accuracy", level, scope)) for scope in (POOLED, MEAN_OVER_SPEAKERS))
            cells[to_paper] = md.number(accuracy.difference_to_paper, sign="+") if accuracy else ""
            cells |= {over: md.mean_interval(mean), paired: "base" if condition == base else _paired(mean)}
            cells[chunk] = md.mean_sd(found.get(("accuracy", "chunk", POOLED)))
            cells[AVERAGED] = md.mean_sd(found.get(("accuracy", level, AVERAGED)))
        if cells and len(rows) < most_rows:  # what is not shown has no footnotes
            record = find_condition(experiment, condition)
            cells[what] = record.description if record else ""
            name += footnotes.marks(block["notes"].iloc[0])
            rows.append([name, *(cells.get(head, "") for head in heads), str(n_runs) if n_runs else ""])
    spread = (*columns, chunk) if base else ()
    return ["", *(f"{head} ± over runs" if head in spread else head for head in heads), "runs"], rows


def compare_in_words(table: pd.DataFrame) -> str:
    """Returns how the bases of the ablations compare with others, over the speakers, as far as they have been run."""
    said = []
    for base, others in _COMPARED.items():
        found = []
        for row in accuracies(table).itertuples():
            if row.condition in others and row.base == base and not math.isnan(row.difference_ci_low):
                ends = -row.difference_to_base, -row.difference_ci_high, -row.difference_ci_low
                found.append(f"{md.with_interval(*ends, sign='+', between=' points')} above `{row.condition}`")
        said += [f"`{base}` is {' and '.join(found)}"] if found else []
    return f"Default heads, 16 epochs, paired over speakers: {'; '.join(said)}." if said else ""


def list_findings(results: Results) -> list[str]:
    """Returns what the runs under a results folder say, a line of Markdown for each experiment, and what has not been run."""
    lines, absent = [], []
    for experiment, record in RECORDS.items():
        if not results.conditions(experiment):
            absent += [record.title] if experiment in EXPERIMENTS else []
            continue
        table = make_table(results, experiment)
        if experiment == "ablations":
            said = compare_in_words(table)
        elif experiment in ("label_efficiency", "robustness", "transfer"):  # more numbers than a line can tell
            continue
        else:
            rows = select(table, system=OURS, scope=POOLED, level="utterance")
            others = not any(results.is_comparable(experiment, name) for name in results.conditions(experiment))
            found = []
            for metric in [name for name in ("accuracy", *CONCORDANCE) if (rows["metric"] == name).any()]:
                of_metric = select(rows, metric=metric)
                scores = [f"`{row.condition}` {md.mean_sd(row)}" for row in of_metric.itertuples()]
                published = of_metric["paper"].iloc[0]
                scores += [] if math.isnan(published) or others else [f"the paper {published:g}"]
                found.append(f"{METRIC_NAMES[metric]}{name_unit(of_metric)}: {', '.join(scores)}")
            said = f"{'; '.join(found)}." if found else ""
        synthetic = f"**{SYNTHETIC_NOTICE.capitalize()}.** " if results.is_synthetic(experiment) else ""
        lines += [f"**{record.title}.** {synthetic}{said}"] if said else []
    return [*lines, f"Not run: {'; '.join(absent)}."] if absent else lines


def name_unit(table: pd.DataFrame) -> str:
    """Returns " (%)" where all scores are in percent."""
    return " (%)" if (table["unit"] == "%").all() else ""


def _readings(experiment: str, table: pd.DataFrame) -> list[str]:
    """Returns every measure that a column of the paper may be, and which lies closest to the paper."""
    measures = READINGS.get(experiment, ())
    columns = [column for column, metric in RECORDS[experiment].columns.items() if metric in measures]
    ours = table[table["metric"].isin(measures) & table["column"].isin(columns) & table["scope"].isin((POOLED, *columns))]
    rows, closest = [], {}
    for (condition, metric, level), block in ours.groupby(["condition", "metric", "level"], sort=False):
        known = {row.column: md.mean_sd(row) for row in block.itertuples()}
        distance, unit = block["difference_to_paper"].abs().mean(), block["unit"].iloc[0]
        cells = [known.get(column, "") for column in columns]
        rows.append([f"`{condition}`", METRIC_NAMES[metric], level, *cells, md.number(distance, unit)])
        if all(cells) and distance < closest.get(condition, (math.inf,))[0]:
            text = f"- Closest to the paper in `{condition}`: {METRIC_NAMES[metric]} at {level} level"
            closest[condition] = distance, f"{text}, {md.number(distance, unit)} away."
    heads, texts = ["", "reading", "level", *columns, "distance to the paper"], [text for _, text in closest.values()]
    lines = ["## Every reading of the paper's measure", "", md.markdown_table(heads, rows), "", *texts, "", _READING, ""]
    return lines if rows else []


def _measures(table: pd.DataFrame, footnotes: md.Footnotes, parts: Mapping[str, TestPart]) -> list[str]:
    """Returns all measures of each condition, and the main ones of each fold."""
    lines: list[str] = []
    for condition, block in table[(table["system"] == OURS) & table["mean"].notna()].groupby("condition", sort=False):
        found = _index(block)
        mean = MEAN_OVER_SPEAKERS if MEAN_OVER_SPEAKERS in set(block["scope"]) else MEAN_OVER_FOLDS
        lines += [f"## `{condition}`{footnotes.marks(block['notes'].iloc[0])}", ""]
        rows = [
            [METRIC_NAMES[metric], level, md.mean_sd(row), md.mean_interval(found.get((metric, level, mean)))]
            for (metric, level, scope), row in found.items()
            if scope == POOLED and metric not in ("f1_micro", "fbeta_0.5_macro", "fbeta_0.5_rounded")
        ]
        heads = ["measure", "level", "pooled ± over runs", mean + (" (95 % interval)" if mean == MEAN_OVER_SPEAKERS else "")]
        lines += [md.markdown_table(heads, rows), ""]
        level = "utterance" if "utterance" in set(block["level"]) else "chunk"
        folds = [scope for scope in block["scope"].unique() if scope not in SCOPES]
        main = [name for name in _MAIN if any((name, level, fold) in found for fold in folds)]
        rows = [[md.escape(fold), *(md.mean_sd(found.get((name, level, fold))) for name in main)] for fold in folds]
        heads = [f"fold, {level} level", *(f"{METRIC_NAMES[name]} ± over runs" for name in main)]
        if part := parts.get(condition):
            rows = [[*row, str(part.sizes.get(fold, ""))] for row, fold in zip(rows, folds, strict=True)]
            heads.append("utterances")
            if part.lines:
                known = (f"{md.escape(name)}: {md.number(value)} %" for name, value in part.lines.items())
                lines += [f"Without listening, accuracy is: {', '.join(known)}.", ""]
        lines += [md.markdown_table(heads, rows), ""] if rows else []
    return lines


def _other_protocols(experiment: str, table: pd.DataFrame) -> list[str]:
    """Returns the published numbers that have no column of their own in the paper's table."""
    other = table[(table["system"] != OURS) & ~table["column"].isin(RECORDS[experiment].columns)]
    lines = [f"- {row.system}: {row.column} {md.printed(row)}; {row.notes}." for row in other.itertuples()]
    return ["Published under other protocols:", "", *lines, ""] if lines else []


def _index(block: pd.DataFrame) -> dict[tuple[str, str, str], Any]:
    """Returns the rows of a condition by metric, level and scope."""
    return {(row.metric, row.level, row.scope): row for row in block.itertuples()}


def _paired(row: Any) -> str:
    return md.with_interval(row.difference_to_base, row.difference_ci_low, row.difference_ci_high, sign="+") if row else ""
