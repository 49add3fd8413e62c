#!/bin/bash
# In the last page of an Ogg Vorbis file, libsndfile reads from a few milliseconds later than it is asked to.
#
# Versions: soundfile 0.14.0 (its wheel holds libsndfile 1.2.2), numpy 2.4.6.
# Behaviour: an encoder pads a sound to whole blocks, and the last page tells where the sound ends. After a seek into that page,
# libsndfile counts its samples back from there as if nothing had been padded: every part that starts in it is late by as many
# samples as the padding has, without an error. tell() names the sample that was asked for, and a part up to the end has the
# length that was asked for, its last samples being those of the padding. Read from its beginning, the file is right. Here, the
# last page holds half of the sound.
# Input: a tone that rises for ten seconds at 16 kHz, and one of 100 samples more; 500 samples are read from each second on.
# Output, on Linux (x86-64): the lines in `expected` below, by how many samples each part is late.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import sys

import numpy as np
import soundfile

path = f"{sys.argv[1]}/tone.ogg"
for n_samples in (160_000, 160_100):
    seconds = np.arange(n_samples) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * seconds) * seconds)
    soundfile.write(path, tone, 16_000, format="OGG", subtype="VORBIS")
    whole = soundfile.read(path)[0]
    print(f"{n_samples} samples, read {len(whole)}, furthest from what was written: {abs(whole - tone).max():.1f}")
    late = []
    for start in range(16_000, 160_000, 16_000):
        part = soundfile.read(path, start=start, frames=500)[0]
        late.append([n for n in range(512) if abs(part - whole[start + n : start + n + 500]).max() < 1e-4])
    print("parts from 1 s, 2 s, … 9 s on, late by:", *late)
    with soundfile.SoundFile(path) as file:
        file.seek(n_samples - 1000)
        where, last = file.tell() - n_samples, file.read()
    same = np.allclose(last, whole[-1000:], atol=1e-4)
    print(f"sought the last 1000: tell() {where}, read {len(last)}, as in the whole: {same}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" "$folder" 2>/dev/null)
expected="160000 samples, read 160000, furthest from what was written: 0.0
parts from 1 s, 2 s, … 9 s on, late by: [0] [0] [0] [0] [0] [128] [128] [128] [128]
sought the last 1000: tell() -1000, read 1000, as in the whole: False
160100 samples, read 160100, furthest from what was written: 0.0
parts from 1 s, 2 s, … 9 s on, late by: [0] [0] [0] [0] [0] [28] [28] [28] [28]
sought the last 1000: tell() -1000, read 1000, as in the whole: False"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
