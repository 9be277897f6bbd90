"""One training run in one folder, with settings, model, history, pictures and report. It can resume at any epoch."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from vae_tf import _checks, _files
from vae_tf.callbacks import MSEEquivalence
from vae_tf.data import NAMES
from vae_tf.runs import pictures, report
from vae_tf.runs.settings import MODEL, SETTINGS, Settings, is_table, stored_settings
from vae_tf.saving import load

__all__ = ["Run", "Settings"]

HISTORY = "history.csv"


class Run:
    """A training run in a folder.

    After every epoch the folder holds the whole state of the run: `settings.json`, `history.csv` and `model.keras` with
    its optimizer. Each file is replaced as a whole. A run that is stopped at any moment and resumed ends in the same
    model as one that was never stopped, bit for bit on a CPU.

    Args:
        folder: Folder of the run.
        settings: Settings of a new run; None continues the run in the folder.
        epochs: New number of epochs for a run that is continued, counted from the start of the run.

    Raises:
        ValueError: For a folder that is not empty (new run) or holds no run (resumed one).
    """

    def __init__(self, folder: str | Path, settings: Settings | None = None, *, epochs: int | None = None) -> None:
        self.folder = Path(folder)
        if settings is None:
            self.settings = stored_settings(self.folder)
            self.settings = replace(self.settings, epochs=self.settings.epochs if epochs is None else epochs)
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ValueError(
                _checks.problem(
                    f"Run folder {self.folder}",
                    expected="a new or empty folder",
                    received="one with files in it",
                    remedy="Choose another, or resume the run that is there (--resume).",
                )
            )
        else:
            self.settings = settings
        self._check_place()
        loaded = self.settings.loaded()
        self.settings = self.settings.resolved(loaded[0])
        self.x_train, self.x_test = (self.settings.scaled(images) for images in loaded)
        self.vae = self.settings.model(self.x_train) if settings else load(self.folder / MODEL)
        self.vae.adapter.open(self.x_train)
        steps = -(-len(self.x_train) // min(self.settings.batch_size, len(self.x_train)))
        self.epochs_done = int(self.vae.optimizer.iterations) // steps
        self.history = [] if settings else _read_history(self.folder / HISTORY)[: self.epochs_done]
        if len(self.history) < self.epochs_done:
            raise ValueError(
                _checks.problem(
                    str(self.folder / HISTORY),
                    expected=f"a row for each of the {self.epochs_done} epochs of the model",
                    received=f"{len(self.history)} rows",
                    remedy="Put the file back, or start a new run.",
                )
            )
        self._write(SETTINGS, json.dumps(asdict(self.settings), indent=2) + "\n")
        if settings:
            self.vae.save(self.folder / MODEL)

    def _check_place(self) -> None:
        """Raises ValueError for a run inside its folder of images, to which its pictures would be added."""
        data = Path(self.settings.data).expanduser()
        if self.settings.data not in NAMES and data.is_dir() and self.folder.resolve().is_relative_to(data.resolve()):
            raise ValueError(
                _checks.problem(
                    f"Run folder {self.folder}",
                    expected="a place outside the folder of the data",
                    received=f"one inside {data}",
                    remedy="Choose another: the pictures of the run would become data.",
                )
            )

    def train(self, verbose: Any = "auto") -> bool:
        """Trains to the end. Returns False if training was interrupted (Ctrl-C or SIGTERM) and can be resumed.

        Args:
            verbose: What is shown, as for `fit`: 0 nothing, 1 a progress bar, 2 one line for each epoch.
        """
        per_epoch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: self._end_epoch(logs))
        try:
            with _sigterm_interrupts():
                self.vae.fit(
                    self.x_train,
                    batch_size=self.settings.batch_size,
                    epochs=self.settings.epochs,
                    initial_epoch=self.epochs_done,
                    validation_data=self.x_test,
                    callbacks=[MSEEquivalence(), per_epoch],
                    verbose=verbose,
                )
        except KeyboardInterrupt:
            return False
        return True

    def columns(self) -> dict[str, list[float]]:
        """The columns of the history by name, with one number for each epoch."""
        return {name: [row[name] for row in self.history] for name in (self.history[0] if self.history else ())}

    @property
    def num_samples(self) -> int:
        """Number of samples that `illustrate` shows: those of a table are counted in histograms."""
        return 1000 if is_table(self.x_test) else 64

    def illustrate(self, means: np.ndarray, draws: np.ndarray) -> None:
        """Writes the pictures and the report; `means` and `draws` are the samples to show, `[n, *E]`."""
        if is_table(self.x_test):
            figures = pictures.of_table(self.columns(), self.x_train, self.x_test, self.vae, draws)
        else:
            white = self.settings.peak  # greater than 1 for counts
            figures = pictures.of_images(self.columns(), self.x_test[:18], self.vae, means, draws, white)
        files = {title: self.folder / f"{title.lower().replace(' ', '_')}.png" for title in figures}
        for title, figure in figures.items():
            with _files.replacing(files[title]) as draft:
                figure.savefig(draft, dpi=150)
        report.write(
            self.folder / "report.html",
            title=f"VAE on {self.settings.data}",
            summary=self.summary(),
            settings=asdict(self.settings),
            history=self.columns(),
            pictures=files,
        )

    def summary(self) -> str:
        """The last epoch in a sentence."""
        last = self.history[-1]
        text = f"After {len(self.history)} epochs: test -ELBO {last['val_loss']:.2f} nats per example"
        scale = pictures.scale_by_column(self.vae) if is_table(self.x_train) else None
        if scale is not None:
            share = np.median(scale / np.asarray(self.x_train).std(axis=0, dtype=np.float64).clip(min=1e-30))
            text += f", sigma = {share:.3g} standard deviations of the data in the median column"
        elif "sigma" in last:
            text += (
                f", sigma = {last['sigma']:.4g}, 1/(2 sigma^2) = {last['mse_scale']:.4g}, residual {last['rmse']:.4g}"
            )
        return text + "."

    def _end_epoch(self, logs: dict[str, float]) -> None:
        self.history.append({name: float(value) for name, value in logs.items()})
        # the history first: a row too many is dropped on resuming, a row too few could not be made up
        with _files.replacing(self.folder / HISTORY) as draft, draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["epoch", *self.history[0]])
            writer.writeheader()
            writer.writerows({"epoch": epoch, **row} for epoch, row in enumerate(self.history, start=1))
        self.vae.save(self.folder / MODEL)

    def _write(self, name: str, text: str) -> None:
        with _files.replacing(self.folder / name) as draft:
            draft.write_text(text, encoding="utf-8")


def _read_history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if k != "epoch"} for row in csv.DictReader(file)]


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """A context in which SIGTERM interrupts as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
