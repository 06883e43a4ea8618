#!/usr/bin/env bash
# Every step of this study, from nothing. `dataset-fashion-mnist` (Debian) or torchvision brings the data.
set -euo pipefail
cd "$(dirname "$0")/../.."
evalsuite train --arch resnet8 --data fashion-mnist --out reports/resnet8-fashion-mnist/resnet8.safetensors
evalsuite sweep --ckpt reports/resnet8-fashion-mnist/resnet8.safetensors --out reports/resnet8-fashion-mnist \
    --pruner magnitude,filter-norm --ratios 0.2,0.35,0.5,0.65,0.8,0.9,0.95,0.98 \
    --schedule cascade --retrain standard --epochs 2 \
    --tasks clean,noise/uniform/0.1,noise/gaussian/0.1,corruption/all/3 \
    --tasks 'adversarial/linf/0.0078?attack=pgd,certified/l2/0.1?sigma=0.1,adversarial/linf/0.0157' \
    --examples 10000 --examples-for 'adversarial/linf/0.0078?attack=pgd=2000,certified=128,adversarial=128' \
    --margin 0.005 --margin-for 'adversarial/linf/0.0078?attack=pgd=0.01,certified=0.05,adversarial=0.05'
