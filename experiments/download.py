"""Fetches a corpus that may be fetched freely, or explains how to get one that may not.

    python -m experiments.download librispeech --subset train-clean-100 --dest data
    python -m experiments.download emodb --dest data
    python -m experiments.download savee
    python -m experiments.download omg

writes data/LibriSpeech/train-clean-100 (6.4 GB to fetch, 13 GB of disk while it unpacks; ten minutes at 100 Mbit/s)
and data/EmoDB/wav (40 MB). LibriSpeech's checksum is verified; of EmoDB, which publishes none, every file is checked. What is
fetched is unpacked beside its final place and moved there when it is complete: nothing half-written stays. Interrupted, the
same command starts the download again.
"""

import argparse
import gzip
import shutil
import tarfile
import tempfile
import textwrap
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlparse

from began.audio import hash_sound
from began.command_line import run_script
from began.errors import InputError, is_full, printable, raise_resource_error
from began.files import UNFINISHED, is_there, lock_folder
from experiments.corpora import CORPORA, describe_corpus, emodb, introduce, librispeech, load
from experiments.corpora.folders import read_each
from experiments.corpora.record import Archive

TIMEOUT_SECONDS = 30
AGAIN = "run the same command again: nothing half-written was kept"
MORE_SPACE = "free some space, or choose another --dest: nothing half-written was kept"


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.download", description=__doc__)
    parser.add_argument("corpus", choices=("librispeech", "emodb", "savee", "omg"))
    subset = "train-clean-100"
    parser.add_argument("--subset", choices=librispeech.SUBSETS, default=subset, help=f"of LibriSpeech (default: {subset})")
    parser.add_argument("--dest", type=Path, default=Path("data"), help="folder of all corpora (default: data)")
    return parser


def main(arguments: argparse.Namespace) -> None:
    name, dest = arguments.corpus, arguments.dest
    if name in ("savee", "omg"):
        print(explain(name))
        return
    if name == "librispeech":
        archive, final = librispeech.ARCHIVES[arguments.subset], dest / "LibriSpeech" / arguments.subset
    else:
        archive, final = emodb.ARCHIVE, dest / "EmoDB" / "wav"
    there = is_there(final)
    if there:
        print(f"{printable(final)} is already there; remove it to fetch it again.")
    else:
        with lock_folder(dest):  # which also clears what a killed download left
            fetch(name, archive, final)
    corpus = load(name, final)
    introduce(corpus)
    if not there:
        print(f"Wrote {printable(final)}")


def explain(name: str) -> str:
    """Returns what to do to get a corpus that cannot be fetched without its owner's consent."""
    corpus = CORPORA[name]
    steps = textwrap.indent(corpus.HOW_TO_OBTAIN, "  ")
    layout = textwrap.fill(corpus.LAYOUT, 100, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
    return (
        f"{describe_corpus(name)}\n"
        f"This corpus cannot be fetched by a program. To get it:\n{steps}\n"
        f"The folder must then hold:\n{layout}\n"
        f"Then check it: python -m experiments.check {name} DIR"
    )


def fetch(name: str, archive: Archive, final: Path) -> None:
    """Fetches an archive, unpacks it beside its final place, checks it, and moves the sound files there.

    Raises:
        InputError: too little disk, or the archive cannot be fetched, is damaged or holds something else. Nothing is kept.
    """
    dest = final.parent.parent
    free, needed = shutil.disk_usage(dest).free / 1e9, 2.1 * archive.gigabytes
    if free < needed:
        found, expected = f"{free:.1f} GB of free disk", f"{needed:.1f} GB for {name}, archive and content"
        raise InputError.about(dest, found, expected, MORE_SPACE)
    try:
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=dest, ignore_cleanup_errors=True) as folder:
            packed, content = retrieve(archive, Path(folder)), Path(folder) / "content"
            print(f"unpacking {packed.name} …", flush=True)
            unpack(packed, content, _max_bytes(archive, 3))
            final.parent.mkdir(exist_ok=True)
            try:
                _place_librispeech(content, final) if name == "librispeech" else _place_emodb(content, final)
            except InputError as error:
                raise InputError.about(archive.url, f"something else ({error})", f"{name} as published", AGAIN) from error
    except OSError as error:
        if not is_full(error):
            raise_resource_error(error)
        found = "a full disk" if is_full(error) else f"an error ({error.strerror or error})"
        raise InputError.about(dest, found, "a writable folder with space for the archive", MORE_SPACE) from error


