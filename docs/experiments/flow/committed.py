"""The committed models of the flow demonstrator, laid out as `train` leaves them, for a second run without training."""

from pathlib import Path

from docs.experiments.script.result import RESULTS
from singdiffusion.flow_demonstrator import AVERAGE, PIPELINE

FOLDER = RESULTS / "flow"
"""The folder of the committed results."""
CLASSIFIER = FOLDER / "classifier.safetensors"
"""The classifier by which adherence and the classifier's features were measured (CC BY-SA 4.0, trained on the same pictures)."""


def committed(into: Path) -> Path:
    """The folder itself, with links to the models by the names that `measure` reads; folders stand for tars."""
    for name, source in {"flow.tar": PIPELINE, "average.tar": AVERAGE, CLASSIFIER.name: CLASSIFIER}.items():
        (into / name).symlink_to(source)
    return into
