"""Data in their own units: only the points that have weight say how large they are, and whether they vary."""

import numpy as np
import pytest

from proofs_checks.instances.own_units import check_varied, in_own_units
from singtheory import InputError
from singtheory import data as loaders


def loaded(folder, points, weights):
    np.savez(folder / "p.npz", points=np.array(points), weights=np.array(weights))
    return loaders.load(str(folder / "p.npz"))


def test_points_without_weight_neither_vary_nor_are_large(tmp_path):
    with pytest.raises(InputError, match="all points are equal"):
        check_varied(loaded(tmp_path, [[0.0, 1.0], [1.0, 2.0], [5.0, 5.0]], [0.0, 1.0, 0.0]))
    data = loaded(tmp_path, [[0.0, 1.0], [1.0, 2.0], [1e9, 5.0]], [0.5, 0.5, 0.0])
    assert check_varied(data).tolist() == [[0.0, 1.0], [1.0, 2.0]]
    assert in_own_units(data)[1] == 1.0
