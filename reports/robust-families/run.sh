#!/bin/sh
# Two robust parents and their families: trained against attacks, and with guaranteed bounds. Goes on where it stopped.
#   sh reports/robust-families/run.sh [FOLDER]
set -eu
out=${1:-reports/robust-families}
data="--data fashion-mnist --arch lenet5"
pgd="pgd?eps=0.05&steps=5&step=0.4&shift=0"
ibp="ibp?eps=0.05&shift=0"
test -f "$out/pgd.safetensors" || evalsuite train $data --recipe "$pgd" --epochs 4 --out "$out/pgd.safetensors"
test -f "$out/ibp.safetensors" || evalsuite train $data --recipe "$ibp" --epochs 8 --out "$out/ibp.safetensors"
for kind in pgd ibp; do
    eval "recipe=\$$kind"
    evalsuite sweep --ckpt "$out/$kind.safetensors" --out "$out/$kind" --pruner magnitude \
        --ratios 0.3,0.5,0.7,0.8,0.9,0.95 --retrain "$recipe" --epochs 1 \
        --tasks 'clean,noise/uniform/0.1,adversarial/linf/0.05?attack=pgd,adversarial/linf/0.05,bounds/linf/0.05' \
        --examples 5000 --examples-for 'adversarial/linf/0.05?attack=pgd=1000' --examples-for adversarial/linf/0.05=128 \
        --examples-for bounds=1000 --margin-for 'adversarial/linf/0.05?attack=pgd=0.01' \
        --margin-for adversarial/linf/0.05=0.03 --margin-for bounds=0.01 --measures error,certified_gap,worst_class
done
