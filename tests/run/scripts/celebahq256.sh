#!/usr/bin/env bash
# celebahq256.sh FOLDER_OF_PROGRAMS: the largest preset is built, and draws an image. Takes 5 GB of
# memory.
set -euo pipefail
got=$("$1/hebm_dist" bench draw --preset nvae-celebahq256 --random-weights --batch 1 --json)
echo "$got"
for wanted in '"image":[3,256,256]' '"vae_parameters":330798664' '"latents":6005760'; do
  [[ $got == *"$wanted"* ]] || { echo "FAILED: no $wanted"; exit 1; }
done
