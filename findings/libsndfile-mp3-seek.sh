#!/bin/bash
# A part of an MP3 of variable bit rate, read through libsndfile, may begin with a fifth of a second of wrong silence.
#
# Versions: soundfile 0.14.0 (its wheel holds libsndfile 1.2.2, which decodes with mpg123), numpy 2.4.6.
# Behaviour: a frame of an MP3 may keep its bits in frames before it. Where few bits are needed, as in simple or quiet sound,
# frames are so small that they reach back over many. After a seek, the decoder has read too few of them: it gives silence
# up to the first frame whose bits it has, and the right samples from there on, without an error. Read from its beginning, the
# file is right. soundfile writes MP3 of variable bit rate unless told otherwise; at a constant bit rate, nothing is lost here.
# Input: a tone that rises for ten seconds, at 16 kHz; half a second is read from each second on.
# Output, on Linux (x86-64): the six lines in `expected` below: how loud each part begins, 1 being as loud as in the whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import sys

import numpy as np
import soundfile

path = f"{sys.argv[1]}/tone.mp3"
seconds = np.arange(160_000) / 16_000
tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * seconds) * seconds)
for name, options in (("default", {}), ("constant", {"bitrate_mode": "CONSTANT", "compression_level": 0.0})):
    soundfile.write(path, tone, 16_000, **options)
    whole = soundfile.read(path)[0]
    print(f"{name}: read {len(whole)} of 160000")
    loud, same = [], []
    for start in range(16_000, 160_000, 16_000):
        part, there = soundfile.read(path, start=start, frames=8000)[0], whole[start : start + 8000]
        loud.append(f"{np.linalg.norm(part[:3200]) / np.linalg.norm(there[:3200]):.1f}")
        same.append(np.allclose(part[6400:], there[6400:], atol=1e-3))
    print("parts from 1 s, 2 s, … 9 s on, the first 200 ms:", *loud)
    print("the same samples after 400 ms:", *same)
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" "$folder" 2>/dev/null)
expected="default: read 160000 of 160000
parts from 1 s, 2 s, … 9 s on, the first 200 ms: 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0
the same samples after 400 ms: True True True True True True True True True
constant: read 160000 of 160000
parts from 1 s, 2 s, … 9 s on, the first 200 ms: 1.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0
the same samples after 400 ms: True True True True True True True True True"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
