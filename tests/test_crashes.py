"""Killed at random moments, started twice, interrupted: nothing is lost, and nothing half-written is read.

The tests kill a small real run (pre-training, features, search, leave one speaker out, report) a few times; by hand,

    CRASH_KILLS=50 python -m pytest tests/test_crashes.py -k killed -s

kills it fifty times, starting the run over whenever it reaches its end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_results import SMALL_RUN, read_results
from test_imports import SCRIPTS

from began import command_line
from began.errors import InputError
from began.files import lock_folder, sha256_of, write_atomically, write_text

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("CRASH_KILLS", "3"))
SEED = int(os.environ.get("CRASH_SEED", "0"))
linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds child processes through /proc, as Linux has it")


def start(folder: Path) -> subprocess.Popen:
    """Starts the small run as a user's other machine might: in another working directory, with other hash seeds of Python."""
    return subprocess.Popen(
        [*SMALL_RUN, folder],
        cwd=folder.parent,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def list_files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            with contextlib.suppress(FileNotFoundError):  # it was temporary
                found[str(path.relative_to(folder))] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def kill_at_random(folder: Path, draw: random.Random) -> str | None:
    """Starts the run and kills it a random time after a random number of changes in its folder.

    Waiting for changes spreads the kills over the phases of the run: a stopwatch alone would mostly hit the imports. Many
    changes are as likely as few, so that some attempts get far.

    Returns:
        What changed last, None where the run came to its end before.
    """
    process = start(folder)
    n_changes, delay = round(2 ** draw.uniform(0, 7)), draw.uniform(0, 0.5)
    before, last = list_files(folder), "nothing"
    while n_changes > 0 and process.poll() is None:
        now = list_files(folder)
        changed = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
        if changed:
            n_changes, last = n_changes - 1, changed[-1]
        before = now
        time.sleep(0.01)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.kill()
    _, error = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), error
    return None if process.returncode == 0 else last


def test_killed_anywhere_and_restarted_it_ends_as_an_undisturbed_run(small_run, tmp_path):
    """The same seed gives the same bits: chunks, weights, features, searches, scores and tables, in processes of their own."""
    expected, draw = read_results(small_run), random.Random(SEED)
    encoder = "results/pretrain_librispeech/began/encoder.keras"
    assert len(expected) > 20
    n_kills = n_ends = 0
    while n_kills < KILLS or n_ends == 0:
        if n_kills < KILLS:
            last = kill_at_random(tmp_path / "run", draw)
        else:
            process = start(tmp_path / "run")
            _, error = process.communicate()
            assert process.returncode == 0, error
            last = None
        if last is not None:
            n_kills += 1
            print(f"kill {n_kills}: after {last}", flush=True)
            continue
        found = read_results(tmp_path / "run")
        assert sorted(found) == sorted(expected)
        assert not [name for name in expected if found[name] != expected[name]]
        assert sha256_of(tmp_path / "run" / encoder) == sha256_of(small_run / encoder)
        n_ends += 1
        shutil.rmtree(tmp_path / "run")
    print(f"{n_kills} kills survived, {n_ends} runs ended as the undisturbed one", flush=True)


def test_the_next_run_clears_away_what_a_killed_one_was_writing(tmp_path):
    for folder in (".writing-1", "run1/.writing-2"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "metrics.csv").write_text("half a", encoding="utf-8")
    with lock_folder(tmp_path):
        assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "run1"]


@pytest.mark.parametrize("moment", ["made", "cleared"])
def test_control_c_at_any_moment_of_writing_leaves_nothing(tmp_path, monkeypatch, moment):
    owner, name = (Path, "mkdir") if moment == "made" else (shutil, "rmtree")
    original, calls = getattr(owner, name), []

    def interrupt_once(*arguments, **options):
        calls.append(arguments)
        if moment == "made":
            original(*arguments, **options)
        if len(calls) == 1:
            raise KeyboardInterrupt
        if moment == "cleared":
            original(*arguments, **options)

    monkeypatch.setattr(owner, name, interrupt_once)
    with pytest.raises(KeyboardInterrupt), write_atomically(tmp_path / "trials.csv") as temporary:
        temporary.write_text("trial", encoding="utf-8")
    assert calls
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"] * (moment == "cleared")


