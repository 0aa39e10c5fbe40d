"""How many queries fit is known before they are drawn, and options that no generator or interval takes are named."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from singtheory import Atoms, InputError, Power
from singtheory.bound.step_table import step_rows
from singtheory.estimate import MOST_CONFIDENCE, check_run_confidence
from singtheory.numerics.draw import check_seed
from singtheory.system.memory import available_memory, check_queries


@given(queries=st.integers(1, 10**25), each=st.integers(1, 10**6), available=st.integers(0, 10**13))
def test_the_number_of_queries_said_to_fit_is_the_largest(queries, each, available):
    fit = available // (8 * each)
    if fit:
        check_queries(fit, 1, each, 3, available)
    with pytest.raises(
        InputError, match=rf"^queries {fit + queries}: need .* GiB in 3 dimensions.*: at most {fit} fit$"
    ):
        check_queries(fit + queries, 1, each, 3, available)


@pytest.mark.parametrize("queries", [0, -1, -(10**20)])
def test_fewer_queries_than_needed_are_named(queries):
    with pytest.raises(InputError, match=f"queries {queries}: need at least 4"):
        check_queries(queries, 4, 1, 1)


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30])
def test_seeds_that_no_generator_takes(seed):
    with pytest.raises(InputError, match=f"seed {seed}: must lie from 0"):
        check_seed(seed)


def test_every_other_seed_is_taken():
    for seed in (0, 2**63, 2**64 - 1):
        check_seed(seed)
        torch.Generator().manual_seed(seed)


def test_a_confidence_that_cannot_be_split_is_named():
    check_run_confidence(MOST_CONFIDENCE)
    for confidence in (1 - 1e-10, 1.0, float("nan"), 0.0):
        with pytest.raises(InputError, match="confidence"):
            check_run_confidence(confidence)


def test_a_step_that_changes_nothing_is_named():
    times = torch.tensor([0.9, 0.8, 0.1], dtype=torch.float64)
    with pytest.raises(InputError, match=r"step from t = 0\.9 to 0\.8: the signal-to-noise ratio is 0 at both"):
        next(step_rows(Atoms([[0.0], [1.0]]), Power(1000.0), times, 2, torch.Generator().manual_seed(0)))


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the system says what is free in another way")
def test_free_memory_is_in_bytes():
    """Linux says it in units of 1024 bytes; it is less than all pages, and more than a thousandth of them."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert pages / 500 < available_memory() <= pages
