import numpy as np
import pytest

from xray_chest_detection.data import pictures
from xray_chest_detection.data.pictures import read_pictures


@pytest.fixture
def films(tmp_path, film):
    """Four files: a film, a hard link of it, another film, no film."""
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png")]
    film(paths[0], 1)
    paths[1].hardlink_to(paths[0])
    film(paths[2], 2)
    paths[3].write_text("no film")
    return paths


def test_pictures_come_in_the_order_of_the_files_and_errors_in_their_place(films):
    first, link, second, broken = read_pictures(films)
    assert first.digest == link.digest != second.digest
    assert first.thumbnail.shape == (128, 128)
    assert broken.startswith("not an image")
    assert read_pictures([]) == []


def test_hard_links_are_decoded_once(films):
    seen = []

    def progress(items, total, *, title):
        seen.append((total, title))
        return items

    read_pictures(films, progress=progress)
    assert seen == [(3, "images")]


def test_several_processes_read_the_same(films, monkeypatch):
    alone = read_pictures(films)
    monkeypatch.setattr(pictures, "PARALLEL_FROM", 1)
    together = read_pictures(films)
    assert [one[0] for one in alone] == [one[0] for one in together]
    assert all(np.array_equal(one.thumbnail, other.thumbnail) for one, other in zip(alone[:3], together, strict=False))
