#!/bin/bash
# openSMILE's eGeMAPS takes soft speech for unvoiced: turned down, a recording has another pitch, then pauses, then a pitch of 0.
#
# Versions: opensmile 2.6.0, numpy 2.4.6.
# Behaviour: pitch, jitter and the length of voiced parts do not depend on how far a recording is turned up, one would think.
# But openSMILE sets the pitch of every frame to zero, for unvoiced, whose level lies below a fixed one, -60 dB of full scale. Of
# speech with a level of -38 dB, as a soft recording has it, soft parts are missing: the mean pitch is lower or
# higher, there are more voiced parts, and pauses where nobody paused. Where all frames are too soft, all features of pitch are
# 0, not NaN: a pitch of 0 semitones would be one of 27.5 Hz. ComParE's pitch has such a limit, too. No message tells. Bringing
# all recordings to one level before, a loud one, avoids it.
# Input: four seconds of a synthetic voice without a pause, whose pitch glides and whose level varies by 30 dB, turned down.
# Output, on Linux (x86-64): the lines in `expected` below, seconds to the nearest half, shares to the nearest quarter.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opensmile==2.6.0 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import numpy as np
import opensmile

seconds = np.arange(64_000) / 16_000
periods = np.cumsum(150 * 2 ** (0.4 * np.sin(2 * np.pi * 0.5 * seconds))) / 16_000
voice = sum(np.sin(2 * np.pi * k * periods) / k for k in range(1, 21))
voice *= 10 ** ((15 * np.sin(2 * np.pi * 0.31 * seconds) - 15) / 20) * 0.5 / abs(voice).max()
egemaps = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
compare = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
for down_db in (0, 10, 20, 30, 40, 50):
    waveform = voice * 10 ** (-down_db / 20)
    level_db = 20 * np.log10(np.std(waveform))
    row = egemaps.process_signal(waveform, 16_000).iloc[0]
    pitch, pause = row["F0semitoneFrom27.5Hz_sma3nz_amean"], row["MeanUnvoicedSegmentLength"]
    parts = row["VoicedSegmentsPerSec"] * 4
    voiced = np.mean(compare.process_signal(waveform, 16_000)["F0final_sma"] > 0)
    features = f"pitch {pitch:.1f} semitones, voiced parts {parts:.0f}, unvoiced ones of {round(2 * pause) / 2:.1f} s"
    print(f"{level_db:.0f} dB: {features}; ComParE: {round(4 * voiced) / 4:.0%} of the frames voiced")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="-18 dB: pitch 29.4 semitones, voiced parts 1, unvoiced ones of 0.0 s; ComParE: 100% of the frames voiced
-28 dB: pitch 29.4 semitones, voiced parts 1, unvoiced ones of 0.0 s; ComParE: 100% of the frames voiced
-38 dB: pitch 28.4 semitones, voiced parts 2, unvoiced ones of 1.0 s; ComParE: 75% of the frames voiced
-48 dB: pitch 28.8 semitones, voiced parts 2, unvoiced ones of 1.0 s; ComParE: 50% of the frames voiced
-58 dB: pitch 30.2 semitones, voiced parts 2, unvoiced ones of 1.5 s; ComParE: 25% of the frames voiced
-68 dB: pitch 0.0 semitones, voiced parts 0, unvoiced ones of 4.0 s; ComParE: 0% of the frames voiced"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
