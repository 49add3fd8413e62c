"""Fuzzes the readers of strangers' files: sound, manifests, OMG-Emotion's annotations, and what .keras files say of themselves.

    python tests/fuzz.py --minutes 5 --seed 0

Mutates valid files (bytes flipped, cut, repeated, numbers replaced by extreme ones) and reads them. A reader may return a sound
value or raise InputError; everything else is a finding: it is printed, its input is kept in --keep, and the exit code is 1.
Reading happens in a child process, so that a crash inside a C library or a runaway allocation is a finding, too.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from began.audio import read_audio
from began.chunks import cut_chunks
from began.errors import InputError
from began.spectrogram import SpectrogramConfig
from classifiers.description import read_description
from experiments.corpora import manifest_file, omg

MEMORY_BYTES = 4 << 30
SECONDS_EACH = 20
CELLS = ["", "nan", "inf", "-1", "1e400", "9" * 400, "0x10", "ä", "\u2028", '"', "a,b", "../../x", "\ud7ff", "=1+1", "7.0", "٣"]


def make_sounds() -> dict[str, bytes]:
    """Returns a small valid file of every format."""
    wave = 0.5 * np.sin(np.arange(3_000) / 7)
    seeds = {}
    for suffix, options in (
        (".wav", {"subtype": "PCM_16"}),
        (".wav", {"subtype": "FLOAT"}),
        (".wav", {"subtype": "ULAW"}),
        (".wav", {"subtype": "IMA_ADPCM"}),
        (".flac", {}),
        (".ogg", {}),
        (".mp3", {}),
        (".aiff", {}),
        (".au", {}),
        (".caf", {}),
        (".w64", {}),
        (".rf64", {}),
    ):
        file = io.BytesIO()
        soundfile.write(file, np.stack([wave, wave], 1), 22_050, format=suffix[1:].upper(), **options)
        seeds[f"{options.get('subtype', '')}{suffix}"] = file.getvalue()
    return seeds


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    """Returns the content after one to four changes, most of them near its beginning, where headers are."""
    data = bytearray(content)
    for _ in range(random.integers(1, 5)):
        if not data:
            break
        place = int(random.integers(0, min(len(data), 128) if random.random() < 0.7 else len(data)))
        task = random.integers(0, 6)
        if task == 0:
            data[place] = random.integers(0, 256)
        elif task == 1:
            data[place] ^= 1 << int(random.integers(0, 8))
        elif task == 2:
            width = int(random.choice([2, 4, 8]))
            value = int(random.choice([0, 1, 0x7F, 0x80, 0xFF])) if random.random() < 0.5 else 0xFF
            data[place : place + width] = bytes([value]) * width
        elif task == 3:
            del data[place:]
        elif task == 4:
            data[place:place] = data[place : place + int(random.integers(1, 64))]
        else:
            del data[place : place + int(random.integers(1, 16))]
    return bytes(data)


def mutate_table(text: str, random: np.random.Generator) -> bytes:
    """Returns a table some of whose cells, rows or bytes are other ones."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(random.integers(1, 4)):
        row = rows[int(random.integers(0, len(rows)))]
        if random.random() < 0.8 and row:
            row[int(random.integers(0, len(row)))] = str(random.choice(CELLS))
        else:
            rows.append(list(row))
    content = "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")
    return mutate(content, random) if random.random() < 0.3 else content


def check_sound(path: Path) -> None:
    waveform = read_audio(path)
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert np.isfinite(waveform).all(), "samples that are not finite"
    cut_chunks(waveform)


def check_manifest(path: Path) -> None:
    corpus = manifest_file.load(path)
    for column, low in (("arousal", 0), ("valence", -1)):
        if column in corpus.utterances:
            assert corpus.utterances[column].between(low, 1).all()


def check_annotations(path: Path) -> None:
    for row in omg.read_annotations(path.parent):
        assert ".." not in str(row["utterance"])
        assert row["end"] > row["start"]


READERS = {"sound": check_sound, "manifest": check_manifest, "annotations": check_annotations, "model": read_description}


