"""First cells of cubature: they cover every window once and are as narrow as the windows that they meet."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from singtheory.divergence.cells import Windows, first_cells
from tests.strategies import examples

places = st.floats(-40, 40)


@settings(max_examples=examples(40))
@given(st.integers(1, 2), st.lists(st.tuples(places, places, st.floats(0.3, 4)), min_size=1, max_size=5), st.data())
def test_cells_cover_each_place_of_a_window_once(dim, made, data):
    centres = torch.tensor([row[:dim] for row in made], dtype=torch.float64)
    stds = torch.tensor([[row[2]] * dim for row in made], dtype=torch.float64)
    windows = Windows(lambda _: centres, stds, 9.0, [-1] * len(made))
    low, high = first_cells(windows, list(range(len(made))), -1)
    which = data.draw(st.integers(0, len(made) - 1))
    inside = torch.tensor([data.draw(st.floats(-8.9, 8.9)) for _ in range(dim)], dtype=torch.float64)
    place = centres[which] + inside * stds[which]
    holds = ((low <= place) & (place < high)).all(dim=1)
    assert int(holds.sum()) == 1
    assert bool((high[holds] - low[holds] <= 3 * stds[which]).all())
