#!/bin/bash
# A view of a memory-mapped array names the file and the offset of the whole: opened again by them, it holds other rows.
#
# Versions: numpy 2.4.6.
# Behaviour: numpy.memmap hands its attributes `filename` and `offset` on to every view, also to one that begins further on in
# the file. A process that opens the file again by the filename, offset, dtype and shape of a view gets the first rows of the file,
# without an error. Nor does the view's `base` tell: that of the array itself is the mapped buffer, that of a view, a reshaped
# one included, is an array. Only the addresses tell where a view begins. It holds for `numpy.load(…, mmap_mode="r")`, too.
# Input: a file of ten rows, which hold their own number.
# Output, on Linux (x86-64): the four lines in `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import sys

import numpy as np

path = f"{sys.argv[1]}/rows.npy"
np.save(path, np.repeat(np.arange(10.0), 4).reshape(10, 4))
whole = np.load(path, mmap_mode="r")
for name, view in (("whole", whole), ("reshaped", whole.reshape(5, 8)), ("first rows", whole[:3]), ("last rows", whole[7:])):
    again = np.memmap(view.filename, view.dtype, "r", view.offset, view.shape)
    base = "buffer" if view.base is whole.base else "array"
    print(f"{name}: same offset {view.offset == whole.offset}, base {base}, same rows {np.array_equal(again, view)}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" "$folder" 2>/dev/null)
expected="whole: same offset True, base buffer, same rows True
reshaped: same offset True, base array, same rows True
first rows: same offset True, base array, same rows True
last rows: same offset True, base array, same rows False"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
