"""The production side of the toolkit: sampler, trainer, evaluator and diagnosis on diffusers.

Empty in this release but for its version: the mathematics is in `singtheory`, the checked claims are in
`proofs_checks`. Later releases add the singular initial step for diffusers pipelines, the training and
evaluation of average-image models, and the diagnosis of a pipeline's start.
"""

from importlib.metadata import version

__version__ = version("singdiffusion")
