"""Fetches a corpus that may be fetched freely, or says how to get one that may not.

    python -m experiments.download librispeech --subset train-clean-100 --dest data
    python -m experiments.download emodb --dest data
    python -m experiments.download savee
    python -m experiments.download omg

writes data/LibriSpeech/train-clean-100 (6.4 GB to fetch, 13 GB of disk while it unpacks; ten minutes at 100 Mbit/s)
and data/EmoDB/wav (40 MB). The archive's checksum is verified, it is unpacked beside its final place and moved there
when it is whole: nothing half-written stays. Interrupted, the same command starts the download again.
"""

from __future__ import annotations

import argparse
import errno
import gzip
import shutil
import stat
import tarfile
import tempfile
import textwrap
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from began.command_line import run_script
from began.errors import InputError
from began.files import lock_folder
from experiments.corpora import CORPORA, emodb, librispeech
from experiments.corpora.record import check_audio, printable


@dataclass(frozen=True)
class Archive:
    """One file on a public server.

    Attributes:
        url: where it is.
        checksum: "md5:…" as its publisher states it, or None where none is published.
        gigabytes: its size; unpacked audio takes about as much again.
    """

    url: str
    checksum: str | None
    gigabytes: float


LIBRISPEECH = {  # sizes and checksums: https://www.openslr.org/12 and its md5sum.txt
    subset: Archive(f"https://www.openslr.org/resources/12/{subset}.tar.gz", f"md5:{md5}", gigabytes)
    for subset, md5, gigabytes in (
        ("dev-clean", "42e2234ba48799c1f50f24a7926300a1", 0.34),
        ("dev-other", "c8d0bcc9cca99d4f8b62fcc847357931", 0.32),
        ("test-clean", "32fa31d27d2e1cad72775fee3f4849a9", 0.35),
        ("test-other", "fb5a50374b501bb3bac4815ee91d3135", 0.33),
        ("train-clean-100", "2a93770f6d5c6c964bc36631d331a522", 6.4),
        ("train-clean-360", "c0e676e450a7ff2f54aeade5171606fa", 23.1),
        ("train-other-500", "d1a0fd59409feb2c614ce4d30c387708", 30.6),
    )
}
EMODB = Archive("http://emodb.bilderbar.info/download/download.zip", None, 0.041)
"""No checksum is published for it; instead all 535 utterances must be there under their names, and sound."""

CONNECT_SECONDS = 30


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.download", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", choices=("librispeech", "emodb", "savee", "omg"))
    parser.add_argument(
        "--subset",
        choices=librispeech.SUBSETS,
        default="train-clean-100",
        help="part of LibriSpeech (default: train-clean-100)",
    )
    parser.add_argument("--dest", type=Path, default=Path("data"), help="folder of all corpora (default: data)")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--checksum", help=argparse.SUPPRESS)
    return parser


def main(arguments: argparse.Namespace) -> None:
    if arguments.corpus in ("savee", "omg"):
        print(explain(arguments.corpus))
        return
    if arguments.corpus == "librispeech":
        archive, root = LIBRISPEECH[arguments.subset], arguments.dest / "LibriSpeech"
        final, fetch = root / arguments.subset, fetch_librispeech
    else:
        archive, root = EMODB, arguments.dest / "EmoDB"
        final, fetch = root / "wav", fetch_emodb
    if final.exists():
        print(f"{printable(final)} is already there; remove it to fetch it again.")
    else:
        archive = Archive(
            arguments.url or archive.url,
            arguments.checksum or archive.checksum,
            archive.gigabytes if arguments.url is None else 0,
        )
        with lock_folder(arguments.dest):
            fetch(archive, final)
    corpus = CORPORA[arguments.corpus].load(final if arguments.corpus == "librispeech" else root)
    print("\n".join([corpus.describe(), *(f"note: {note}" for note in corpus.notes)]))
    print(f"Wrote {printable(final)}")


