"""What the formal theorems cover of each statement, in words, and what they leave out.

`whole` means every part of the statement; where it is about laws, for all finite laws (any number of points, any weights, any dimension),
since a law here is a finite list of weighted points. Where a statement speaks of eigenvectors, coordinates are along them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Coverage:
    """What is proved of one statement.

    Attributes:
        covers: what the theorems say.
        whole: whether that is all of the statement.
        laws: whether the theorems are about all finite laws in all dimensions.
        missing: what they leave out.
    """

    covers: str
    whole: bool = False
    laws: bool = False
    missing: str = ""


COVERAGE: dict[str, Coverage] = {
    "A1": Coverage("both identities, for all real numbers with α ≠ 0", whole=True),
    "A2": Coverage("Bayes' rule as an identity of densities in R^d, and its degenerate end σ_s = 0", whole=True),
    "A3": Coverage(
        "the identity; the kernel's density over the plug-in's in u, so that every divergence depends on g alone; W₂'s factor c",
        whole=True,
        laws=True,
    ),
    "A4": Coverage(
        "the kernel by Bayes' rule is the mixture of bridges, as densities in R^d; the coordinate u",
        whole=True,
        laws=True,
    ),
    "A5": Coverage("coefficients, and the kernel as a density, whatever x_1", whole=True, laws=True),
    "B1": Coverage("the closed form of the integral over R^d", whole=True, laws=True),
    "B2": Coverage("both bounds, and that the first is twice the truth as g → 0", whole=True, laws=True),
    "B3": Coverage(
        "KL ≤ ½ g tr C; all three bounds on TV, the first with the exact TV of two unit Gaussians; tr C ≤ D²k/(2(k+1)), k = min(d, n−1), for n points",
        whole=True,
        laws=True,
    ),
    "B4": Coverage(
        "the integral and the rate, with mmse the mean of the posterior's own trace, and that the posterior at s is Bayes' of that at t",
        whole=True,
        laws=True,
    ),
    "B5": Coverage("the equality, and that KL(P‖M) is not negative", whole=True, laws=True),
    "B6": Coverage(
        "the leading order of KL(P‖Q), with a rest of O(g³); that KL is half of χ² to this order",
        laws=True,
        missing="the coefficient of g³, KL(P‖M) and TV",
    ),
    "B7": Coverage("the least KL among all isotropic Gaussians of any mean, and the gain", whole=True, laws=True),
    "B8": Coverage("one step with a wrong denoiser", laws=True, missing="the chain of steps and the last step"),
    "B9": Coverage("both bounds", whole=True, laws=True),
    "B10": Coverage(
        "every β and every symmetric S > −I, in coordinates along its eigenvectors; the S that is run is one of these",
        whole=True,
        laws=True,
    ),
    "B11": Coverage(
        "the integral, and that the mean of tr C falls at the mean of ‖C‖_F²",
        laws=True,
        missing="the two bounds by the diameter",
    ),
    "B12": Coverage(
        "the interval and the exact value on a line, the lower bound along a direction, and the least of the four upper bounds",
        whole=True,
        laws=True,
    ),
    "C1": Coverage(
        "the explicit remainder at every α, so O(α²) uniformly for x in a ball; the limit on every schedule",
        whole=True,
        laws=True,
    ),
    "C2": Coverage("values at the end, limits on every schedule, and what errors become", whole=True, laws=True),
    "C3": Coverage(
        "the limit on every schedule, the form in VP, both orders for α = (1−t)^p, and that what they are below can be integrated",
        whole=True,
        laws=True,
    ),
    "C4": Coverage(
        "coefficients, the integral for α that is piecewise continuously differentiable, its divergence, the start's mean and variance, the regular kernel",
        whole=True,
    ),
    "C5": Coverage(
        "the bound, the leading order, that no constant below ½ serves all laws, the divergence of Gaussian data as an integral and its slack",
        whole=True,
        laws=True,
    ),
    "C6": Coverage("both gains, and the negative example", whole=True, laws=True),
    "C7": Coverage(
        "the flow as a differential equation, ends of time and λ = 0 included; the three starts; brightness", whole=True
    ),
    "C8": Coverage(
        "in R^d: the rule, both bounds, where they are attained, the plain rule's growth, where the rule is exact",
        whole=True,
    ),
    "C9": Coverage(
        "the excess of every predictor that is smooth of exponential growth, the best constant, what samples gain, R² at Stable Diffusion's end",
        whole=True,
        laws=True,
    ),
    "D1": Coverage(
        "weights, the denoiser's distance, the limit where the nearest point is unique, ties on three paths",
        whole=True,
        laws=True,
    ),
    "D2": Coverage(
        "Tweedie's formula, the divergence with its remainder, ties, the mean square", whole=True, laws=True
    ),
    "D3": Coverage(
        "the kernel at s = 0 against every Gaussian, by the variational forms of TV and KL; the lower bound for every Gaussian on the way, with the product "
        "of 1 + gC_kk along its axes for the determinant; its divergence, the meeting at a rate; both distances W₂",
        laws=True,
        missing="Hadamard's inequality, that this product is at least the determinant, for Gaussians whose axes are not the covariance's",
    ),
    "D4": Coverage(
        "the normal score of data on a subspace; its value on it in VP and rectified flow",
        laws=True,
        missing="smooth densities, edges",
    ),
    "D5": Coverage(
        "coefficients, both drifts, what flow and SDE keep near an atom, the divergence of the rate integral",
        missing="the powers of t in σ",
    ),
    "D6": Coverage("Gaussian data; where the denoiser is an atom; at the atom", missing="smooth densities; ties"),
    "E1": Coverage("all of it, Euler's rule by true derivatives in every chart", whole=True),
    "E2": Coverage("the recursion, and the grid of Gaussian data with its cost", missing="the cost for many steps"),
    "F1": Coverage("a step, a grid, no gain, that only γ enters; ends of time included", whole=True),
    "F2": Coverage("the first step, what it keeps, and what a noise start keeps", whole=True),
    "F3": Coverage("the mirror of angles and of grids, and the shift", whole=True),
    "F4": Coverage(
        "the last step: mmse is the cost of a coupling, and what every coupling costs once the step is divided by its cosine",
        laws=True,
        missing="the first step's γ³ (B6), that mmse is exponentially small, more than one dimension",
    ),
    "F5": Coverage(
        "the integral, what matching any choice of directions takes away, the affine flow of Gaussian data",
        laws=True,
        missing="that the flow of other data keeps KL",
    ),
    "F6": Coverage(
        "the shift, the eigenvalues of enlarged pictures of any law, the limit of the matched sampler",
        whole=True,
        laws=True,
    ),
    "F7": Coverage(
        "what zero-init costs against a mean start from any estimate, and that a right mean may lose",
        whole=True,
        laws=True,
    ),
    "F8": Coverage("one eigenvalue: equal angles are the best of all grids", missing="several eigenvalues"),
    "F9": Coverage("a step's variance, the recursion, and what one step misses at η = 1", whole=True),
    "F10": Coverage(
        "any rule that is linear in all states before it, in the denoiser's answers and in the noises", whole=True
    ),
    "F11": Coverage(
        "the variance that a step keeps, that Gaussian data keep the least, that finite laws with a spread keep more, both bounds of W₂, "
        "where the lower one is attained",
        laws=True,
        missing="for η > 0 the law of the coupling's end, of which the moment generating function is given",
    ),
    "Golden": Coverage("KL at three gaps to 1e-8 with tails, χ² exactly", whole=True),
}
