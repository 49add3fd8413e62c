"""Cuts OMG-Emotion's utterances out of the downloaded videos, as mono 16 kHz WAV files.

    python -m experiments.prepare_omg --annotations-dir OMG --videos-dir VIDEOS --dest OMG

takes each line of the official CSV files, looks for its video in VIDEOS (any file whose name is, or holds in brackets
at its end, the identifier in the line's link, such as CROcsl0lIec.mp4 or "Title [CROcsl0lIec].webm"; or the line's own
video name) and writes OMG/VIDEO/utterance_N.wav through ffmpeg with the line's start and end. What exists already is
skipped, so that the same command goes on after an interruption; what is missing is listed, with exit code 1. The 5288
utterances take some minutes and 1.2 GB.
"""

import argparse
import re
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from began.audio import SAMPLE_RATE
from began.command_line import GOES_ON, run_script
from began.errors import InputError, counted, printable, raise_resource_error
from began.files import lock_folder, write_atomically
from experiments.corpora import omg
from experiments.corpora.folders import find_files, open_folder, refuse_duplicates

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".m4a", ".mov", ".avi", ".flv", ".3gp", ".opus", ".mp3", ".wav", ".ogg")

TOLERANCE_SECONDS = 0.2
"""What may be missing at an utterance's end: the sound of a whole video may end some pictures before the last one."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.prepare_omg", description=__doc__)
    parser.add_argument("--annotations-dir", type=Path, required=True, help="folder of the official omg_*.csv files")
    parser.add_argument("--videos-dir", type=Path, required=True, help="folder of the downloaded videos")
    parser.add_argument("--dest", type=Path, required=True, help="where VIDEO/utterance_N.wav is written")
    splits = tuple(omg.FILES)
    parser.add_argument("--splits", nargs="+", choices=splits, default=splits, help="parts to cut (default: all)")
    parser.add_argument("--workers", type=int, default=2, help="cuts at a time (default: 2)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    annotations = omg.read_annotations(arguments.annotations_dir)
    videos_dir = open_folder(arguments.videos_dir, "the downloaded videos", "download them by the links in the annotations")
    if arguments.workers < 1:
        raise InputError.about("--workers", arguments.workers, "1 or more", "give 1 or more")
    if shutil.which("ffmpeg") is None:
        raise InputError.about("ffmpeg", "no such program", "it on the PATH", "install it (for example `apt install ffmpeg`)")
    rows = [row for row in annotations if row["split"] in arguments.splits]
    if not rows:
        found = f"no utterance of the parts {', '.join(arguments.splits)}"
        expected = ", ".join(omg.FILES[split] for split in arguments.splits)
        action = "take these files from the challenge's repository"
        raise InputError.about(arguments.annotations_dir, found, expected, action)
    todo = [row for row in rows if not (arguments.dest / f"{row['utterance']}.wav").is_file()]
    videos = index_videos(videos_dir)
    jobs = [(row, videos.get(row["video"]) or videos.get(row["clip"])) for row in todo]
    absent = Counter(printable(row["link"]) for row, video in jobs if video is None)
    jobs = [(row, video) for row, video in jobs if video is not None]
    if absent.total() == len(rows):
        expected = f"files named by the identifier in the CSV's links, such as {rows[0]['video']}.mp4"
        found, action = f"none of the {counted(len(absent), 'video')}", "download them into that folder"
        raise InputError.about(videos_dir, found, expected, action)
    with lock_folder(arguments.dest):
        failures = cut_all(jobs, arguments.dest, arguments.workers)
    n_cut, n_there = len(jobs) - len(failures), len(rows) - len(todo)
    print(f"utterances cut: {n_cut}; there already: {n_there}; without a video: {absent.total()}; failed: {len(failures)}")
    if absent:
        print(f"Videos that are not in {printable(videos_dir)} ({len(absent)}):")
        print("\n".join(f"  {link} ({counted(count, 'utterance')})" for link, count in sorted(absent.items())))
    if failures:
        print("\n  ".join([f"Utterances that ffmpeg did not cut ({len(failures)}):", *failures]))
    print(f"Wrote {printable(arguments.dest)}")
    return 1 if absent or failures else 0


def index_videos(folder: Path) -> dict[str, Path]:
    """Returns the videos under a folder, by their name or by the identifier that stands in brackets at its end.

    Raises:
        InputError: one name has more than one file.
    """
    videos = []
    for path in find_files(folder, VIDEO_SUFFIXES):
        stem = path.name[: -len(path.suffix)]
        bracketed = re.search(r"\[([\w-]{11})\]$", stem)  # how common downloaders name files
        videos.append((bracketed[1] if bracketed else stem, path))
    refuse_duplicates(folder, videos, "videos")
    return dict(videos)


def cut_all(jobs: list[tuple[dict[str, Any], Path]], dest: Path, workers: int) -> list[str]:
    """Cuts all utterances, some at a time, with a progress bar, and returns one line for each that failed."""
    from tqdm import tqdm

    failures = []
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(cut, video, dest / f"{row['utterance']}.wav", row["start"], row["end"]) for row, video in jobs]
        for (row, video), future in zip(jobs, tqdm(futures, desc="cutting", unit="utterance"), strict=True):
            try:
                future.result()
            except NotCutError as error:
                failures.append(printable(f"{row['utterance']} from {video}: {error}"))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return failures


class NotCutError(Exception):
    """Why ffmpeg did not cut an utterance."""


def cut(video: Path, path: Path, start: float, end: float) -> None:
    """Cuts one utterance into a 16 kHz mono WAV file, complete or not at all.

    Args:
        start, end: in seconds.
    Raises:
        NotCutError: ffmpeg fails, or the video ends before `end` by more than TOLERANCE_SECONDS.
        InputError: `path` cannot be written.
    """
    import soundfile

    section = ["-ss", f"{start:.6f}", "-t", f"{end - start:.6f}"]
    output = ["-map", "0:a:0", "-ac", "1", "-ar", f"{SAMPLE_RATE}", "-c:a", "pcm_s16le"]
    # The file name stands behind -i and is made absolute, so that no name can be taken for an option.
    source = ["-i", f"file:{video.absolute()}"]
    with write_atomically(path) as temporary:
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *section, *source, *output, str(temporary)]
        outcome = subprocess.run(command, capture_output=True, text=True, errors="replace")
        message = (outcome.stderr.strip().splitlines() or ["without a message"])[-1][:200]
        if outcome.returncode != 0:
            raise NotCutError(f"ffmpeg ended with code {outcome.returncode} ({message})")
        try:
            frames = soundfile.info(temporary).frames
        except (soundfile.LibsndfileError, OSError) as error:
            raise_resource_error(error)
            raise NotCutError(f"ffmpeg wrote no sound ({message})") from None
        if not frames:
            raise NotCutError("the video ends before the utterance starts")
        if frames < SAMPLE_RATE * (end - start - TOLERANCE_SECONDS):
            raise NotCutError(
                f"the video ends too early: {frames / SAMPLE_RATE:.2f} of {end - start:.2f} s are there ({message})"
            )


if __name__ == "__main__":
    raise SystemExit(run_script(main, make_parser(), kept=GOES_ON))
