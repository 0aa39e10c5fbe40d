"""A diagnosis of a flow in plain sentences, and the lines that mend what it finds."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from singdiffusion.evaluation.diagnose_flow import TOKENS, FlowDiagnosis
from singdiffusion.evaluation.diagnosis import Diagnosis

NARROWED = 0.9
"""Below this share of the data's spread the advice is a matched start."""
ATTACH = [
    "# singdiffusion calibrate --base PATH_OR_ID --prompts prompts.txt --out spread",
    "from singdiffusion import SingDiffusion",
    'SingDiffusion.from_pretrained("spread").attach(pipe)',
]
"""Lines for those who gave no data: `calibrate` needs the model alone."""


@dataclass
class Finding:
    """One thing that was found.

    Attributes:
        sentence: what.
        code: the lines that mend it, with `pipe` for the pipeline; empty where nothing is to mend.
    """

    sentence: str
    code: list[str] = field(default_factory=list)


def flow_findings(diagnosis: Diagnosis, flow: FlowDiagnosis) -> Iterator[Finding]:
    """What to tell of a flow, the gravest first."""
    if flow.sigma < 0.99:
        yield Finding(
            f"The grid starts at sigma {flow.sigma:.3g}, where noise lacks {1 - flow.sigma:.3g} of the average image: "
            "an attached module mends that start."
        )
    else:
        yield Finding("Flow matching starts at alpha = 0, where noise is the right start: there is no gap.")
    yield Finding(_grid(flow))
    if flow.learned:
        yield Finding(
            "This model is distilled for a few steps: such models have learned their steps, and nothing is advised."
        )
        return
    if diagnosis.expected is None or not diagnosis.expected.arrivals:  # else the bands of the data say it
        yield _kept(diagnosis, flow)


def _grid(flow: FlowDiagnosis) -> str:
    configured = "no shift" if flow.configured_shift is None else f"shift {flow.configured_shift:.3g}"
    if flow.mu is not None:
        configured = f"a shift by the number of tokens, mu {flow.mu:.3g} at {TOKENS}"
    effect = "" if flow.shift is None else f"; in effect the first step goes as with shift {flow.shift:.3g}"
    snr = "" if flow.snr_s is None else f", SNR {flow.snr_s:.3g}"
    return f"The config has {configured}{effect}: from sigma {flow.sigma:.4g} to {flow.sigma_s:.3g}{snr}."


def _kept(diagnosis: Diagnosis, flow: FlowDiagnosis) -> Finding:
    """What is kept of the brightness where data were given, and else of the largest eigenvalue."""
    named = f"a direction of variance {flow.eigenvalues[0]:g}" if flow.reading is None else flow.reading
    parts = [f"{option.name} {option.end[0]:.0%}" for option in flow.options[1:]]
    sentence = (
        f"Of the spread of {named} the first step keeps {flow.now.first[0]:.0%} and all {flow.now.steps} keep {flow.now.end[0]:.0%}; "
        f"{', '.join(parts)}."
    )
    if diagnosis.reading is None:
        sentence += " For what your own pictures keep, give --data."
    return Finding(sentence, ATTACH if flow.now.end[0] < NARROWED else [])
