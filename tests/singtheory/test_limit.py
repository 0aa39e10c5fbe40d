"""The limits at both ends, query by query: D1, D3, D4."""

import torch

from singtheory import Atoms, GaussianMixture, limit


def test_nearest_weights_are_per_query():
    law = Atoms([[-1.0], [0.5], [2.0]], [0.5, 0.3, 0.2])
    x_t, alpha, sigma = torch.tensor([[-0.6], [0.4], [1.9]], dtype=torch.float64), torch.tensor(0.9), torch.tensor(0.4)
    found = limit.nearest_atom_weight(law, x_t, alpha, sigma)
    expected = law.posterior(x_t / sigma, (alpha / sigma) ** 2).weights.amax(dim=1)
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-6, atol=0)


def test_score_of_a_mixture_is_that_of_its_density():
    law = GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.05]], [[0.2]]])
    x, step = torch.tensor([[0.1], [-0.9], [1.4]], dtype=torch.float64), 1e-5

    def log_density(at):
        parts = torch.stack([part.log_prob(at) for part in law.components], dim=-1)
        return torch.logsumexp(parts + law.weights.log(), dim=-1)

    expected = (log_density(x + step) - log_density(x - step)) / (2 * step)
    torch.testing.assert_close(limit.data_score(law, x)[:, 0], expected, rtol=1e-7, atol=1e-7)
