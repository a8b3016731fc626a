import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.config.base import read_config, validate
from xray_chest_detection.config.data import SPLITS, NihConfig, SplitConfig
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import FILE_NAME, Manifest, hash_inputs, write_manifest
from xray_chest_detection.data.kept_splits import moved_patients
from xray_chest_detection.data.nih import read_nih
from xray_chest_detection.data.splits import (
    SPLIT_FILE,
    check_may_replace,
    check_split,
    make_split,
    read_split,
    split_counts,
    split_inputs,
    write_split,
)
from xray_chest_detection.data.tables import write_tables
from xray_chest_detection.errors import ConfigError, DataError

CLASSES = ("Cardiomegaly", "Effusion", "Mass")
# The models in checkpoints/ were trained, tuned and tested on exactly this split.
SHIPPED_SHA256 = "6fe17e10c9464dd42d4c2ae18a4aec6a0c78e1a258afe402dec51352d7cccdfe"


def many(count, start=0):
    """Patients, named as NIH names them, with one to three films, every second one with a finding, classes in turn."""
    return {
        f"{n:08d}": [CLASSES[n // 2 % 3] if n % 2 else None, None, CLASSES[n % 3]][: n % 3 + 1]
        for n in range(start, start + count)
    }


def parts_of(split):
    return split.groupby("patient_id")["split"].agg(lambda parts: set(parts))


def rows(*lines):
    return pd.DataFrame(lines, columns=["image_id", "patient_id", "source", "split"])


def test_every_image_once_and_shares_on_patients(make_tables):
    images, annotations = make_tables(many(300))
    split = make_split(images, annotations, SplitConfig())
    assert sorted(split["image_id"]) == sorted(images["image_id"])
    assert parts_of(split).map(len).eq(1).all()
    patients = split.drop_duplicates("patient_id")["split"].value_counts(normalize=True)
    for part, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert patients[part] == pytest.approx(share, abs=0.03)


def test_classes_are_spread_over_the_parts(make_tables):
    images, annotations = make_tables(many(300))
    split = make_split(images, annotations, SplitConfig())
    merged = annotations.merge(split, on="image_id").drop_duplicates(["patient_id", "class_name"])
    for name in CLASSES:
        shares = merged[merged["class_name"] == name]["split"].value_counts(normalize=True)
        assert shares["val"] == pytest.approx(0.1, abs=0.04)
        assert shares["test"] == pytest.approx(0.1, abs=0.04)


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does(make_tables):
    images, annotations = make_tables(many(60))
    first = make_split(images, annotations, SplitConfig())
    mixed = make_split(images.sample(frac=1, random_state=1), annotations.sample(frac=1, random_state=2), SplitConfig())
    pd.testing.assert_frame_equal(first, mixed)
    assert moved_patients(first, make_split(images, annotations, SplitConfig(seed=1)))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from((None, *CLASSES)), min_size=1, max_size=4), min_size=10, max_size=40),
    st.integers(0, 100),
)
def test_no_patient_is_ever_shared(patients, seed):
    films = [(f"p{n}", f"p{n}_{k}", label) for n, labels in enumerate(patients) for k, label in enumerate(labels)]
    images = pd.DataFrame(films, columns=["patient_id", "image_id", "class_name"]).assign(source="nih")
    annotations = images.loc[images["class_name"].notna(), ["image_id", "class_name"]]
    split = make_split(images, annotations, SplitConfig(seed=seed))
    assert len(split) == len(images)
    assert set(split["split"]) <= set(SPLITS)
    assert parts_of(split).map(len).eq(1).all()


def test_no_boxes_at_all_can_be_split(make_tables):
    split = make_split(*make_tables({f"p{n}": [None] for n in range(30)}), SplitConfig())
    assert set(split["split"]) == set(SPLITS)


@pytest.mark.parametrize("count", [0, 9])
def test_too_few_patients(make_tables, count):
    with pytest.raises(DataError, match=r"(9 patients of nih are too few to split; at least 10|no images to split)"):
        make_split(*make_tables({f"p{n}": [None] for n in range(count)}), SplitConfig())


def two_sources(make_tables, nih, vinbigdata):
    """Tables of two sources whose patients have the same names."""
    images, annotations = make_tables(nih)
    others, boxes = make_tables(vinbigdata)
    others = others.assign(image_id="v" + others["image_id"], source="vinbigdata")
    return pd.concat([images, others]), pd.concat([annotations, boxes.assign(image_id="v" + boxes["image_id"])])


