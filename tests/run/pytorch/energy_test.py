"""import_pytorch.py ebm as a user runs it."""
from __future__ import annotations

import json
import math
import unittest

from checkpoint_files import Model, ToolTest, mapping, plain, read_weights, storage, tensor, write_zip

import energy_checkpoint

CIFAR = {"kind": "cifar10", "spectral_norm": True, "channels": 3, "width": 4, "side": 16}
CELEBA = {"kind": "celebahq256", "spectral_norm": False, "channels": 3, "width": 4, "side": 16}


class Energy(ToolTest):
    def checkpoint(self, nets, change=None, top=None):
        path, items, storages = self.path("ebm.pth"), {}, {}
        for i, net in enumerate(nets):
            model = Model(energy_checkpoint.expected_shapes(net), "module." if i == 1 else "", first=1000 * i)
            if i == 0:
                model.items.update(change or {})
                model.items = {key: value for key, value in model.items.items() if value is not None}
            items[f"netE{i}"] = model.state()
            storages |= model.storages
        items |= top or {}
        write_zip(path, mapping({key: value for key, value in items.items() if value is not None}), storages)
        return path

    def do_import(self, path, *more):
        stdout = self.expect_done("import_pytorch.py", "ebm", path, "-o", self.path("prior.safetensors"), "--force", *more)
        return read_weights(self.path("prior.safetensors")), stdout

    def test_both_nets(self):
        (metadata, tensors), stdout = self.do_import(self.checkpoint([{**CIFAR, "side": 8}, CIFAR], top={"opt0": plain({"state": {0: {"step": 3}}})}))
        self.assertEqual(json.loads(metadata["architecture"]), {
            "nets": "cifar10", "width": 4, "spectral_norm": True, "per_level": False, "gain": 1.0, "embedding": 128,
            "alpha_cum": energy_checkpoint.alpha_cum(3), "groups": [[3, 8, 8], [3, 16, 16]]})
        self.assertEqual((metadata["format"], metadata["version"]), ("hebm-prior", "1"))
        self.assertNotIn("vae_hash", metadata)
        self.assertEqual(tensors["layer0.conv_start.weight_orig"][0], [4, 3, 4, 4])
        self.assertEqual(tensors["layer1.res_blocks.1.linear.1.weight_v"][0], [128])
        self.assertIn("2 energy nets of kind cifar10, width 4, for latents of sides 8 16; T = 3", stdout)
        for spectral in (True, False):
            nets = [{**CELEBA, "spectral_norm": spectral, "side": side} for side in (8, 16, 128)]
            (metadata, tensors), _ = self.do_import(self.checkpoint(nets), "--T", "6")
            got = json.loads(metadata["architecture"])
            self.assertEqual((got["nets"], got["spectral_norm"], got["groups"]), ("celebahq256", spectral, [[3, 8, 8], [3, 16, 16], [3, 128, 128]]))
            self.assertEqual(len(got["alpha_cum"]), 7)
            self.assertEqual(tensors[f"layer1.linear1_x.1.weight{'_orig' if spectral else ''}"][0], [32, 64])

    def test_the_schedule_is_the_papers(self):
        """sigma_cum of docs/method.md's table, to its digits."""
        for levels, expected in ((3, [.01, .691793, .960314, .99998]), (6, [.01, .323818, .586219, .778453, .898013, .960314, .99998])):
            got = [math.sqrt(1 - a * a) for a in energy_checkpoint.alpha_cum(levels)]
            self.assertEqual(len(got), levels + 1)
            for value, digits in zip(got, expected):
                self.assertAlmostEqual(value, digits, delta=6e-7)
        self.assertEqual(len(energy_checkpoint.alpha_cum(1)), 2)
        self.assertEqual(len(energy_checkpoint.alpha_cum(501)), 502)

    def refuse(self, words, nets, code=4, more=(), **checkpoint):
        path = self.checkpoint(nets, **checkpoint)
        self.expect_refused(code, words, "import_pytorch.py", "ebm", path, "-o", self.path("prior.safetensors"), *more)

    def test_refused(self):
        without_v = {key: None for key in energy_checkpoint.expected_shapes(CIFAR) if key.endswith("_v")}
        self.refuse("no weight_v: spectral norm of PyTorch before 1.0", [CIFAR], change=without_v)
        self.refuse("netE0: lacks out.1.weight_u,", [CIFAR], change={"out.1.weight_u": None})
        self.refuse("netE0: has extra,", [CIFAR], change={"extra": tensor(storage("0", "float32", 4 * 48), [192])})
        self.refuse("netE0: neither conv_start nor downsample", [CIFAR], change={"conv_start.weight_orig": None})
        self.refuse("'conv_short.weight_orig' has shape [192], expected [4, 3, 4, 4]", [CIFAR],
                    change={"conv_short.weight_orig": tensor(storage("0", "float32", 4 * 48), [192])})
        self.refuse("its first convolution has shape [192]", [CIFAR], change={"conv_start.weight_orig": tensor(storage("0", "float32", 4 * 48), [192])})
        self.refuse("netE1 has width 8, netE0 has 4", [CIFAR, {**CIFAR, "width": 8}])
        self.refuse("netE1 has kind celebahq256", [CIFAR, CELEBA])
        self.refuse("none left out), found 1", [CIFAR, CIFAR], top={"netE0": None})
        self.refuse("found 0", [], top={"model": plain({})})
        self.refuse("--T 0: expected 1 to 501", [CIFAR], code=2, more=("--T", "0"))


if __name__ == "__main__":
    unittest.main()
