"""A recording of ten hours beside one of an hour: time and peak memory of its emotion, with the published model.

Both are scored in a single pass, at their own speed alone; the default, seven speeds, takes seven times as long.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from began import published_networks
from experiments.benchmarks import make_row, peak_memory_gb, run_in_process, write_speech

TILE_SECONDS = 60


def benchmark(long_minutes: int = 600, short_minutes: int = 60) -> list[dict[str, Any]]:
    """Returns the rows: seconds, and peak memory, of a long recording beside a shorter one."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        files = [_write_recording(Path(name), minutes) for minutes in (long_minutes, short_minutes)]
        (long_seconds, long_gb), (short_seconds, short_gb) = (run_in_process(_predict, file) for file in files)
    row, times = f"predicting a recording of {long_minutes} minutes vs {short_minutes}", long_minutes / short_minutes
    speed = f"in a single pass; {long_minutes * 60 / long_seconds:.0f} times as fast as it is spoken; goal {times:g}"
    return [
        make_row(f"{row}, time", long_seconds, short_seconds, "s", speed),
        make_row(f"{row}, peak memory", long_gb, short_gb, "GB", "goal 1.0 and under 0.5 GB"),
    ]


def _write_recording(folder: Path, minutes: int) -> Path:
    """Writes one minute again and again, at 16 kHz, and returns the path."""
    import soundfile

    (tile,) = write_speech(folder, 1, TILE_SECONDS, TILE_SECONDS)
    samples, rate = soundfile.read(tile, dtype="int16")
    path = folder / f"{minutes}-minutes.wav"
    with soundfile.SoundFile(path, "w", rate, 1) as recording:
        for _ in range(minutes):
            recording.write(samples)
    return path


def _predict(path: Path) -> tuple[float, float]:
    """Predicts on ONNX Runtime, as the command does; returns the seconds and the peak memory."""
    from classifiers.predict import open_predictor

    predictor = open_predictor(published_networks.MODEL, "onnx")
    started = time.perf_counter()
    ((_, outcome),) = predictor.predict_files([path], average_speeds=False)
    seconds = time.perf_counter() - started
    if isinstance(outcome, Exception):
        raise outcome
    return seconds, peak_memory_gb()
