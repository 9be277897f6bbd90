"""add: the variants of a bundle, their files and their measurements."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from handmade import EVENT_SHAPE, LATENT_DIM, SIGMA, weights
from handmade_layers import decode, decoder, matrices, write_decoder
from paths import contents

from vae_tf_onnx import BundleError, Decoder, Encoder, ParityError, verify
from vae_tf_onnx.bundle import GRAPHS, VARIANTS, open_bundle, write_manifest
from vae_tf_onnx.variants import _half, add
from vae_tf_onnx.variants.inputs import checked_data, measuring

X = np.random.default_rng(3).random((600, *EVENT_SHAPE)).astype(np.float32)


@pytest.fixture
def layered(tmp_path):
    """A bundle whose decoder has three layers."""
    return write_decoder(tmp_path / "bundle", decoder(matrices(1, 1, 3)))


def rows_of(folder, graph):
    return json.loads((folder / "manifest.json").read_text())["graphs"][graph]["variants"]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A bundle with decoder and encoder, and every variant of both."""
    import handmade

    folder = handmade.write_bundle(tmp_path_factory.mktemp("full") / "bundle")
    return folder, add(folder, VARIANTS, x=X, force=True)  # beyond the tolerance of log p: the data are not its own


def test_every_variant_is_written_measured_and_loads(full):
    folder, returned = full
    bundle = open_bundle(folder)
    assert returned == rows_of(folder, "decoder")
    for graph in ("decoder", "encoder"):
        rows = rows_of(folder, graph)
        assert set(rows) == {"fp32", *VARIANTS}
        for variant, row in rows.items():
            assert row["file"] == bundle.file(graph, variant)
            assert row["bytes"] == len(bundle.read(row["file"]))
            assert row["finite"] is True
            assert row["num_inputs"] >= 256
            assert row["threads"] == 1
            assert set(row["latency_ms"]) == {"1", "32"}
            assert all(0 < value < 1000 for value in row["latency_ms"].values())
    assert max(verify(folder).values()) < 1e-5
    assert not list(folder.parent.glob(".bundle*")), "nothing is left beside the bundle"


@pytest.mark.parametrize("variant", VARIANTS)
def test_errors_are_those_of_the_files(full, variant):
    """Against the affine maps themselves, on the inputs that the rows are said to be measured on."""
    folder, _ = full
    inputs = measuring(open_bundle(folder), checked_data(open_bundle(folder), X))
    decoder_weights, encoder_weights = weights()
    z, x = inputs.arrays["decoder"], inputs.arrays["encoder"]
    expected = {"decoder": z @ decoder_weights, "encoder": x.reshape(len(x), -1) @ encoder_weights}
    received = {
        "decoder": Decoder(folder, variant=variant).decode(z).reshape(len(z), -1),
        "encoder": Encoder(folder, variant=variant).encode(x),
    }
    if variant.startswith("int8-dynamic"):  # whose ranges are those of a batch
        parts = [Decoder(folder, variant=variant).decode(z[i : i + 32]) for i in range(0, len(z) - len(z) % 32, 32)]
        received["decoder"] = np.concatenate(parts).reshape(-1, expected["decoder"].shape[1])
        expected["decoder"] = expected["decoder"][: len(received["decoder"])]
        del expected["encoder"]
    for graph, values in expected.items():
        row, error = rows_of(folder, graph)[variant], np.abs(received[graph] - values)
        assert row["max_abs_error"] == pytest.approx(error.max(), rel=2e-3, abs=2e-6)
        assert row["mean_abs_error"] == pytest.approx(error.mean(), rel=5e-2, abs=2e-6)


def test_float16_error_is_that_of_rounding(full):
    """An affine map: input, weights and output are rounded, by 2^-11 of their magnitude each."""
    _, rows = full
    matrix, _ = weights()
    bundle = open_bundle(full[0])
    z = measuring(bundle, checked_data(bundle, X)).arrays["decoder"]
    bound = (3 * 2.0**-11 * (np.abs(z) @ np.abs(matrix))).max() * 1.01
    assert 0 < rows["fp16"]["max_abs_error"] <= bound


