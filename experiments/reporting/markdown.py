"""Numbers, tables and footnotes in Markdown."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from began.errors import printable

MADE = "Rendered by `make tables` from the run folders; not edited by hand."
NOT_RUN = "not run"

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def escape(text: object) -> str:
    """Returns a name or text of a results folder as it reads: no HTML, link, formula or other markup in it has an effect."""
    # Within a word, _ means nothing.
    marked = re.sub(r"[\\`*\[\]<>&|~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", printable(text))
    marked = marked.replace("$", "<span>$</span>")  # how GitHub writes one that begins no formula
    return re.sub(r"(?<=:)(?=//)|(?<=www)(?=\.)", r"\\", marked)  # bare addresses become links, too


class Footnotes:
    """Numbers caveats in the order of their first use, so that each stands once below its table."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def marks(self, notes: str) -> str:
        """Returns the raised numbers of notes (joined by "; "), each with a space in front."""
        texts = notes.split("; ") if notes else []
        self._texts += [text for text in texts if text not in self._texts]
        return "".join(f" {1 + self._texts.index(text)}".translate(_RAISED) for text in texts)

    def lines(self) -> list[str]:
        """Returns the notes as a numbered list and an empty line behind it; nothing where there are none."""
        lines = [*(f"{number}. {escape(text[:1].upper() + text[1:])}." for number, text in enumerate(self._texts, start=1)), ""]
        return lines if self._texts else []


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = ["| " + " | ".join(re.sub(r"(?<!\\)\|", r"\|", cell) for cell in cells) + " |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])


def number(value: float, unit: str = "%", sign: str = "") -> str:
    """Returns one decimal for percent, three for other measures, nothing for NaN; with sign="+" the sign of all but zero."""
    if math.isnan(value):
        return ""
    text = f"{value:{sign}.{1 if unit == '%' else 3}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def mean_sd(row: Any | None) -> str:
    """Returns a row's mean ± standard deviation, or nothing where there is no row."""
    if row is None:
        return ""
    spread = number(row.sd_over_runs, row.unit)
    return number(row.mean, row.unit) + (f" ± {spread}" if spread else "")


def mean_interval(row: Any | None) -> str:
    """Returns a row's mean (95 % interval), or nothing where there is no row."""
    return "" if row is None else with_interval(row.mean, row.ci_low, row.ci_high, row.unit)


def with_interval(mean: float, low: float, high: float, unit: str = "%", sign: str = "", between: str = "") -> str:
    """Returns a number with its interval in brackets, where it has one."""
    ends = "" if math.isnan(low) else f"{between} ({number(low, unit, sign)} to {number(high, unit, sign)})"
    return number(mean, unit, sign) + ends


def printed(row: Any) -> str:
    """Returns a published number with the digits it was published with."""
    return f"{row.mean:.6g}" if math.isnan(row.sd_over_runs) else f"{row.mean:.2f} ± {row.sd_over_runs:.2f}"
