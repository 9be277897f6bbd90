"""The timing of calls side by side."""

import time

import numpy as np
import pytest

from vae_tf_onnx.variants.timing import interleaved


def test_contenders_take_turns():
    order = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3)
    assert "".join(order) == ("a" * 11 + "b" * 11) * 3
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 30, "b": 30}


def test_slow_contenders_take_shorter_turns():
    (seconds,) = interleaved({"slow": lambda: time.sleep(0.03)}, rounds=2).values()
    assert len(seconds) == 4
    assert np.median(seconds) == pytest.approx(0.03, abs=0.02)