def test_log_prob_error_is_in_nats(full):
    """The Gaussian's: the change of squared errors over 2 sigma^2, at the posterior means."""
    folder, rows = full
    inputs = measuring(open_bundle(folder), checked_data(open_bundle(folder), X))
    matrix, _ = weights()

    def squares(mean):
        return ((inputs.x.reshape(len(mean), -1) - mean.reshape(len(mean), -1)) ** 2).sum(axis=1)

    changed = Decoder(folder, variant="fp16").decode(inputs.z)
    expected = np.abs(squares(changed) - squares(inputs.z.astype(np.float64) @ matrix)).max() / (2 * SIGMA**2)
    assert rows["fp16"]["log_prob_error"] == pytest.approx(expected, rel=1e-2)
    assert rows["fp32"]["log_prob_error"] == 0.0
    assert rows_of(folder, "encoder")["fp16"]["log_prob_error"] is None


def test_metadata_survives(layered):
    """What the original says stands in every variant."""
    add(layered, VARIANTS, force=True)
    bundle = open_bundle(layered)
    expected = onnxruntime.InferenceSession(bundle.read(GRAPHS["decoder"])).get_modelmeta().custom_metadata_map
    assert expected["vae_tf_onnx"]
    for variant in VARIANTS:
        session = Decoder(bundle, variant=variant).session
        assert session.get_modelmeta().custom_metadata_map["vae_tf_onnx"] == expected["vae_tf_onnx"]


def test_sizes(tmp_path):
    folder = write_decoder(tmp_path / "bundle", decoder(matrices(1, 1, 3, width=256)))
    rows = add(folder, ["fp16", "int8-dynamic", "int8-static"])
    assert rows["fp16"]["bytes"] < 0.52 * rows["fp32"]["bytes"]
    assert rows["int8-dynamic"]["bytes"] < 0.3 * rows["fp32"]["bytes"]
    assert rows["int8-static"]["bytes"] < 0.3 * rows["fp32"]["bytes"]


@pytest.mark.parametrize("scales", [(1e5, 1, 3e-5), (1, 1e-9, 3e9)])
def test_float16_of_a_decoder_with_large_activations_or_tiny_weights(tmp_path, scales):
    """See test_half.py for the arithmetic."""
    layers = matrices(*scales)
    folder = write_decoder(tmp_path / "bundle", decoder(layers))
    row = add(folder, "fp16")["fp16"]
    assert row["finite"]
    assert row["max_abs_error"] < 1e-3
    z = np.random.default_rng(1).normal(size=(50, LATENT_DIM)).astype(np.float32)
    np.testing.assert_allclose(Decoder(folder, variant="fp16").decode(z), decode(layers, z), atol=1e-3)


def test_a_row_beside_those_of_an_earlier_call(layered):
    add(layered, ["fp16"])
    add(layered, ["ort", "ort"])
    assert set(rows_of(layered, "decoder")) == {"fp32", "fp16", "ort"}


def test_worse_than_the_tolerance_is_refused_unless_forced(layered):
    before = contents(layered.parent)
    with pytest.raises(
        ParityError, match=r"decoder/mean in int8-dynamic: expected .* at most 0.001.*--force"
    ) as caught:
        add(layered, ["fp16", "int8-dynamic"], tolerance=1e-3)
    assert caught.value.tolerance == 1e-3
    assert 1e-3 < caught.value.error < 0.1
    assert contents(layered.parent) == before
    rows = add(layered, ["fp16", "int8-dynamic"], tolerance=1e-3, force=True)
    assert rows["int8-dynamic"]["max_abs_error"] == pytest.approx(caught.value.error, rel=1e-3)
    Decoder(layered, variant="int8-dynamic")


def test_the_tolerance_is_in_units_of_the_data_range(layered):
    manifest = json.loads((layered / "manifest.json").read_text())
    write_manifest(layered, manifest | {"data_range": [0.0, 1e-6]})
    with pytest.raises(ParityError, match="in units of the data range"):
        add(layered, "fp16")
    write_manifest(layered, manifest | {"data_range": [0.0, 2.0**24]})
    with pytest.raises(ParityError, match="in units of the range of mean"):
        add(layered, "fp16", tolerance=1e-6)


