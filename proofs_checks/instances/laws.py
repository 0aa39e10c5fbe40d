"""The small named laws that the checks and the false twins are decided on."""

from singtheory import Atoms, GaussianMixture

GOLDEN = Atoms([[-1.3], [0.2], [1.1]], [0.2, 0.5, 0.3])
"""The law of the golden values (docs/derivations/b.md#golden-values)."""

SIGNS = Atoms([[-1.0], [1.0]])
"""±1 with equal weights."""

NINE_TO_ONE = Atoms([[-1.0], [1.0]], [0.9, 0.1])
"""±1 with weights 0.9 and 0.1: skewed, so that leading orders are no bounds."""

TRI = Atoms([[0.0, 0.0], [1.0, 0.2], [-0.3, 1.4]], [0.2, 0.5, 0.3])
"""Three atoms in the plane: tells traces from norms, which coincide on a line."""

TRIANGLE = Atoms([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
"""The equilateral triangle of side 1, where the trace bound of B3 is attained."""

BUMPS = GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.05]], [[0.2]]])
"""Two Gaussian bumps on a line: a smooth law."""

TOYS = {"golden": GOLDEN, "triangle of atoms": TRI, "two bumps": BUMPS}
"""The three toy mixtures of a run."""
