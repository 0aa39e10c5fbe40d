"""Values that a claim shares with its twins are those that the function itself gives, and are computed once."""

import torch

from proofs_checks.instances.laws import GOLDEN, NINE_TO_ONE
from proofs_checks.measurements.shared_values import shared
from singtheory import Cosine, Law, RectifiedFlow, Schedule, limit


class _Counting:
    """A function of its own, by identity."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    def __call__(self, law: Law, schedule: Schedule, x_t: torch.Tensor, t: float) -> torch.Tensor:
        self.calls.append(t)
        return limit.score(law, schedule, x_t, t)


def test_the_same_place_is_computed_once_and_exactly():
    of, schedule = _Counting(), Cosine()
    x = torch.tensor([[0.3], [-1.7]], dtype=torch.float64)
    expected = limit.score(GOLDEN, schedule, x, 0.4)
    for t in (0.4, torch.tensor(0.4, dtype=torch.float64)):
        assert torch.equal(shared(of, GOLDEN, schedule, x.clone(), t), expected)
    assert of.calls == [0.4]


def test_whatever_differs_is_computed_again():
    of, schedule = _Counting(), Cosine()
    x = torch.tensor([[0.3], [-1.7]], dtype=torch.float64)
    places = [
        (GOLDEN, schedule, x, 0.4),
        (NINE_TO_ONE, schedule, x, 0.4),
        (GOLDEN, RectifiedFlow(), x, 0.4),
        (GOLDEN, schedule, x.nextafter(x + 1), 0.4),
        (GOLDEN, schedule, x, 0.4000000000000001),
        (GOLDEN, schedule, x[:1], 0.4),
        (GOLDEN, schedule, x.flip(0), 0.4),
    ]
    for place in places:
        assert torch.equal(shared(of, *place), limit.score(*place))
    assert len(of.calls) == len(places)
    assert shared(_Counting(), *places[0]) is not shared(of, *places[0])


def test_no_memory_is_shared_with_the_place():
    of, schedule = _Counting(), Cosine()
    x = torch.tensor([[0.3]], dtype=torch.float64)
    before = shared(of, GOLDEN, schedule, x, 0.5).clone()
    x.fill_(2.0)
    assert torch.equal(shared(of, GOLDEN, schedule, torch.tensor([[0.3]], dtype=torch.float64), 0.5), before)