def test_every_source_is_split_as_if_it_were_alone(make_tables):
    images, annotations = two_sources(make_tables, many(120), many(90, start=60))
    split = make_split(images, annotations, SplitConfig())
    for source in ("nih", "vinbigdata"):
        alone = make_split(images[images["source"] == source], annotations, SplitConfig())
        together = split[split["source"] == source].reset_index(drop=True)
        pd.testing.assert_frame_equal(together, alone)
        assert together.drop_duplicates("patient_id")["split"].value_counts(normalize=True)["test"] > 0.08
    counts = split_counts(split, annotations)
    assert sum(counts[part]["patients"] for part in SPLITS) == 210
    assert set(split_counts(split[split["source"] == "nih"], annotations)["val"]) == set(counts["val"])


def test_a_kept_split_of_one_source_holds_in_tables_of_two(make_tables):
    kept = make_split(*make_tables(many(120)), SplitConfig(seed=3))
    images, annotations = two_sources(make_tables, many(125), many(60))
    split = make_split(images, annotations, SplitConfig(keep="unused"), kept=kept)
    assert moved_patients(kept, split) == []
    others = split[split["source"] == "vinbigdata"].drop_duplicates("patient_id")
    assert others["split"].value_counts().to_dict() == {"train": 48, "val": 6, "test": 6}
    few, boxes = two_sources(make_tables, many(120), many(5))
    with pytest.raises(DataError, match="5 patients of vinbigdata are too few to split"):
        make_split(few, boxes, SplitConfig(keep="unused"), kept=kept)


def test_the_official_list_is_for_nih_only(tmp_path, make_tables):
    images, annotations = two_sources(make_tables, many(60), many(60))
    path = tmp_path / "test_list.txt"
    path.write_text(
        "\n".join(images.loc[(images["source"] == "nih") & (images["patient_id"] < "00000020"), "image_id"])
    )
    split = make_split(images, annotations, SplitConfig(official_test_list=path))
    patients = split.drop_duplicates(["source", "patient_id"]).groupby("source")["split"].value_counts()
    assert patients["nih", "test"] == 20
    assert patients["vinbigdata", "test"] == pytest.approx(6, abs=2)
    with pytest.raises(DataError, match="official_test_list is NIH's, and there are only images of vinbigdata"):
        make_split(images[images["source"] == "vinbigdata"], annotations, SplitConfig(official_test_list=path))


def test_patients_of_a_kept_split_keep_their_part(make_tables):
    old_images, old_boxes = make_tables(many(100))
    kept = make_split(old_images, old_boxes, SplitConfig(seed=5))
    images, annotations = make_tables(many(280, start=20))
    split = make_split(images, annotations, SplitConfig(keep="unused"), kept=kept)
    assert moved_patients(kept, split) == []
    new = split[~split["patient_id"].isin(kept["patient_id"])].drop_duplicates("patient_id")
    assert len(new) == 200
    assert new["split"].value_counts(normalize=True)["train"] == pytest.approx(0.8, abs=0.04)
    assert len(split) == len(images)


def copies(make_tables, groups):
    """Images of VinBigData: name of the group to its images, and 20 images without copies."""
    patients = {name: group for group, names in groups.items() for name in names} | {
        f"x{n}": f"x{n}" for n in range(20)
    }
    images, annotations = make_tables({name: [None] for name in patients}, source="vinbigdata")
    return images.assign(image_id=images["patient_id"], patient_id=images["patient_id"].map(patients)), annotations


@pytest.mark.parametrize("part", SPLITS)
@pytest.mark.parametrize("groups", [{"a": "abc"}, {"b": "bc", "a": "a"}, {"b": "b", "c": "c"}])
def test_a_group_of_copies_stays_where_it_was_whatever_its_name_is_by_now(make_tables, groups, part):
    kept = make_split(*copies(make_tables, {"b": "bc"}), SplitConfig())
    kept.loc[kept["patient_id"] == "b", "split"] = part
    images, annotations = copies(make_tables, groups)
    split = make_split(images, annotations, SplitConfig(keep="unused"), kept=kept)
    assert set(split.loc[split["image_id"].isin(["b", "c"]), "split"]) == {part}
    assert moved_patients(kept, split) == []


def test_copies_that_were_kept_apart_are_one_error(make_tables):
    kept = make_split(*copies(make_tables, {"b": "b", "c": "c"}), SplitConfig())
    kept.loc[kept["image_id"].isin(["b", "c"]), "split"] = ["train", "test"]
    message = (
        r"old: has 'c' in test and 'b' in train, which are images of one patient .* \(1 such groups\): .* --keep None"
    )
    with pytest.raises(DataError, match=message):
        make_split(*copies(make_tables, {"a": "abc"}), SplitConfig(keep="old"), kept=kept)


