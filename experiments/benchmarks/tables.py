"""What a whole table takes, from the start of its command to its end: ours beside the same command of another commit.

The corpus is a miniature of EmoDB that the project synthesises, the search short: fixed costs weigh more than on real data.
"""

import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from experiments.benchmarks import ROOT, alternate, check_out, make_row, run_command
from experiments.corpora.synthetic import write_emodb

METHODS = {"head": "heads on one second", "statistics": "support vector machines", "": "the default method"}
"""Method -> words; "": the command without --method."""


def benchmark(
    against: str, speakers: int = 10, n_texts: int = 2, max_evals: int = 4, methods: Iterable[str] = tuple(METHODS)
) -> list[dict[str, Any]]:
    """Returns one row per method: seconds for one run of Table 3 with its searches, nothing cached.

    Args:
        against: the other commit.
        speakers, n_texts: of the corpus; every speaker says every text with seven emotions.
        max_evals: trials per search.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, check_out(against) as other:
        corpus = write_emodb(Path(folder) / "EmoDB", speakers=speakers, n_texts=n_texts)
        for method in methods:
            ours, alternative = (partial(_make_table, root, corpus, method, max_evals) for root in (ROOT, other))
            seconds = alternate({"ours": ours, "alternative": alternative}, repetitions=1)
            note = f"{speakers} speakers, {n_texts} texts, {max_evals} trials per search; timed once, after a round that does "
            note += f"not count; the alternative: commit {against}"
            name = f"one run of Table 3, {METHODS[method]}"
            rows.append(make_row(name, seconds["ours"], seconds["alternative"], "s", note, inverse=True))
    return rows


def _make_table(root: Path, corpus: Path, method: str, max_evals: int) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as results:
        encoder = root / "results" / "pretrain_librispeech" / "began" / "encoder.keras"
        command = [sys.executable, "-m", "experiments.table3_emodb", "--data-dir", str(corpus), "--encoder", str(encoder)]
        command += ["--results-dir", results, "--runs", "1", "--max-evals", str(max_evals)]
        run_command([*command, *(["--method", method] if method else [])], f"Table 3 in {root}", root)
