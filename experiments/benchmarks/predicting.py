"""What a user waits for: the emotion of one short file, from the start of the command to its end.

Ours: ONNX Runtime. The alternative: TensorFlow, or the same command of another commit with the model that it had published.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.benchmarks import ROOT, alternate, check_out, make_row, run_command, write_speech

SECONDS = 3


def benchmark(repetitions: int = 5, against: str | None = None) -> list[dict[str, Any]]:
    """Returns the row: seconds for one file.

    Args:
        against: a commit whose command is the alternative; None: ours with --runtime tensorflow.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, check_out(against) as other:
        (sound,) = write_speech(Path(folder), 1, SECONDS, SECONDS)
        ours = _make_command(ROOT, sound, "--runtime", "onnx")
        alternative = _make_command(other, sound, *([] if against else ["--runtime", "tensorflow"]))
        seconds = alternate({"ours": ours, "alternative": alternative}, repetitions)
    note = f"a file of {SECONDS} s; the alternative: {f'commit {against}' if against else 'TensorFlow'}; goal 3"
    return [make_row("predicting one short file", seconds["ours"], seconds["alternative"], "s", note, inverse=True)]


def _make_command(root: Path, sound: Path, *options: str) -> Callable[[], Any]:
    """Returns what predicts a file with a published model of Table 3, that which reads whole utterances where there is one."""
    model = max((root / "results" / "table3_emodb").glob("*/model.keras"), key=lambda path: "utterance" in path.parent.name)
    command = [sys.executable, "-m", "classifiers.predict", "--model", str(model), str(sound), *options]
    return lambda: run_command(command, f"predict in {root}", root)
