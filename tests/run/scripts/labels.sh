#!/usr/bin/env bash
# labels.sh FOLDER_OF_PROGRAMS SCRATCH: coupling with labels and attributes on the tiny pipeline:
# the same priors and results on 1 and 2 ranks, levels that are kept, images for a label,
# composition, the report's sections, and what is refused.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$source_folder/configs/smoke.ini plain=$scratch/base/plain.h5 data=$scratch/base/data.h5
rm -rf -- "$scratch"
mkdir -p -- "$scratch/base"
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"
several=(--labels "group,brightness,width" --layers "0/1,2/2" --name attributes)

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$plain" >/dev/null
"$bin/hebm_data" derive-attributes --from "$plain" --out "$data" >/dev/null
refused 2 'hebm_dist train-vae' base couple
data=$plain
for command in train-vae train-features encode; do hebm 2 base "$command" || fail "$command"; done
data=$scratch/base/data.h5
refused 2 "run \`hebm_dist train\`" base couple
hebm 2 base train --train.preview_every 0 || fail "train"
for command in labels compose; do refused 2 "run \`hebm_dist couple\`" base "$command"; done
refused 2 "run \`hebm_dist couple\`" base sample --label Dress

echo "the same priors, results, images and pictures on 1 and 2 ranks; the cache of the data set without attributes goes on being valid"
for n in 1 2; do
  run=ranks$n
  mkdir -p -- "$scratch/$run"
  cp -r -- "$scratch/base/vae" "$scratch/base/features" "$scratch/base/cache" "$scratch/base/prior" "$scratch/$run/"
  hebm "$n" "$run" couple --train.deterministic || fail "couple on $n ranks"
  hebm "$n" "$run" couple "${several[@]}" --couple.from nothing --couple.steps 5 --train.deterministic || fail "couple with attributes on $n ranks"
  hebm "$n" "$run" labels || fail "labels on $n ranks"
  hebm "$n" "$run" labels --name attributes || fail "labels of attributes on $n ranks"
  hebm "$n" "$run" compose --name attributes || fail "compose on $n ranks"
  hebm "$n" "$run" sample --label T-shirt/top --sample.count 40 || fail "sample --label on $n ranks"
done
for n in 1 2; do  # t = 0 alone below the other levels' chains, and all levels
  reverse=(--train.chain reverse --train.deterministic --couple.updates 2)
  hebm "$n" "ranks$n" couple --name reverse "${reverse[@]}" || fail "couple on reverse chains on $n ranks"
  hebm "$n" "ranks$n" couple --name reverse-all "${reverse[@]}" --couple.from nothing || fail "couple all on reverse chains on $n ranks"
done
for name in labels attributes reverse reverse-all; do same "ranks1/prior-$name/prior.safetensors" "ranks2/prior-$name/prior.safetensors"; done
for file in "$scratch"/ranks1/samples/*.png; do same "ranks1/samples/${file##*/}" "ranks2/samples/${file##*/}"; done
[[ $(images_hash ranks1) == $(images_hash ranks2) ]] || fail "sample --label: other images on 2 ranks"
/usr/bin/python3 -B - "$scratch" "$source_folder/tests/run/scripts" <<'EOF'
import json, os, struct, sys
scratch = sys.argv[1]
sys.path.insert(0, sys.argv[2])
import results
def read(ranks, name): return results.read(scratch, ranks, name)
for name in ("labels-labels", "labels-attributes", "compose-attributes"): results.compare(read(1, name), read(2, name), name)
labels = read(2, "labels-labels")
assert [h["name"] for h in labels["heads"]] == ["labels"] and labels["heads"][0]["layers"] == [0, 1, 2] and labels["steps"] == 3, labels
assert len(labels["heads"][0]["by_category"]) == 10
steps = read(2, "compose-attributes")["steps"]
assert [([a["name"] for a in s["asked"]], s["held_layers"]) for s in steps] == [(["group"], []), (["brightness", "width"], [0])], steps
assert read(2, "compose-attributes")["steps_at_zero"] == 5  # what it was coupled with
def tensors(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__")
    return metadata, {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]] for name, t in header.items()}
_, base = tensors(f"{scratch}/ranks1/prior/prior.safetensors")
metadata, coupled = tensors(f"{scratch}/ranks1/prior-labels/prior.safetensors")
heads = json.loads(metadata["architecture"])["heads"]
assert heads[0]["categories"][3] == "Dress" and heads[0]["layers"] == [0, 1, 2], heads
moved = {name for name in base if base[name] != coupled[name]}
assert moved and all(name.startswith("level0.") for name in moved), "other levels are kept bit by bit"
assert set(coupled) - set(base) == {f"level0.layer{i}.labels.weight" for i in range(3)}
metrics = [json.loads(line) for line in open(f"{scratch}/ranks1/prior-attributes/metrics.jsonl")]
assert any("accuracy/brightness" in m for m in metrics), metrics[-1]
EOF