def test_a_few_new_patients_go_to_training(make_tables):
    kept = make_split(*make_tables(many(100)), SplitConfig())
    split = make_split(*make_tables(many(105)), SplitConfig(keep="unused"), kept=kept)
    new = split[~split["patient_id"].isin(kept["patient_id"])]
    assert set(new["split"]) == {"train"}
    assert new["patient_id"].nunique() == 5
    assert moved_patients(kept, split) == []


def test_patients_of_another_source_are_not_kept(make_tables):
    kept = make_split(*make_tables(many(100)), SplitConfig()).assign(source="vinbigdata")
    split = make_split(*make_tables(many(100)), SplitConfig(keep="unused"), kept=kept)
    pd.testing.assert_frame_equal(split, make_split(*make_tables(many(100)), SplitConfig()))


def test_the_official_list_is_the_test_part(tmp_path, make_tables):
    images, annotations = make_tables(many(120))
    listed = images[images["patient_id"] < "00000030"]["image_id"]
    path = tmp_path / "test_list.txt"
    path.write_text("\n".join(f"{name}.png" for name in listed) + "\n99999999_000.png\n")
    split = make_split(images, annotations, SplitConfig(official_test_list=path))
    assert sorted(split[split["split"] == "test"]["image_id"]) == sorted(listed)
    val = split[split["split"] == "val"]["patient_id"].nunique()
    assert val == pytest.approx(90 / 9, abs=2)


def test_every_boxed_patient_may_stand_on_the_official_list(tmp_path, make_tables):
    patients = {f"{n:08d}": ["Mass" if n < 20 else None] for n in range(60)}
    path = tmp_path / "test_list.txt"
    path.write_text("\n".join(f"{n:08d}_000.png" for n in range(20)))
    counts = split_counts(
        make_split(*make_tables(patients), SplitConfig(official_test_list=path)), make_tables(patients)[1]
    )
    assert counts["test"] == {"patients": 20, "images": 20, "boxes": 20, "Mass": 20}
    assert counts["train"]["boxes"] == 0


def test_a_wrong_official_list_is_named(tmp_path, make_tables):
    tables = make_tables(many(60))
    path = tmp_path / "test_list.txt"
    with pytest.raises(DataError, match=r"test_list\.txt: cannot be read .*; give NIH's test_list\.txt"):
        make_split(*tables, SplitConfig(official_test_list=path))
    path.write_text("00000001_000.png\n")
    with pytest.raises(DataError, match="patient '00000001' has images inside and outside the list"):
        make_split(*tables, SplitConfig(official_test_list=path))
    path.write_text("00000001_000.png\nother.png\n")
    with pytest.raises(DataError, match=r"test_list\.txt: line 2: 'other\.png' is no NIH image; give NIH's test_list"):
        make_split(*tables, SplitConfig(official_test_list=path))
    path.write_text("99999999_000.png\n")
    with pytest.raises(DataError, match="none of the images is in this list"):
        make_split(*tables, SplitConfig(official_test_list=path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0.9}, r"train \+ val \+ test must be 1, got 1\.1"),
        ({"keep": "a", "official_test_list": "b"}, "keep and official_test_list exclude each other"),
    ],
)
def test_contradictory_configurations(values, message):
    with pytest.raises(ConfigError, match=message):
        validate(SplitConfig, values, place="split.yaml")


def test_a_patient_in_two_parts_is_an_error_wherever_it_is_read_or_written(tmp_path):
    split = rows(("a", "1", "nih", "train"), ("b", "1", "nih", "test"), ("c", "1", "other", "test"))
    message = "patient '1' of nih is in test and train .*a model would be tested on people it has seen"
    with pytest.raises(DataError, match=message):
        check_split(split, place="x")
    with pytest.raises(DataError, match=message):
        write_split(tmp_path, split)
    assert not (tmp_path / SPLIT_FILE).exists()
    split.to_csv(tmp_path / SPLIT_FILE, index=False)
    with pytest.raises(DataError, match=message):
        read_split(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a CSV table"),
        (b"image_id,patient_id,split\na,1,train\n", "no column 'source'"),
        (b"image_id,patient_id,source,split\na,1,nih,trian\n", "image 'a': split must be one of .*, got 'trian'"),
        (b"image_id,patient_id,source,split\na,1,nih,tr", "image 'a': split must be one of"),
        (b"image_id,patient_id,source,split\na,1,nih,train\nb,", "a value is missing in 'b,,,'"),
        (b"image_id,patient_id,source,split\na,,nih,train\nb,,nih,test\n", "a value is missing in 'a,,nih,train'"),
        (b"image_id,patient_id,source,split\na,1,nih,train\na,1,nih,train\n", "image 'a' stands twice"),
    ],
)
def test_a_damaged_split_is_named(tmp_path, content, message):
    (tmp_path / SPLIT_FILE).write_bytes(content)
    with pytest.raises(DataError, match=rf"split\.csv: {message}"):
        read_split(tmp_path)


