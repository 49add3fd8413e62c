"""The table of altered recordings: accuracy, and how many of them change the prediction."""

from collections.abc import Sequence

import pandas as pd

from experiments.evaluation.alterations import ALTERATIONS, UNALTERED
from experiments.evaluation.condition import ADAPTED_TO
from experiments.evaluation.conditions import ROBUST_METHODS, ROBUSTNESS, on_altered
from experiments.reporting import markdown as md
from experiments.reporting.intervals import Interval
from experiments.reporting.notes import join_notes
from experiments.reporting.summary import RECALL, Results, select

_ABOUT = (
    "Accuracy of all utterances, and the share whose predicted class differs from that of the unaltered recording. One "
    "classifier per speaker, with default parameters, was trained on the other speakers' recordings as they are; heads on "
    "whole utterances average over speeds. The differences with their intervals over speakers are in robustness.csv."
)
_NUMBERS = [str(number) for number in ADAPTED_TO.values() if number]
_DRAWN = f"{', '.join(_NUMBERS[:-1])} or {_NUMBERS[-1]}"
_ABOUT_ADAPTED = (
    "Accuracy of the same heads after the statistics of each test speaker's recordings, altered in the same way, were shifted "
    "to the mean of the training recordings, as `classifiers.predict --adapt` does. The "
    f"speaker's mean is that of {_DRAWN} recordings, drawn once, or of all; those that were drawn are scored, too."
)


def make_table(results: Results) -> pd.DataFrame:
    """Returns one row per method and alteration that has been run, shares in percent.

    `difference` is that of the accuracies to the recordings as they are, paired over the speakers, with its 95 % interval.
    """
    rows = []
    for method in ROBUST_METHODS:
        base = on_altered(method, UNALTERED).name
        before = results.predictions(ROBUSTNESS.name, base)
        for alteration in ALTERATIONS:
            name = on_altered(method, alteration).name
            scores = select(results.scores, experiment=ROBUSTNESS.name, condition=name, scope="pooled", level="utterance")
            if scores.empty or before.empty:
                continue
            both = before.merge(results.predictions(ROBUSTNESS.name, name), on=["run", "utterance"], suffixes=("", "_after"))
            values = scores.set_index("metric")["mean"]
            paired = results.compare(ROBUSTNESS.name, name, base) if name != base else Interval()
            rows.append(
                {
                    "method": method,
                    "alteration": alteration,
                    "accuracy": 100 * values["accuracy"],
                    "unweighted_average_recall": 100 * values[RECALL],
                    "changed": 100 * (both["prediction"] != both["prediction_after"]).mean(),
                    **paired.in_percent("difference"),
                }
            )
    return pd.DataFrame(rows)


def to_markdown(results: Results, table: pd.DataFrame) -> str:
    """Returns the table as Markdown: one row per alteration, two columns per method."""
    accuracies, changed = (table.pivot(index="alteration", columns="method", values=name) for name in ("accuracy", "changed"))
    methods, adapted = [], []
    for method in [name for name in ROBUST_METHODS if name in accuracies]:
        (adapted if on_altered(method, UNALTERED).adapted_to else methods).append(method)
    rows = []
    for alteration in [name for name in ALTERATIONS if name in accuracies.index]:
        cells = [ALTERATIONS[alteration].title]
        for method in methods:
            share = "" if alteration == UNALTERED else md.number(changed.at[alteration, method])
            cells += [md.number(accuracies.at[alteration, method]), share]
        rows.append(cells)
    heads = ["", *(head for method in methods for head in (f"`{method}`", "changed"))]
    footnotes = md.Footnotes()
    for method in methods:
        names = [on_altered(method, alteration).name for alteration in table.loc[table["method"] == method, "alteration"]]
        heads[1 + 2 * methods.index(method)] += footnotes.marks(join_notes(results, ROBUSTNESS.name, names))
    lines = [f"# {ROBUSTNESS.title} (%)", "", md.MADE, "", _ABOUT, "", md.markdown_table(heads, rows), ""]
    lines += footnotes.lines()
    if adapted:
        lines += ["", "## Adapted, without labels", "", _ABOUT_ADAPTED, "", _compare_adapted(accuracies, adapted), ""]
    return "\n".join(lines)


def _compare_adapted(accuracies: pd.DataFrame, adapted: Sequence[str]) -> str:
    """Returns the accuracies of one head, adapted to more and more recordings; one row per alteration."""
    numbers = [on_altered(method, UNALTERED).adapted_to for method in adapted]
    shown = accuracies.reindex(columns=["utterance_head", *adapted]).dropna(subset=adapted, how="all")
    rows = [[ALTERATIONS[name].title, *map(md.number, shown.loc[name])] for name in ALTERATIONS if name in shown.index]
    return md.markdown_table(["", "`utterance_head`", *(f"adapted to {number}" for number in numbers)], rows)