def explain(corpus: str) -> str:
    """Returns what to do to get a corpus that cannot be fetched without its owner's consent."""
    module = CORPORA[corpus]
    steps = "\n".join(f"  {line}" for line in module.HOW_TO_OBTAIN.splitlines())
    layout = textwrap.fill(module.LAYOUT, 100, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
    return (
        f"{module.DESCRIPTION}\nLicence: {module.LICENCE}\n"
        f"This corpus cannot be fetched by a program. To get it:\n{steps}\n"
        f"The folder must then hold:\n{layout}\n"
        f"Then check it: python -m experiments.check {corpus} DIR"
    )


def fetch_librispeech(archive: Archive, final: Path) -> None:
    """Fetches one subset of LibriSpeech, and the lists of speakers and chapters that come with it."""
    with _fetch(archive, final, "LibriSpeech") as unpacked:
        top = unpacked / "LibriSpeech"
        if not librispeech.holds_utterances(top / final.name):
            raise _wrong_content(archive, f"no LibriSpeech/{final.name}/SPEAKER/CHAPTER/*.flac")
        final.parent.mkdir(parents=True, exist_ok=True)
        for path in sorted(top.glob("*.TXT")):
            path.replace(final.parent / path.name)
        (top / final.name).rename(final)


def fetch_emodb(archive: Archive, final: Path) -> None:
    """Fetches EmoDB's sound files, which are checked one by one: no checksum is published for the archive."""
    with _fetch(archive, final, "EmoDB") as unpacked:
        try:
            corpus = emodb.load(unpacked)
        except InputError as error:
            raise _wrong_content(archive, f"this: {error}") from error
        if corpus.notes:
            raise _wrong_content(archive, f"an incomplete corpus ({'; '.join(corpus.notes)})")
        check_audio(corpus, decode=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        Path(corpus.utterances["path"].iloc[0]).parent.rename(final)


@contextmanager
def _fetch(archive: Archive, final: Path, name: str) -> Iterator[Path]:
    """Yields the unpacked archive in a folder beside its final place, which is gone afterwards whatever happened."""
    dest = final.parent.parent
    for leftover in dest.glob(".download-*"):  # of a run that was killed; the lock says that none is at work
        shutil.rmtree(leftover, ignore_errors=True)
    free = shutil.disk_usage(dest).free / 1e9
    if free < 2.1 * archive.gigabytes:
        raise InputError.about(
            printable(dest),
            found=f"{free:.1f} GB of free disk",
            expected=f"{2.1 * archive.gigabytes:.1f} GB for {name}, archive and content",
            action="free some space, or choose another --dest",
        )
    folder = dest
    try:
        folder = Path(tempfile.mkdtemp(prefix=".download-", dir=dest))
        packed = retrieve(archive, folder)
        unpacked = folder / "content"
        print(f"unpacking {packed.name} …", flush=True)
        extract(packed, unpacked)
        packed.unlink()
        yield unpacked
    except OSError as error:
        raise _cannot_write(dest, error) from error
    finally:
        if folder != dest:
            shutil.rmtree(folder, ignore_errors=True)


def retrieve(archive: Archive, folder: Path) -> Path:
    """Downloads an archive into a folder, with a progress bar, and returns its path.

    Raises:
        InputError: no connection, a broken transfer, no such address, or content that is not what was published.
        OSError: the disk is full.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # it would name the temporary folder
    print(f"fetching {archive.url}", flush=True)
    try:
        return Path(
            pooch.retrieve(
                archive.url,
                known_hash=archive.checksum,
                fname=PurePosixPath(urlparse(archive.url).path).name or "archive",
                path=folder,
                downloader=pooch.HTTPDownloader(progressbar=True, timeout=CONNECT_SECONDS, chunk_size=1 << 20),
            )
        )
    except requests.exceptions.RequestException as error:
        raise InputError.about(
            archive.url,
            found=f"a transfer that failed ({_shorten_reason(error)})",
            expected="the whole archive",
            action="check the network and run the same command again; nothing half-written was kept",
        ) from error
    except ValueError as error:
        if "hash" not in str(error).lower():
            raise
        raise InputError.about(
            archive.url,
            found="a file with another checksum",
            expected=f"the published {archive.checksum}",
            action="run the same command again; if it stays so, the server's file has changed",
        ) from error


def _shorten_reason(error: Exception) -> str:
    return str(error).replace("\n", " ")[:200] or type(error).__name__


def extract(packed: Path, folder: Path) -> None:
    """Unpacks a .tar.gz or .zip into a new folder; links, devices and paths that lead out of it are refused.

    Raises:
        InputError: damaged, or with such a member.
        OSError: the disk is full.
    """
    folder.mkdir()
    try:
        if zipfile.is_zipfile(packed):
            with zipfile.ZipFile(packed) as archive:
                for member in archive.infolist():
                    _refuse_unsafe(packed, member.filename, stat.S_ISLNK(member.external_attr >> 16))
                archive.extractall(folder)  # verifies each member's CRC
        else:
            with gzip.open(packed) as stream:
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    for member in archive:
                        _refuse_unsafe(packed, member.name, member.issym() or member.islnk())
                        archive.extract(member, folder, filter="data")
                while stream.read(1 << 20):  # behind the last member stands the checksum of all of them
                    pass
    except tarfile.FilterError as error:
        raise _unsafe(packed, error.tarinfo.name, str(error)) from error
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError) as error:
        raise InputError.about(
            packed.name,
            found=f"a damaged archive ({error})",
            expected="a whole .zip or .tar.gz",
            action="run the same command again",
        ) from error


def _refuse_unsafe(packed: Path, name: str, is_link: bool) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts[:1]):
        raise _unsafe(packed, name, "a path that leads out of the folder")
    if is_link:  # a corpus has none, and they are another way out
        raise _unsafe(packed, name, "a link")


def _unsafe(packed: Path, member: str, reason: str) -> InputError:
    return InputError.about(
        f"{packed.name}: {printable(member)}",
        found=reason,
        expected="files inside the archive's own folder",
        action="do not use this archive; it was not unpacked",
    )


def _wrong_content(archive: Archive, found: str) -> InputError:
    return InputError.about(
        archive.url, found=found, expected="the published corpus", action="run the same command again; nothing was kept"
    )


def _cannot_write(dest: Path, error: OSError) -> InputError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return InputError.about(
        printable(dest),
        found="a full disk" if full else f"an error ({error.strerror or error})",
        expected="space for the archive and its content" if full else "a writable folder",
        action=f"{'free some space' if full else 'check the folder'}, or choose another --dest; nothing half-written was kept",
    )


if __name__ == "__main__":
    raise SystemExit(run_script(main, make_parser()))
