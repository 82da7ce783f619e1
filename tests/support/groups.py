"""Tests that share a checkout, spread over two processes (pytest -n)."""

import pytest


def in_two_groups(group, values, ids):
    """Return the parameters of a test: each value with its id, and the mark of one of two groups.

    All tests of a group run in one process, and so with one of each fixture of their module.
    """
    return [
        pytest.param(value, id=name, marks=pytest.mark.xdist_group(f"{group} {number % 2}"))
        for number, (value, name) in enumerate(zip(values, ids, strict=True))
    ]
