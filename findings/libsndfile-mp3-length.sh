#!/bin/bash
# libsndfile guesses the length of an MP3 of variable bit rate that has no Xing frame, and stops reading there.
#
# Versions: soundfile 0.14.0 (its wheel holds libsndfile 1.2.2), numpy 2.4.6.
# Behaviour: the first frame of an MP3 (Xing or Info) holds the number of frames. A program that writes through a pipe cannot
# go back to fill it in, and leaves it out. libsndfile then divides the file's size by that of the first frames and reads no
# further than that many samples, without an error. At constant bit rate the guess is a little more than there is, so that
# a reader that compares takes a whole file for one cut short.
# Input: 10 s, 2 s of noise and 2 s of a faint tone in turn, written as MP3 of variable and of constant bit rate; the
# first frame is then removed.
# Output, on Linux (x86-64): the four lines in `expected` below, with the frame and without it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import sys

import numpy as np
import soundfile

KILOBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
seconds = np.arange(441_000) / 44_100
noise = 0.3 * np.random.default_rng(0).standard_normal(441_000)
sound = np.where(seconds % 4 < 2, noise, 0.001 * np.sin(2 * np.pi * 200 * seconds)).clip(-1, 1)
for mode in ("VARIABLE", "CONSTANT"):
    path = f"{sys.argv[1]}/{mode}.mp3"
    soundfile.write(path, sound, 44_100, bitrate_mode=mode, compression_level=0.5)
    content = open(path, "rb").read()
    first = 144_000 * KILOBITS[content[2] >> 4] // 44_100 + (content[2] >> 1 & 1)  # bytes of the first frame
    for name, variant in (("with", content), ("without", content[first:])):
        open(path, "wb").write(variant)
        print(f"{mode} {name}: named {soundfile.info(path).frames}, read {len(soundfile.read(path)[0])}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" "$folder" 2>/dev/null)
expected="VARIABLE with: named 441000, read 441000
VARIABLE without: named 100484, read 100484
CONSTANT with: named 441000, read 441000
CONSTANT without: named 442747, read 442368"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
