import io
import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from xray_chest_detection.data.duplicates import near_duplicates, thumbnail
from xray_chest_detection.data.integrity import compare_splits, verify_dataset
from xray_chest_detection.data.synthetic import render_radiograph, sample_patient
from xray_chest_detection.errors import DataError

PARTS = {"train": 4, "val": 2, "test": 2}


@pytest.fixture
def dataset(tmp_path, film):
    """Two classes; every second film has a box of each; patient = film."""
    folder = tmp_path / "set"
    lines = ["image_id,patient_id,source,split,file"]
    for part, count in PARTS.items():
        (folder / "labels" / part).mkdir(parents=True)
        for number in range(count):
            name = f"{part}{number}"
            film(folder / "images" / part / f"{name}.png", len(lines))
            text = "" if number % 2 else "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.2 0.2\n"
            (folder / "labels" / part / f"{name}.txt").write_text(text)
            lines.append(f"{name},p{len(lines)},nih,{part},images/{part}/{name}.png")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    (folder / "data.yaml").write_text("names: {0: Mass, 1: Effusion}\n")
    return folder


def found(folder):
    """Checks that found something: name to (result, count, example)."""
    report = verify_dataset(folder)
    return {check.name: (check.result, check.count, check.example) for check in report.checks if check.result != "ok"}


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_sound_data_set_passes(dataset):
    report = verify_dataset(dataset)
    assert {check.result for check in report.checks} == {"ok"}
    assert (report.images, report.boxes, report.failed) == (8, 8, False)


def test_what_is_no_data_set_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"data\.yaml: cannot be read .*; build it with data_prep\.build_yolo"):
        verify_dataset(tmp_path)


def test_files_of_ultralytics_are_no_findings(dataset):
    (dataset / "labels" / "train.cache").touch()
    (dataset / "images" / "train" / "train0.npy").touch()
    (dataset / "images" / "train" / "._train0.png").touch()
    assert found(dataset) == {}


def test_labels_and_films_without_each_other(dataset):
    (dataset / "labels" / "train" / "train1.txt").unlink()
    (dataset / "images" / "val" / "val1.png").unlink()
    assert found(dataset) == {
        "image without label file": ("error", 1, "images/train/train1.png"),
        "label file without image": ("error", 1, "labels/val/val1.txt"),
        "index.csv and files disagree": ("error", 1, "images/val/val1.png is not on disk"),
    }


def test_films_that_share_a_label_file_or_stand_in_two_splits(dataset, film):
    film(dataset / "images" / "train" / "train0.jpg", 100)
    film(dataset / "images" / "test" / "train1.png", 101)
    (dataset / "labels" / "test" / "train1.txt").touch()
    problems = found(dataset)
    assert problems["images that share one label file"] == ("error", 1, "images/train/train0.*")
    assert problems["same image name in two splits"] == ("error", 1, "train1: test, train")
    assert problems["index.csv and files disagree"][1] == 2


def test_an_empty_split(dataset):
    shutil.rmtree(dataset / "images" / "val")
    shutil.rmtree(dataset / "labels" / "val")
    problems = found(dataset)
    assert problems["split without images"] == ("error", 1, "images/val")
    assert problems["class without a box in val or test"] == ("warning", 2, "val: Mass")


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_unreadable_films(dataset, content):
    (dataset / "images" / "train" / "train1.png").write_bytes(content)
    problems = found(dataset)
    assert set(problems) == {"unreadable image"}
    assert problems["unreadable image"][2].startswith("images/train/train1.png: ")


def test_a_film_cut_in_the_middle(dataset):
    path = dataset / "images" / "train" / "train1.png"
    path.write_bytes(path.read_bytes()[:-200])
    assert set(found(dataset)) == {"unreadable image"}


@pytest.mark.parametrize(
    ("line", "check", "result"),
    [
        ("0 0.5 0.5 0.2", "malformed label line", "error"),
        ("0 0.5 0.5 0.2 0.2 0.9", "malformed label line", "error"),
        ("Mass 0.5 0.5 0.2 0.2", "malformed label line", "error"),
        ("0.0 0.5 0.5 0.2 0.2", "malformed label line", "error"),
        ("0 nan 0.5 0.2 0.2", "malformed label line", "error"),
        ("", "malformed label line", "error"),
        ("\xff\xfe", "malformed label line", "error"),
        ("2 0.5 0.5 0.2 0.2", "unknown class id", "error"),
        ("-1 0.5 0.5 0.2 0.2", "unknown class id", "error"),
        ("0 0.95 0.5 0.2 0.2", "box outside [0, 1]", "error"),
        ("0 0.5 0.099 0.2 0.2", "box outside [0, 1]", "error"),
        ("0 0.5 0.5 0 0.2", "box without area", "error"),
        ("0 0.5 0.5 0.2 -0.2", "box without area", "error"),
        ("0 0.5 0.5 0.2 0.2", "box repeated in one file", "warning"),
    ],
)
def test_a_wrong_label_line_is_shown(dataset, line, check, result):
    path = dataset / "labels" / "train" / "train0.txt"
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    problems = found(dataset)
    assert list(problems) == [check]
    assert problems[check][:2] == (result, 1)
    assert problems[check][2].startswith("labels/train/train0.txt line 3: '")


