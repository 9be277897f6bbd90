"""Argument checks that more than one module needs, and the one form that error messages have."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any


def problem(what: str, *, expected: str, received: object, remedy: str) -> str:
    """The text of an error: the thing that is wrong, what was expected, what came instead, and what to do."""
    return f"{what}: expected {expected}, received {received}. {remedy}"


def positive_int(name: str, value: Any) -> int:
    """`value` as an int of at least 1, or a ValueError that names `name`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(
            problem(
                name,
                expected="a whole number of at least 1",
                received=repr(value),
                remedy=f"Pass {name}=1 or more.",
            )
        )
    return int(value)


def seed(value: Any) -> int:
    """`value` as a seed, or a ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) < 2**31:
        raise ValueError(
            problem(
                "seed",
                expected="a whole number in [0, 2^31)",
                received=repr(value),
                remedy="Pass seed=0, say.",
            )
        )
    return int(value)


def finite_float(name: str, value: Any, remedy: str | None = None) -> float:
    """`value` as a finite float, or a ValueError that names `name`."""
    return _float(name, value, "a finite number", remedy, lambda number: True)


def nonnegative_float(name: str, value: Any, remedy: str | None = None) -> float:
    """`value` as a finite float of at least 0, or a ValueError that names `name`."""
    return _float(name, value, "a finite number of at least 0", remedy, lambda number: number >= 0)


def positive_float(name: str, value: Any, remedy: str | None = None) -> float:
    """`value` as a finite float above 0, or a ValueError that names `name`."""
    return _float(
        name, value, "a finite number above 0", remedy or f"Pass a positive {name}.", lambda number: number > 0
    )


def positive_float_or_word(name: str, value: Any, words: Iterable[str], *, remedies: tuple[str, str]) -> float | str:
    """`value` as a finite float above 0 or as one of the words, or a ValueError that names `name`.

    Args:
        name: Name of the argument.
        value: The value that the caller gave.
        words: The words that may stand for a number.
        remedies: Two remedies: one for a number that will not do, one for a word that is none of `words`.
    """
    if not isinstance(value, str):
        return positive_float(name, value, remedies[0])
    words = list(words)
    if value not in words:
        expected = "a positive number or one of " + ", ".join(map(repr, words))
        raise ValueError(problem(name, expected=expected, received=repr(value), remedy=remedies[1]))
    return value


def fraction(name: str, value: Any, remedy: str | None = None) -> float:
    """`value` as a float in [0, 1), or a ValueError that names `name`."""
    return _float(name, value, "a number in [0, 1)", remedy, lambda number: 0 <= number < 1)


def _float(name: str, value: Any, expected: str, remedy: str | None, holds: Callable[[float], bool]) -> float:
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            number = float(value)
    if not (math.isfinite(number) and holds(number)):
        raise ValueError(problem(name, expected=expected, received=repr(value), remedy=remedy or "Pass one."))
    return number


def shape(name: str, value: Any) -> tuple[int, ...]:
    """`value` as a non-empty tuple of positive ints, a number d as `(d,)`, or a ValueError that names `name`."""
    iterable = isinstance(value, Iterable) and not isinstance(value, str)
    dims: tuple[Any, ...] = tuple(value) if iterable else (value,)
    if dims and all(isinstance(dim, Integral) and not isinstance(dim, bool) and int(dim) >= 1 for dim in dims):
        return tuple(int(dim) for dim in dims)
    remedy = "Pass the shape of one example; (1,) for a single number."
    if len(dims) > 1 and dims[0] is None:
        remedy = f"Leave out the batch axis: {name}={dims[1:]}, if that is one example."
    elif len(dims) > 1 and None in dims:
        remedy = "Every size must be known: pad or crop the examples to one shape."
    expected = "whole numbers of at least 1 in a tuple such as (28, 28, 1)"
    raise ValueError(problem(name, expected=expected, received=repr(value), remedy=remedy))


def one_of(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raises a ValueError that lists the allowed words unless `value` is one of them."""
    words = list(allowed)
    if value not in words:
        expected = "one of " + ", ".join(map(repr, words))
        raise ValueError(problem(name, expected=expected, received=repr(value), remedy="Choose one of them."))
