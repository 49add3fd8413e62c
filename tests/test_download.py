"""Getting the corpora from a server on this machine: whole, broken, changed and malicious archives, a full disk."""

from __future__ import annotations

import errno
import gzip
import http.server
import io
import re
import shutil
import tarfile
import threading
import zipfile

import numpy as np
import pytest
import soundfile

from began.command_line import run_script
from experiments import download
from experiments.corpora import emodb, librispeech, load, synthetic
from experiments.corpora.record import Archive


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802 (the name that the server looks for)
        content, promised = self.server.files.get(self.path, (None, 0))
        self.server.requests.append(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    """A server of `files`, path to (content, length that the header promises)."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.requests = {}, []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def publish(server, name: str, content: bytes, promised: int | None = None) -> str:
    server.files[f"/{name}"] = (content, len(content) if promised is None else promised)
    return f"http://127.0.0.1:{server.server_address[1]}/{name}"


def run(*arguments: object) -> int:
    return run_script(download.main, download.make_parser(), [str(argument) for argument in arguments])


def list_files(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(folder)) for path in files)


@pytest.fixture(scope="module")
def librispeech_archive(tmp_path_factory):
    """The bytes of a miniature dev-clean.tar.gz in the real layout."""
    folder = tmp_path_factory.mktemp("archive")
    synthetic.write_librispeech(folder / "LibriSpeech", 2, 2, seconds=0.2, subset="dev-clean")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder / "LibriSpeech", "LibriSpeech")
    return packed.getvalue()


@pytest.fixture(scope="module")
def emodb_members():
    """The members of EmoDB's archive: all 535 names, with a tenth of a second each."""
    sound = io.BytesIO()
    soundfile.write(sound, np.tile([0.1, -0.1], 800), 16000, format="WAV", subtype="PCM_16")
    members = {f"wav/{name}.wav": sound.getvalue() for name in emodb.list_published()}
    return members | {"erklaerung.txt": b"explanation", "silb/03a01Fa.silb": b"labels"}


def zip_members(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tar_members(*members: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return packed.getvalue()


def md5(content: bytes) -> str:
    import hashlib

    return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()


def fetch_librispeech(server, content: bytes, dest, promised: int | None = None, checksum: str | None = None) -> int:
    archive = Archive(publish(server, "dev-clean.tar.gz", content, promised), checksum or md5(content), 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(librispeech.ARCHIVES, "dev-clean", archive)
        return run("librispeech", "--subset", "dev-clean", "--dest", dest)


def fetch_emodb(url: str, dest) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emodb, "ARCHIVE", Archive(url, None, 0))
        return run("emodb", "--dest", dest)


def test_librispeech_is_fetched_and_loads(server, librispeech_archive, tmp_path, capsys):
    assert fetch_librispeech(server, librispeech_archive, tmp_path) == 0
    corpus = load("librispeech", tmp_path / "LibriSpeech")
    assert len(corpus.utterances) == 4
    assert set(corpus.utterances["sex"]) == {"F", "M"}
    said = capsys.readouterr().out
    assert "librispeech: 4 utterances; 2 speakers" in said
    assert said.splitlines()[-1] == f"Wrote {tmp_path / 'LibriSpeech' / 'dev-clean'}"
    assert not list(tmp_path.glob(".writing*"))
    # Again: nothing is fetched.
    assert fetch_librispeech(server, librispeech_archive, tmp_path) == 0
    assert len(server.requests) == 1
    assert "is already there" in capsys.readouterr().out


def test_another_subset_joins_the_first(server, librispeech_archive, tmp_path):
    other = tmp_path / "LibriSpeech" / "test-clean" / "5" / "7" / "5-7-0000.flac"
    other.parent.mkdir(parents=True)
    other.touch()
    assert fetch_librispeech(server, librispeech_archive, tmp_path) == 0
    assert set(load("librispeech", tmp_path / "LibriSpeech").utterances["subset"]) == {"dev-clean", "test-clean"}


def test_emodb_is_fetched_whole_without_a_published_checksum(server, emodb_members, tmp_path, capsys):
    url = publish(server, "download.zip", zip_members(emodb_members))
    assert fetch_emodb(url, tmp_path) == 0
    assert load("emodb", tmp_path / "EmoDB").notes == ()
    assert "emodb: 535 utterances; 10 speakers" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["one missing", "one damaged", "one surplus", "none at all"])
def test_emodb_must_be_complete_and_sound(server, emodb_members, tmp_path, capsys, change):
    members = dict(emodb_members)
    if change == "one missing":
        del members["wav/03a01Fa.wav"]
    elif change == "one damaged":
        members["wav/03a01Fa.wav"] = members["wav/03a01Fa.wav"][:1000]
    elif change == "one surplus":
        members["wav/17a01Fa.wav"] = members["wav/03a01Fa.wav"]
    else:
        members = {"readme.txt": b"moved"}
    assert fetch_emodb(publish(server, "d.zip", zip_members(members)), tmp_path) == 2
    error = capsys.readouterr().err
    assert {"none at all": "readme.txt", "one surplus": "17a01Fa"}.get(change, "03a01Fa") in error
    assert list_files(tmp_path) == []


def test_a_broken_transfer_leaves_nothing_and_can_be_repeated(server, librispeech_archive, tmp_path, capsys):
    half = librispeech_archive[: len(librispeech_archive) // 2]
    assert fetch_librispeech(server, half, tmp_path, promised=len(librispeech_archive)) == 2
    error = capsys.readouterr().err
    assert "a transfer that failed" in error
    assert "run the same command again" in error.lower()
    assert "Traceback" not in error
    assert list_files(tmp_path) == []
    assert fetch_librispeech(server, librispeech_archive, tmp_path) == 0


def test_a_transfer_cut_short_without_a_word_fails_the_checksum(server, librispeech_archive, tmp_path, capsys):
    half = librispeech_archive[: len(librispeech_archive) // 2]
    assert fetch_librispeech(server, half, tmp_path, checksum=md5(librispeech_archive)) == 2
    assert "another checksum" in capsys.readouterr().err
    assert list_files(tmp_path) == []


def test_a_changed_archive_is_refused_by_the_published_checksum(server, librispeech_archive, tmp_path, capsys):
    changed = bytearray(librispeech_archive)
    changed[len(changed) // 2] ^= 0xFF
    assert fetch_librispeech(server, bytes(changed), tmp_path, checksum=md5(librispeech_archive)) == 2
    assert f"expected the published {md5(librispeech_archive)}" in capsys.readouterr().err
    assert list_files(tmp_path) == []


def test_damaged_archives(server, librispeech_archive, tmp_path, capsys):
    plain = gzip.decompress(librispeech_archive)
    for content in (b"this is no archive", gzip.compress(plain[:3000]), librispeech_archive[:-2000], b""):
        assert fetch_librispeech(server, content, tmp_path) == 2
        assert "dev-clean.tar.gz: found a damaged archive" in capsys.readouterr().err
        assert list_files(tmp_path) == []


@pytest.mark.parametrize("kind", ["a download without end", "a zip", "a tar"])
def test_archives_larger_than_the_corpus_are_refused(server, tmp_path, capsys, kind):
    """No checksum is published for EmoDB: a server may send anything."""
    large = bytes(20_000_000)
    if kind == "a tar":
        member = tarfile.TarInfo("large")
        member.size = len(large)
        assert fetch_librispeech(server, tar_members(member), tmp_path) == 2
    else:
        content = large if kind == "a download without end" else zip_members({"wav/03a01Fa.wav": large})
        assert fetch_emodb(publish(server, "download.zip", content), tmp_path) == 2
    assert "found more than 17 MB; expected the corpus as published" in capsys.readouterr().err
    assert list_files(tmp_path) == []


def test_damaged_zip(server, emodb_members, tmp_path, capsys):
    packed = zip_members(dict(list(emodb_members.items())[:5]))
    damaged = bytearray(packed)
    damaged[60] ^= 0xFF
    assert fetch_emodb(publish(server, "d.zip", bytes(damaged)), tmp_path) == 2
    assert "damaged archive" in capsys.readouterr().err
    assert list_files(tmp_path) == []


def test_an_archive_of_something_else_is_refused(server, tmp_path, capsys):
    member = tarfile.TarInfo("README")
    member.size = 10
    assert fetch_librispeech(server, tar_members(member), tmp_path) == 2
    assert "dev-clean.tar.gz: found something else" in capsys.readouterr().err
    assert list_files(tmp_path) == []


def make_member(name: str, task: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = task, target
    member.size = 4 if task == tarfile.REGTYPE else 0
    return member


@pytest.mark.parametrize(
    "members",
    [
        [make_member("../escaped")],
        [make_member("LibriSpeech/../../escaped")],
        [make_member("/escaped")],
        [make_member("link", tarfile.SYMTYPE, ".."), make_member("link/escaped")],
        [make_member("link", tarfile.LNKTYPE, "../../secret")],
        [make_member("device", tarfile.CHRTYPE)],
        [make_member("pipe", tarfile.FIFOTYPE)],
    ],
    ids=["parent", "hidden parent", "absolute", "through a link", "hard link", "device", "pipe"],
)
def test_malicious_tar_files_write_nothing_outside(server, tmp_path, capsys, members):
    dest = tmp_path / "inside" / "dest"
    (tmp_path / "secret").write_text("secret")
    assert fetch_librispeech(server, tar_members(*members), dest) == 2
    assert re.search("Do not use this archive|found something else", capsys.readouterr().err)
    assert list_files(tmp_path) == ["secret"]


@pytest.mark.parametrize("name", ["../escaped", "wav/../../escaped", "/escaped", "..\\escaped", "C:/escaped", "link"])
def test_malicious_zip_files_write_nothing_outside(server, tmp_path, capsys, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        member = zipfile.ZipInfo(name)
        if name == "link":
            member.external_attr = 0o120777 << 16
        archive.writestr(member, "../..")
    dest = tmp_path / "inside" / "dest"
    assert fetch_emodb(publish(server, "d.zip", packed.getvalue()), dest) == 2
    assert "found something else" in capsys.readouterr().err  # its paths were kept inside the folder
    assert list_files(tmp_path) == []


def raise_disk_full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_while_fetching(server, librispeech_archive, tmp_path, capsys, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", raise_disk_full)
    assert fetch_librispeech(server, librispeech_archive, tmp_path) == 2
    assert "found a full disk" in capsys.readouterr().err
    assert list_files(tmp_path) == []


def test_a_disk_that_fills_up_while_unpacking(server, librispeech_archive, emodb_members, tmp_path, capsys, monkeypatch):
    done = []

    def copy_one(source, target, *arguments, **options):
        if done:
            raise_disk_full()
        done.append(target.write(source.read(*arguments[:1])))

    monkeypatch.setattr(tarfile, "copyfileobj", copy_one)
    monkeypatch.setattr(shutil, "copyfileobj", copy_one)  # zipfile's
    assert fetch_librispeech(server, librispeech_archive, tmp_path) == 2
    assert "found a full disk" in capsys.readouterr().err
    assert list_files(tmp_path) == []
    done.clear()
    assert fetch_emodb(publish(server, "d.zip", zip_members(emodb_members)), tmp_path) == 2
    assert "found a full disk" in capsys.readouterr().err
    assert len(done) == 1
    assert list_files(tmp_path) == []


def test_too_little_disk_is_found_before_fetching(tmp_path, capsys, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5_000_000_000))
    assert run("librispeech", "--dest", tmp_path) == 2
    assert "found 5.0 GB of free disk; expected 13.4 GB for librispeech" in capsys.readouterr().err


def test_no_server_and_no_such_file(server, tmp_path, capsys):
    url = publish(server, "x.zip", b"")
    assert fetch_emodb(url + ".absent", tmp_path) == 2
    assert "404" in capsys.readouterr().err
    assert fetch_emodb("http://127.0.0.1:9/x.zip", tmp_path) == 2
    assert "a transfer that failed" in capsys.readouterr().err
    assert list_files(tmp_path) == []


def test_what_a_killed_run_left_is_cleared(server, librispeech_archive, tmp_path):
    (tmp_path / ".writing-abc" / "content").mkdir(parents=True)
    (tmp_path / ".writing-abc" / "dev-clean.tar.gz").write_bytes(b"half")
    assert fetch_librispeech(server, librispeech_archive, tmp_path) == 0
    assert not (tmp_path / ".writing-abc").exists()


def test_two_downloads_at_once_are_refused(server, librispeech_archive, tmp_path, capsys):
    from began.files import lock_folder

    with lock_folder(tmp_path):
        assert fetch_librispeech(server, librispeech_archive, tmp_path) == 2
    assert "another run" in capsys.readouterr().err
    assert server.requests == []


def test_corpora_that_need_consent_are_explained(tmp_path, capsys):
    assert run("savee", "--dest", tmp_path) == 0
    said = capsys.readouterr().out
    assert "kahlan.eps.surrey.ac.uk/savee/Register.html" in said
    assert "AudioData/DC/a01.wav" in said
    assert "python -m experiments.check savee DIR" in said
    assert run("omg") == 0
    said = capsys.readouterr().out
    assert "github.com/knowledgetechnologyuhh/OMGEmotionChallenge" in said
    assert "experiments.prepare_omg" in said
    assert "VIDEO/utterance_N.wav" in said
    assert list_files(tmp_path) == []


def test_published_addresses():
    assert len(librispeech.ARCHIVES) == len(librispeech.SUBSETS) == 7
    for subset, archive in librispeech.ARCHIVES.items():
        assert archive.url == f"https://www.openslr.org/resources/12/{subset}.tar.gz"
        assert archive.checksum.startswith("md5:")
        assert len(archive.checksum) == 4 + 32
    assert librispeech.ARCHIVES["dev-clean"].checksum == "md5:42e2234ba48799c1f50f24a7926300a1"
