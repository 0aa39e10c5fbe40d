"""Laws of the data and their exact posteriors."""

from singtheory.law.gaussian_posterior import GaussianPosterior, MixturePosterior
from singtheory.law.laws import Array, Atoms, Gaussian, GaussianMixture, Law
from singtheory.law.posterior import AtomsPosterior, Posterior
from singtheory.law.span import Span, in_span

__all__ = [
    "Array",
    "Atoms",
    "AtomsPosterior",
    "Gaussian",
    "GaussianMixture",
    "GaussianPosterior",
    "Law",
    "MixturePosterior",
    "Posterior",
    "Span",
    "in_span",
]
