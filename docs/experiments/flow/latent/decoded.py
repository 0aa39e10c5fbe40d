"""Drawing in latents: what the ways give is decoded, and the ε twin is drawn by the solvers of flows.

Only γ = α²/σ² counts for a deterministic step (F1), so `x_t/(α_t + σ_t)` of any schedule is a flow's point at the time `σ_t/(α_t + σ_t)`. The ε twin
starts at Stable Diffusion's first timestep, where α is not 0: from noise alone, from an average image, or from one with its spread (C7).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from docs.experiments.flow.draw import Flows, Moments, Spread
from docs.experiments.flow.latent.space import Space
from docs.experiments.flow.model import TRAIN_STEPS
from docs.experiments.flow.solvers import SOLVERS
from docs.experiments.flow.ways import Way
from docs.experiments.model.draw import Drawer, states_of
from singtheory import formula


class Decoded(Flows):
    """A flow in latents whose ways give pictures.

    Args:
        drawer: of the network.
        moments: of the latents.
        space: that decodes.
    """

    def __init__(self, drawer: Drawer, moments: Moments, space: Space) -> None:
        super().__init__(drawer, None, moments)
        self.space = space

    def __call__(
        self, way: Way, x_1: Tensor, prompts: Sequence[str], guidance: float, evaluations: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Pictures in [−1, 1] from noise of the latents' size."""
        latents, record = super().__call__(way, x_1, prompts, guidance, evaluations)
        return self.space.decode(latents).clamp(-1, 1), record


class Twin(Decoded):
    """The ε twin. Its mean is the first output of the flow for the same prompt.

    Args:
        drawer: of the ε network.
        flow: of the flow's network, or another that tells a mean.
        moments: of the latents.
        space: that decodes.
    """

    def __init__(self, drawer: Drawer, flow: Drawer, moments: Moments, space: Space) -> None:
        super().__init__(drawer, moments, space)
        self.flow = flow
        alphas, sigmas = drawer.model.alphas_sigmas()
        self.levels = torch.stack([alphas, sigmas], dim=1).double()

    def timesteps(self, steps: int) -> list[int]:
        """DDIM's leading ones, decreasing."""
        every = len(self.levels) // steps
        return [k * every + 1 for k in reversed(range(steps))]

    def grid(self, way: Way, evaluations: int) -> list[float]:
        """Times of a flow with the same γ as the timesteps, and 0."""
        pairs = self.levels[self.timesteps(evaluations)]
        return [*(pairs[:, 1] / pairs.sum(dim=1)).tolist(), 0.0]

    @torch.no_grad()
    def _drawn(
        self, way: Way, x_1: Tensor, prompts: Sequence[str], guidance: float, evaluations: int
    ) -> tuple[Tensor, dict[str, float]]:
        states, empty = states_of(self.drawer, prompts, guidance)
        grid = self.grid(way, evaluations)
        mean = torch.zeros_like(x_1) if way.zero else self.mean(x_1, prompts)
        spread = None if way.spread == "none" else Spread(self.moments.basis[: way.rank], self.moments.var[: way.rank])

        def after(x: Tensor, t: float, s: float) -> Tensor:
            if way.corrected == "no" or spread is None or s == 0:
                return x
            return x + spread.excess(x - (1 - s) * mean, t, s)

        timesteps = self.timesteps(evaluations)
        start = self.started(x_1, mean, spread, timesteps[0], way.zero)
        denoise = self._denoiser(dict(zip(grid, timesteps, strict=False)), states, empty, guidance)
        asked = evaluations + (0 if way.zero else 1)
        return SOLVERS[way.solver](start, grid, denoise, after), {"evaluations": float(asked)}

    def mean(self, x_1: Tensor, prompts: Sequence[str]) -> Tensor:
        """x̂ of the flow at t = 1."""
        return x_1 - self.flow.predict(x_1, TRAIN_STEPS, self.flow.encode(prompts))

    def started(self, x_1: Tensor, mean: Tensor, spread: Spread | None, timestep: int, plain: bool) -> Tensor:
        """The first point as a flow's: unit noise as it is where nothing is known of the data, else `α m + σ x_1` and the widening of C7."""
        alpha, sigma = self.levels[timestep].tolist()
        if plain:
            return x_1 / (alpha + sigma)
        x = alpha * mean + sigma * x_1
        if spread is not None:
            x = x + spread.along(x_1, formula.marginal_var(alpha, sigma, spread.var).sqrt() - sigma)
        return x / (alpha + sigma)

    def _denoiser(
        self, timesteps: dict[float, int], states: Tensor, empty: Tensor | None, guidance: float
    ) -> Callable[[Tensor, float], Tensor]:
        def denoise(x: Tensor, t: float) -> Tensor:
            step = timesteps[t]
            alpha, sigma = self.levels[step].tolist()
            seen = (alpha + sigma) * x
            noise = self.drawer.predict(seen, step, states)
            if empty is not None:
                without = self.drawer.predict(seen, step, empty)
                noise = without + guidance * (noise - without)
            return formula.denoiser_of_epsilon(noise, seen, alpha, sigma)

        return denoise
