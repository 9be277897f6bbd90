"""Served graphs: requests that share a run do not change each other's answers."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from handmade_layers import decoder, matrices, write_decoder

import vae_tf_onnx
from vae_tf_onnx.bundle import open_bundle
from vae_tf_onnx.serve._served_graph import load_graphs


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = write_decoder(tmp_path_factory.mktemp("variants") / "bundle", decoder(matrices(1, 1, 1)))
    vae_tf_onnx.add_variants(folder, ["int8-dynamic", "int8-dynamic-ort"], force=True)
    return open_bundle(folder)


def together(served, *requests):
    """The answers to requests that all wait when a run starts, and the numbers of rows of the runs."""
    free, runs = threading.Event(), []

    async def play():
        with ThreadPoolExecutor(1) as executor:
            executor.submit(free.wait, 10)
            on_run = lambda num_requests, num_rows: runs.append(num_rows)  # noqa: E731
            batcher = served.batcher(max_rows=64, executor=executor, on_run=on_run)
            tasks = [asyncio.create_task(batcher({"z": z})) for z in requests]
            await asyncio.sleep(0.05)
            free.set()
            return [answer["mean"] for answer in await asyncio.gather(*tasks)]

    return asyncio.run(play()), runs


@pytest.mark.parametrize("variant", ["fp32", "int8-dynamic", "int8-dynamic-ort"])
def test_a_huge_row_beside_a_normal_one(bundle, variant):
    (served,) = load_graphs(bundle, variant=variant, threads=1)
    normal = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    huge = np.full((1, 3), 1e8, np.float32)
    alone = served.graph.run(normal)["mean"]
    (first, _, last), runs = together(served, normal, huge, normal)
    np.testing.assert_allclose(first, alone, atol=1e-6)
    np.testing.assert_allclose(last, alone, atol=1e-6)
    assert runs == ([9] if variant == "fp32" else [4, 1, 4])


def test_in_one_run_they_would_differ(bundle):
    (served,) = load_graphs(bundle, variant="int8-dynamic", threads=1)
    z = np.array([[0.5, -0.5, 1], [1e8, 1e8, 1e8]], np.float32)
    assert np.abs(served.graph.run(z)["mean"][:1] - served.graph.run(z[:1])["mean"]).max() > 0.05
