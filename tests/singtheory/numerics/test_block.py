"""Blocks of rows: no number depends on how many are worked on together, but for rounding."""

import pytest
import torch

from singtheory import Atoms, divergence
from singtheory.divergence import chi2, components
from singtheory.numerics import block_rows


@pytest.mark.parametrize("gap", [1e-6, 0.3, 40.0])
def test_blocks_do_not_show(gap, monkeypatch):
    law = Atoms(torch.randn(9, 2, generator=torch.Generator().manual_seed(1)), torch.arange(1.0, 10.0))
    posterior = law.posterior([0.2, -0.1], 0.3)

    def numbers() -> list[float]:
        generator = torch.Generator().manual_seed(2)
        sampled = divergence.kl_monte_carlo(posterior, gap, 64, generator, 0.99)
        exact = divergence.kl_quadrature(posterior, gap)
        return [float(v) for v in (sampled.value, sampled.low, sampled.high, exact.value, exact.low, exact.high)]

    whole, pairs = numbers(), float(divergence.log1p_chi2(posterior, gap))
    monkeypatch.setattr(chi2, "block_rows", lambda *_: 2)
    assert float(divergence.log1p_chi2(posterior, gap)) == pytest.approx(pairs, rel=1e-12, abs=0)
    monkeypatch.setattr(components, "block_rows", lambda *_: 31)
    assert numbers() == pytest.approx(whole, rel=1e-12)


def test_rows_on_a_cpu_lie_in_its_cache_and_those_of_a_gpu_fill_it():
    """65,536 numbers a block, 16 rows at least and 2^23 numbers at most."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [block_rows(numbers, cpu) for numbers in (1, 3, 1797, 10**6, 10**8)] == [65536, 21845, 36, 8, 1]
    assert [block_rows(numbers, gpu) for numbers in (1, 10**6, 10**8)] == [2**23, 8, 1]
