"""The batcher: requests that wait together run together, and each caller gets its own rows."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vae_tf_onnx.serve._batching import Batcher


class Run:
    """A graph whose answer tells the rows apart: y = 2 x; it notes the rows of each run, and can be held up."""

    def __init__(self):
        self.rows = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, inputs):
        self.rows.append(len(inputs["x"]))
        assert self.free.wait(10)
        if (inputs["x"] < 0).any():
            raise ValueError("a negative row")
        return {"y": 2 * inputs["x"], "index": np.arange(len(inputs["x"]))}


@pytest.fixture
def run():
    return Run()


def rows(*values):
    return {"x": np.array(values, np.float64)}


def play(run, scenario, max_rows=8):
    """Runs a coroutine function of a batcher."""
    with ThreadPoolExecutor(2) as executor:
        return asyncio.run(scenario(Batcher(run, max_rows=max_rows, executor=executor)))


async def while_one_runs(run, batcher, *others):
    """Sends a request, waits until it runs, sends the others, and lets go; the answers of all."""
    run.free.clear()
    first = asyncio.create_task(batcher(rows(1.0)))
    while not run.rows:
        await asyncio.sleep(0.001)
    waiting = [asyncio.create_task(batcher(inputs)) for inputs in others]
    await asyncio.sleep(0.01)
    run.free.set()
    return await asyncio.gather(first, *waiting, return_exceptions=True)


def test_a_lone_request_runs_at_once_and_alone(run):
    answer = play(run, lambda batcher: batcher(rows(1, 2)))
    np.testing.assert_array_equal(answer["y"], [2, 4])
    assert run.rows == [2]


def test_those_who_wait_run_together_and_get_their_own_rows(run):
    answers = play(run, lambda b: while_one_runs(run, b, rows(2, 3), rows(4), rows(5, 6, 7)))
    assert [list(answer["y"]) for answer in answers] == [[2], [4, 6], [8], [10, 12, 14]]
    assert run.rows == [1, 6]


def test_a_run_has_max_rows_at_most_and_keeps_the_order(run):
    others = [rows(*[i] * 3) for i in range(2, 7)]
    answers = play(run, lambda b: while_one_runs(run, b, *others), max_rows=7)
    assert run.rows == [1, 6, 6, 3]
    assert [answer["y"][0] for answer in answers] == [2, 4, 6, 8, 10, 12]


def test_a_request_larger_than_a_run_runs_alone(run):
    answers = play(run, lambda b: while_one_runs(run, b, rows(2), rows(*range(20)), rows(3)), max_rows=7)
    assert run.rows == [1, 1, 20, 1]
    np.testing.assert_array_equal(answers[2]["y"], 2 * np.arange(20))


def test_a_bad_request_fails_alone(run):
    answers = play(run, lambda b: while_one_runs(run, b, rows(2), rows(-1), rows(3, 4)))
    assert run.rows == [1, 4, 1, 1, 2], "the joint run, and then one by one"
    assert str(answers[2]) == "a negative row"
    assert [list(answers[i]["y"]) for i in (0, 1, 3)] == [[2], [4], [6, 8]]


def test_who_has_gone_is_not_run(run):
    async def scenario(batcher):
        run.free.clear()
        tasks = [asyncio.create_task(batcher(rows(1.0)))]
        while not run.rows:
            await asyncio.sleep(0.001)
        tasks += [asyncio.create_task(batcher(rows(i))) for i in (2.0, 3.0, 4.0)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        tasks[2].cancel()
        run.free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = play(run, scenario)
    assert run.rows == [1, 2]
    assert isinstance(answers[0], asyncio.CancelledError)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [answers[1]["y"], answers[3]["y"]] == [[4], [8]]


def test_it_works_on_after_a_pause(run):
    async def scenario(batcher):
        first = await batcher(rows(1.0))
        await asyncio.sleep(0.01)
        return first, await batcher(rows(2.0))

    assert [answer["y"][0] for answer in play(run, scenario)] == [2, 4]
    assert run.rows == [1, 1]


def test_several_inputs_are_joined_each(run):
    with ThreadPoolExecutor(1) as executor:

        async def scenario():
            batcher = Batcher(lambda inputs: {"sum": inputs["a"] + inputs["b"]}, max_rows=9, executor=executor)
            pairs = [{"a": np.full((n, 2), n), "b": np.full((n, 2), 10 * n)} for n in (1, 2, 3)]
            return await asyncio.gather(*map(batcher, pairs))

        for n, answer in enumerate(asyncio.run(scenario()), start=1):
            np.testing.assert_array_equal(answer["sum"], np.full((n, 2), 11 * n))


def test_a_graph_that_loses_rows_is_an_error_and_no_wrong_answer(run):
    async def scenario(batcher):
        return await asyncio.gather(*(batcher(rows(i, i)) for i in (1.0, 2.0)), return_exceptions=True)

    for answer in play(lambda inputs: {"y": inputs["x"][:1]}, scenario):
        assert str(answer).startswith("y: expected 2 rows, received 1")


def test_a_thousand_callers_get_their_own(run):
    async def scenario(batcher):
        rng = np.random.default_rng(0)
        requests = [rows(*rng.random(n)) for n in rng.integers(1, 6, size=1000)]
        return requests, await asyncio.gather(*map(batcher, requests))

    for request, answer in zip(*play(run, scenario, max_rows=32), strict=True):
        np.testing.assert_array_equal(answer["y"], 2 * request["x"])
    assert len(run.rows) < 150, "3,000 rows in runs of 32 at most"
    assert max(run.rows) <= 32
