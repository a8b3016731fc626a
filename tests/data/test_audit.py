import shutil

import pytest
from PIL import Image

from xray_chest_detection.data.audit import audit
from xray_chest_detection.errors import DataError


def leaks(*folders, **options):
    """Checks over all data sets that found something: name to (result, places)."""
    checks = audit(folders, **options)[-1].checks
    return {check.name: (check.result, list(check.places)) for check in checks if check.places}


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def other(tmp_path, make_set):
    """A data set of other films and other people of the same source."""
    return make_set(tmp_path / "other", prefix="b", first=101)


def test_sound_data_sets_have_no_leak(traced, other):
    first, second, together = audit([traced, other])
    assert {check.result for check in first.checks} == {"ok"}
    assert not second.failed
    assert {check.result for check in together.checks} == {"ok"}
    assert (together.subject, together.counts) == ("leaks", {"data sets": 2, "files": 16, "pictures": 16})


@pytest.mark.parametrize("copy", ["linked", "copied", "recompressed", "reduced"])
def test_views_of_one_split_share_their_films_without_a_leak(dataset, tmp_path, copy):
    view = tmp_path / "view"
    shutil.copytree(dataset, view)
    for path in view.glob("images/*/*.png"):
        film = dataset / path.relative_to(view)
        if copy == "linked":
            path.unlink()
            path.hardlink_to(film)
        elif copy != "copied":
            with Image.open(film) as image:
                (image if copy == "recompressed" else image.resize((48, 48))).save(path, compress_level=0)
    assert leaks(dataset, view) == {}
    assert audit([dataset, view])[-1].counts["pictures"] == (16 if copy == "reduced" else 8)


def test_a_patient_in_two_splits_of_one_data_set(dataset):
    replace(dataset / "index.csv", ",p7,", ",p1,")
    assert leaks(dataset) == {"patient in several splits": ("error", ["patient p1 of nih: test, train"])}


def test_a_patient_in_two_splits_of_two_data_sets(dataset, other):
    replace(other / "index.csv", ",p107,", ",p1,")
    assert leaks(dataset, other) == {
        "patient in several splits": ("error", [f"patient p1 of nih: test of {other}, train of {dataset}"])
    }


def test_patients_of_different_sources_are_different_people(dataset, other):
    replace(other / "index.csv", ",p107,nih", ",p1,vinbigdata")
    assert leaks(dataset, other) == {}


def test_a_film_that_is_in_another_split_of_another_view(dataset, tmp_path):
    view = tmp_path / "view"
    shutil.copytree(dataset, view)
    for kind in ("images", "labels"):
        suffix = ".png" if kind == "images" else ".txt"
        (view / kind / "test" / f"test1{suffix}").rename(view / kind / "train" / f"test1{suffix}")
    replace(view / "index.csv", "nih,test,images/test/test1", "nih,train,images/train/test1")
    assert leaks(dataset, view) == {
        "patient in several splits": ("error", [f"patient p8 of nih: test of {dataset}, train of {view}"]),
        "same pixels in two splits": (
            "error",
            [f"{dataset}/images/test/test1.png and {view}/images/train/test1.png"],
        ),
    }


def test_one_film_under_two_names(dataset):
    images = dataset / "images"
    Image.open(images / "train" / "train0.png").save(images / "test" / "test0.png", compress_level=0)
    shutil.copy(images / "val" / "val0.png", images / "val" / "val1.png")
    assert leaks(dataset) == {
        "same pixels in two splits": ("error", ["images/test/test0.png and images/train/train0.png"]),
        "same pixels twice in one split": ("warning", ["images/val/val0.png and images/val/val1.png"]),
    }


def test_a_copied_film_of_another_source_in_another_split(dataset, other):
    shutil.copy(dataset / "images" / "train" / "train2.png", other / "images" / "test" / "btest0.png")
    assert leaks(dataset, other) == {
        "same pixels in two splits": (
            "error",
            [f"{other}/images/test/btest0.png and {dataset}/images/train/train2.png"],
        )
    }


def test_a_resized_copy_in_another_split_of_another_data_set(dataset, other):
    with Image.open(dataset / "images" / "train" / "train2.png") as image:
        image.resize((100, 100)).save(other / "images" / "test" / "btest0.png")
    result, (place,) = leaks(dataset, other).pop("near duplicates in two splits")
    assert result == "error"
    assert place == f"{dataset}/images/train/train2.png and {other}/images/test/btest0.png (1.00)"


