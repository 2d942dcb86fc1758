#!/usr/bin/env bash
# Trains a few steps on the GPU and says whether they ran there:
#   tools/cuda_smoke.sh [folder for records and run]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-runs/cuda_smoke}
mkdir -p "$folder"
./bazelw run --config=cuda //python:prepare -- --from=synthetic --num_images=32 --seed=1 \
  --out="$folder/records"
./bazelw run --config=cuda //python:train -- --config=configs/quickstart.config --restart \
  --train_records="$folder/records/train-*" --label_map="$folder/records/label_map.pbtxt" \
  --model_dir="$folder/run" --steps=20 | tee "$folder/train.log"
device=$(sed -n 's/^training on //p' "$folder/train.log")
case $device in
  "")
    echo "cuda_smoke: training did not say what it ran on" >&2
    exit 1
    ;;
  *"sees no GPU"*)
    echo "cuda_smoke: TensorFlow sees no GPU; bazel run //python:doctor says what is missing" >&2
    exit 1
    ;;
esac
echo "cuda_smoke: 20 steps on $device"
