"""Draws the emoji that ship with numgan: emoji.npz and names.txt, from the SVGs of an npm package.

    npm pack @iconify-json/twemoji@1.2.5
    tar xzf iconify-json-twemoji-1.2.5.tgz
    python -m pip install numpy matplotlib resvg-py==0.5.0
    python make_emoji.py package

Run once, by hand: nothing else in numgan imports it, and only it needs resvg-py. The same package and the same resvg
give the same pixels.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np

SIDE = 64  # pixels
CATEGORIES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
)  # not Flags, nor Symbols: letters, keycaps, arrows, signs
# What differs from its neutral or first form in a detail only: skin, gender, who is in the family, which way it goes.
VARIANTS = ("-skin-tone", "-facing-right", "-oclock", "-thirty")
GENDERED = ("man-", "woman-", "men-", "women-", "family-", "deaf-", "couple-with-heart-", "kiss-man", "kiss-woman")
LEAST_DISTANCE = 12.0  # root mean square over all pixels, of 255: closer pictures, or closer mirror images, are one


def main(package: str) -> None:
    """Write the two files beside this script, from the directory of the unpacked npm package."""
    icons = json.loads(Path(package, "icons.json").read_text(encoding="utf-8"))
    categories = json.loads(Path(package, "metadata.json").read_text(encoding="utf-8"))["categories"]
    names, pictures = [], []
    for category in CATEGORIES:
        for name in categories[category]:  # in alphabetical order
            if any(part in name for part in VARIANTS) or name.startswith(GENDERED):
                continue
            picture = draw(icons, name)
            twin = nearest(picture, pictures)
            if twin is not None:
                print(f"left out: {name}, much like {names[twin]}")
                continue
            names.append(name.replace("-", " "))
            pictures.append(picture)
    here = Path(__file__).parent
    np.savez_compressed(here / "emoji.npz", images=np.array(pictures))
    (here / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    print(f"{len(names)} pictures")


def draw(icons: dict, name: str) -> np.ndarray:
    """One icon on white, uint8 (3, 64, 64)."""
    import resvg_py
    from matplotlib.image import imread

    icon = icons["icons"][name]
    width, height = (icon.get(key, icons[key]) for key in ("width", "height"))
    side = max(width, height)  # all are square but the watermelon, which is centred
    box = f"{(width - side) / 2} {(height - side) / 2} {side} {side}"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, background="white", skip_system_fonts=True)
    picture = np.rint(imread(io.BytesIO(png), format="png") * 255).astype(np.uint8)
    assert picture.shape == (SIDE, SIDE, 4) and picture[..., 3].min() == 255, name
    return np.ascontiguousarray(picture[..., :3].transpose(2, 0, 1))


def nearest(picture: np.ndarray, pictures: list[np.ndarray]) -> int | None:
    """The first earlier picture that this one, or its mirror image, is closer to than LEAST_DISTANCE."""
    for form in (picture, picture[:, :, ::-1]):
        for i, other in enumerate(pictures):
            if np.sqrt(np.mean(np.square(form - other.astype(np.float32)))) < LEAST_DISTANCE:
                return i
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
