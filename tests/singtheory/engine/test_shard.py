"""Posteriors over data that are spread over processes are those of all of them, on every process."""

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from singtheory import Atoms, InputError
from singtheory.engine import shard
from singtheory.engine.scan import scan
from tests.singtheory.engine.test_engine import ball_means

PARTS = {"gloo": (500, 3, 130), "nccl": (500, 133)}
"""Their sizes: more than a block, a few, some; and those on two GPUs."""
DIM = 12


def whole() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points, weights, queries and their snr; all weights of the second of three parts are 0."""
    generator = torch.Generator().manual_seed(0)
    points = 3 + torch.randn(633, DIM, generator=generator).double()
    weights = torch.rand(len(points), generator=generator).double()
    weights[500:503] = 0
    snr = torch.tensor([0.0, 1e-4, 0.05, 0.5, 5.0, 200.0]).double()
    noise = torch.randn(len(snr), DIM, generator=generator).double()
    return points, weights, snr.sqrt()[:, None] * points[:6] + noise, snr


def images() -> torch.Tensor:
    """Bytes, as many as there are points."""
    return torch.randint(0, 256, (633, 2, 6), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def refused(points: torch.Tensor, weights: torch.Tensor | None = None) -> str:
    with pytest.raises(InputError) as caught:
        Atoms.sharded(points, weights)
    return str(caught.value)


def process(rank: int, folder: str, backend: str) -> None:
    """One of all."""
    parts, device = PARTS[backend], f"cuda:{rank}" if backend == "nccl" else "cpu"
    if backend == "nccl":
        torch.cuda.set_device(rank)
    dist.init_process_group(backend, init_method=f"file://{folder}/meet", rank=rank, world_size=len(parts))
    points, weights, z, snr = (tensor.to(device) for tensor in whole())
    law = Atoms.sharded(points.split(parts)[rank], weights.split(parts)[rank])
    actual = law.posterior(z, snr, tol=1e-10)
    values = {name: getattr(actual, name).cpu() for name in ("mean", "trace_cov", "log_evidence", "error_bound")}
    held = Atoms.sharded_bytes(images().to(device).split(parts)[rank])
    values["of bytes"] = held.posterior(z, snr, tol=1e-10).mean.cpu()
    values["refused"] = [
        refused(points[:0] if rank == 1 else points),
        refused(points[:, : DIM - rank]),
        refused(points * (math.nan if rank == len(parts) - 1 else 1)),
        refused(points, torch.zeros(len(points), device=device)),
    ]
    with pytest.raises(InputError, match="shards"):
        _ = actual.entropy
    torch.save(values, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


TWO_GPUS = [pytest.mark.gpu, pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")]


@pytest.mark.parametrize("backend", ["gloo", pytest.param("nccl", marks=TWO_GPUS)])
def test_every_process_has_the_posteriors_of_all_points(tmp_path: Path, backend: str):
    parts = PARTS[backend]
    multiprocessing.spawn(process, (str(tmp_path), backend), nprocs=len(parts))
    answers = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(len(parts))]
    points, weights, z, snr = whole()
    of_bytes = Atoms.of_bytes(images())
    law = Atoms(points, weights)
    alone = law.posterior(z, snr, tol=1e-10)
    mean, off = ball_means(law._points, z, snr)
    for values in answers:
        assert bool(((values["mean"] - mean).norm(dim=1) <= values["error_bound"] + off).all())
        assert float(values["error_bound"].max()) <= 1e-10 * law._points.scale
        for name in ("trace_cov", "log_evidence"):
            torch.testing.assert_close(values[name], getattr(alone, name), rtol=1e-9, atol=1e-9)
        assert torch.equal(values["mean"], answers[0]["mean"])
        off_whole = values["of bytes"] - of_bytes.posterior(z, snr).mean
        assert float(off_whole.norm(dim=1).max()) <= 2e-10 * of_bytes._points.scale
    empty, widths, finite, weightless = zip(*(values["refused"] for values in answers), strict=True)
    assert "empty" in empty[1] and all("smallest part has 0 points" in line for line in empty[:1] + empty[2:])
    assert all(f"widths lie between {DIM - len(parts) + 1} and {DIM}" in line for line in widths)
    assert "NaN" in finite[-1] and "smallest part has 0 points" in finite[0]
    assert all("sum to 0" in line for line in weightless)


@pytest.fixture
def alone(tmp_path: Path):
    """One process that is joined with no other."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(("tol", "expected"), [(1e-6, [1]), (4e-15, [10])])
def test_products_are_cut_into_no_more_parts_than_the_tolerance_asks_for(alone, monkeypatch, tol, expected):
    points = torch.randn(300, 100, generator=torch.Generator().manual_seed(0)).double()
    law, cuts = Atoms.sharded(points), []

    def watched(*arguments):
        cuts.append(arguments[3])
        return scan(*arguments)

    monkeypatch.setattr(shard, "scan", watched)
    z, snr = (
        points[:3] + torch.randn(3, 100, generator=torch.Generator().manual_seed(1)).double(),
        torch.ones(3).double(),
    )
    law._engine.find(z, snr, tol)
    assert cuts == expected
    # what few parts do not reach is summed again in all: no query of a class may fall short for a guess
    monkeypatch.setattr(shard, "parts_for", lambda *_: 1)
    cuts.clear()
    moments = law._engine.find(z, snr, 1e-300)
    assert cuts == [1, 10]
    assert torch.equal(moments.error_bound, scan(law._points, z, snr, 10).error_bound)


def test_shards_need_processes():
    with pytest.raises(InputError, match="init_process_group"):
        Atoms.sharded([[0.0], [1.0]])
    with pytest.raises(InputError, match="init_process_group"):
        Atoms.sharded_bytes(images())
    with pytest.raises(InputError, match="images: hold float32; give uint8"):
        Atoms.sharded_bytes(torch.zeros(3, 4))