# ------------------------------------------------------------------------------------------- two at once, Ctrl-C


def start_quietly(command: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # tests that run under nohup hand it down ignored
    )


def script(name: str, *words: object) -> list[str]:
    return [sys.executable, "-m", f"experiments.{name}", *(str(word) for word in words)]


def pretrain_command(data: Path, results: Path, epochs: int) -> list[str]:
    return script(
        "pretrain_librispeech",
        "--data-dir",
        data / "LibriSpeech",
        "--results-dir",
        results,
        "--base-filters",
        2,
        "--latent-size",
        8,
        "--batch-size",
        4,
        "--epochs",
        epochs,
    )


def test_of_two_runs_started_at_once_one_refuses(tiny_corpora, tmp_path):
    command = pretrain_command(tiny_corpora, tmp_path, 1)
    both = [start_quietly(command) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    refusal = said[[process.returncode for process in both].index(2)]
    assert "found another run that is writing into it" in refusal
    assert "Traceback" not in refusal
    assert (tmp_path / "pretrain_librispeech" / "began" / "encoder.keras").is_file()


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> bool:
    """Waits for something that another process does; the limit is for a test that fails."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def children_of(pid: int) -> list[int]:
    try:
        direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return direct + [grandchild for child in direct for grandchild in children_of(child)]


def is_alive(pid: int) -> bool:
    try:
        state = re.search(r"\) (\w)", Path(f"/proc/{pid}/stat").read_text())
    except FileNotFoundError:
        return False
    return state is not None and state[1] not in "ZX"


def start_search(small_run: Path, results: Path) -> subprocess.Popen:
    """Starts a table whose search has two worker processes and would take hours."""
    command = script(
        "table3_emodb",
        "--data-dir",
        small_run / "data" / "EmoDB",
        "--encoder",
        small_run / "results" / "pretrain_librispeech" / "began" / "encoder.keras",
        "--results-dir",
        results,
        "--method",
        "head",
        "--max-evals",
        500,
        "--epochs",
        5,
        "--workers",
        2,
    )
    return start_quietly(command)


def has_trials(results: Path) -> bool:
    return any((results / "table3_emodb" / "head_per_second" / "search").glob("*.csv"))


@linux
@pytest.mark.parametrize("moment", ["pre-training", "search"])
def test_control_c_ends_soon_with_a_note_and_leaves_no_process(small_run, tiny_corpora, tmp_path, moment):
    if moment == "search":
        process = start_search(small_run, tmp_path)
        assert wait_until(lambda: has_trials(tmp_path))
        children = children_of(process.pid)
        assert len(children) >= 2
    else:
        process = start_quietly(pretrain_command(tiny_corpora, tmp_path, 100_000))
        assert wait_until(lambda: (tmp_path / "pretrain_librispeech" / "began" / "checkpoint.npz").is_file())
        children = children_of(process.pid)
    pressed = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
    _, error = process.communicate(timeout=60)
    print(f"{moment}: ended {time.monotonic() - pressed:.2f} s after Ctrl-C")
    assert process.returncode == 130, error
    said = "Interrupted. What was finished is kept: the same command goes on from there."
    assert error.strip().endswith(said) if moment == "search" else error.strip() == said  # a search has a progress bar
    assert "Traceback" not in error
    assert wait_until(lambda: not any(map(is_alive, children)), 20)
    assert not list(tmp_path.rglob(".writing-*"))


def run_shell(line: str) -> subprocess.CompletedProcess:
    command = f"{sys.executable} -m experiments"
    return subprocess.run(["bash", "-c", line.replace("COMMAND", command)], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "line",
    [
        "COMMAND.check emodb {data} --quick | true",
        "COMMAND.check emodb {data} --quick 2>&1 | true",
        "COMMAND.check emodb {data} --quick >&-",
        "COMMAND.check emodb {data} --quick >&- 2>&-",
        "COMMAND.check emodb {data} --quick <&- >&- 2>&-",
        "COMMAND.check emodb {data}/nothing 2>&1 >/dev/null | true",
        "COMMAND.check emodb {data}/nothing >&- 2>&-",
        "COMMAND.report --results-dir {data}/nothing 2> >(true)",
    ],
)
def test_closed_streams_give_no_traceback(line, tiny_corpora):
    done = run_shell(line.format(data=tiny_corpora / "EmoDB") + '; echo "${PIPESTATUS[0]}" >> /dev/stderr')
    code = done.stderr.split()[-1]
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert int(code) in (0, 1, 2)


def test_a_closed_output_takes_no_other_files_number(tmp_path):
    """Else what is printed would be written into the file that is opened next."""
    code = (
        "import argparse, sys; from began.command_line import run_script\n"
        "def main(arguments):\n    file = open('file', 'w'); print('printed', flush=True); file.write('written')\n"
        "sys.exit(run_script(main, argparse.ArgumentParser()))"
    )
    command = f'cd {tmp_path} && PYTHONPATH={ROOT} {sys.executable} -c "$CODE" >&-'
    subprocess.run(["bash", "-c", command], check=True, env={**os.environ, "CODE": code})
    assert (tmp_path / "file").read_text() == "written"


@pytest.mark.parametrize(
    ("name", "kind"), [("recording.wav", PermissionError), ("{folder}/part", InputError), (None, InputError)]
)
def test_an_error_about_another_file_is_no_fault_of_the_folder(tmp_path, name, kind):
    with pytest.raises(kind), write_atomically(tmp_path / "a" / "b.npy") as temporary:
        where = (str(tmp_path / name.format(folder=temporary.parent)),) if name else ()
        raise PermissionError(errno.EACCES, "Permission denied", *where)
    assert not list((tmp_path / "a").iterdir())


def test_a_name_that_is_too_long_is_no_lack_of_space(tmp_path):
    with pytest.raises(InputError, match=r"\(File name too long\); expected a name that .* Choose a shorter one\."):
        write_text(tmp_path / f"{'a' * 300}.csv", "")


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    import fcntl

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(InputError, match="found a file system that cannot lock files; expected one that can"),
        lock_folder(tmp_path),
    ):
        pass


def test_runs_with_names_of_their_own_wait_for_the_features_that_they_share(small_run, tiny_corpora, tmp_path):
    """As the tasks of a job array: one results folder, one cache; none of them chooses the other's run."""
    recordings = sorted((small_run / "data" / "EmoDB" / "wav").glob("*.wav"))
    manifest = tmp_path / "manifest.csv"
    labels = {"W": "anger", "N": "neutral"}
    rows = [f"{path},{labels[path.name[5]]}" for path in recordings if path.name[5] in labels]
    manifest.write_text("\n".join(["file,label", *rows]) + "\n", encoding="utf-8")
    encoder = small_run / "results" / "pretrain_librispeech" / "began" / "encoder.keras"
    common = ("--manifest", manifest, "--protocol", "kfold", "--folds", 2, "--method", "statistics", "--runs", 1)
    common = (*common, "--encoder", encoder, "--results-dir", tmp_path / "results")
    tasks = [start_quietly(script("custom", *common, "--name", f"task{number % 2}")) for number in range(3)]
    said = [process.communicate(timeout=300)[1] for process in tasks]
    codes = [process.returncode for process in tasks]
    assert codes[1] == 0, said
    # Two have one name: one of them goes first, or refuses to write into the same folder.
    assert sorted({codes[0], codes[2]}) in ([0], [0, 2]), said
    assert not [text for text in said if "Traceback" in text]
    assert len(list((tmp_path / "results" / "cache" / "features").glob("*/features.npy"))) == 1
    assert len(list((tmp_path / "results" / "custom").glob("task?/run1/metrics.csv"))) == 2


HEADS = """
import argparse, sys, time
import numpy as np
from began.command_line import GOES_ON, run_script
from classifiers.training import HeadJob
from classifiers.workers import train_heads

def train(epochs):
    features, chunk = np.zeros((8, 8, 4, 6), "float32"), np.arange(8)
    common = features, chunk % 2, chunk, "categorical", {"filters": 2}, epochs
    train_heads([HeadJob(*common, seed, n_outputs=2, rows=chunk) for seed in range(2)], 2, progress=None)

def main(arguments):
    train(1)
    print("trained", flush=True)
    if arguments.goes_on:
        train(1_000_000_000)
    time.sleep(1000)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--goes-on", action="store_true")
    sys.exit(run_script(main, parser, kept=GOES_ON))
"""
"""A command that trains heads on two workers, and then waits, or trains others without end."""


def start_heads(folder: Path, *words: str) -> tuple[subprocess.Popen, list[int]]:
    """Starts that command, with an empty `folder` for temporary files; returns it where it waits or trains, and its workers."""
    (folder.parent / "heads.py").write_text(HEADS, encoding="utf-8")
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    process = start_quietly([sys.executable, str(folder.parent / "heads.py"), *words], environment)
    assert process.stdout.readline() == "trained\n"
    assert wait_until(lambda: len(list(folder.rglob("*.npy"))) == 1 + len(words))  # features of each training
    children = children_of(process.pid)
    assert len(children) >= 2
    return process, children


@linux
def test_control_c_between_two_trainings_ends_the_workers_that_wait_for_the_next(tmp_path):
    process, children = start_heads(tmp_path / "tmp")
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert wait_until(lambda: not any(map(is_alive, children)), 20)


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_schedulers_signal_ends_a_training_like_control_c(tmp_path, number):
    """And nothing stays in the temporary folder: schedulers send it to one process, or to all."""
    process, children = start_heads(tmp_path / "tmp", "--goes-on")
    (os.killpg if number == signal.SIGTERM else os.kill)(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number, error
    assert "the same command goes on from there" in error
    assert "Traceback" not in error
    assert wait_until(lambda: not any(map(is_alive, children)), 20)
    assert not list((tmp_path / "tmp").iterdir())


@linux
def test_workers_do_not_outlive_a_killed_training(tmp_path):
    process, children = start_heads(tmp_path / "tmp", "--goes-on")
    process.kill()
    process.wait()  # without reading: workers that live on would hold its pipes
    have_ended = wait_until(lambda: not any(map(is_alive, children)), 20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what lives on must not outlive the test
    assert have_ended


PRESSED = {
    "while a script imports": "import began.command_line\npress()",
    "and a library makes another error of it": """
from argparse import ArgumentParser
from began.command_line import run_script
def main(arguments):
    try:
        press()
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error
sys.exit(run_script(main, ArgumentParser()))
""",
}


@pytest.mark.parametrize("moment", PRESSED)
def test_control_c_has_no_traceback(moment):
    press = "import os, signal, sys, time\ndef press():\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(60)\n"
    done = subprocess.run([sys.executable, "-c", press + PRESSED[moment]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (130, -signal.SIGINT)  # a shell shows both as 130
    assert done.stderr == "\nInterrupted.\n"


GOING_ON = {
    "experiments.pretrain_librispeech",
    "experiments.table1_savee",
    "experiments.table2_omg",
    "experiments.table3_emodb",
}
GOING_ON |= {f"experiments.{name}" for name in ("ablations", "label_efficiency", "robustness", "transfer", "custom")}
GOING_ON |= {"experiments.prepare_omg", "experiments.demo"}


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("module", SCRIPTS)
def test_only_a_command_that_goes_on_after_an_interruption_says_so(module, monkeypatch):
    said = []
    monkeypatch.setattr(command_line, "run_script", lambda main, parser, kept="": said.append(kept))
    with pytest.raises(SystemExit):
        runpy.run_module(module, run_name="__main__")
    assert (said == [command_line.GOES_ON]) == (module in GOING_ON)
    assert "goes on" not in said[0] or module in GOING_ON
