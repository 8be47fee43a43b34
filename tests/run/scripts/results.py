"""Result files of runs on 1 and 2 ranks, for the tests' Python: SCRATCH/ranks1/results/NAME.json and SCRATCH/ranks2/results/NAME.json."""
import json, math


def read(scratch, ranks, name):
    with open(f"{scratch}/ranks{ranks}/results/{name}.json") as file:
        return json.load(file)


def compare(one, two, where, ignored=("seconds", "content_hash")):
    """Equal, numbers to rounding."""
    assert type(one) is type(two), (where, one, two)
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            if key not in ignored: compare(one[key], two[key], f"{where}.{key}", ignored)
    elif isinstance(one, list):
        assert len(one) == len(two), where
        for i, (a, b) in enumerate(zip(one, two)): compare(a, b, f"{where}[{i}]", ignored)
    elif isinstance(one, float):
        assert math.isfinite(one) and abs(one - two) <= 1e-9 * max(1.0, abs(one)), (where, one, two)
    else:
        assert one == two, (where, one, two)
