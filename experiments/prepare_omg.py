"""Cuts OMG-Emotion's utterances out of the downloaded videos, as mono 16 kHz WAV files.

    python -m experiments.prepare_omg --annotations-dir OMG --videos-dir VIDEOS --dest OMG

takes each line of the official CSV files, looks for its video in VIDEOS (any file whose name is, or holds in brackets
at its end, the identifier in the line's link, such as CROcsl0lIec.mp4 or "Title [CROcsl0lIec].webm"; or the line's own
video name) and writes OMG/VIDEO/utterance_N.wav through ffmpeg with the line's start and end. What exists already is
skipped, so that the same command goes on after an interruption; what is missing is listed, with exit code 1. The 5288
utterances take some minutes and 1.2 GB.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from began.command_line import run_script
from began.errors import InputError
from began.files import lock_folder, write_atomically
from experiments.corpora import omg
from experiments.corpora.record import find_files, open_folder, printable, shorten

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".m4a", ".mov", ".avi", ".flv", ".3gp", ".opus", ".mp3", ".wav", ".ogg")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.prepare_omg", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--annotations-dir", type=Path, required=True, help="folder of the official omg_*.csv files")
    parser.add_argument("--videos-dir", type=Path, required=True, help="folder of the downloaded videos")
    parser.add_argument("--dest", type=Path, required=True, help="where VIDEO/utterance_N.wav is written")
    parser.add_argument(
        "--splits", nargs="+", choices=tuple(omg.FILES), default=tuple(omg.FILES), help="parts to cut (default: all)"
    )
    parser.add_argument("--workers", type=int, default=2, help="cuts at a time (default: 2)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    annotations = omg.read_annotations(open_folder(arguments.annotations_dir, "OMG-Emotion's annotations", omg.HOW_TO_OBTAIN))
    videos_dir = open_folder(arguments.videos_dir, "the downloaded videos", omg.HOW_TO_OBTAIN)
    if arguments.workers < 1:
        raise InputError.about("--workers", found=arguments.workers, expected="1 or more", action="give 1 or more")
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise InputError.about(
            "ffmpeg",
            found="no such program",
            expected="ffmpeg on the PATH",
            action="install it (for example `apt install ffmpeg`)",
        )
    rows = [row for row in annotations if row["split"] in arguments.splits]
    if not rows:
        raise InputError.about(
            printable(arguments.annotations_dir),
            found=f"no utterance of the parts {', '.join(arguments.splits)}",
            expected=", ".join(omg.FILES[split] for split in arguments.splits),
            action="take these files from the challenge's repository",
        )
    todo = [row for row in rows if not (arguments.dest / f"{row['utterance']}.wav").is_file()]
    find_video = index_videos(videos_dir)
    jobs, absent = [], []
    for row in todo:
        video = find_video(str(row["video"]), str(row["clip"]))
        (absent if video is None else jobs).append((row, video))
    if len(absent) == len(rows):
        raise InputError.about(
            printable(videos_dir),
            found=f"none of the {len({row['link'] for row in rows})} videos",
            expected=f"files named by the identifier in the CSV's links, such as {rows[0]['video']}.mp4",
            action="download them into that folder",
        )
    with lock_folder(arguments.dest):
        failures = cut_all(ffmpeg, jobs, arguments.dest, arguments.workers)
    print(
        f"{len(jobs) - len(failures)} utterances cut, {len(rows) - len(todo)} were there already, "
        f"{len(absent)} without a video, {len(failures)} failed"
    )
    gone = Counter(printable(row["link"]) for row, _ in absent)
    if gone:
        print(f"Videos that are not in {printable(videos_dir)} ({len(gone)}):")
        print("\n".join(f"  {link} ({count} utterances)" for link, count in sorted(gone.items())))
    if failures:
        print(f"Utterances that ffmpeg did not cut ({len(failures)}):\n" + "\n".join(f"  {line}" for line in failures))
    print(f"Wrote {printable(arguments.dest)}")
    return 1 if gone or failures else 0


def index_videos(folder: Path) -> Callable[[str, str], Path | None]:
    """Returns a function that finds the file of a source link's identifier, or of the CSV's own video name.

    Raises:
        InputError: one identifier has more than one file.
    """
    by_name: dict[str, list[Path]] = {}
    for path in find_files(folder, VIDEO_SUFFIXES):
        stem = path.name[: -len(path.suffix)]
        bracketed = re.search(r"\[([\w-]{11})\]$", stem)  # how common downloaders name files
        by_name.setdefault(bracketed[1] if bracketed else stem, []).append(path)
    twice = [
        f"{name}: {shorten([printable(path) for path in paths])}; keep one of them"
        for name, paths in sorted(by_name.items())
        if len(paths) > 1
    ]
    if twice:
        raise InputError.listing(f"{printable(folder)}: videos that lie there more than once", twice)

    def find(link_identifier: str, clip: str) -> Path | None:
        paths = by_name.get(link_identifier) or by_name.get(clip)
        return paths[0] if paths else None

    return find


def cut_all(ffmpeg: str, jobs: list[tuple[dict[str, object], Path]], dest: Path, workers: int) -> list[str]:
    """Cuts all utterances, some at a time, with a progress bar, and returns a line for each that failed."""
    from tqdm import tqdm

    failures = []
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [
            pool.submit(cut, ffmpeg, video, dest / f"{row['utterance']}.wav", row["start"], row["end"]) for row, video in jobs
        ]
        for (row, video), future in zip(jobs, tqdm(futures, desc="cutting", unit="utterance"), strict=True):
            reason = future.result()
            if reason is not None:
                failures.append(f"{row['utterance']} from {printable(video)}: {reason}")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return failures


def cut(ffmpeg: str, video: Path, path: Path, start: float, end: float) -> str | None:
    """Cuts one utterance into a 16 kHz mono WAV file, whole or not at all.

    Args:
        start, end: in seconds.
    Returns:
        None, or what went wrong.
    Raises:
        InputError: `path` cannot be written.
    """
    reason = None
    try:
        with write_atomically(path) as temporary:
            # The file name stands behind -i and is made absolute, so that no name can be read as an option.
            command = [
                ffmpeg,
                "-nostdin",
                "-hide_banner",
                "-loglevel",
                "error",
                "-y",
                "-ss",
                f"{start:.6f}",
                "-t",
                f"{end - start:.6f}",
                "-i",
                f"file:{video.absolute()}",
                "-map",
                "0:a:0",
                "-ac",
                "1",
                "-ar",
                "16000",
                "-c:a",
                "pcm_s16le",
                str(temporary),
            ]
            outcome = subprocess.run(command, capture_output=True, text=True, errors="replace")
            reason = _find_fault(outcome, temporary)
            if reason is not None:
                raise _NotCutError
    except _NotCutError:
        return reason
    return None


class _NotCutError(Exception):
    """Leaves the writing of a file, so that nothing is kept of it."""


def _find_fault(outcome: subprocess.CompletedProcess[str], path: Path) -> str | None:
    import soundfile

    said = (outcome.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
    if outcome.returncode != 0:
        return f"ffmpeg ended with code {outcome.returncode} ({said})"
    try:
        frames = soundfile.info(path).frames
    except (soundfile.LibsndfileError, OSError):
        return f"ffmpeg wrote no sound ({said})"
    return None if frames else "the video ends before the utterance starts"


if __name__ == "__main__":
    raise SystemExit(run_script(main, make_parser()))
