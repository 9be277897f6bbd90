"""The check that no weight of a model is NaN or infinite."""

from __future__ import annotations

from typing import Any


def check_weights(model: Any) -> None:
    """Raises ValueError where a weight is NaN or infinite."""
