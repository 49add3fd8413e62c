#!/bin/bash
# FFmpeg makes mono of stereo 3 dB louder, and beyond full scale, when the output has floats in place of integers.
#
# Versions: imageio-ffmpeg 0.8.1 (its wheel holds FFmpeg n9.0.2-17-g2a571b6068), av 18.1.0, soundfile 0.14.0, numpy 2.4.6.
# Behaviour: for `-ac 1`, FFmpeg adds both channels, each times 0.707. Only where the output, or what it computes in, has integers
# does it divide by the sum of these factors, which makes the mean of the channels. With floats it does not: the same file, read as
# f32le, as programs read it through a pipe, is 3 dB louder than as WAV or FLAC of 16 bits, and speech near full scale exceeds it.
# Encoders that take floats (MP3, AAC, Vorbis) get the louder one, too, and so does who asks PyAV's AudioResampler for floats.
# No message tells. `-rematrix_maxval 1` gives the mean everywhere, as librosa, and numpy.mean behind soundfile, do.
# Input: one second of a tone with a peak of 0.8, the same in both channels, in WAV of 16 bits.
# Output, on Linux (x86-64): the lines in `expected` below: the peak of the mono sound.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet imageio-ffmpeg==0.8.1 av==18.1.0 soundfile==0.14.0 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import subprocess
import sys

import av
import imageio_ffmpeg
import numpy as np
import soundfile

path, folder = f"{sys.argv[1]}/stereo.wav", sys.argv[1]
tone = 0.8 * np.sin(2 * np.pi * 250 * np.arange(16_000) / 16_000)
soundfile.write(path, np.stack([tone, tone], axis=1), 16_000)


def convert(*options):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", path, *options]
    return subprocess.run(command, check=True, capture_output=True).stdout


print(f"mean of the channels: {abs(soundfile.read(path)[0].mean(axis=1)).max():.2f}")
for codec in ("pcm_s16le", "pcm_s24le", "pcm_f32le"):
    convert("-ac", "1", "-c:a", codec, f"{folder}/mono.wav")
    print(f"ffmpeg -ac 1 -c:a {codec}: {abs(soundfile.read(f'{folder}/mono.wav')[0]).max():.2f}")
print(f"ffmpeg -ac 1 -f s16le: {np.frombuffer(convert('-ac', '1', '-f', 's16le', '-'), '<i2').max() / 32768:.2f}")
print(f"ffmpeg -ac 1 -f f32le: {np.frombuffer(convert('-ac', '1', '-f', 'f32le', '-'), '<f4').max():.2f}")
for suffix in ("flac", "ogg"):
    convert("-ac", "1", f"{folder}/mono.{suffix}")
    print(f"ffmpeg -ac 1 to .{suffix}: {np.percentile(abs(soundfile.read(f'{folder}/mono.{suffix}')[0]), 97):.1f}")
mean = convert("-rematrix_maxval", "1", "-ac", "1", "-f", "f32le", "-")
print(f"ffmpeg -rematrix_maxval 1 -ac 1 -f f32le: {np.frombuffer(mean, '<f4').max():.2f}")
for name, scale in (("s16", 32768), ("flt", 1)):
    resampler, blocks = av.AudioResampler(format=name, layout="mono"), []
    with av.open(path) as container:
        for frame in [*container.decode(audio=0), None]:
            blocks += [block.to_ndarray() for block in resampler.resample(frame)]
    print(f"PyAV's AudioResampler, mono, {name}: {np.concatenate(blocks, axis=1).max() / scale:.2f}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" "$folder" 2>/dev/null)
expected="mean of the channels: 0.80
ffmpeg -ac 1 -c:a pcm_s16le: 0.80
ffmpeg -ac 1 -c:a pcm_s24le: 0.80
ffmpeg -ac 1 -c:a pcm_f32le: 1.13
ffmpeg -ac 1 -f s16le: 0.80
ffmpeg -ac 1 -f f32le: 1.13
ffmpeg -ac 1 to .flac: 0.8
ffmpeg -ac 1 to .ogg: 1.1
ffmpeg -rematrix_maxval 1 -ac 1 -f f32le: 0.80
PyAV's AudioResampler, mono, s16: 0.80
PyAV's AudioResampler, mono, flt: 1.13"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
