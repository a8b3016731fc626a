import pytest

from tests.data.readings_by_hand import box, by_hand
from xray_chest_detection.data.disagreement import disagreement_scores, disagreement_table


@pytest.fixture
def films():
    return by_hand(
        {
            "agreed": {"R1": [box("Mass", 0)], "R2": [box("Mass", 1)], "R3": [box("Mass", 0)]},
            "alone": {"R1": [box("Mass", 0), box("ILD", 50)]},
            "disputed": {"R1": [box("Mass", 0), box("ILD", 50)], "R2": [box("Pneumothorax", 0)], "R3": []},
            "empty": {"R1": [], "R2": []},
            "missed": {"R1": [box("Mass", 0)], "R2": [], "R3": [box("Mass", 0)]},
        }
    )


def test_scores_count_the_findings_on_which_two_readers_differ(films):
    score, findings = disagreement_scores(films)
    # disputed: Mass/Pneumothorax/nothing always differ, ILD/nothing/nothing differ for 2 of 3 pairs
    assert dict(zip(films.images, score.round(6).tolist(), strict=True)) == {
        "agreed": 0.0, "alone": 0.0, "disputed": 1.666667, "empty": 0.0, "missed": 0.666667,
    }  # fmt: skip
    assert findings.tolist() == [1, 2, 2, 0, 1]


def test_the_most_disputed_image_comes_first(films):
    table = disagreement_table(films)
    assert table["image_id"].tolist() == ["disputed", "missed", "agreed", "empty"]
    first = table.iloc[0]
    assert (first["findings"], first["boxes"]) == (2, 3)
    assert (first["readers"], first["silent"], first["classes"]) == ("R1|R2|R3", "R3", "ILD|Mass|Pneumothorax")