def test_a_missing_split_names_the_step(tmp_path):
    with pytest.raises(DataError, match=r"no such split; run `python -m data_prep\.split` first"):
        read_split(tmp_path)


def test_a_split_is_not_replaced_when_patients_would_move(tmp_path):
    old = rows(("a", "1", "nih", "test"), ("b", "2", "nih", "train"))
    check_may_replace(tmp_path, old)
    write_split(tmp_path, old)
    check_may_replace(tmp_path, rows(("a", "1", "nih", "test"), ("c", "3", "nih", "train")))
    with pytest.raises(DataError, match=r"1 patients would change their part, first '1' from test to train, .* --keep"):
        check_may_replace(tmp_path, rows(("a", "1", "nih", "train"), ("b", "2", "nih", "train")))
    with pytest.raises(DataError, match=r"1 patients would change their part, first '0' from test to val"):
        check_may_replace(tmp_path, rows(("a", "0", "nih", "val"), ("b", "2", "nih", "train")))


def test_a_split_is_not_replaced_by_one_of_other_images(tmp_path):
    write_split(tmp_path, rows(*((name, name, "nih", "train") for name in "abcd")))
    check_may_replace(tmp_path, rows(*((name, name, "nih", "train") for name in "abxyz")))
    message = r"split\.csv: 3 of its 4 images are not in the tables, so it looks like .*; give another place with --out"
    with pytest.raises(DataError, match=message):
        check_may_replace(tmp_path, rows(*((name, name, "nih", "train") for name in "axyz")))


def test_what_a_split_depends_on(tmp_path, make_tables):
    images, annotations = make_tables(many(30))
    write_tables(tmp_path, images, annotations)
    config = SplitConfig(tables=tmp_path)
    before = split_inputs(config, images)
    assert split_inputs(config, images.assign(path="/moved").sample(frac=1, random_state=0)) == before
    assert split_inputs(config, images.iloc[1:]) != before
    with pytest.raises(DataError, match=r"nowhere/split\.csv: no such file"):
        split_inputs(SplitConfig(tables=tmp_path, keep="nowhere"), images)


def test_counts_name_every_class_of_every_part():
    split = rows(("a", "1", "nih", "train"), ("b", "2", "nih", "test"))
    annotations = pd.DataFrame({"image_id": ["a", "a"], "class_name": ["Mass", "Nodule"]})
    counts = split_counts(split, annotations)
    assert counts["train"] == {"patients": 1, "images": 1, "boxes": 2, "Mass": 1, "Nodule": 1}
    assert counts["val"] == {"patients": 0, "images": 0, "boxes": 0, "Mass": 0, "Nodule": 0}


@pytest.mark.pack
def test_the_default_split_of_the_pack_is_the_one_the_shipped_models_were_trained_on(tmp_path, pack, project_root):
    tables = read_nih(NihConfig(root=pack / "nih"))
    config = read_config(SplitConfig, project_root / "configs" / "data" / "split.yaml")
    write_split(tmp_path, make_split(tables.images, tables.annotations, config))
    assert sha256_of(tmp_path / SPLIT_FILE) == SHIPPED_SHA256
    assert sha256_of(project_root / "datasets" / "splits" / "nih" / SPLIT_FILE) == SHIPPED_SHA256


def test_missing_values_of_float_columns_do_not_reach_a_split():
    split = rows(("a", np.nan, "nih", "train"))
    with pytest.raises(DataError, match="a value is missing in 'a,,nih,train'"):
        check_split(split, place="split")


def test_a_split_changed_by_hand_is_refused_until_its_manifest_is_gone(tmp_path):
    write_split(tmp_path, rows(("a", "1", "nih", "train"), ("b", "2", "nih", "test")))
    path = tmp_path / SPLIT_FILE
    write_manifest(tmp_path, Manifest(step="data_prep.split", config={}, outputs=hash_inputs(path)))
    assert len(read_split(tmp_path)) == 2
    path.write_text(path.read_text().replace("nih,test", "nih,train"))
    with pytest.raises(
        DataError, match=r"split\.csv: was changed after data_prep\.split wrote it .*; restore it, or remove"
    ):
        read_split(tmp_path)
    (tmp_path / FILE_NAME).unlink()
    assert set(read_split(tmp_path)["split"]) == {"train"}


def test_a_new_split_does_not_keep_the_manifest_of_an_older_one(tmp_path):
    write_manifest(tmp_path, Manifest(step="data_prep.split", config={}, outputs={SPLIT_FILE: "0" * 64}))
    write_split(tmp_path, rows(("a", "1", "nih", "train")))
    assert len(read_split(tmp_path)) == 1
