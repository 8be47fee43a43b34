#!/usr/bin/env bash
# experiments.sh FOLDER_OF_PROGRAMS SCRATCH: the experiments on a trained prior, on a tiny pipeline:
# the same results on 1 and 2 ranks, pictures, the report's sections, the index over two runs, and
# what is refused.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$source_folder/configs/smoke.ini data=$scratch/base/data.h5
rm -rf -- "$scratch"
mkdir -p -- "$scratch/base"
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$data" >/dev/null
echo "missing products are named, with the command that makes them"
for command in hierarchy transition vary; do refused 2 'hebm_dist train-vae' base "$command"; done
for command in train-vae train-features encode; do hebm 2 base "$command" || fail "$command"; done
for command in transition vary; do refused 2 'hebm_dist train`' base "$command"; done
for command in train sample evaluate; do hebm 2 base "$command" || fail "$command"; done
[[ $(echo "$scratch"/base/features/moments-*.safetensors) == *-????????????????????????????????.safetensors ]] || fail "evaluate kept no features of the training images"

how_made() { (cd -- "$scratch/base" && cat config.ini ./*/config.ini ./*/env.json); }
before=$(how_made)
echo "sample.steps is K of the drawing alone"
refused 2 'langevin.steps: the file has 3, you ask for 9' base sample --sample.steps 9
hebm 1 base sample --sample.steps 3 || fail "sample --sample.steps 3 is what is there"

echo "chains that are not those of the training are refused by name"
for command in sample vary transition; do
  refused 2 'langevin.start: the prior was trained with kernel, you ask for next' base "$command" --langevin.start next
  refused 2 'langevin.steps: the prior was trained with 3, you ask for 4' base "$command" --langevin.steps 4
  refused 2 'langevin.step: the prior was trained with 0.01, you ask for 0.02' base "$command" --langevin.step 0.02
  refused 2 'langevin.by_level: the prior was trained with none, you ask for 3' base "$command" --langevin.by_level 3
  refused 2 'train.chain: the prior was trained with data, you ask for reverse' base "$command" --train.chain reverse
done
refused 2 'langevin.start' base evaluate --langevin.start next
refused 2 'langevin.start: the file has "kernel", you ask for "next"' base train --langevin.start next
refused 2 'train.chain: the file has "data", you ask for "reverse"' base train --train.chain reverse
refused 2 'train.reverse_from = 2 belongs to train.chain = reverse' other train --train.reverse_from 2 --dry-run
for command in train sample evaluate; do hebm 1 base "$command" || fail "$command is done already"; done
[[ $(how_made) == "$before" ]] || fail "what was refused, or done already, changed how the run says it was made: $(diff <(echo "$before") <(how_made))"
refused 0 "WARNING: a level's chain lasts 0.03 relaxation times" base sample --dry-run

