#!/usr/bin/env bash
# ood.sh FOLDER_OF_PROGRAMS SCRATCH: `hebm_dist ood` on the tiny pipeline: derived sets, the same
# result on 1 and 2 ranks, its page, and what is refused.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$source_folder/configs/smoke.ini data=$scratch/fashion.h5
rm -rf -- "$scratch"
mkdir -p -- "$scratch"
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"
small=(--ood.num_images 50 --ood.chunk 20 --ood.bootstrap 100)
refused() { # refused CODE TEXT OPTIONS: of ood in run a
  local want=$1 text=$2 code=0
  shift 2
  "$bin/hebm_dist" ood --config "$config" --run.directory "$scratch/a" --data.path "$data" "${small[@]}" "$@" >"$scratch/out" 2>&1 || code=$?
  ((code == want)) || fail "ood $*: exit code $code, expected $want: $(cat "$scratch/out")"
  grep -qF -- "$text" "$scratch/out" || fail "ood $*: no '$text' in: $(cat "$scratch/out")"
}

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 256 --limit-test 64 --out "$data" >/dev/null
for kind in rotate90 invert noise; do "$bin/hebm_data" derive --from "$data" --kind "$kind" --out "$scratch/$kind.h5" >/dev/null; done
refused 2 "vae.safetensors is not there: run \`hebm_dist train-vae\`" --out "$scratch/noise.h5"
hebm 1 a train-vae || fail "train-vae"
refused 2 "prior.safetensors is not there: run \`hebm_dist train\`" --out "$scratch/noise.h5"
hebm 1 a encode || fail "encode"
hebm 1 a train --train.preview_every 0 || fail "train"
mkdir "$scratch/b"
cp -r "$scratch/a/vae" "$scratch/a/prior" "$scratch/b/"

hebm 1 a ood --out "$scratch/noise.h5" "${small[@]}" || fail "ood on 1 rank: $(tail "$scratch/a.log")"
hebm 2 b ood --out "$scratch/noise.h5" "${small[@]}" || fail "ood on 2 ranks: $(tail "$scratch/b.log")"
hebm 1 a ood --out "$scratch/invert.h5" --name upside_down --ood.k 2,0 "${small[@]}" || fail "ood with chosen k"
grep -qE '^diffusion +2 ' "$scratch/a.log" || fail "no table: $(tail "$scratch/a.log")"
/usr/bin/python3 - "$scratch" <<'EOF'
import json, math, sys
def read(run, name):
    with open(f"{sys.argv[1]}/{run}/results/ood-{name}.json") as file:
        return json.load(file)
one, two = read("a", "noise"), read("b", "noise")
assert one.pop("seconds") > 0 and two.pop("seconds") > 0 and one.pop("content_hash") and two.pop("content_hash")
assert one == two, "1 and 2 ranks differ"
assert one["positive"] == "out" and one["in"]["name"] == "fashion" and one["out"]["name"] == "noise", one
assert [(row["scheme"], row.get("k")) for row in one["rows"]] == [("elbo", None)] + [(s, k) for s in ("inference", "diffusion") for k in range(3)]
for row in one["rows"]:
    assert 0 <= row["auroc_low"] <= row["auroc"] <= row["auroc_high"] <= 1, row
    assert all(math.isfinite(row[key]) for key in ("aupr", "fpr95", "mean_in", "mean_out")), row
    for name in ("in", "out"):
        assert sum(row["histogram"][name]) + row["histogram"]["outside_" + name] == 50, row
chosen = read("a", "upside_down")
assert [row.get("k") for row in chosen["rows"]] == [None, 2, 0, 2, 0], chosen
EOF
before=$(stat -c '%i %Y' "$scratch/a/results/ood-noise.json")
hebm 1 a ood --out "$scratch/noise.h5" "${small[@]}" || fail "ood again"
[[ $(stat -c '%i %Y' "$scratch/a/results/ood-noise.json") == "$before" ]] || fail "run again, it repeated work"
"$bin/hebm_dist" report --run.directory "$scratch/a" >/dev/null
grep -q 'Out-of-distribution detection' "$scratch/a/report.html" || fail "no section in the report"

refused 2 "ood.k = 3: the VAE has 3 latent layers, expected 0 to 2" --out "$scratch/noise.h5" --ood.k 0,3
refused 2 "64 test images, ood.num_images is 65" --out "$scratch/noise.h5" --ood.num_images 65
refused 2 "missing.h5 is not there" --out "$scratch/missing.h5"
refused 2 "--name" --out "$scratch/noise.h5" --name "../x"
"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 64 --limit-test 64 --pad 0 --out "$scratch/plain.h5" >/dev/null
refused 2 "plain.h5: images of 1 x 28 x 28, the VAE takes 1 x 32 x 32" --out "$scratch/plain.h5"
refused 2 "plain.h5: images of 1 x 28 x 28, the VAE takes 1 x 32 x 32" --in "$scratch/plain.h5" --out "$scratch/noise.h5"
head -c 4096 /dev/zero >"$scratch/broken.h5"
refused 4 "broken.h5" --out "$scratch/broken.h5"
refused 0 "5 chains of 3 Langevin steps" --out "$scratch/noise.h5" --dry-run
echo "all held"