def _max_bytes(archive: Archive, times: float) -> int:
    """Returns how many bytes an archive, or what it unpacks to, can have at most: some times its size, and room to spare."""
    return round(times * archive.gigabytes * 1e9) + (1 << 24)


def _too_large(subject: str, max_bytes: int) -> InputError:
    found, expected = f"more than {max_bytes / 1e6:.0f} MB", "the corpus as published, which is smaller"
    return InputError.about(subject, found, expected, f"do not use this file; {AGAIN}")


class _Bounded:
    """A file that ends a download which goes on and on: the server may send anything."""

    def __init__(self, file: IO[bytes], subject: str, max_bytes: int) -> None:
        self._file, self._subject, self._max_bytes, self.flush = file, subject, max_bytes, file.flush

    def write(self, content: bytes) -> None:
        if self._file.tell() + len(content) > self._max_bytes:
            raise _too_large(self._subject, self._max_bytes)
        self._file.write(content)


def retrieve(archive: Archive, folder: Path) -> Path:
    """Downloads an archive into a folder, with a progress bar, and returns its path.

    Raises:
        InputError: no connection, a broken transfer, no such address, or content that is not what was published.
        OSError: the disk is full.
    """
    import pooch
    import requests

    http = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT_SECONDS, chunk_size=1 << 20)

    def download(url: str, path: str, pooch: object) -> None:
        with open(path, "wb") as file:
            http(url, _Bounded(file, url, _max_bytes(archive, 1.2)), pooch)

    pooch.get_logger().setLevel("WARNING")  # it would name the temporary folder
    print(f"fetching {archive.url}", flush=True)
    name = PurePosixPath(urlparse(archive.url).path).name
    try:
        return Path(pooch.retrieve(archive.url, archive.checksum, name, folder, downloader=download))
    except requests.exceptions.RequestException as error:
        found = f"a transfer that failed ({str(error)[:200] or type(error).__name__})"
        raise InputError.about(archive.url, found, "the complete archive", f"check the network and {AGAIN}") from error
    except ValueError as error:
        if "hash" not in str(error).lower():
            raise
        action = f"{AGAIN}; if it stays so, the server's file has changed"
        expected = f"the published {archive.checksum}"
        raise InputError.about(archive.url, "a file with another checksum", expected, action) from error


def unpack(packed: Path, folder: Path, max_bytes: int) -> None:
    """Unpacks a .tar.gz or .zip into a new folder; nothing of it can land outside.

    Args:
        max_bytes: that it may unpack to, all together.
    Raises:
        InputError: damaged, larger, or with links, devices or paths that lead out of the folder.
        OSError: the disk is full.
    """
    n_bytes = 0

    def count(size: int) -> None:
        nonlocal n_bytes
        n_bytes += size
        if n_bytes > max_bytes:
            raise _too_large(packed.name, max_bytes)

    def counted(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        for member in tar:
            count(member.size)
            yield member

    try:
        if zipfile.is_zipfile(packed):
            with zipfile.ZipFile(packed) as archive:
                for member in archive.infolist():
                    count(member.file_size)
                archive.extractall(folder)  # verifies checksums, writes no links, and keeps paths inside the folder
        else:
            with tarfile.open(packed) as tar:
                tar.extractall(folder, counted(tar), filter="data")  # pooch's own Untar has no filter on Python 3.11
    except tarfile.FilterError as error:
        found, action = f"a member that leads out of it ({printable(error)})", "do not use this archive; it was not unpacked"
        raise InputError.about(packed.name, found, "sound and text files only", action) from error
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError) as error:
        raise InputError.about(packed.name, f"a damaged archive ({error})", "a complete .zip or .tar.gz", AGAIN) from error


def _place_librispeech(content: Path, final: Path) -> None:
    """Moves one subset to its place, and the lists of speakers and chapters that come with it."""
    top = content / "LibriSpeech"
    load("librispeech", top, subsets=[final.name])
    for path in top.glob("*.TXT"):
        path.replace(final.parent / path.name)
    (top / final.name).rename(final)


def _place_emodb(content: Path, final: Path) -> None:
    """Moves EmoDB's sound files to their place, after checking each one: no checksum is published for the archive."""
    corpus = load("emodb", content)
    if corpus.notes:
        raise InputError("; ".join(corpus.notes))
    read_each(corpus, hash_sound)
    Path(corpus.utterances["path"].iloc[0]).parent.rename(final)


if __name__ == "__main__":
    raise SystemExit(run_script(main, make_parser()))
