"""Writes tables, figures and the README's results from the run folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from began.files import write_atomically, write_text
from experiments.reporting import markdown, tables
from experiments.reporting.readme import readme_section, update_readme
from experiments.reporting.results import Results

_RENDERERS: dict[str, tuple[Callable[[Results], pd.DataFrame], Callable[[pd.DataFrame], str]]] = {
    "table1": (tables.table1, markdown.markdown_table1),
    "table2": (tables.table2, markdown.markdown_table2),
    "table3": (tables.table3, markdown.markdown_table3),
    "ablations": (tables.ablations, markdown.markdown_ablations),
}


def render_tables(results_dir: str | os.PathLike) -> list[Path]:
    """Writes every table under ``<results_dir>/tables`` and returns the paths."""
    results = Results.read(results_dir)
    folder = Path(results_dir) / "tables"
    renderers = dict(_RENDERERS)
    if results.conditions("custom"):
        renderers["custom"] = (tables.custom, markdown.markdown_custom)
    written = []
    for name, (make, to_markdown) in renderers.items():
        table = make(results)
        written += [_write_table(folder / f"{name}.csv", table), folder / f"{name}.md"]
        write_text(written[-1], to_markdown(table))
    return [*written, _write_table(folder / "label_efficiency.csv", tables.label_efficiency(results))]


def render(results_dir: str | os.PathLike, readme: str | os.PathLike | None = None) -> list[Path]:
    """Writes tables and figures, and the README's results and architecture where a README is named; returns the paths."""
    from experiments import figures

    written = render_tables(results_dir)
    written += figures.draw_all(results_dir)
    if readme is not None:
        written.append(Path(results_dir) / "figures" / "architecture.png")
        figures.draw_architecture(written[-1])
        update_readme(readme, readme_section(results_dir, readme))
        written.append(Path(readme))
    return written


def _write_table(path: Path, table: pd.DataFrame) -> Path:
    with write_atomically(path) as temporary:
        # Rounded so that the last bits of a sum cannot change a file that is under version control.
        table.round(6).to_csv(temporary, index=False, lineterminator="\n")
    return path
