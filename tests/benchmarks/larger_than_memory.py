"""Memory and time of `vae-tf train` on data that do not fit into memory, each from one command.

    python tests/benchmarks/larger_than_memory.py            # all, in a temporary folder
    python tests/benchmarks/larger_than_memory.py patches mixed

The data sets are made here:

- `patches`: 2,000 colour patches, 32 x 32 PNG, of the photographs that scikit-learn ships, in two class folders;
- `mixed`: 600 images of 20 to 400 pixels in six formats, grey, coloured and transparent, of which 20 are damaged;
- `files`: 100,000 such patches in ten class folders;
- `map`: a 10 GB .npy file of 813,801 images of 64 x 64 x 3 bytes, which are all zero, so that it takes no space.

Anonymous memory is `RssAnon` of the process, looked at ten times a second; pages of a mapped file are not in it, as the
system takes them back when it needs memory.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

LIMIT = 1.5e9
COMMON = ["--epochs", "1", "--batch-size", "256", "--latent-dim", "16"]


def patch(rng, size=32):
    """A part of one of two photographs, and which one it is of."""
    which = int(rng.integers(2))
    photo = PHOTOS[which]
    top, left = (rng.integers(side - size) for side in photo.shape[:2])
    return photo[top : top + size, left : left + size], which


PHOTOS = load_sample_images().images


def patches(folder, count=2_000, classes=2):
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels, which = patch(rng)
        place = folder / f"class_{which + 2 * (number % (classes // 2))}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:06}.png", compress_level=1)
    return [str(folder)]


def files(folder):
    return patches(folder, 100_000, 10)


def mixed(folder):
    rng, endings = np.random.default_rng(0), ["png", "jpg", "webp", "bmp", "tif", "gif"]
    modes = {"png": ["L", "RGB", "RGBA", "P", "I;16"], "jpg": ["L", "RGB", "CMYK"], "gif": ["L", "P"]}
    folder.mkdir()
    for number in range(600):
        ending = endings[number % 6]
        mode = rng.choice(modes.get(ending, ["L", "RGB"]))
        image = Image.fromarray(patch(rng, int(rng.integers(20, 400)))[0])
        image = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
        path = folder / f"{number:03}.{ending}"
        image.save(path)
        if number % 30 == 0:
            path.write_bytes(path.read_bytes()[:60])
    return [str(folder), "--size", "32", "--on-error", "skip"]


def map(folder):  # noqa: A001
    folder.mkdir()
    path = folder / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (813_801, 64, 64, 3))
    assert path.stat().st_blocks < 100, "a file of holes"
    return [str(path), "--scale", "0.1"]


def measured(command):
    """Runs a command; seconds, the peak of RssAnon and of RssFile, its output."""
    start, peaks = time.monotonic(), {"RssAnon": 0, "RssFile": 0}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)
        while process.poll() is None:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], int(value.split()[0]) * 1024)
            time.sleep(0.1)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(text)
    return time.monotonic() - start, peaks, text


def main():
    makers = {"patches": patches, "mixed": mixed, "files": files, "map": map}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", choices=[[], *makers], default=list(makers))
    chosen = parser.parse_args().data
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    print("| data | command: vae-tf train --data ... | seconds | RssAnon, peak | RssFile, peak |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            arguments = [*makers[name](Path(scratch, name)), *COMMON]
            command = [sys.executable, "-m", "vae_tf.cli", "train", "--out", f"{scratch}/{name}.run", "--data"]
            seconds, peaks, text = measured([*command, *arguments])
            shown = " ".join(arguments).replace(f"{scratch}/", "")
            memory = " | ".join(f"{peaks[kind] / 1e9:.2f} GB" for kind in peaks)
            print(f"| {name} | `{shown}` | {seconds:.0f} | {memory} |", flush=True)
            print("\n".join(line for line in text.splitlines() if "ELBO" in line or "skipped" in line), file=sys.stderr)
            if peaks["RssAnon"] > LIMIT:
                sys.exit(f"{name}: more than {LIMIT / 1e9:g} GB of anonymous memory")


if __name__ == "__main__":
    main()
