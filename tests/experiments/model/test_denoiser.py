"""The ladder's models: stored as pipelines of diffusers, drawn in batches as those draw, and right in what they predict."""

import pytest
import torch

from docs.experiments.data.captioned import Captioned
from docs.experiments.flow.model import flow_loss
from docs.experiments.ladder.starts import STARTS, Starts
from docs.experiments.metric.curves import exact_mean
from docs.experiments.model.averages import table_of
from docs.experiments.model.denoiser import PREDICTIONS, Denoiser, Sizes, scheduler_config
from docs.experiments.model.draw import SAMPLERS, Drawer, sampler
from docs.experiments.model.fit import Fit, denoising_loss
from singdiffusion.start.pipeline import SingDiffusion
from singtheory import Atoms, InputError

LITTLE = Sizes((8, 16), (1, 1), 4, 64)
CAPTIONS = ["black", "white", "either"]


@pytest.fixture(scope="module")
def data():
    levels = torch.tensor([0, 255, 0, 255, 30, 220]).to(torch.uint8)
    noise = torch.randint(0, 20, (6, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    images = torch.where(levels[:, None, None, None] < 128, noise, 255 - noise)
    return Captioned.of(images, ["black", "white", "either", "either", "black", "white"])


@pytest.fixture(scope="module")
def model(data):
    return Denoiser.new(data, LITTLE)


def test_stored_as_a_pipeline_and_loaded_again(model, tmp_path):
    model.save(tmp_path / "model", "a card")
    again = Denoiser.load(tmp_path / "model")
    assert again.prediction == "epsilon" and not again.zero_snr
    assert (tmp_path / "model" / "README.md").read_text() == "a card"
    for name, value in model.unet.state_dict().items():
        torch.testing.assert_close(again.unet.state_dict()[name], value.half().float())
    assert torch.equal(again.ids(CAPTIONS), model.ids(CAPTIONS))
    with pytest.raises(InputError, match="holds no pipeline"):
        Denoiser.load(tmp_path)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("start", ["noise", "mean closed", "matched closed"])
def test_drawn_as_the_pipeline_draws(model, data, name, start):
    drawer, table = Drawer(model, "cpu", batch=2), table_of(data, CAPTIONS, 1)
    starts, scheduler = Starts(table, table, table, drawer.encode), sampler(model, name, 3)
    x_1 = torch.randn(2, *data.size, generator=torch.Generator().manual_seed(3))
    ours = drawer(starts(start, scheduler, x_1, ["either"] * 2, 3.0), ["either"] * 2, 3.0, name, 3)
    pipe, sing = model.pipeline(), SingDiffusion(table, start="mean" if start == "mean closed" else "matched")
    kind, options = SAMPLERS[name]
    pipe.scheduler = kind.from_config(scheduler_config() | options)
    if start != "noise":
        sing.attach(pipe)
    theirs = pipe(
        "either",
        num_images_per_prompt=2,
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(3),
        output_type="latent",
    ).images
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_guidance_is_each_samples_own(model, data):
    drawer = Drawer(model, "cpu", batch=4)
    x = torch.randn(3, *data.size, generator=torch.Generator().manual_seed(0))
    together = drawer(x, CAPTIONS, torch.tensor([1.0, 3.0, 7.5]), steps=2)
    apart = [drawer(x[k : k + 1], CAPTIONS[k : k + 1], w, steps=2) for k, w in enumerate((1.0, 3.0, 7.5))]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-4, atol=1e-4)


def test_starts_have_the_moments_that_they_promise(model, data):
    drawer, table = Drawer(model, "cpu"), table_of(data, CAPTIONS, 1)
    starts, scheduler = Starts(table, table, table, drawer.encode), sampler(model)
    n, generator = 4000, torch.Generator().manual_seed(0)
    x_1 = torch.randn(n, *data.size, generator=generator)
    rows = data.rows("either")
    x_0 = data.x_0(rows[torch.randint(len(rows), (n,), generator=generator)])
    spread = {}
    for name in set(STARTS) - {"mean", "matched"}:  # which read token states, as no table does
        x = starts(name, scheduler, x_1, ["either"] * n, 1.0, x_0=x_0)
        spread[name] = float(x.flatten(1).mean(dim=1).std() * 768**0.5)
    assert spread["noise"] == pytest.approx(1.0, rel=0.05)
    assert spread["mean closed"] == pytest.approx(0.997, rel=0.05)
    assert spread["matched closed"] == pytest.approx(spread["exact"], rel=0.05)
    assert spread["exact"] > 1.9


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_what_a_network_should_give_gives_the_picture_back(data, prediction):
    model = Denoiser.new(data, LITTLE, prediction)
    x_0, noise = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    alpha, sigma = torch.tensor(0.6), torch.tensor(0.8)
    target = model.target(x_0, noise, alpha, sigma)
    torch.testing.assert_close(model.denoised(alpha * x_0 + sigma * noise, target, alpha, sigma), x_0)


def test_the_exact_denoiser_is_the_laws():
    points = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x_t = torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    alpha, sigma = 0.8, 0.6
    expected = Atoms(points).posterior(x_t / sigma, (alpha / sigma) ** 2).mean
    torch.testing.assert_close(exact_mean(points, x_t, alpha, sigma), expected)


class Compiled(torch.nn.Module):
    """Has a length that cannot be told and so no truth value, as what `torch.compile` gives."""

    def __init__(self, unet):
        super().__init__()
        self.unet, self.calls = unet, 0

    def __len__(self):
        raise TypeError("no length")

    def forward(self, *arguments):
        self.calls += 1
        return self.unet(*arguments)


@pytest.mark.parametrize("loss_of", [denoising_loss, flow_loss])
def test_a_compiled_network_is_called_in_the_place_of_the_plain_one(data, model, loss_of):
    called = Compiled(model.unet)
    losses = []
    for unet in (None, called):
        torch.manual_seed(0)
        losses.append(float(loss_of(model, data, "cpu", 2, unet=unet)().detach()))
    assert called.calls == 1 and losses[0] == losses[1]


def test_training_lowers_the_loss_and_stops_at_its_marks(data):
    model = Denoiser.new(data, LITTLE)
    torch.manual_seed(0)
    fit = Fit(
        denoising_loss(model, data, "cpu", 6), [*model.unet.parameters(), *model.text.parameters()], "cpu", 5e-3, 0.9
    )
    seen = []
    for number in fit.run(600, steps=24, marks=(0.25, 0.5)):
        seen.append((number, model.unet.conv_in.weight.detach().clone()))
    assert [number for number, _ in seen] == [0, 1, 2] and fit.log[-1].step == 24
    assert not torch.equal(seen[0][1], seen[2][1])
    assert not torch.equal(seen[2][1], model.unet.conv_in.weight)  # the averaged weights are gone again
    torch.manual_seed(0)
    fresh = Denoiser.new(data, LITTLE)
    before, after = (float(denoising_loss(one, data, "cpu", 256)().detach()) for one in (fresh, model))
    assert after < 0.95 * before