def make_input(random: np.random.Generator, sounds: dict[str, bytes], folder: Path) -> tuple[str, Path]:
    """Writes a mutated file, and returns the reader's name and its path."""
    reader = str(random.choice(list(READERS), p=[0.7, 0.12, 0.1, 0.08]))
    if reader == "sound":
        name = str(random.choice(list(sounds)))
        path = folder / f"fuzz{Path(name).suffix}"
        path.write_bytes(mutate(sounds[name], random))
    elif reader == "manifest":
        (folder / "a.wav").write_bytes(sounds["PCM_16.wav"])
        path = folder / "fuzz.csv"
        text = "file,label,arousal,valence,speaker,split,start,end\na.wav,x,0.5,-0.5,s,train,0,\n"
        path.write_bytes(mutate_table(text, random))
    elif reader == "annotations":
        text = (
            ",".join(omg.COLUMNS) + "\nhttps://www.youtube.com/watch?v=abc,0,2.5,abc,utterance_1.mp4,0.5,-0.5,3\n"
            "https://www.youtube.com/watch?v=abc,2.5,4,abc,utterance_2.mp4,0.1,0.5,4\n"
        )
        (folder / omg.FILES["validation"]).write_text(text.replace("abc", "abd"), encoding="utf-8")
        path = folder / omg.FILES["train"]
        path.write_bytes(mutate_table(text, random))
    else:
        head = {
            "task": "categorical",
            "labels": ["a", "b"],
            "tail": "pad",
            "aggregation": "mean",
            "spectrogram": SpectrogramConfig(n_fft=64, hop_length=100, db_min=-9, db_max=0).to_dict(),
        }
        path = folder / "fuzz.keras"
        text = json.dumps(head).encode()
        for _ in range(2):
            word = [b"64", b"100", b'"log"', b"-9", b'"pad"', b'["a", "b"]', b'"categorical"'][int(random.integers(7))]
            other = [b"null", b"1e999", b"-0", b"[]", b"{}", b'""', b"1e30", b"0.5", b"true"][int(random.integers(9))]
            text = text.replace(word, other, 1)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("head.json", text)
        if random.random() < 0.5:
            path.write_bytes(mutate(path.read_bytes(), random))
    return reader, path


def work(seed: int, folder: Path, progress, minutes: float) -> None:
    """The child process: makes inputs and reads them until the time is over."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    random, sounds, until = np.random.default_rng(seed), make_sounds(), time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        reader, path = make_input(random, sounds, folder)
        progress.send(("try", reader, path.name))
        try:
            READERS[reader](path)
        except InputError as error:
            progress.send(("refused", reader, str(error)))
        except BaseException:
            progress.send(("finding", reader, traceback.format_exc()))
        else:
            progress.send(("taken", reader, ""))


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz-findings"))
    return parser


def main() -> int:
    arguments = make_parser().parse_args()
    until, seed = time.monotonic() + 60 * arguments.minutes, arguments.seed
    counts = dict.fromkeys(("taken", "refused", "finding"), 0)
    tasks: set[str] = set()
    context = multiprocessing.get_context("spawn")
    while (left := until - time.monotonic()) > 0:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(seed, Path(folder), theirs, left / 60))
            process.start()
            theirs.close()
            reader, name = "", ""
            while True:
                try:
                    event = ours.recv() if ours.poll(SECONDS_EACH) else ("finding", reader, f"took over {SECONDS_EACH} s")
                except EOFError:
                    if process.join() or process.exitcode in (0, None):
                        break
                    event = ("finding", reader, f"the process died: {process.exitcode}")
                if event[0] == "try":
                    _, reader, name = event
                    continue
                counts[event[0]] += 1
                if event[0] == "finding":
                    task = event[2].strip().splitlines()[-1][:90]
                    if task not in tasks:
                        tasks.add(task)
                        arguments.keep.mkdir(parents=True, exist_ok=True)
                        kept = arguments.keep / f"{len(tasks):02d}-{name}"
                        if (Path(folder) / name).exists():
                            kept.write_bytes((Path(folder) / name).read_bytes())
                        print(f"finding in {event[1]}, seed {seed}, kept as {kept}:\n{event[2]}", flush=True)
                    if "took over" in event[2] or "died" in event[2]:
                        process.kill()
                        break
            process.kill()
            process.join()
        seed += 1
    print(f"{sum(counts.values())} inputs in {arguments.minutes:g} minutes from seed {arguments.seed} on: {counts}")
    return 1 if tasks else 0


if __name__ == "__main__":
    sys.exit(main())
