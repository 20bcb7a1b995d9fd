#!/bin/sh
# From nano-mini to nano-mini-long, in order: pass keys at 256 tokens, rows, search, pass keys at 2,048, figures.
set -e
cd "$(dirname "$0")"
# Matrices of 2,048 x 2,048 would otherwise be given back to the system and fetched again at every step.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 OMP_NUM_THREADS=1
python=${PYTHON:-/usr/bin/python3}
$python train_passkeys.py short --seed 1
$python make_rows.py
node search.mjs --fresh
$python train_passkeys.py long --seed 1
node ../evaluate.mjs nano-mini-long --folder ../out
