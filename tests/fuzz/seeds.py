"""seeds.py SOURCE FOLDER: small good files of every kind in FOLDER/PARSER/, from which the fuzzer starts. Needs h5py."""
import gzip
import json
import os
import shutil
import struct
import sys
import zlib

import h5py
import numpy


def put(folder, parser, name, data):
    os.makedirs(os.path.join(folder, parser), exist_ok=True)
    with open(os.path.join(folder, parser, name), "wb") as file:
        file.write(data)


def idx(folder):
    images = struct.pack(">4I", 0x803, 3, 4, 4) + bytes(range(48))
    labels = struct.pack(">2I", 0x801, 3) + bytes([0, 1, 2])
    for name, data in (("images", images), ("labels", labels)):
        put(folder, "idx", name, data)
        put(folder, "idx", name + ".gz", gzip.compress(data))


def safetensors(folder):
    data = struct.pack("<6f", *range(6)) + bytes(4)
    header = {"__metadata__": {"format": "hebm-vae", "data_crc32": f"{zlib.crc32(data):08x}"},
              "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
              "b": {"dtype": "U8", "shape": [4], "data_offsets": [24, 28]}}
    for name, entry in (("two", header), ("none", {})):
        text = json.dumps(entry).encode()
        put(folder, "safetensors", name, struct.pack("<Q", len(text)) + text + (data if entry else b""))


def texts(folder):
    put(folder, "ini", "all", b"[run]\ninteger = 3\nreal = 0.25\nflag = yes\ntext = \"a b\"\n\n"
                              b"[prior]\nchoice = two ; why\nlist = 0.1,0.2\n# end\n[vae]\nwidth = 4\n")
    attributes = [{"name": "group", "categories": ["a", "b"], "measure": "class", "of_label": [0, 1] * 5},
                  {"name": "width", "categories": ["narrow", "wide"], "measure": "width", "threshold": 1.5}]
    put(folder, "json", "attributes", json.dumps(attributes).encode())
    put(folder, "json", "manifest", json.dumps({"parts": [{"name": "a", "bytes": 3, "xxh3_128": "0" * 32}]}).encode())
    put(folder, "json", "odd", b'{"a": [1e308, -0, "\\ud83d\\ude00\\u0000", null, true], "b": {"c": 18446744073709551615}}')


def hdf5(folder, source):
    os.makedirs(os.path.join(folder, "dataset"), exist_ok=True)
    for name, libver in (("earliest", "earliest"), ("latest", "latest")):
        with h5py.File(os.path.join(folder, "dataset", name + ".h5"), "w", libver=libver) as file:
            file["images"] = numpy.zeros((2, 1, 2, 2), numpy.uint8)
            file["labels"] = numpy.arange(2, dtype=numpy.int64)
            file["splits"] = numpy.array([0, 1], numpy.uint8)
            file.create_group("more/deeper")["x"] = numpy.zeros(3, numpy.float32)
            for key, value in (("format", "hebm-dataset"), ("source", "seed"), ("images_hash", "0" * 32)):
                file.attrs[key] = numpy.bytes_(value)
            file.attrs["version"] = numpy.int64(1)
    damaged = os.path.join(source, "tests", "unit", "storage", "damaged")
    for name in os.listdir(damaged) if os.path.isdir(damaged) else []:
        shutil.copy(os.path.join(damaged, name), os.path.join(folder, "dataset", name))


if __name__ == "__main__":
    SOURCE, FOLDER = sys.argv[1:]
    idx(FOLDER)
    safetensors(FOLDER)
    texts(FOLDER)
    hdf5(FOLDER, SOURCE)
