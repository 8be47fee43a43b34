"""Reads what write_samples wrote with the formats' own readers: safetensors, h5py and tensorboard (pip names).

usage: readers.py WRITE_SAMPLES_PROGRAM
Exit code 0: all values are as written; 77: a reader is not installed (for ctest's SKIP_RETURN_CODE).
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
    from safetensors import safe_open
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

HALVES = np.array([1, -2, 0.5, 65504, 2.0**-24, -0.0], dtype=np.float16)


def counting(dtype, count):
    values = np.arange(count, dtype=dtype)
    return values if np.dtype(dtype).kind == "u" else np.where(np.arange(count) % 2 == 0, -values, values)


def expect(name, got, expected):
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype, f"{name}: type {got.dtype}, expected {expected.dtype}"
    assert got.shape == expected.shape, f"{name}: shape {got.shape}, expected {expected.shape}"
    assert got.tobytes() == expected.tobytes(), f"{name}: {got}, expected {expected}"


def check_safetensors(folder):
    path = os.path.join(folder, "samples.safetensors")
    with safe_open(path, "np") as file:
        assert file.metadata() == {"architecture": '{"width":32}', "note": "größer"}, file.metadata()
        names = set(file.keys())
        assert names == {"u8", "i32", "i64", "f16", "bf16", "net.weight", "f64", "empty", "step"}, names
        expect("u8", file.get_tensor("u8"), counting(np.uint8, 3))
        expect("i32", file.get_tensor("i32"), counting(np.int32, 6).reshape(2, 3))
        expect("i64", file.get_tensor("i64"), counting(np.int64, 6))
        expect("f16", file.get_tensor("f16"), HALVES.reshape(2, 3))
        expect("net.weight", file.get_tensor("net.weight"), counting(np.float32, 6).reshape(3, 2))
        expect("f64", file.get_tensor("f64"), counting(np.float64, 6).reshape(1, 6))
        expect("empty", file.get_tensor("empty"), np.zeros((0, 4), np.float32))
        expect("step", file.get_tensor("step"), np.array(-42))
        part = file.get_slice("bf16")
        assert part.get_dtype() == "BF16" and part.get_shape() == [3], part.get_dtype()


def check_hdf5(folder):
    with h5py.File(os.path.join(folder, "samples.h5"), "r") as file:
        expect("u8", file["u8"][...], counting(np.uint8, 3))
        expect("group/i32", file["group/i32"][...], counting(np.int32, 6).reshape(2, 3))
        expect("group/i64", file["group/i64"][...], counting(np.int64, 6))
        expect("u64", file["u64"][...], counting(np.uint64, 6).reshape(2, 1, 3))
        expect("f16", file["f16"][...], HALVES.reshape(2, 3))
        expect("f32", file["f32"][...], counting(np.float32, 6).reshape(3, 2))
        expect("f64", np.asarray(file["f64"][()]), np.array(2.5))
        assert file["f16"].chunks is None and file["f16"].id.get_offset() is not None
        text = {name: value.decode() if isinstance(value, bytes) else value for name, value in file.attrs.items()}
        assert text == {"source": "größer", "large": "x" * 200000, "version": -7}, text


def check_run(folder):
    run = os.path.join(folder, "run")
    with open(os.path.join(run, "metrics.jsonl")) as file:
        lines = [json.loads(line) for line in file]
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 4], lines
    assert lines[1]["loss/t0"] == 0.5 and lines[1]["nan"] is None and lines[4]["loss/t0"] == -4.0, lines
    events = EventAccumulator(run)
    events.Reload()
    scalars = [(event.step, event.value) for event in events.Scalars("loss/t0")]
    assert scalars == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5), (4, -4.0)], scalars
    (image,) = events.Images("grid")
    assert (image.step, image.width, image.height) == (2, 4, 3), image
    assert image.encoded_image_string.startswith(b"\x89PNG"), image


def check_png(folder):
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(os.path.join(folder, "grid.png")) as image:
        expect("grid.png", np.asarray(image), np.arange(12, dtype=np.uint8).reshape(2, 2, 3))


def main():
    with tempfile.TemporaryDirectory() as folder:
        samples = os.path.join(folder, "samples")
        subprocess.run([sys.argv[1], samples], check=True)
        for check in (check_safetensors, check_hdf5, check_run, check_png):
            check(samples)
            print("read:", check.__name__)


if __name__ == "__main__":
    main()
