import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.data.folds import fold_counts, fold_split, make_folds, read_folds, write_folds
from xray_chest_detection.errors import DataError

CLASSES = ("Cardiomegaly", "Effusion", "Mass")
FILMS = st.lists(st.lists(st.sampled_from((None, *CLASSES)), min_size=1, max_size=4), min_size=12, max_size=60)


def tables(patients, source="nih"):
    films = [
        (f"{source}{n}", f"{source}{n}_{k}", label)
        for n, labels in enumerate(patients)
        for k, label in enumerate(labels)
    ]
    images = pd.DataFrame(films, columns=["patient_id", "image_id", "class_name"]).assign(source=source)
    return images, images.loc[images["class_name"].notna(), ["image_id", "class_name"]]


def strata(images, annotations, folds):
    """Patients with each class, or with a film without a box, by fold: `(strata, folds)`."""
    named = images[["image_id", "patient_id"]].merge(annotations, on="image_id", how="left").fillna("none")
    rows = named.merge(folds[["image_id", "fold"]], on="image_id").drop_duplicates(["patient_id", "class_name"])
    return pd.crosstab(rows["class_name"], rows["fold"])


@settings(max_examples=40, deadline=None)
@given(FILMS, st.integers(2, 6), st.integers(0, 50))
def test_every_image_is_tested_once_and_no_patient_is_shared(patients, n_folds, seed):
    images, annotations = tables(patients)
    folds = make_folds(images, annotations, n_folds=n_folds, seed=seed)
    assert sorted(folds["image_id"]) == sorted(images["image_id"])
    assert set(folds["fold"]) == set(range(n_folds))
    assert folds.groupby("patient_id")["fold"].nunique().eq(1).all()
    tested = []
    for fold in range(n_folds):
        split = fold_split(folds, annotations, fold, val=0.2, seed=seed)
        assert sorted(split["image_id"]) == sorted(images["image_id"])
        assert split.groupby("patient_id")["split"].nunique().eq(1).all()
        tested += split.loc[split["split"] == "test", "image_id"].tolist()
    assert sorted(tested) == sorted(images["image_id"])


@settings(max_examples=40, deadline=None, derandomize=True)  # the dealing is greedy: no bound holds for every input
@given(FILMS, st.integers(2, 6), st.integers(0, 50))
def test_strata_are_spread_evenly(patients, n_folds, seed):
    images, annotations = tables(patients)
    counts = strata(images, annotations, make_folds(images, annotations, n_folds=n_folds, seed=seed))
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 4


def test_classes_of_many_patients_are_spread_evenly():
    images, annotations = tables([[CLASSES[n % 3] if n % 4 else None, None][: 1 + n % 2] for n in range(400)])
    folds = make_folds(images, annotations, n_folds=5, seed=0)
    counts = strata(images, annotations, folds)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 2
    assert [row["patients"] for row in fold_counts(folds, annotations)] == pytest.approx([80] * 5, abs=5)
    assert sum(row["boxes"] for row in fold_counts(folds, annotations)) == len(annotations)


def test_every_source_is_dealt_as_if_it_were_alone():
    nih, vinbigdata = tables([[CLASSES[n % 3]] for n in range(40)]), tables([["Mass", None]] * 30, source="vinbigdata")
    both = [pd.concat(pair) for pair in zip(nih, vinbigdata, strict=True)]
    folds = make_folds(*both, n_folds=3, seed=1)
    alone = make_folds(*vinbigdata, n_folds=3, seed=1)
    assert folds[folds["source"] == "vinbigdata"].reset_index(drop=True).equals(alone)
    split = fold_split(folds, both[1], 0, val=0.2, seed=0)
    assert split.groupby("source")["split"].nunique().eq(3).all()


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does():
    images, annotations = tables([[CLASSES[n % 3], None] for n in range(30)])
    first = make_folds(images, annotations, n_folds=3, seed=0)
    mixed = make_folds(images.sample(frac=1, random_state=1), annotations.sample(frac=1), n_folds=3, seed=0)
    assert first.equals(mixed)
    assert not first.equals(make_folds(images, annotations, n_folds=3, seed=1))


def test_no_boxes_at_all():
    folds = make_folds(*tables([[None]] * 12), n_folds=3, seed=0)
    assert np.bincount(folds["fold"]).tolist() == [4, 4, 4]


def test_too_few_patients():
    with pytest.raises(DataError, match=r"9 patients of nih are too few for 5 folds; at least 10 are needed"):
        make_folds(*tables([["Mass"]] * 9), n_folds=5, seed=0)
    with pytest.raises(DataError, match="there are no images to deal into folds"):
        make_folds(*(table.iloc[:0] for table in tables([["Mass"]])), n_folds=5, seed=0)


def test_file_round_trip(tmp_path):
    folds = make_folds(*tables([["Mass"]] * 12), n_folds=3, seed=0)
    write_folds(tmp_path, folds)
    assert read_folds(tmp_path).equals(folds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "folds.csv: cannot be read"),
        ("image_id,fold\na,0\n", "expected the columns image_id,patient_id,source,fold, got image_id,fold"),
        ("a,p,nih,0\nb,q,nih,x\n", "line 3: fold 'x' is no number"),
        ("a,p,nih,0\nb,q,nih,2\n", "folds must be numbered 0, 1, 2"),
        ("a,p,nih,0\na,q,nih,1\n", "image 'a' stands twice"),
        ("a,p,nih,0\nb,p,nih,1\n", r"patient 'p' of nih is in two folds \(1 such patients\)"),
    ],
)
def test_damaged_file(tmp_path, text, message):
    header = "" if not text or text.startswith("image_id") else "image_id,patient_id,source,fold\n"
    (tmp_path / "folds.csv").write_text(header + text)
    with pytest.raises(DataError, match=message):
        read_folds(tmp_path)
