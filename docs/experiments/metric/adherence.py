"""Whether a picture shows what its prompt says: a small classifier of backgrounds and objects, trained on the demonstrator's data.

The background of a training picture is read from its corner, which nothing is drawn on; the object is what its caption names before
" on a … background". A tenth of the pictures is held out, by which the accuracy is stated.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from docs.experiments.data.captioned import Captioned
from docs.experiments.data.openmoji import BACKGROUNDS
from singtheory.data import HALF_RANGE

NOTHING, ANY = "nothing", "any"
"""The object of a background alone; the background of a caption that names none."""
_SHIFT, _NOISE, _HELD_OUT, _AT_ONCE = 2, 0.15, 10, 4096


def said(caption: str) -> tuple[str, str]:
    """Object and background of a caption.

    >>> said("red apple on a black background"), said("solid black background"), said("red apple")
    (('red apple', 'black'), ('nothing', 'black'), ('red apple', 'any'))
    """
    if not caption.endswith(" background"):
        return caption, ANY
    words = caption.removesuffix(" background")
    if words.startswith("solid "):
        return NOTHING, words.removeprefix("solid ")
    thing, _, background = words.rpartition(" on a ")
    return thing, background


def backgrounds(images: Tensor) -> Tensor:
    """Rows of `BACKGROUNDS`, by the corner pixel, (n,), from uint8 images (n, 3, side, side)."""
    colours = torch.tensor([list(bytes.fromhex(colour[1:])) for colour in BACKGROUNDS.values()])
    return (images[:, None, :, 0, 0].int() - colours.to(images.device)).abs().sum(dim=2).argmin(dim=1)


class Network(nn.Module):
    """Convolutions, a mean over places, and two heads.

    Args:
        objects: how many are told apart.
        width: of the first convolutions.
    """

    def __init__(self, objects: int, width: int = 32) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            for channels in (narrow, wide):
                layers += [nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.squeezed = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * widths[-1], 192), nn.ReLU())
        self.background, self.object = nn.Linear(192, len(BACKGROUNDS)), nn.Linear(192, objects)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of backgrounds and of objects, from (n, 3, side, side) in [−1, 1]."""
        features = self.squeezed(self.layers(images))
        return self.background(features), self.object(features)


@dataclass
class Classifier:
    """The network with the names of what it tells apart.

    Attributes:
        network: of it.
        objects: their names.
        accuracy: of backgrounds and of objects on what was held out.
    """

    network: Network
    objects: list[str]
    accuracy: dict[str, float] = field(default_factory=dict)

    @classmethod
    def new(cls, data: Captioned, seed: int = 0) -> Self:
        """With random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            objects = sorted({said(caption)[0] for caption in data.captions})
            return cls(Network(len(objects)), objects)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.objects)}

    def loss(self, data: Captioned, device: str, batch: int) -> Callable[[], Tensor]:
        """The loss of a batch of pictures that are moved a little and noised."""
        kept = (torch.arange(len(data)) % _HELD_OUT != 0).nonzero()[:, 0].to(device)
        images, caption = data.images.to(device), data.caption.to(device)
        objects = torch.tensor([self._row[said(caption)[0]] for caption in data.captions], device=device)
        colour, side = backgrounds(images), images.shape[-1]
        self.network.to(device).train()

        def loss() -> Tensor:
            rows = kept[torch.randint(len(kept), (batch,), device=device)]
            x = images[rows].float() / HALF_RANGE - 1
            down, right = torch.randint(2 * _SHIFT + 1, (2, batch, 1), device=device)
            wide = pad(x, (_SHIFT,) * 4, mode="replicate")
            places = torch.arange(side, device=device)
            batched = torch.arange(batch, device=device)[:, None, None]
            moved = wide.movedim(1, 3)[batched, (places + down)[:, :, None], (places + right)[:, None, :]].movedim(3, 1)
            noised = moved + _NOISE * torch.rand(batch, 1, 1, 1, device=device) * torch.randn_like(moved)
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda", cache_enabled=False):
                ground, thing = self.network(noised)
            return cross_entropy(ground.float(), colour[rows]) + cross_entropy(thing.float(), objects[caption[rows]])

        return loss

    @torch.no_grad()
    def scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the likeliest background and object, each (n,), on the CPU; images in [−1, 1]."""
        self.network.eval()
        where = next(self.network.parameters())
        logits = [self.network(some.to(where)) for some in images.split(_AT_ONCE)]
        ground, thing = (torch.cat([one[k].argmax(dim=1) for one in logits]).cpu() for k in (0, 1))
        return ground, thing

    def judge(self, data: Captioned) -> dict[str, float]:
        """Its accuracy on what was held out."""
        held = torch.arange(0, len(data), _HELD_OUT)
        ground, thing = self.scores(data.x_0(held))
        expected = torch.tensor([self._row[said(data.captions[row])[0]] for row in data.caption[held].tolist()])
        self.accuracy = {
            "background": float((ground == backgrounds(data.images[held])).double().mean()),
            "object": float((thing == expected).double().mean()),
            "held out": float(len(held)),
        }
        return self.accuracy

    def adherence(self, images: Tensor, prompt: str) -> dict[str, float]:
        """Shares of images (n, 3, side, side) in [−1, 1] whose background and object are those of a prompt; only what it names."""
        thing_said, ground_said = said(prompt)
        ground, thing = self.scores(images)
        shares: dict[str, float] = {}
        if ground_said != ANY:
            shares["background"] = float((ground == list(BACKGROUNDS).index(ground_said)).double().mean())
        if thing_said in self._row:
            shares["object"] = float((thing == self._row[thing_said]).double().mean())
        return shares

    def shares(self, images: Tensor, prompts: Sequence[str]) -> dict[str, float]:
        """Shares of images whose background and object are those of their own prompts, over the prompts that name one."""
        ground, thing = self.scores(images)
        expected = [said(prompt) for prompt in prompts]
        names = list(BACKGROUNDS)
        grounds = [int(g) == names.index(b) for g, (_, b) in zip(ground, expected, strict=True) if b != ANY]
        things = [int(t) == self._row[o] for t, (o, _) in zip(thing, expected, strict=True)]
        return {"background": sum(grounds) / max(1, len(grounds)), "object": sum(things) / len(things)}

    def save(self, path: Path) -> None:
        """Write float16 safetensors with the names in the header."""
        metadata = {"objects": json.dumps(self.objects), "accuracy": json.dumps(self.accuracy)}
        save_file({name: value.cpu().half() for name, value in self.network.state_dict().items()}, path, metadata)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote."""
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        objects: Sequence[str] = json.loads(metadata["objects"])
        network = Network(len(objects))
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        return cls(network.eval(), list(objects), json.loads(metadata["accuracy"]))