echo "the same results and pictures on 1 and 2 ranks"
for n in 1 2; do
  mkdir -p -- "$scratch/ranks$n"
  cp -r -- "$scratch/base/vae" "$scratch/base/features" "$scratch/base/prior" "$scratch/base/samples" "$scratch/ranks$n/"
  rm -f -- "$scratch/ranks$n"/samples/*.png
  hebm "$n" "ranks$n" evaluate || fail "evaluate on $n ranks"
  hebm "$n" "ranks$n" hierarchy || fail "hierarchy on $n ranks"
  hebm "$n" "ranks$n" transition || fail "transition on $n ranks"
  grep -q 'features of the training images' "$scratch/ranks$n.log" && fail "transition looked at all training images again"
  hebm "$n" "ranks$n" transition --steps 10 || fail "transition --steps 10 on $n ranks"
  hebm "$n" "ranks$n" vary || fail "vary on $n ranks"
  hebm "$n" "ranks$n" vary --layers 2,0 || fail "vary --layers 2,0 on $n ranks"
done
for file in "$scratch"/ranks1/samples/*.png; do same "ranks1/samples/${file##*/}" "ranks2/samples/${file##*/}"; done
/usr/bin/python3 -B - "$scratch" "$source_folder/tests/run/scripts" <<'EOF'
import math, os, sys
scratch = sys.argv[1]
sys.path.insert(0, sys.argv[2])
import results
def read(ranks, name): return results.read(scratch, ranks, name)
# These divide by the difference of two nearly equal scores here, which are compared themselves.
ignored = ("seconds", "gap_closed", "of_gaussian")
for name in ("summary", "hierarchy", "transition-3", "transition-10", "vary", "vary-0-2"):
    results.compare(read(1, name), read(2, name), name, ignored)
transition = read(2, "transition-10")
assert [level["t"] for level in transition["levels"]] == [2, 1, 0]
for level in transition["levels"]:
    assert [state["k"] for state in level["states"]] == list(range(11))
    assert level["states"][0]["displacement"] == 0 < level["states"][10]["displacement"]
assert transition["num_images"] == 64
sets = read(2, "vary")["sets"]
assert [s["free"] for s in sets] == [[0], [1], [2], [0, 1, 2]] and [s["free"] for s in read(2, "vary-0-2")["sets"]] == [[0, 2]]
assert all(s["feature_distance"] > 0 and 0 <= s["class_changed"] <= 1 for s in sets)
assert read(2, "summary")["model"] == {"backbone": "hvae", "layers": 3, "latents": 4 * 2 * 2 + 2 * 4 * 4 * 4, "levels": 3, "langevin_steps": 3, "training_steps": 3, "training_gradients": 6 * 48 * 5, "sampling_gradients": 9}, read(2, "summary")["model"]
layers = read(2, "hierarchy")["layers"]
assert [(l["channels"], l["side"]) for l in layers] == [(4, 2), (4, 4), (4, 4)] and abs(sum(l["kl_share"] for l in layers) - 1) < 1e-6
assert all(0 <= l[key] <= 1 for l in layers for key in ("probe_accuracy", "class_changed")) and "below_drawn_class_changed" not in layers[2]
rows = read(2, "summary")["by_temperature"]
assert [row["temperature"] for row in rows] == [0.7, 1.0]
# At temperature 1 the Gaussian row is that of the scores, of the same draws; a lower temperature is
# another result.
assert all(row[prior]["fd_fmnist"] > 0 for row in rows for prior in ("gaussian", "diffusion"))
scores = {key: value for key, value in read(2, "summary")["gaussian"].items() if key != "seconds"}
scores.pop("of_gaussian", None)
assert rows[1]["gaussian"] == scores, (rows[1]["gaussian"], scores)
assert rows[0]["gaussian"]["fd_fmnist"] != rows[1]["gaussian"]["fd_fmnist"]
summary = read(2, "summary")
for key in ("gaussian", "reconstruction", "posterior", "diffusion"):
    assert all(math.isfinite(summary[key][f"{score}_posterior"]) for score in ("fd", "kid", "precision", "recall")), summary[key]
assert 0 < summary["posterior"]["fd_posterior"] < 1e-3 * summary["posterior"]["fd_fmnist"], summary
floor, gaussian, own = (summary[key]["fd_posterior"] for key in ("posterior", "gaussian", "diffusion"))
if gaussian > 2 * floor:
    assert abs(summary["gap_closed"] - (gaussian - own) / (gaussian - floor)) < 1e-9 and summary["gaussian"]["of_gaussian"] == 1, summary
else:  # no gap to close
    assert "gap_closed" not in summary and "of_gaussian" not in summary["gaussian"], summary
assert all(level["decode_true_posterior"] >= 0 for level in summary["by_level"])
wanted = [f"transition-{k}-t{t}" for k in (3, 10) for t in range(3)] + [f"vary-{s}" for s in ("0", "1", "2", "all", "0-2")] + [
    f"temperature-{prior}" for prior in ("gaussian", "diffusion")]
for name in wanted:
    assert os.path.getsize(f"{scratch}/ranks2/samples/{name}.png") > 100, name
EOF

echo "run again, nothing is done again; with other settings it is"
before=$(stat -c '%i %Y' "$scratch/ranks2/results/vary.json")
hebm 2 ranks2 vary || fail "vary, again"
[[ $(stat -c '%i %Y' "$scratch/ranks2/results/vary.json") == "$before" ]] || fail "vary was repeated"
grep -q 'nothing to do' "$scratch/ranks2.log" || fail "vary does not say that it had nothing to do"
hebm 1 ranks2 vary --sample.steps 3 || fail "vary --sample.steps 3 is what is there"
[[ $(stat -c '%i %Y' "$scratch/ranks2/results/vary.json") == "$before" ]] || fail "vary was repeated for as many steps"
hebm 1 ranks2 vary --sample.steps 4 --layers 1 || fail "vary --sample.steps 4"
grep -q 'note: langevin.steps = 4, the prior was trained with 3' "$scratch/ranks2.log" || fail "vary does not say that it draws with other steps"
grep -q '"langevin.steps": "4"' "$scratch/ranks2/results/vary-1.json" || fail "vary-1.json does not say how it was drawn"
hebm 1 ranks2 vary --vary.seed 5 || fail "vary with another seed"
[[ $(stat -c '%i %Y' "$scratch/ranks2/results/vary.json") != "$before" ]] || fail "another seed did not change vary.json"

echo "evaluate scores the samples that are there"
mkdir -p -- "$scratch/later"
cp -r -- "$scratch/base/vae" "$scratch/base/features" "$scratch/base/prior" "$scratch/later/"
fast=(--evaluate.by_level false --evaluate.temperatures "")
diffusion() { grep -A12 '"diffusion": {' "$scratch/later/results/summary.json" | grep -o '"fd_fmnist": [0-9.]*' || true; }
hebm 1 later evaluate "${fast[@]}" || fail "evaluate without samples"
[[ -z $(diffusion) ]] || fail "a row of the learned prior without samples"
hebm 1 later sample || fail "sample after evaluate"
hebm 1 later evaluate "${fast[@]}" || fail "evaluate with samples"
first=$(diffusion)
rm -- "$scratch/later/samples/diffusion.h5"
hebm 1 later sample --sample.seed 9 || fail "sample with another seed"
hebm 1 later evaluate "${fast[@]}" || fail "evaluate with other samples"
[[ -n $first && -n $(diffusion) && $(diffusion) != "$first" ]] || fail "evaluate kept the row '$first' for other samples"

echo "the report has the sections"
hebm 1 ranks1 report || fail "report"
for section in hierarchy transition vary temperature; do
  grep -q "id=\"$section\"" "$scratch/ranks1/report.html" || fail "no section $section in the report"
done

echo "an index over two runs, beside their reports"
hebm 1 ranks1 report "$scratch/base" "$scratch/ranks2" "$scratch/base/" || fail "report of two runs"
[[ -s $scratch/base/report.html && -s $scratch/ranks2/report.html ]] || fail "no reports of the runs"
/usr/bin/python3 - "$scratch" <<'EOF'
import re, sys
with open(f"{sys.argv[1]}/index.html") as file:
    page = file.read()
rows = re.findall(r'<tr><td><a href="([^"]*)">.*?</a></td><td>HVAE</td>', page)
assert rows == ["base/report.html", "ranks2/report.html"], rows
# The second run has the base's samples.h5, and no picture of them.
assert page.count("data:image/png;base64,") == 3 and page.count("Learned prior: no picture") == 1
EOF
echo mine >"$scratch/mine.html"
rm -- "$scratch/base/report.html"
refused 2 'mine.html is there and is not an index page' ranks1 report "$scratch/base" "$scratch/ranks2" --out "$scratch/mine.html"
[[ $(cat "$scratch/mine.html") == mine && ! -e $scratch/base/report.html ]] || fail "report wrote over a foreign file, or pages before it refused"
hebm 1 ranks1 report "$scratch/ranks1" "$scratch/ranks2" --out "$scratch/other.html" || fail "report --out"
[[ -s $scratch/other.html ]] || fail "no index at --out"
refused 2 "/absent' is not a folder" ranks1 report "$scratch/ranks1" "$scratch/absent"
mkdir -- "$scratch/empty"
refused 2 "/empty' holds no results" ranks1 report "$scratch/empty"
refused 2 'names the index page of several RUN' ranks1 report "$scratch/ranks1" --out "$scratch/one.html"

echo "what is refused, by name"
refused 2 'no layer 3; the VAE has layers 0 (top) to 2' ranks1 vary --layers 0,3
refused 2 'layer 1 is there twice' ranks1 vary --layers 1,1
refused 2 'layers' ranks1 vary --layers top
refused 2 'transition.rows' ranks1 transition --transition.rows 50
refused 2 'evaluate.temperatures' ranks1 evaluate --evaluate.temperatures 0.7,-1
head -c 4096 /dev/zero >"$scratch/zero.safetensors"
refused 4 'zero.safetensors' ranks1 transition --run.prior "$scratch/zero.safetensors"
kept=$data
"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 64 --limit-test 64 --pad 0 --out "$scratch/small.h5" >/dev/null
data=$scratch/small.h5
for command in vary transition evaluate "evaluate --all" "train --train.source online --run.prior $scratch/none"; do
  read -ra words <<<"$command"
  refused 2 'small.h5: images of 1 x 28 x 28, the VAE takes 1 x 32 x 32' ranks1 "${words[@]}"
done
"$bin/hebm_data" derive --from "$kept" --kind noise --out "$scratch/test_only.h5" >/dev/null
data=$scratch/test_only.h5
refused 2 'test_only.h5: 0 training images' ranks1 transition
refused 2 'test_only.h5 has 0 training and' ranks1 evaluate
data=$kept
hebm 1 ranks1 transition --dry-run || fail "transition --dry-run"
hebm 1 ranks1 vary --dry-run --layers 1 || fail "vary --dry-run"
echo "all held"
