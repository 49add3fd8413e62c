#!/bin/bash
# openSMILE's eGeMAPS calls the same sound nearly twice as loud at 48 kHz as at 16 kHz.
#
# Versions: opensmile 2.6.0, soxr 1.1.0, numpy 2.4.6.
# Behaviour: GeMAPS and eGeMAPS build loudness on spectra of frames of a fixed duration, which are not divided by the number of
# their samples. So it grows with the sample rate of the file, and spectral flux does even more, though the higher rate adds
# nothing to the sound: pitch and the level in dB stay as they are. Nothing is resampled unless asked for (sampling_rate with
# resample=True), and no message tells. Of corpora recorded at different rates, one seems to be spoken louder; bringing all
# recordings to one level does not change that.
# Input: three seconds of a synthetic voice at 150 Hz, made at 16 kHz and resampled: above 8 kHz there is nothing.
# Output, on Linux (x86-64): the four lines in `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opensmile==2.6.0 soxr==1.1.0 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import numpy as np
import opensmile
import soxr

seconds = np.arange(48_000) / 16_000
voice = sum(np.sin(2 * np.pi * 150 * k * seconds) / k for k in range(1, 21))
voice = 0.2 * voice / abs(voice).max() * np.sin(2 * np.pi * seconds) ** 2
egemaps = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
for rate_hz in (16_000, 32_000, 44_100, 48_000):
    waveform = voice if rate_hz == 16_000 else soxr.resample(voice, 16_000, rate_hz)
    row = egemaps.process_signal(waveform, rate_hz).iloc[0]
    pitch, level = row["F0semitoneFrom27.5Hz_sma3nz_amean"], row["equivalentSoundLevel_dBp"]
    loudness, flux = row["loudness_sma3_amean"], row["spectralFlux_sma3_amean"]
    print(f"{rate_hz} Hz: pitch {pitch:.1f} semitones, level {level:.1f} dB, loudness {loudness:.2f}, spectral flux {flux:.2f}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="16000 Hz: pitch 29.4 semitones, level -24.2 dB, loudness 0.63, spectral flux 0.08
32000 Hz: pitch 29.4 semitones, level -24.2 dB, loudness 1.00, spectral flux 0.16
44100 Hz: pitch 29.4 semitones, level -24.2 dB, loudness 1.11, spectral flux 0.21
48000 Hz: pitch 29.4 semitones, level -24.2 dB, loudness 1.14, spectral flux 0.30"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
