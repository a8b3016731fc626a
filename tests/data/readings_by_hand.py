"""Readings for tests: written by hand, or drawn at random."""

import numpy as np

from xray_chest_detection.data.readings import Readings

CLASSES = ("ILD", "Mass", "Pneumothorax")
SIDE_PX = 10.0


def box(name, x, *, y=0.0):
    """A 10-pixel box of a class."""
    return name, (x, y, x + SIDE_PX, y + SIDE_PX)


def by_hand(films, *, classes=CLASSES, readers=None):
    """Readings from `{image: {reader: [(class, xyxy), ...]}}`; a reader without boxes was silent."""
    readers = readers or sorted({name for film in films.values() for name in film})
    images = sorted(films)
    read = np.array([[name in films[image] for name in readers] for image in images])
    rows = sorted(
        (images.index(image), classes.index(name), readers.index(reader), xyxy)
        for image, film in films.items()
        for reader, drawn in film.items()
        for name, xyxy in drawn
    )
    columns = [np.array([row[part] for row in rows], np.int64) for part in range(3)]
    xyxy = np.array([row[3] for row in rows], float).reshape(-1, 4)
    return Readings(tuple(images), tuple(classes), tuple(readers), *columns, xyxy, read)


def random_readings(seed, *, images=6, readers=3, places=3):
    """Films on which every reader draws boxes near a few common places."""
    rng = np.random.default_rng(seed)
    films = {}
    for image in range(images):
        centres = rng.uniform(0, 30, (places, 2))
        films[f"film{image}"] = {
            f"R{reader}": [
                box(CLASSES[rng.integers(3)], x + rng.normal(0, 2), y=y + rng.normal(0, 2))
                for x, y in centres
                if rng.random() < 0.7
            ]
            for reader in range(1, readers + 1)
        }
    return by_hand(films)
