"""The order of calls of whole runs: all that is renamed to its final name was fsynced behind its last write, a folder behind its
last entry, and the parent folder right behind the rename. Then the same log without its fsyncs must be found wrong."""
import os

from harness import Harness, read_log, require, run_main


def check_order(events):
    """Returns (names published, sentences on what is wrong)."""
    written, synced, made_in, published, wrong = {}, {}, {}, [], []
    for place, (rank, call, failed, path, new) in enumerate(events):
        if failed:
            continue
        if call in ("create", "write", "truncate"):
            written[path] = place
        if call in ("create", "mkdir"):
            made_in[os.path.dirname(path)] = place
        if call == "fsync":
            synced[path] = place
        if call != "rename" or ".tmp-" in new or ".bad" in new or new.endswith("lease.json"):
            continue
        published.append(new)
        for file, last in written.items():
            if (file == path or file.startswith(path + "/")) and synced.get(file, -1) < last:
                wrong.append(f"{new}: {file} was not fsynced behind its last write")
        if path in made_in and synced.get(path, -1) < made_in[path]:
            wrong.append(f"{new}: the folder {path} was not fsynced behind its last entry")
        parent = os.path.dirname(new)
        following = [event for event in events[place + 1:] if event[0] == rank][:3]
        if not any(event[1] == "fsync" and event[3] == parent for event in following):
            wrong.append(f"{new}: {parent} was not fsynced right behind the rename")
        for known in (written, synced):  # the temporary name may come again
            for file in [file for file in known if file == path or file.startswith(path + "/")]:
                del known[file]
    return published, wrong


def main():
    harness = Harness()
    harness.prepare("train-vae", "encode")
    total = 0
    for ranks in (1, 2):
        for command in ("train-vae", "train-features", "encode", "train"):
            run, log = harness.fresh(f"order-{command}-{ranks}"), harness.scratch / f"order-{command}-{ranks}.log"
            result = harness.run(command, run, ranks=ranks, fault={"LOG": log})
            require(result.code == 0, f"{command}: exit code {result.code}: {result.tail()}")
            events = read_log(log)
            published, wrong = check_order(events)
            harness.failures += wrong
            saves = sum("/step-" in name for name in published)
            require(saves >= 3 or command == "encode", f"{command}: only {saves} checkpoints")
            require(sum(".h5" in name for name in published) == 6 or command != "encode", f"encode published {published}")
            for left_out in (os.path.isdir, lambda path: not os.path.isdir(path)):
                fewer = [event for event in events if event[1] != "fsync" or not left_out(event[3])]
                require(len(check_order(fewer)[1]) > len(wrong), f"{command}: missing fsyncs are not noticed")
            total += len(published)
            print(f"{command} on {ranks} ranks: {len(published)} publications, {saves} of them checkpoints, {len(wrong)} out of order")
    print(f"{total} publications, {total - len(harness.failures)} in order")
    for sentence in harness.failures:
        print("FAILED", sentence)
    harness.finish()


if __name__ == "__main__":
    run_main(main)
