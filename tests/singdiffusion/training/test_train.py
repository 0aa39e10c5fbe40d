"""Steps of training: what each does to the weights, and that the networks reach the closed form."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from safetensors.torch import load_file

from singdiffusion.training import snapshot
from singdiffusion.training.diagnostics import frequent, measure
from singdiffusion.training.settings import TrainSettings
from singdiffusion.training.train import NotFiniteError, learning_rate
from tests.singdiffusion.support.runs import CONVERGENCE, Dying, settings, trainer, weights


def test_accumulated_parts_are_the_whole_batch(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path / "a"))
    parts = trainer(settings(digits_cache, tmp_path / "b", accumulate=4))
    for _ in range(3):
        one.take(one.data[one.step])
        parts.take(parts.data[parts.step])
    assert float((weights(one) - weights(parts)).norm() / weights(one).norm()) < 1e-5


def test_learning_rate_rises_and_falls(tmp_path):
    chosen = TrainSettings("c", "o", steps=100, warmup=9, lr=1.0)
    rates = [learning_rate(chosen, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(rates[9]) and rates[99] < 1e-3
    assert learning_rate(replace(chosen, schedule="constant"), 99) == 1.0


def test_the_average_follows_and_is_what_is_kept(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path / "a", ema=0.5, lr=0.1, warmup=0))  # a step that is seen
    first = [parameter.detach().clone() for parameter in one.network.parameters()]
    one.take(one.data[0])
    decay = min(0.5, 1 / 10)
    for average, before, now in zip(one.ema.average, first, one.network.parameters(), strict=True):
        torch.testing.assert_close(average, decay * before + (1 - decay) * now.detach())
    kept = [average.clone() for average in one.ema.average]
    with one.ema.swapped():
        assert all(torch.equal(a, b) for a, b in zip(kept, one.network.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, one.ema.average, strict=True))


def test_the_spread_leaves_the_mean_as_it_is(digits_cache, tmp_path):
    """The same mean with a spread of four times the frequencies, whatever the clipping."""
    few, many = (trainer(settings(digits_cache, tmp_path, frequencies=f, clip=0.01)) for f in (1, 4))
    shared = {name for name, _ in few.network.named_parameters() if not name.startswith("spread.")}
    many.network.load_state_dict({n: v for n, v in few.network.state_dict().items() if n in shared}, strict=False)
    for one in (few, many):
        for _ in range(5):
            one.take(one.data[one.step])
    mine, other = few.network.state_dict(), many.network.state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in shared)


def test_gradients_of_mean_and_spread_are_clipped_each(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path, clip=0.01, noise=0.0))
    one.take(one.data[0])
    gradients = {name: parameter.grad.flatten() for name, parameter in one.network.named_parameters()}
    for of_spread in (True, False):
        part = torch.cat([value for name, value in gradients.items() if name.startswith("spread.") == of_spread])
        assert float(part.norm()) == pytest.approx(0.01, rel=1e-3)


def test_the_spread_is_judged_and_built_as_asked(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path, noise=3.0, spread_width=24, spread_layers=2))
    assert one.objective.noise == 3.0
    assert [part.out_features for part in one.network.spread.head if isinstance(part, torch.nn.Linear)][:2] == [24, 24]


def test_the_directions_are_principal_components_of_the_data(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path))
    x_0 = one.data.cache.x_0(torch.arange(len(one.data.cache)))
    cov = torch.cov(torch.einsum("nchw,kchw->kn", x_0, one.network.spread.basis(*x_0.shape[2:])).double())
    assert float((cov - cov.diag().diag()).abs().max()) < 1e-5 * float(cov[0, 0])
    assert torch.equal(cov.diag().argsort(descending=True), torch.arange(len(cov)))


def test_weights_decay_apart_from_the_gradient(digits_cache, tmp_path):
    plain, decaying = (trainer(settings(digits_cache, tmp_path, weight_decay=decay)) for decay in (0.0, 0.5))
    first = [parameter.detach().clone() for parameter in plain.network.parameters()]
    for one in (plain, decaying):
        one.take(one.data[0])
    lr = learning_rate(plain.settings, 0)
    for before, a, b in zip(first, plain.network.parameters(), decaying.network.parameters(), strict=True):
        torch.testing.assert_close(b.detach(), a.detach() - lr * 0.5 * before)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_precision_and_compile(digits_cache, tmp_path, precision, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # no C++ compiler is needed then
    chosen = settings(
        digits_cache, tmp_path / "o", precision=precision, compile=precision == "no", channels_last=True, steps=2
    )
    one = trainer(chosen)
    one.fit()
    assert all(parameter.dtype == torch.float32 for parameter in one.network.parameters())
    assert bool(torch.isfinite(weights(one)).all())


def test_weights_that_are_lost_do_not_become_a_checkpoint(digits_cache, tmp_path):
    """As a gradient that overflows leaves them: the loss of the step was finite."""
    one = trainer(settings(digits_cache, tmp_path))
    save, poisoned = one.take, []

    def take(batch):
        losses = save(batch)
        if one.step == 8:
            with torch.no_grad():
                poisoned.append(next(one.network.parameters()).fill_(torch.inf))
        return losses

    one.take = take
    with pytest.raises(NotFiniteError, match="step 8: weights are not finite"):
        one.fit()
    assert poisoned and snapshot.Snapshot.latest(tmp_path).step == 4


def test_what_comes_after_a_step_does_not_cost_its_checkpoint(digits_cache, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trainer(settings(digits_cache, tmp_path)).fit(Dying(4))
    assert snapshot.Snapshot.latest(tmp_path).step == 4


def poisoned(step):
    """Spoils the weights after a step."""

    def after(one, _):
        if one.step == step:
            with torch.no_grad():
                next(one.network.parameters()).fill_(torch.nan)

    return after


def test_a_loss_that_is_not_finite_stops_with_its_batch(digits_cache, tmp_path):
    one = trainer(settings(digits_cache, tmp_path))
    with pytest.raises(NotFiniteError, match="step 6: the loss is not finite"):
        one.fit(poisoned(6))
    batch = load_file(tmp_path / "bad-batch-00000006-0.safetensors")
    assert torch.equal(batch["x_0"], one.data[6].x_0) and torch.equal(batch["x_1"], one.data[6].x_1)
    assert snapshot.Snapshot.latest(tmp_path).step == 4


def test_nothing_is_drawn_after_a_loss_that_is_not_finite(digits_cache, tmp_path):
    def after(one, losses):
        assert one.step < 7
        poisoned(6)(one, losses)

    with pytest.raises(NotFiniteError, match="step 6: the loss"):
        trainer(settings(digits_cache, tmp_path, validate_every=7)).fit(after)


def test_a_loss_that_is_not_finite_is_told_wherever_its_batch_goes(digits_cache, tmp_path):
    """Into a folder that is not there yet, and into none that can be made."""
    with pytest.raises(NotFiniteError, match="its batch is in"):
        trainer(settings(digits_cache, tmp_path / "new" / "o")).fit(poisoned(1))
    assert (tmp_path / "new" / "o" / "bad-batch-00000001-0.safetensors").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(
        NotFiniteError, match=r"step 1: the loss is not finite; .* its batch is lost, .*cannot be written"
    ):
        trainer(settings(digits_cache, tmp_path / "file" / "o")).fit(poisoned(1))


def test_gradients_of_float16_are_unscaled_once(digits_cache, tmp_path):
    """With the scaler that float16 has on a GPU, mean and spread clipped apart: the step that is taken without."""
    plain, scaled = (trainer(settings(digits_cache, tmp_path, clip=0.01)) for _ in range(2))
    scaled.accelerator.scaler = torch.amp.GradScaler("cpu")
    scaled.accelerator.native_amp, scaled.accelerator.state._mixed_precision = True, "fp16"
    scaled.optimizer = AcceleratedOptimizer(scaled.optimizer.optimizer, scaler=scaled.accelerator.scaler)
    scaled.accelerator._optimizers = [scaled.optimizer]
    for _ in range(3):
        for one in (plain, scaled):
            one.take(one.data[one.step])
    assert float((weights(plain) - weights(scaled)).norm() / weights(plain).norm()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("model", "other"), CONVERGENCE)
def test_conditional_models_reach_the_class_means(digits_cache, tmp_path, model, other):
    chosen = settings(digits_cache, tmp_path, model=model, batch=64, save_every=10_000, **other)
    one = trainer(chosen)
    early = measure(one.network.eval(), one.data, frequent(one.data.cache))
    one.network.train()
    one.fit()
    with one.ema.swapped():
        actual = measure(one.network.eval(), one.data, frequent(one.data.cache))
    assert actual.distance <= 0.02 < early.distance
    assert actual.dependence <= 0.03
