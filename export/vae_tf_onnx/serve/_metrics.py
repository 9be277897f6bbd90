"""The metrics that Prometheus may read, beside kserve's own times of each step."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("inference_requests", "Inference requests that were answered", ["protocol", "code"])
SECONDS = Histogram(
    "inference_request_seconds", "From an inference request, arrived, to its answer, sent", ["protocol"]
)
RUNNING = Gauge("inference_requests_running", "Inference requests that are being worked on")
ARRIVING = Gauge("inference_requests_arriving", "Inference requests whose body is on its way")
_ROWS = Histogram("run_rows", "Rows in one run of a graph", ["model_name"], buckets=[2.0**i for i in range(12)])
_JOINED = Histogram(
    "run_requests", "Requests in one run of a graph", ["model_name"], buckets=[2.0**i for i in range(8)]
)


def on_run(graph: str) -> Callable[[int, int], None]:
    """A function that notes the number of requests and the number of rows of each run of this graph."""
    rows, joined = _ROWS.labels(graph), _JOINED.labels(graph)

    def note(num_requests: int, num_rows: int) -> None:
        joined.observe(num_requests)
        rows.observe(num_rows)

    return note
