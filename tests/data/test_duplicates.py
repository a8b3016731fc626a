import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from xray_chest_detection.data import duplicates
from xray_chest_detection.data.duplicates import near_duplicates, pixel_digest, thumbnail
from xray_chest_detection.data.synthetic import render_radiograph, sample_patient


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def cut(image, share):
    width, height = image.size
    left, top = round(width * share), round(height * share)
    return image.crop((left, top, width - left, height - top))


COPIES = {
    "jpeg": lambda image: jpeg(image, 40),
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR),
    "larger": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "bright": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "flat": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "gamma": lambda image: image.point(lambda value: 255 * (value / 255) ** 0.7),
    "cut": lambda image: cut(image, 0.01),
    "turned": lambda image: image.rotate(1),
    "mirrored": ImageOps.mirror,
    "inverted": ImageOps.invert,
}


def pairs_of(films):
    return {(pair.first, pair.second) for pair in near_duplicates(np.stack([thumbnail(np.asarray(f)) for f in films]))}


@pytest.fixture(scope="module")
def synthetic_films():
    films = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = render_radiograph(sample_patient(rng), rng, size_px=256)
        films.append(Image.fromarray((image.intensity * 255).astype(np.uint8)))
    return films


@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_a_film_are_found_and_other_people_are_not(synthetic_films, kind):
    copy = COPIES[kind](synthetic_films[2])
    assert pairs_of([*synthetic_films, copy]) == {(2, len(synthetic_films))}


def test_films_without_structure_are_like_no_other():
    assert pairs_of([Image.new("L", (64, 64), value) for value in (0, 0, 128, 255)]) == set()
    assert near_duplicates(np.zeros((0, 128, 128), np.uint8)) == []


@pytest.mark.pack
def test_real_films_of_different_people_do_not_collide_and_copies_are_found(pack):
    paths = sorted((pack / "nih" / "images").rglob("*.jpg"))[:300]
    films = []
    for path in paths:
        with Image.open(path) as image:
            films.append(image.convert("L").resize((256, 256), Image.Resampling.BOX))
    assert pairs_of(films) == set()
    picked = list(range(0, 300, 30))
    copies = [copy(films[index]) for index, copy in zip(picked, COPIES.values(), strict=True)]
    assert pairs_of([*films, *copies]) == {(index, 300 + place) for place, index in enumerate(picked)}


def test_the_work_in_blocks_finds_the_same_pairs(synthetic_films, monkeypatch):
    films = [*synthetic_films, *(jpeg(film, 40) for film in synthetic_films)]
    whole = pairs_of(films)
    monkeypatch.setattr(duplicates, "_BLOCK", 5)
    assert pairs_of(films) == whole == {(index, index + 6) for index in range(6)}


def test_the_alignment_can_be_followed(synthetic_films):
    seen = []

    def progress(items, total, *, title):
        seen.append((total, title))
        return items

    near_duplicates(np.stack([thumbnail(np.asarray(film)) for film in synthetic_films[:1] * 2]), progress=progress)
    assert seen == [(1, "similar pairs")]


def test_a_digest_tells_pixels_and_shape_apart():
    grey = np.arange(12, dtype=np.uint8)
    digests = {pixel_digest(grey.reshape(shape)) for shape in ((3, 4), (4, 3), (2, 6))}
    assert len(digests) == 3
    assert pixel_digest(grey.reshape(3, 4)) == pixel_digest(np.asfortranarray(grey.reshape(3, 4)))
    assert pixel_digest(grey.reshape(3, 4)) != pixel_digest(grey[::-1].reshape(3, 4))
