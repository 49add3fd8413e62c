"""Intervals of means: Student's t over speakers tells how a score would come out for other speakers."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd


class Interval(NamedTuple):
    """Mean of n values with its 95 % t interval; NaN where there are fewer than three."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0

    def in_percent(self, name: str) -> dict[str, float]:
        """Returns the mean under a name, and the ends of the interval, in percent."""
        return {name: 100 * self.mean, f"{name}_ci_low": 100 * self.low, f"{name}_ci_high": 100 * self.high}


def t_interval(values: Iterable[float], lowest: float = -math.inf, highest: float = math.inf) -> Interval:
    """Returns mean ± t(0.975, n - 1) · sd / √n, cut off at the lowest and the highest value that the mean can have."""
    finite = pd.Series(values, dtype=float).dropna()
    mean, n = finite.mean(), len(finite)
    if n < 3:
        return Interval(mean, n=n)
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975)) * finite.std(ddof=1) / math.sqrt(n)
    return Interval(mean, max(mean - half, lowest), min(mean + half, highest), n)


def crossed_interval(table: pd.DataFrame, lowest: float = -math.inf, highest: float = math.inf) -> Interval:
    """Returns the mean of a table with its 95 % interval over other rows and other columns, both drawn at random.

    The variance of the mean is that of the two-way random-effects model without replication: with mean squares of rows,
    columns and residuals, (MS_rows + MS_columns − MS_residual) / n, its degrees of freedom by Satterthwaite (1946). The
    interval of the row means, or of the column means, is taken where it is wider: one over both must not be narrower. It is
    also taken where rows or columns differ by less than the residuals do, for the sum then says little.

    Args:
        table: at least three rows and two columns, such as one per speaker and one per encoder; otherwise there is no interval.
    """
    values = table.to_numpy(dtype=float)
    (n_rows, n_columns), mean = values.shape, float(values.mean()) if values.size else math.nan
    if n_rows < 3 or n_columns < 2 or not np.isfinite(values).all():
        return Interval(mean, n=n_rows)
    from scipy.special import stdtrit

    of_rows, of_columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    df = np.array([n_rows - 1, n_columns - 1, (n_rows - 1) * (n_columns - 1)])
    squares = np.array(
        [np.square(part).sum() for part in (of_rows - mean, of_columns - mean, values - of_rows - of_columns + mean)]
    )
    rows, columns, residual = squares * [n_columns, n_rows, 1] / df
    candidates = [(rows, df[0]), (columns, df[1])]
    if residual < min(rows, columns):  # else little is left to tell the variance by, and of its degrees of freedom
        both = rows + columns - residual
        candidates.append((both, both**2 / (np.array([rows, columns, residual]) ** 2 / df).sum()))
    half = max(float(stdtrit(freedom, 0.975)) * math.sqrt(variance / values.size) for variance, freedom in candidates)
    return Interval(mean, max(mean - half, lowest), min(mean + half, highest), n_rows)


def range_of(metric: str) -> tuple[float, float]:
    """Returns the lowest and the highest value that a metric can have; arousal lies in [0, 1], valence in [-1, 1]."""
    if metric.startswith("mean_squared"):
        return 0.0, 4.0
    return (-1.0 if metric.startswith(("concordance", "pearson")) else 0.0), 1.0
