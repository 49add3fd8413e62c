"""Numbers as a reader sees them: digits, ±, intervals, and the rows and cells of Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from experiments.evaluation import runs
from experiments.reporting.results import METRIC_NAMES
from experiments.reporting.tables import NOT_RUN

OURS_HEADS = ("ours", "95 % interval", "difference", "runs")


def find_row(table: pd.DataFrame, **values: str) -> pd.Series | None:
    """Returns the first row whose columns have the given values, or None."""
    for name, value in values.items():
        table = table[table[name] == value]
    return None if table.empty else table.iloc[0]


def find_headline(ours: pd.DataFrame, condition: str, metric: str) -> pd.Series | None:
    """Returns a condition's pooled utterance-level row of a metric, or None."""
    rows = ours[(ours["condition"] == condition) & (ours["metric"] == metric) & (ours["level"] == "utterance")]
    pooled = rows[rows["fold"].isin((runs.POOLED, ""))]
    return None if pooled.empty else pooled.iloc[0]


def records(table: pd.DataFrame) -> Iterable:
    """Returns the rows as named tuples."""
    return table.itertuples(index=False)


def ours_cells(row: pd.Series | None) -> list[str]:
    """Returns the cells below OURS_HEADS."""
    if row is None or math.isnan(row["mean"]):
        return [NOT_RUN, "", "", ""]
    return [mean_sd(row), interval(row["ci_low"], row["ci_high"], row["unit"]), signed(row), str(int(row["n"]))]


def mean_sd(row: pd.Series | None) -> str:
    """Returns a row's mean ± standard deviation, "not run", or nothing where there is no row."""
    if row is None:
        return ""
    return NOT_RUN if math.isnan(row["mean"]) else plus_minus(row["mean"], row["sd"], row["unit"])


def number(value: float, unit: str) -> str:
    """Returns a number: one decimal for percent, three for other measures, nothing for NaN."""
    if math.isnan(value):
        return ""
    return (f"{value:.1f}" if unit == "%" else f"{value:.3f}").replace("-", "−")


def plus_minus(mean: float, sd: float, unit: str) -> str:
    """Returns mean ± standard deviation, or the mean alone where one run has none."""
    return number(mean, unit) if math.isnan(sd) else f"{number(mean, unit)} ± {number(sd, unit)}"


def interval(low: float, high: float, unit: str) -> str:
    """Returns an interval's ends, or nothing where there is none."""
    return "" if math.isnan(low) else f"{number(low, unit)} to {number(high, unit)}"


def signed(row: pd.Series | None) -> str:
    """Returns a row's difference to the paper with its sign."""
    return "" if row is None else signed_number(row["difference"], row["unit"])


def signed_number(value: float, unit: str) -> str:
    """Returns a number with its sign; none for zero."""
    if math.isnan(value):
        return ""
    text = f"{value:+.1f}" if unit == "%" else f"{value:+.3f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def printed(row: pd.Series | None) -> str:
    """Returns a published number with the digits it was published with."""
    if row is None:
        return ""
    return f"{row['mean']:.6g}" if math.isnan(row["sd"]) else f"{row['mean']:.2f} ± {row['sd']:.2f}"


def dimension_name(metric: str) -> str:
    """Returns the words for a measure of arousal or valence."""
    stem, _, rest = metric.rpartition("_arousal") if "_arousal" in metric else metric.rpartition("_valence")
    if not stem:
        return metric
    return f"{METRIC_NAMES.get(stem + rest, stem + rest)}, {'arousal' if '_arousal' in metric else 'valence'}"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(heads), "|" + "---|" * len(heads), *(line(row) for row in rows)])