def test_rounding_is_not_outside(dataset):
    (dataset / "labels" / "train" / "train0.txt").write_text("0 0.333333 0.5 0.666667 0.2\n1 0.5 0.5 1.000000 1.0\n")
    assert found(dataset) == {}


def test_a_class_without_boxes_is_an_error_in_training_and_a_warning_elsewhere(dataset):
    for part in ("train", "test"):
        for path in (dataset / "labels" / part).iterdir():
            path.write_text(path.read_text().replace("1 0.1 0.1 0.2 0.2\n", ""))
    assert found(dataset) == {
        "class without a box in train": ("error", 1, "train: Effusion"),
        "class without a box in val or test": ("warning", 1, "test: Effusion"),
    }
    assert verify_dataset(dataset).failed


def test_warnings_do_not_fail(dataset):
    for path in (dataset / "labels" / "test").iterdir():
        path.write_text("")
    assert set(found(dataset)) == {"class without a box in val or test"}
    assert not verify_dataset(dataset).failed


def test_a_patient_in_two_splits(dataset):
    replace(dataset / "index.csv", ",p7,", ",p1,")
    assert found(dataset) == {"patient in several splits": ("error", 1, "patient p1 of nih: test, train")}


def test_an_index_that_is_missing_damaged_or_wrong(dataset):
    index = dataset / "index.csv"
    text = index.read_text()
    index.write_text(text.replace("nih,val,images/val/val0", "nih,train,images/val/val0"))
    assert found(dataset) == {
        "index.csv and files disagree": ("error", 1, "images/val/val0.png is listed as train"),
    }
    index.write_text(text.replace("patient_id", "person"))
    assert "no column 'patient_id'" in found(dataset)["index.csv cannot be read"][2]
    index.unlink()
    assert set(found(dataset)) == {"index.csv cannot be read"}


def test_one_film_under_two_names(dataset):
    images = dataset / "images"
    Image.open(images / "train" / "train0.png").save(images / "test" / "test0.png", compress_level=0)
    shutil.copy(images / "val" / "val0.png", images / "val" / "val1.png")
    assert found(dataset) == {
        "same pixels in two splits": ("error", 1, "images/test/test0.png and images/train/train0.png"),
        "same pixels twice in one split": ("warning", 1, "images/val/val0.png and images/val/val1.png"),
    }


def test_near_duplicates_count_across_splits_unless_they_are_of_one_patient(dataset):
    images = dataset / "images"
    with Image.open(images / "train" / "train0.png") as image:
        image.resize((100, 100)).save(images / "test" / "test0.png")
        image.resize((80, 80)).save(images / "train" / "train1.png")
    problems = found(dataset)
    assert problems.pop("near duplicates in two splits")[:2] == ("error", 2)
    assert problems.pop("near duplicates in one split or of one patient")[0] == "info"
    assert problems == {}
    replace(dataset / "index.csv", ",p7,", ",p1,")
    replace(dataset / "index.csv", ",p2,", ",p1,")
    assert "near duplicates in two splits" not in found(dataset)


def test_views_of_different_splits_are_noticed(dataset, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    assert compare_splits([dataset, other]).result == "ok"
    replace(other / "index.csv", "nih,test,images/test/test1", "nih,train,images/test/test1")
    check = compare_splits([dataset, other])
    assert (check.result, check.count, check.example) == ("error", 1, "patient p8 of nih: test, train")
    assert compare_splits([]).result == "ok"


# --- near duplicates ---


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


def test_pictures_in_sub_folders_are_checked_because_training_reads_them(dataset):
    (dataset / "images" / "train" / "more").mkdir()
    shutil.copy(dataset / "images" / "test" / "test0.png", dataset / "images" / "train" / "more" / "leak.png")
    problems = found(dataset)
    assert problems["same pixels in two splits"][0] == "error"
    assert problems["image without label file"] == ("error", 1, "images/train/more/leak.png")


def test_a_description_that_names_other_folders_is_an_error(dataset):
    (dataset / "data.yaml").write_text(
        "path: /elsewhere\ntrain: images/train\nval: images/test\nnames: [Mass, Effusion]\n"
    )
    assert found(dataset)["data.yaml names other folders"] == ("error", 2, "val: images/test")


def test_a_folder_with_the_name_of_a_label_file_is_no_label_file(dataset):
    (dataset / "labels" / "train" / "train1.txt").unlink()
    (dataset / "labels" / "train" / "train1.txt").mkdir()
    assert found(dataset)["image without label file"] == ("error", 1, "images/train/train1.png")