def test_values_that_are_not_finite_are_refused_even_by_force(layered, monkeypatch):
    def broken(model, largest):
        result = onnx.ModelProto()
        result.CopyFrom(model)
        (tensor,) = (tensor for tensor in result.graph.initializer if tensor.name == "w2")
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.full((64, 8), np.nan, np.float32), "w2"))
        return result

    before = contents(layered.parent)
    monkeypatch.setattr(_half, "convert", broken)
    with pytest.raises(ParityError, match="expected NaN and infinite values in numbers of at most 0, received inf"):
        add(layered, ["ort", "fp16"], force=True)
    assert contents(layered.parent) == before


def test_a_damaged_bundle_is_not_touched(make_bundle):
    folder = make_bundle()
    path = folder / GRAPHS["encoder"]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    before = contents(folder.parent)
    with pytest.raises(BundleError, match="expected sha256"):
        add(folder, ["fp16"])
    assert contents(folder.parent) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["fp8"]}, "Variants: expected fp16, .*received 'fp8'"),
        ({"names": ["fp32"]}, "received 'fp32'"),
        ({"names": []}, "received none"),
        ({"names": ["fp16"], "tolerance": 0}, "tolerance: expected a number above 0, received 0"),
        ({"names": ["fp16"], "tolerance": float("nan")}, "tolerance: expected a number above 0, received nan"),
        ({"names": ["int8-static"]}, "int8-static: expected data x"),
        ({"names": ["int8-static-ort"]}, "int8-static: expected data x"),
        ({"names": ["int8-static"], "x": X[:5]}, r"x: expected shape \[n >= 64, 4, 2, 1\], received \[5, 4, 2, 1\]"),
        ({"names": ["fp16"], "x": X[:0]}, r"x: expected shape \[n >= 1, 4, 2, 1\], received \[0, 4, 2, 1\]"),
        ({"names": ["fp16"], "x": X[..., 0]}, r"received \[600, 4, 2\]"),
        ({"names": ["fp16"], "x": np.full_like(X, np.nan)}, "expected finite numbers, received 4800"),
    ],
)
def test_bad_arguments(make_bundle, arguments, message):
    folder = make_bundle()
    before = contents(folder.parent)
    with pytest.raises(ValueError, match=message):
        add(folder, **arguments)
    assert contents(folder.parent) == before


def test_weights_beside_the_graph_are_refused(layered):
    (layered / (GRAPHS["decoder"] + ".data")).write_bytes(b"weights")
    write_manifest(layered, json.loads((layered / "manifest.json").read_text()))
    with pytest.raises(ValueError, match=r"Variants of decoder: expected a graph of less than 2 GB.*model.onnx.data"):
        add(layered, "fp16")


def test_an_unstated_likelihood(layered):
    manifest = json.loads((layered / "manifest.json").read_text())
    model = decoder(matrices(1, 1, 3))
    model.graph.output.pop()
    onnx.save(model, layered / GRAPHS["decoder"])
    np.savez(layered / "golden.npz", z=np.zeros((4, LATENT_DIM), np.float32))
    unstated = {"family": None}
    write_manifest(layered, manifest | {"likelihood": unstated, "posterior": unstated, "prior": unstated})
    row = add(layered, ["int8-static"])["int8-static"]
    assert row["log_prob_error"] is None
    assert row["num_inputs"] == 256


def test_data_outside_of_the_support(make_bundle):
    rows = add(make_bundle("Bernoulli"), ["fp16"], x=3 * X, force=True)
    assert rows["fp16"]["log_prob_error"] is None
    assert rows["fp16"]["finite"]


def test_a_fixed_batch(tmp_path):
    folder = write_decoder(tmp_path / "bundle", decoder(matrices(1, 1, 3), batch=4), batch=4)
    rows = add(folder, VARIANTS)
    assert {tuple(row["latency_ms"]) for row in rows.values()} == {("4",)}
    assert all(row["num_inputs"] == 256 for row in rows.values())


def test_without_onnx(make_bundle):
    folder = make_bundle()
    use = f"import vae_tf_onnx.variants as v; v.add({str(folder)!r}, ['fp16'])"
    command = [sys.executable, "-c", f"import sys; sys.modules['onnx'] = None; {use}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 'Install it: pip install "vae-tf-onnx[convert]"' in result.stderr
    assert not list(folder.parent.glob(".bundle*"))
