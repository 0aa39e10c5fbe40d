"""Many sets of points as users have them, and as a hostile reader would: for `singtheory verify` on anyone's data."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

from singtheory import Atoms
from tests.support.strategies import wild_atoms

Points = np.ndarray
Set = tuple[str, Points, Points | None]
"""A name, points (n, d) or images (n, h, w[, c]) of bytes, and weights (n,) if there are any."""


def ordinary_sets(rng: np.random.Generator) -> Iterator[Set]:
    """One of each ordinary shape, of a random size, dimension, offset and scale."""
    for name, make in _SHAPES.items():
        count, dim = int(rng.integers(2, 400)), int(rng.choice([1, 2, 3, 4, 6, 10, 30, 64]))
        points = make(rng, count, dim)
        offset = rng.choice([0.0, 0.0, 1.0, 1e3, 1e6]) * rng.normal(size=points.shape[1])
        unit = 10.0 ** rng.choice([0.0, 0.0, -3.0, 3.0, -9.0, 9.0])
        yield name, (points + offset) * unit, None
    count = int(rng.integers(3, 300))
    points = rng.normal(size=(count, 3))
    yield "weights at random", points, rng.random(count)
    yield "weights with zeros", points, np.where(np.arange(count) < count // 2, 0.0, 1.0)
    yield "weights of many sizes", points, 10.0 ** rng.uniform(-300, 0, count)
    yield "constant images", np.stack([np.full((8, 8), v, np.uint8) for v in rng.integers(0, 256, count)]), None


def packaged_sets() -> Iterator[Set]:
    """scikit-learn's tables, as they come and standardised, and patches of its two photographs."""
    from sklearn import datasets

    for load in (
        datasets.load_iris,
        datasets.load_wine,
        datasets.load_breast_cancer,
        datasets.load_diabetes,
        datasets.load_linnerud,
    ):
        table = np.asarray(load(return_X_y=True)[0], dtype=np.float64)
        name = load.__name__.removeprefix("load_")
        yield name, table, None
        yield f"{name}, standardised", (table - table.mean(axis=0)) / table.std(axis=0), None
    rng = np.random.default_rng(0)
    for side in (8, 16, 32):
        yield f"photographs {side}×{side}", np.stack([_patch(rng, i, side) for i in range(100)]), None


def wild_sets(count: int, first_seed: int) -> Iterator[Set]:
    """Laws of `wild_atoms` with at least two different points, the same for the same seed; each by a search of its own, for variety."""
    for k in range(count):
        law = _wild(1000 * first_seed + k)
        if law is not None:
            yield f"wild {first_seed}/{k}", law.points.numpy(), law.weights.numpy()


def _wild(number: int) -> Atoms | None:
    laws: list[Atoms] = []

    @seed(number)
    @settings(
        max_examples=10,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(wild_atoms())
    def collect(law: Atoms) -> None:
        support = law.points[law.weights > 0]
        if bool((support != support[0]).any()):
            laws.append(law)

    collect()
    return laws[-1] if laws else None


def all_sets(count: int, first_seed: int = 0) -> Iterator[Set]:
    """The packaged sets, then wild laws and ordinary shapes in turn, until there are `count`."""
    made = list(packaged_sets())
    wild = wild_sets(count, first_seed)
    round_ = 0
    while len(made) < count:
        rng = np.random.default_rng([first_seed, round_])
        made += [(f"{name} {first_seed}/{round_}", points, weights) for name, points, weights in ordinary_sets(rng)]
        made += itertools.islice(wild, len(_SHAPES))
        round_ += 1
    yield from made[:count]


def _patch(rng: np.random.Generator, which: int, side: int) -> Points:
    from sklearn.datasets import load_sample_images

    image = load_sample_images().images[which % 2]
    y, x = (int(rng.integers(0, size - side)) for size in image.shape[:2])
    return image[y : y + side, x : x + side]


def _two(rng: np.random.Generator, _: int, dim: int) -> Points:
    return rng.normal(size=(2, dim))


def _low_rank(rank: int, beside: float) -> Callable[[np.random.Generator, int, int], Points]:
    def make(rng: np.random.Generator, count: int, dim: int) -> Points:
        inside = rng.normal(size=(count, rank)) @ rng.normal(size=(rank, dim))
        return inside + beside * rng.normal(size=(count, dim))

    return make


def _clusters(rng: np.random.Generator, count: int, dim: int) -> Points:
    centres = rng.normal(size=(4, dim)) * 10.0 ** rng.uniform(0, 3)
    return centres[rng.integers(4, size=count)] + rng.normal(size=(count, dim)) * 0.01


def _outlier(rng: np.random.Generator, count: int, dim: int) -> Points:
    points = rng.normal(size=(count, dim))
    points[-1] *= 10.0 ** rng.uniform(1, 6)
    return points


def _grid(_: np.random.Generator, count: int, dim: int) -> Points:
    axes = np.meshgrid(*[np.arange(max(2.0, round(count ** (1 / min(dim, 3)))))] * min(dim, 3))
    return np.stack(axes, -1).reshape(-1, min(dim, 3))


_SHAPES: dict[str, Callable[[np.random.Generator, int, int], Points]] = {
    "normal": lambda rng, count, dim: rng.normal(size=(count, dim)),
    "exponential": lambda rng, count, dim: rng.exponential(size=(count, dim)),
    "cauchy": lambda rng, count, dim: rng.standard_cauchy((count, dim)),
    "uniform": lambda rng, count, dim: rng.random((count, dim)),
    "sphere": lambda rng, count, dim: (lambda g: g / np.linalg.norm(g, axis=1, keepdims=True))(
        rng.normal(size=(count, dim + 1))
    ),
    "integers": lambda rng, count, dim: rng.integers(-3, 4, (count, dim)).astype(float) + np.eye(count, dim),
    "binary": lambda rng, count, dim: (rng.random((count, dim + 3)) > 0.5) * 2.0 - 1,
    "one-hot": lambda rng, count, _: np.eye(min(count, 40) + 1),
    "two points": _two,
    "line": _low_rank(1, 0.0),
    "nearly a line": _low_rank(1, 1e-3),
    "plane": _low_rank(2, 0.0),
    "nearly a plane": _low_rank(2, 1e-4),
    "clusters": _clusters,
    "outlier": _outlier,
    "grid": _grid,
    "repeated": lambda rng, count, dim: np.repeat(rng.normal(size=(max(2, count // 10), dim)), 10, axis=0),
    "near equal": lambda rng, count, dim: 1 + rng.normal(size=(count, dim)) * 1e-10,
    "columns of many scales": lambda rng, count, dim: (
        rng.normal(size=(count, dim)) * 10.0 ** rng.uniform(-3, 3, size=dim)
    ),
}
