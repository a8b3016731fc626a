import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_chest_detection.data.background import choose_background

healthy_tables = st.lists(st.integers(0, 15), max_size=40).map(
    lambda patients: pd.DataFrame(
        {"image_id": [f"i{row:03d}" for row in range(len(patients))], "patient_id": [str(p) for p in patients]}
    )
)


@given(healthy_tables, st.integers(0, 50), st.integers(0, 3))
def test_as_many_as_wanted_one_per_patient_first(healthy, count, seed):
    chosen = choose_background(healthy, count, seed=seed)
    assert len(chosen) == min(count, len(healthy))
    assert not chosen["image_id"].duplicated().any()
    per_patient = chosen["patient_id"].value_counts()
    available = healthy["patient_id"].value_counts()
    turns = per_patient.max() if len(per_patient) else 0
    # Nobody gives a further film while another patient still has one to give.
    assert all(per_patient.get(patient, 0) >= min(turns - 1, available[patient]) for patient in available.index)


@given(healthy_tables, st.integers(1, 50), st.randoms())
def test_the_order_of_the_rows_does_not_matter(healthy, count, random):
    order = list(range(len(healthy)))
    random.shuffle(order)
    again = choose_background(healthy.iloc[order], count, seed=0)
    pd.testing.assert_frame_equal(again, choose_background(healthy, count, seed=0))


def test_the_seed_decides():
    healthy = pd.DataFrame({"image_id": [f"i{n:03d}" for n in range(200)], "patient_id": [str(n) for n in range(200)]})
    first, second = (set(choose_background(healthy, 20, seed=seed)["image_id"]) for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("count", [0, 5])
def test_nothing_to_choose_from(count):
    assert len(choose_background(pd.DataFrame({"image_id": [], "patient_id": []}, dtype=str), count, seed=0)) == 0
