"""Laws of the data and their exact posteriors."""

from singtheory.law.checks import Array
from singtheory.law.gaussian_posterior import GaussianPosterior, MixturePosterior
from singtheory.law.gaussians import Gaussian, GaussianMixture
from singtheory.law.laws import Atoms, Law, LineParts
from singtheory.law.posterior import AtomsPosterior, Parts, Posterior
from singtheory.law.span import Span, in_span

__all__ = [
    "Array",
    "Atoms",
    "AtomsPosterior",
    "Gaussian",
    "GaussianMixture",
    "GaussianPosterior",
    "Law",
    "LineParts",
    "MixturePosterior",
    "Parts",
    "Posterior",
    "Span",
    "in_span",
]
