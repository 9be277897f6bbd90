"""Parts that the reproductions of published results share: data, a command line, a table and a picture."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

import vae_tf
from vae_tf.ppca import PPCA


def mnist(images=None):
    """The first training images of MNIST as rows in [0, 1], `[images, 784]` float64."""
    x = vae_tf.data.load("mnist")[0][:images]
    return x.reshape(len(x), -1).astype(np.float64)


def moments(x):
    """Covariance (n in the denominator), mean and number of rows: what LinearVAE.fit_covariance takes."""
    return np.cov(x.T, ddof=0), x.mean(axis=0), len(x)


def alignment(vae, ppca, count=20):
    """|cos| between the first decoder columns of a linear VAE, longest first, and the principal axes, `[count]`."""
    count = min(count, vae.latent_dim)
    pairs = vae.principal_axes()[:count] * ppca.spectrum_.axes[:count]
    return np.abs(pairs.sum(axis=1))


def of_moments(covariance, mean, n, latent_dim):
    """The exact pPCA of data with these moments."""
    return PPCA(latent_dim).fit_covariance(covariance, mean, n)


def arguments(doc, picture):
    """The options --full and --picture, and those that the caller adds before it parses."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the published protocol; else a short form of it")
    parser.add_argument("--picture", type=Path, default=Path(picture))
    return parser


def echo(line):
    """Prints a line at once, also into a file."""
    print(line, file=sys.stdout, flush=True)


def markdown(head, rows):
    """A table: the names of the columns, parted by bars, and a sequence of values for each row, as they are."""
    names = [name.strip() for name in head.split("|")]
    return tabulate(rows, names, tablefmt="github", disable_numparse=True)


def keep(folder, name, vae, history):
    """Saves a model and its history in the folder, if there is one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        vae.save(folder / f"{name}.keras")
        (folder / f"{name}.json").write_text(json.dumps(history))


def resumed(folder, name):
    """What `keep` saved under this name, or None."""
    if folder is None or not (folder / f"{name}.keras").exists():
        return None
    return vae_tf.load(folder / f"{name}.keras"), json.loads((folder / f"{name}.json").read_text())


def axes(columns=1, **labels):
    """A figure and its axes, with labels for all of them."""
    figure = Figure(figsize=(6.5 if columns == 1 else 4.8 * columns, 3.8), layout="constrained")
    parts = figure.subplots(1, columns, squeeze=False)[0]
    for ax in parts:
        ax.set(**labels)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, parts[0] if columns == 1 else parts


def save(figure, path):
    """Writes the picture, with a legend in each of its axes, and says where."""
    for ax in figure.axes:
        ax.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    echo(f"\n{path}")