def test_near_duplicates_count_across_splits_unless_they_are_of_one_patient(dataset):
    images = dataset / "images"
    with Image.open(images / "train" / "train0.png") as image:
        image.resize((100, 100)).save(images / "test" / "test0.png")
        image.resize((80, 80)).save(images / "train" / "train1.png")
    problems = leaks(dataset)
    assert (problems["near duplicates in two splits"][0], len(problems["near duplicates in two splits"][1])) == (
        "error",
        2,
    )
    assert problems["near duplicates in one split or of one patient"][0] == "info"
    assert len(problems) == 2
    replace(dataset / "index.csv", ",p7,", ",p1,")
    replace(dataset / "index.csv", ",p2,", ",p1,")
    assert set(leaks(dataset)) == {
        "patient in several splits",
        "near duplicates in one split or of one patient",
    }


def test_pictures_in_sub_folders_are_checked_because_training_reads_them(dataset):
    (dataset / "images" / "train" / "more").mkdir()
    shutil.copy(dataset / "images" / "test" / "test0.png", dataset / "images" / "train" / "more" / "leak.png")
    assert leaks(dataset) == {
        "same pixels in two splits": ("error", ["images/test/test0.png and images/train/more/leak.png"])
    }


def test_pixels_are_compared_without_an_index(dataset):
    (dataset / "index.csv").unlink()
    shutil.copy(dataset / "images" / "train" / "train0.png", dataset / "images" / "test" / "test0.png")
    assert set(leaks(dataset)) == {"same pixels in two splits"}


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_unreadable_films(dataset, content):
    (dataset / "images" / "train" / "train1.png").write_bytes(content)
    problems = leaks(dataset)
    assert set(problems) == {"unreadable image"}
    assert problems["unreadable image"][1][0].startswith("images/train/train1.png: ")


def test_a_film_cut_in_the_middle(dataset):
    path = dataset / "images" / "train" / "train1.png"
    path.write_bytes(path.read_bytes()[:-200])
    assert set(leaks(dataset)) == {"unreadable image"}


def test_a_data_set_given_twice_is_an_error(dataset):
    with pytest.raises(DataError, match=r"set/\.\./set: given twice; name every data set once"):
        audit([dataset, dataset / ".." / "set"])


# --- NIH's official test list ---

NAMES = {"train0": "00000001_000", "train1": "00000001_001", "val0": "00000002_000", "test0": "00000003_000"}


@pytest.fixture
def nih_set(dataset):
    """The data set with some films named as NIH names them."""
    for old, new in NAMES.items():
        part = old[:-1]
        (dataset / "images" / part / f"{old}.png").rename(dataset / "images" / part / f"{new}.png")
        (dataset / "labels" / part / f"{old}.txt").rename(dataset / "labels" / part / f"{new}.txt")
        replace(dataset / "index.csv", old, new)
    return dataset


def test_films_of_the_official_test_list_may_only_be_tested(nih_set, tmp_path):
    path = tmp_path / "test_list.txt"
    path.write_text("00000001_000.png\n00000002_000.png\r\n\n00000003_000.png\n00000009_000.png\n")
    assert leaks(nih_set) == {}
    assert leaks(nih_set, official_test_list=path) == {
        "film of NIH's official test list in train or val": (
            "error",
            ["images/train/00000001_000.png (train)", "images/val/00000002_000.png (val)"],
        )
    }
    (advice,) = audit([nih_set], official_test_list=path)[-1].advice
    assert "a classifier that shares weights or training films with this detector must not be tested on them" in advice
    assert "data_prep.split --official-test-list" in advice
    path.write_text("00000003_000.png\n")
    assert leaks(nih_set, official_test_list=path) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"list\.txt: the list is empty; give NIH's test_list\.txt"),
        (b"00000001_000.png\nImage Index,Finding Label\n", r"list\.txt: line 2: 'Image Index,Finding Label' is no NIH"),
        (b"\xff\xfe", r"list\.txt: cannot be read \("),
        (None, r"list\.txt: cannot be read \(.*No such file"),
    ],
)
def test_a_wrong_list_is_an_error(dataset, tmp_path, content, message):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        audit([dataset], official_test_list=path)
