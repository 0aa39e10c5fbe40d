"""Cubature: first cells cover every window once and are as narrow as the windows that they meet; the cells of an integral make it up again."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory.divergence.cells import Windows, clusters, first_cells, integrate, nodes_of
from tests.support.strategies import examples

places = st.floats(-40, 40)


@settings(max_examples=examples(40))
@given(st.integers(1, 2), st.lists(st.tuples(places, places, st.floats(0.3, 4)), min_size=1, max_size=5), st.data())
def test_cells_cover_each_place_of_a_window_once(dim, made, data):
    centres = torch.tensor([row[:dim] for row in made], dtype=torch.float64)
    stds = torch.tensor([[row[2]] * dim for row in made], dtype=torch.float64)
    windows = Windows(lambda _: centres, stds, 9.0, [-1] * len(made))
    low, high, resolved = first_cells(windows, list(range(len(made))), -1)
    which = data.draw(st.integers(0, len(made) - 1))
    assert resolved
    inside = torch.tensor([data.draw(st.floats(-8.9, 8.9)) for _ in range(dim)], dtype=torch.float64)
    place = centres[which] + inside * stds[which]
    holds = ((low <= place) & (place < high)).all(dim=1)
    assert int(holds.sum()) == 1
    assert bool((high[holds] - low[holds] <= {1: 3, 2: 3.6}[dim] * stds[which]).all())


@settings(max_examples=examples(20))
@given(st.integers(1, 2), st.lists(st.tuples(places, places, st.floats(0.1, 4)), min_size=1, max_size=3))
def test_the_cells_of_an_integral_make_it_up_again(dim, made):
    """A sum of normal densities that windows of 9 standard deviations hold: its integral is their number, and each is whole on the cells that are kept."""
    centres = torch.tensor([row[:dim] for row in made], dtype=torch.float64)
    stds = torch.tensor([[row[2]] * dim for row in made], dtype=torch.float64)
    windows = Windows(lambda k: centres - (centres[k] if k >= 0 else 0), stds, 9.0, list(range(len(made))))

    def densities(n, k):
        normal = torch.distributions.Normal(windows.places(k), stds)
        return normal.log_prob(n[:, None]).sum(dim=2).exp()

    def integrand(n, k):
        return densities(n, k).sum(dim=1), 1e-15 * densities(n, k).sum(dim=1)

    integral = integrate(integrand, windows)
    shares = sum(weights @ densities(n, k) for n, weights, k in nodes_of(integral))
    assert abs(integral.value - len(made)) < 1e-11 * len(made)
    assert isinstance(shares, torch.Tensor)
    assert bool(((shares - 1).abs() < 1e-11).all())


def test_windows_far_apart_are_clusters_of_their_own():
    """Cells of one cluster would fill the space between them."""
    centres = torch.tensor([[0.0, 0.0], [3.0, 1.0], [0.0, 50.0], [80.0, 0.0]], dtype=torch.float64)
    windows = Windows(lambda _: centres, torch.ones(4, 2, dtype=torch.float64), 9.0, [-1] * 4)
    assert sorted(clusters(windows)) == [[0, 1], [2], [3]]


def test_every_node_of_every_halving_is_counted():
    """The count is what ends a search that does not settle: a cell and its halves have three times the nodes of what is kept."""
    windows = Windows(
        lambda _: torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64), 9.0, [-1]
    )
    integral = integrate(
        lambda n, _: ((-n[:, 0].square() / 2).exp(), torch.zeros(len(n), dtype=torch.float64)), windows
    )
    kept = sum(len(weights) for _, weights, _ in nodes_of(integral))
    assert integral.nodes >= 2 * kept > 0
