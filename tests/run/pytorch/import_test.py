"""import_pytorch.py nvae as a user runs it."""
from __future__ import annotations

import json
import math
import os
import unittest

from checkpoint_files import (NVAE_CELLS, SMALL_ARGS, Model, ToolTest, legacy_bytes, mapping, namespace, number, plain, read_weights, storage,
                              tensor, text, write_zip)

import nvae_checkpoint
from pytorch_files import open_pytorch_file
from refusal import Refusal

def shapes_of(args):
    return nvae_checkpoint.expected_shapes(nvae_checkpoint.architecture_of_args("", args))


class ImportNvae(ToolTest):
    def checkpoint(self, args=None, change=None, legacy=False, prefix="", top=None, storages=None):
        """`change` and `top` map names to other pickles, or None to leave one out."""
        args = {**SMALL_ARGS, **(args or {})}
        args = {key: value for key, value in args.items() if value is not None}
        model = Model(shapes_of(SMALL_ARGS), prefix, "cuda:0", legacy)
        model.items.update({prefix + key: value for key, value in (change or {}).items()})
        model.items = {key: value for key, value in model.items.items() if value is not None}
        root = {"epoch": number(7), "state_dict": model.state(), "args": namespace(args), "arch_instance": plain(NVAE_CELLS), **(top or {})}
        path = self.path("checkpoint.pt")
        root = mapping({key: value for key, value in root.items() if value is not None})
        if legacy:
            with open(path, "wb") as file:
                file.write(legacy_bytes(root, model.legacy_storages()))
        else:
            write_zip(path, root, model.storages | (storages or {}))
        return path, model

    def do_import(self, path, *more):
        out = self.path("vae.safetensors")
        stdout = self.expect_done("import_pytorch.py", "nvae", path, "-o", out, "--force", *more)
        return read_weights(out), stdout

    def test_archive_legacy_and_prefixed(self):
        results = []
        for legacy, prefix in ((False, ""), (True, ""), (False, "module."), (True, "module.")):
            path, model = self.checkpoint(legacy=legacy, prefix=prefix)
            (metadata, tensors), stdout = self.do_import(path)
            results.append((metadata, tensors))
            names = list(shapes_of(SMALL_ARGS))
            self.assertEqual(tensors, {key: (list(shapes_of(SMALL_ARGS)[key]), model.storages[str(i)]) for i, key in enumerate(names)})
            self.assertIn("layers (top first: 2 of 2 x 8 x 8, 2 of 2 x 16 x 16), mixture likelihood", stdout)
        self.assertTrue(all(result == results[0] for result in results))
        metadata = results[0][0]
        self.assertEqual(sorted(metadata), ["architecture", "crc32", "format", "header_crc32", "identity", "results", "version"])
        self.assertEqual((metadata["format"], metadata["version"], metadata["results"]), ("hebm-vae", "1", "{}"))
        self.assertEqual(metadata["architecture"], '{"ada_groups":false,"backbone":"nvae","bits":8,"crop":0,"decoder_cells":1,"decoder_channels":4,'
                         '"encoder_cells":1,"encoder_channels":4,"flows":1,"groups_per_scale":2,"image_channels":3,"latents":2,'
                         '"likelihood":"mixture","min_groups_per_scale":1,"mixtures":10,"postprocess_blocks":1,"postprocess_cells":2,'
                         '"preprocess_blocks":1,"preprocess_cells":2,"res_dist":true,"scales":2,"side":32,"use_se":true}')
        self.assertEqual(json.loads(metadata["identity"]),
                         {"imported_from": "checkpoint.pt", "epoch": 7, "args": {"dataset": "cifar10", "learning_rate": 0.01, "num_total_iter": 12345678901}})

    def test_what_belongs_to_training_is_not_even_read(self):
        gone = tensor(storage("gone", "float32", 4), [4])
        top = {"optimizer": mapping({"state": mapping({0: mapping({"exp_avg": gone, "step": number(5)})}),
                                     "param_groups": plain([{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1]}])}),
               "global_step": number(12345678901), "grad_scalar": plain({"scale": 1024.0, "growth_factor": 2.0, "_growth_tracker": 7}),
               "scheduler": plain({"T_max": 399.0, "eta_min": 1e-4, "base_lrs": [0.01], "last_epoch": 3, "verbose": False})}
        path, model = self.checkpoint(change={"stem.num_batches_tracked": gone, "stem.weight_normalized": gone}, top=top, storages={"gone": bytes(16)})
        with open(path, "r+b") as file:  # whoever reads this storage finds a wrong CRC
            file.seek(file.read().index(b"archive/data/gone") + len(b"archive/data/gone"))
            file.write(b"\xff")
        with open_pytorch_file(path) as file:
            moment = file.root["optimizer"]["state"][0]["exp_avg"]
            with self.assertRaisesRegex(Refusal, "data/gone' is damaged"):
                file.read(moment)
        (_, tensors), _ = self.do_import(path)
        self.assertEqual(set(tensors), set(shapes_of(SMALL_ARGS)))

    def refuse(self, words, code=4, more=(), **checkpoint):
        path, _ = self.checkpoint(**checkpoint)
        self.expect_refused(code, words, "import_pytorch.py", "nvae", path, "-o", self.path("vae.safetensors"), *more)

    def test_tensors_that_do_not_fit_the_settings(self):
        other = tensor(storage("0", "float32", 1024), [2, 512])
        self.refuse(["lacks stem.weight,", "its settings ask for"], change={"stem.weight": None})
        self.refuse("lacks enc_tower.0._ops.0.bn_act.running_mean,", change={"enc_tower.0._ops.0.bn_act.running_mean": None})
        self.refuse("has surprise, which its settings do not have", change={"surprise": tensor(storage("1", "float32", 3 * 3 * 3 * 4), [108])})
        self.refuse("'prior_ftr0' has shape [2, 512], expected [16, 8, 8] by its settings", change={"prior_ftr0": other})
        self.refuse("'stem.bias' is of type int; expected a tensor", change={"stem.bias": number(3)})
        self.refuse("lacks enc_tower.", args={"num_groups_per_scale": 3})
        self.refuse("has nf_cells.", args={"num_nf": 0})
        self.refuse("'stem.bias' stands there with and without the prefix", change={"module.stem.bias": tensor(storage("2", "float32", 4), [4])})
        self.refuse("state_dict: is not a state dict", top={"state_dict": plain([1])})
        self.refuse("has no 'state_dict'", top={"state_dict": None})

    def test_settings(self):
        self.refuse(["args.num_nf is missing", "--arg num_nf=NUMBER"], args={"num_nf": None})
        self.refuse("args.use_se is 1; expected true or false", args={"use_se": 1})
        self.refuse("args.num_latent_scales is 99; expected 1 to 8", args={"num_latent_scales": 99})
        self.refuse("args.dataset is 'stacked_mnist'", args={"dataset": "stacked_mnist"})
        self.refuse("the cell set 'mbconv_sep' is not supported", args={"arch_instance": "mbconv_sep"})
        self.refuse("the cell set 'res_elu' is not supported", top={"arch_instance": text("res_elu")})
        self.refuse("cells 'normal_dec' are mconv_e6k11g0; expected mconv_e6k5g0",
                    top={"arch_instance": plain({**NVAE_CELLS, "normal_dec": ["mconv_e6k11g0"]})})
        self.refuse("cells 'up_post' are missing", top={"arch_instance": plain({k: v for k, v in NVAE_CELLS.items() if k != "up_post"})})
        self.refuse("'args' is of type list", top={"args": plain([1])})
        self.refuse("2 preprocess and 1 postprocess blocks", args={"num_preprocess_blocks": 2})
        self.refuse("cannot be halved", args={"num_latent_scales": 6})
        self.refuse("--arg dataset: expected NAME=VALUE", code=2, more=("--arg", "dataset"))
        path, _ = self.checkpoint(args={"num_nf": None, "dataset": None})
        (metadata, _), _ = self.do_import(path, "--arg", "num_nf=1", "--arg", "dataset=imagenet_32")
        self.assertEqual(json.loads(metadata["architecture"])["flows"], 1)
        path, _ = self.checkpoint(top={"args": plain(SMALL_ARGS), "arch_instance": text("res_mbconv"), "epoch": None})
        (metadata, _), _ = self.do_import(path)
        self.assertNotIn("epoch", json.loads(metadata["identity"]))

    def test_settings_that_json_does_not_hold(self):
        path, _ = self.checkpoint(args={"learning_rate": math.nan, "weight_decay": math.inf, "epochs": 2**70, "seed": "text", "batch_size": [8]})
        odd = os.path.join(self.folder, os.fsdecode(b"\xff\n.pt"))
        os.rename(path, odd)
        (metadata, _), _ = self.do_import(odd)
        self.assertEqual(json.loads(metadata["identity"]), {"imported_from": "\\xdcff\\x0a.pt", "epoch": 7,
                                                            "args": {"dataset": "cifar10", "num_total_iter": 12345678901}})

    def test_data_sets(self):
        for dataset, side, channels, crop, likelihood in (("mnist", 32, 1, 2, "bernoulli"), ("omniglot", 32, 1, 2, "bernoulli"),
                                                          ("cifar10", 32, 3, 0, "mixture"), ("celeba_64", 64, 3, 0, "mixture"),
                                                          ("celeba_256", 256, 3, 0, "mixture"), ("ffhq", 256, 3, 0, "mixture"),
                                                          ("imagenet_32", 32, 3, 0, "mixture"), ("lsun_church_128", 128, 3, 0, "mixture")):
            a = nvae_checkpoint.architecture_of_args("", {**SMALL_ARGS, "dataset": dataset})
            self.assertEqual((a["side"], a["image_channels"], a["crop"], a["likelihood"]), (side, channels, crop, likelihood))
        normal = nvae_checkpoint.architecture_of_args("", {**SMALL_ARGS, "num_mixture_dec": 1})
        self.assertEqual((normal["likelihood"], nvae_checkpoint.expected_shapes(normal)["image_conditional.1.bias"]), ("normal", (6,)))
        self.assertEqual(nvae_checkpoint.groups_by_scale({"groups_per_scale": 16, "scales": 5, "ada_groups": True, "min_groups_per_scale": 4}),
                         [16, 8, 4, 4, 4])

    def test_published_parameter_counts(self):
        """Of NVAE's MNIST and CIFAR-10 models."""
        base = {**SMALL_ARGS, "num_latent_per_group": 20, "num_channels_enc": 32, "num_channels_dec": 32}
        mnist = {**base, "dataset": "mnist", "num_groups_per_scale": 10, "ada_groups": True, "num_nf": 0, "num_preprocess_blocks": 2,
                 "num_postprocess_blocks": 2, "num_preprocess_cells": 3, "num_postprocess_cells": 3, "num_cell_per_cond_enc": 2,
                 "num_cell_per_cond_dec": 2}
        cifar = {**base, "num_channels_enc": 128, "num_channels_dec": 128, "num_latent_scales": 1, "num_groups_per_scale": 30,
                 "num_cell_per_cond_enc": 2, "num_cell_per_cond_dec": 2}
        for args, expected in ((mnist, 33_363_134), (cifar, 130_852_480)):
            got = sum(math.prod(s) for key, s in shapes_of(args).items() if not key.endswith((".running_mean", ".running_var")))
            self.assertEqual(got, expected)

    def test_an_existing_file_stays(self):
        path, _ = self.checkpoint()
        out = self.path("vae.safetensors")
        with open(out, "w", encoding="utf-8") as file:
            file.write("mine")
        self.expect_refused(2, ["vae.safetensors exists", "--force"], "import_pytorch.py", "nvae", path, "-o", out)
        with open(out, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine")
        self.do_import(path)
        self.expect_refused(2, "is not a folder", "import_pytorch.py", "nvae", path, "-o", self.path("none/vae.safetensors"))
        self.expect_refused(1, "nothing.pt: is not a file", "import_pytorch.py", "nvae", self.path("nothing.pt"), "-o", self.path("x"))
        self.assertEqual(self.run_tool("import_pytorch.py", "nvae").returncode, 2)
        self.assertEqual(self.run_tool("import_pytorch.py", "--help").returncode, 0)


if __name__ == "__main__":
    unittest.main()
