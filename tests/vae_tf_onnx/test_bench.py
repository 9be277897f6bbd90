"""bench: the table of a bundle's variants, measured on this machine."""

import re
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from handmade import LATENT_DIM

from vae_tf_onnx import BundleError, Decoder
from vae_tf_onnx.bench import bench
from vae_tf_onnx.variants import add
from vae_tf_onnx.variants.timing import interleaved

ENDINGS = {"fp32": ".onnx", "fp16": ".fp16.onnx", "ort": ".ort"}


@pytest.fixture
def bundle(make_bundle):
    """With two variants."""
    folder = make_bundle()
    add(folder, ["fp16", "ort"], force=True)
    return folder


def cells(text, name):
    (line,) = (line for line in text.splitlines() if re.match(rf"{re.escape(name)} ", line))
    return line[len(name) :].split()


def test_a_line_for_each_variant(bundle):
    text = bench(bundle, batches=(1, 7), rounds=1)
    rows = add(bundle, ["fp16"], force=True)
    for name in ("fp32", "fp16", "ort"):
        size, largest, mean, nats, *times = cells(text, name)
        assert float(size.replace(",", "")) == pytest.approx(
            len((bundle / f"decoder/1/model{ENDINGS[name]}").read_bytes()) / 1000, abs=0.06
        )
        assert float(largest) == pytest.approx(rows["fp16"]["max_abs_error"] if name == "fp16" else 0, rel=0.1)
        assert float(mean) <= float(largest)
        assert float(nats) == pytest.approx(rows["fp16"]["log_prob_error"] if name == "fp16" else 0, rel=0.1)
        median, late, ratio, _, *second = times
        assert 0 < float(median) <= float(late.strip("()"))
        assert len(second) == 4
        assert ratio == "1.00" or name != "fp32"
    assert "int8" not in text


def test_what_it_was_measured_with_is_stated(bundle):
    text = bench(bundle, rounds=1, threads=2)
    assert f"onnxruntime {onnxruntime.__version__} (CPUExecutionProvider) on 2 threads" in text
    assert re.search(r"\d+ CPUs, load \d", text)
    assert "ms at batch 1 " in text
    assert "ms at batch 32" in text


def test_the_encoder(bundle):
    text = bench(bundle, graph="encoder", rounds=1)
    assert "Errors of loc against fp32 on 256 inputs" in text
    assert "Encoder.encode at batch 1" in text
    assert float(cells(text, "fp16")[1]) > 0


def test_errors_are_measured_in_the_run(bundle, edit_manifest):
    """Not copied from the manifest."""
    before = cells(bench(bundle, rounds=1), "fp16")[1]

    def change(manifest):
        manifest["graphs"]["decoder"]["variants"]["fp16"]["max_abs_error"] = 0.777

    edit_manifest(bundle, change)
    assert cells(bench(bundle, rounds=1), "fp16")[1] == before


def test_it_needs_neither_onnx_nor_tensorflow(bundle):
    absent = "import sys; sys.modules |= dict.fromkeys(['onnx', 'jinja2', 'tensorflow', 'vae_tf'])"
    use = f"from vae_tf_onnx.bench import bench; print(bench({str(bundle)!r}, rounds=1))"
    result = subprocess.run([sys.executable, "-c", f"{absent}; {use}"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "fp16" in result.stdout
    use = f"from vae_tf_onnx.bench import bench; bench({str(bundle)!r}, model='model.keras')"
    result = subprocess.run([sys.executable, "-c", f"{absent}; {use}"], capture_output=True, text=True, check=False)
    assert "Install vae_tf beside this package" in result.stderr


def test_the_runtime_adds_little_to_onnxruntime(make_bundle):
    """At most 10 microseconds or 10 % at batch 1: the best of five medians, as the machine may be busy."""
    decoder = Decoder(make_bundle(), threads=1)
    z = np.zeros((1, LATENT_DIM), np.float32)
    calls = {"decode": lambda: decoder.decode(z), "bare": lambda: decoder.session.run(["mean"], {"z": z})}
    added = []
    for _ in range(5):
        medians = {name: np.median(seconds) for name, seconds in interleaved(calls, rounds=50).items()}
        added.append(medians["decode"] - max(1.1 * medians["bare"], medians["bare"] + 1e-5))
    assert min(added) <= 0
    assert "Decoder.decode at batch 1: " in bench(decoder.bundle.folder, rounds=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"graph": "prior"}, "graph: expected decoder or encoder, received 'prior'"),
        ({"threads": 0}, "threads: expected a whole number of at least 1, received 0"),
        ({"batches": (1, -2)}, "batch: expected a whole number of at least 1, received -2"),
    ],
)
def test_bad_arguments(make_bundle, arguments, message):
    with pytest.raises(ValueError, match=message):
        bench(make_bundle(), **arguments)


def test_no_bundle(tmp_path):
    with pytest.raises(BundleError, match=r"manifest.json: expected a file"):
        bench(tmp_path)


def test_beside_keras(tmp_path):
    """The Keras model in the same run: its error is that of the export, and another model is refused."""
    pytest.importorskip("vae_tf", reason="vae_tf is not installed: no Keras model to compare with")
    import models

    from vae_tf_onnx import export

    vae = models.make_vae()
    vae.save(tmp_path / "model.keras")
    folder = export(vae, tmp_path / "bundle")
    text = bench(folder, model=tmp_path / "model.keras", rounds=1)
    assert float(cells(text, "vae.decode")[0]) < 1e-5
    for name in ("vae.decode", "vae.decoder.predict", "tf.function"):
        assert "x" in cells(text, name)
        assert re.search(rf"fp32 is faster than {name} by a factor of [\d.]+ at batch 1, [\d.]+ at batch 32", text)
    assert re.search(r"TensorFlow [\d.]+ on threads of its choice", text)
    models.make_vae(seed=1).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="model: expected the one that the bundle was exported from"):
        bench(folder, model=tmp_path / "other.keras", rounds=1)
