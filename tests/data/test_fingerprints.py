from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xray_chest_detection.data import fingerprints, pictures
from xray_chest_detection.data.duplicates import thumbnail
from xray_chest_detection.data.fingerprints import Fingerprint, first_of_copies, read_fingerprints
from xray_chest_detection.data.pictures import Picture
from xray_chest_detection.errors import DataError, ImageError


@pytest.fixture
def films(tmp_path, film):
    """Five films of noise, of which `e` is a recompressed copy of `b`, and `d` one with the pixels of `b`."""
    for seed, name in enumerate("abc"):
        film(tmp_path / f"{name}.png", seed, (256, 256))
    original = Image.open(tmp_path / "b.png")
    original.save(tmp_path / "d.bmp")
    original.resize((200, 200)).save(tmp_path / "e.jpg", quality=60)
    return {path.stem: path for path in sorted(tmp_path.glob("?.*"))}


def decoded(files, cache):
    """Names that had to be decoded, and the fingerprints."""
    names = []

    def note(pictures, total, *, title):
        for path, picture in pictures:
            names.append(path.stem)
            yield path, picture
        assert len(names) == total

    return names, read_fingerprints(files, cache=cache, progress=note)


def test_copies_are_one_group_named_after_its_first_image(films, tmp_path):
    found = read_fingerprints(films, cache=tmp_path / "cache")
    assert first_of_copies(found) == {"a": "a", "b": "b", "c": "c", "d": "b", "e": "b"}
    digests = {name: one.picture.digest for name, one in found.items()}
    assert digests["b"] == digests["d"] != digests["e"]
    assert first_of_copies({name: found[name] for name in "edc"}) == {"c": "c", "d": "d", "e": "d"}


def test_no_image_has_no_group(tmp_path):
    assert read_fingerprints({}, cache=tmp_path / "cache") == {}
    assert first_of_copies({}) == {}
    assert not (tmp_path / "cache").exists()


def test_equal_pixels_without_any_structure_are_one_group():
    grey = np.zeros((64, 64), np.uint8)
    blank = {name: Fingerprint("", Picture(digest, thumbnail(grey))) for name, digest in zip("abc", "xyx", strict=True)}
    assert first_of_copies(blank) == {"a": "a", "b": "b", "c": "a"}


def test_a_film_is_decoded_once_until_its_file_changes(films, tmp_path, film):
    names, first = decoded(films, tmp_path / "cache")
    assert names == ["a", "b", "c", "d", "e"]
    names, second = decoded(films, tmp_path / "cache")
    assert names == []
    assert all(first[name].picture.digest == second[name].picture.digest for name in films)
    assert all((first[name].picture.thumbnail == second[name].picture.thumbnail).all() for name in films)
    film(films["c"], 7, (256, 256))
    names, third = decoded(films, tmp_path / "cache")
    assert names == ["c"]
    assert third["c"].picture.digest != first["c"].picture.digest
    assert decoded(films, tmp_path / "cache")[0] == []


def test_an_interruption_costs_the_last_part_only(films, tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "PART_IMAGES", 2)

    def interrupted(pictures, total, *, title):
        yield from islice(pictures, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_fingerprints(films, cache=tmp_path / "cache", progress=interrupted)
    assert decoded(films, tmp_path / "cache")[0] == ["c", "d", "e"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["00001.npz", "00002.npz", "00003.npz"]


def test_several_processes_find_what_one_finds(films, tmp_path, monkeypatch):
    alone = read_fingerprints(films, cache=tmp_path / "one")
    monkeypatch.setattr(pictures, "PARALLEL_FROM", 1)
    together = read_fingerprints(films, cache=tmp_path / "two")
    assert set(together) == set(alone)
    assert all(together[name].picture.digest == alone[name].picture.digest for name in films)
    films["a"].write_bytes(b"no film")
    with pytest.raises(ImageError, match=r"/a\.png: "):
        read_fingerprints(films, cache=tmp_path / "two")


def test_a_damaged_part_or_film_is_named(films, tmp_path):
    read_fingerprints(films, cache=tmp_path / "cache")
    part = tmp_path / "cache" / "00001.npz"
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"00001\.npz: damaged; delete this file, its images are then decoded again"):
        read_fingerprints(films, cache=tmp_path / "cache")
    films["a"].write_bytes(b"no film")
    with pytest.raises(ImageError, match=r"/a\.png: "):
        read_fingerprints(films, cache=tmp_path / "other")


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_chains_of_pairs_lead_to_the_smallest_index(count, pairs):
    pairs = [pair for pair in pairs if max(pair) < count]
    reached = np.eye(count, dtype=bool)
    for one, other in pairs:
        reached[one, other] = reached[other, one] = True
    for _ in range(count):
        reached = reached @ reached
    assert fingerprints._first_connected(count, pairs) == reached.argmax(axis=1).tolist()
