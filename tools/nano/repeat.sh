#!/bin/sh
# Trains members again from their seed, all or those that are named, and compares what comes out with the shipped weights, byte by byte.
set -e
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1
python=${PYTHON:-/usr/bin/python3}
[ $# -gt 0 ] || set -- nano-mini nano-small nano-medium nano-moe nano-vision nano-mini-long
for name; do
  case $name in
    nano-mini-long) long/make.sh ;;
    nano-vision) $python vision/train.py --seed 1 --out out/nano-vision ;;
    *) $python train.py "$name" --seed 1 ;;
  esac
  if cmp "out/$name/model.safetensors" "../../packages/nano/models/$name/model.safetensors"; then
    echo "$name: the same bytes as those that are shipped"
  else
    echo "$name: other weights; node tools/nano/evaluate.mjs $name --folder tools/nano/out says how good they are"
  fi
done