echo "the report has the sections"
hebm 1 ranks1 report || fail "report"
for section in labels compose; do
  grep -q "id=\"$section\"" "$scratch/ranks1/report.html" || fail "no section $section in the report"
done

echo "run again, nothing is done again"
before=$(stat -c '%i %Y' "$scratch"/ranks1/prior-labels/prior.safetensors "$scratch"/ranks1/results/*.json "$scratch"/ranks1/samples/*.h5)
hebm 1 ranks1 couple --train.deterministic || fail "couple, again"
hebm 1 ranks1 labels || fail "labels, again"
hebm 1 ranks1 compose --name attributes || fail "compose, again"
hebm 1 ranks1 sample --label T-shirt/top --sample.count 40 || fail "sample --label, again"
[[ $(stat -c '%i %Y' "$scratch"/ranks1/prior-labels/prior.safetensors "$scratch"/ranks1/results/*.json "$scratch"/ranks1/samples/*.h5) == "$before" ]] ||
  fail "run again, it repeated work"

echo "what is refused, by name"
refused 2 "made with other settings" ranks1 couple --train.deterministic --couple.updates 5
refused 2 "no labels called 'colour'; it has labels, group, brightness, width, texture" ranks1 couple --labels colour --name x
refused 2 'no layer 3; the VAE has layers 0 (top) to 2' ranks1 couple --layers 0,3 --name x
refused 2 'is no layer' ranks1 couple --layers top --name x
refused 2 'layers of 1 labels' ranks1 couple --labels group,width --layers 0 --name x
refused 2 'kind of prior' ranks1 couple --name joint
refused 2 '--name' ranks1 couple --name ../x
refused 2 'langevin.start: the prior was trained with kernel, you ask for next' ranks1 couple --name x --langevin.start next
refused 2 'has label heads already' ranks1 couple --run.prior "$scratch/ranks1/prior-labels/prior.safetensors" --name x
refused 2 "'Hat' is no category of 'labels': it has T-shirt/top, Trouser" ranks1 sample --label Hat
refused 2 'expected LABEL=CATEGORY' ranks1 sample --label dark --name attributes
refused 2 'a prior of the kind joint has no labels' ranks1 sample --label Dress --prior.kind joint
refused 2 "is no category of 'group': it has top, trousers, dress, shoes, bag" ranks1 compose --name attributes --steps group=hat
refused 2 "there is no label 'colour': the prior has group, brightness, width" ranks1 compose --name attributes --steps colour
refused 2 'ask for it in an earlier step' ranks1 compose --name attributes --steps brightness/width
for command in labels compose "sample --label Dress"; do
  # shellcheck disable=SC2086
  refused 2 'this prior has no label heads' ranks1 $command --run.prior "$scratch/ranks1/prior/prior.safetensors"
done
refused 2 'label heads' ranks1 ood --out "$data" --run.prior "$scratch/ranks1/prior-labels/prior.safetensors"
head -c 4096 /dev/zero >"$scratch/zero.safetensors"
refused 4 'zero.safetensors' ranks1 labels --run.prior "$scratch/zero.safetensors"
"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 64 --limit-test 64 --pad 0 --out "$scratch/small.h5" >/dev/null
data=$plain
refused 2 "no labels called 'group'; it has labels" ranks1 labels --name attributes
refused 2 "no labels called 'group'; it has labels" ranks1 couple --labels group --name x
refused 2 "no labels called 'group'; it has labels" ranks1 compose --name attributes
data=$scratch/small.h5
refused 2 'images of 1 x 28 x 28' ranks1 couple --name x
refused 2 'images of 1 x 28 x 28' ranks1 labels
refused 2 'images of 1 x 28 x 28' ranks1 compose --name attributes
"$bin/hebm_data" derive --from "$plain" --kind noise --out "$scratch/unlabelled.h5" >/dev/null
data=$scratch/unlabelled.h5
refused 2 "no labels called 'labels'; it has none" ranks1 couple --name x
refused 2 "no labels called 'labels'; it has none" ranks1 labels
refused 2 "no labels called 'group'; it has none" ranks1 compose --name attributes
data=$scratch/base/data.h5
for command in couple labels "compose --name attributes" "sample --label Dress"; do
  # shellcheck disable=SC2086
  hebm 1 ranks1 $command --dry-run || fail "$command --dry-run"
done
echo "all held"
