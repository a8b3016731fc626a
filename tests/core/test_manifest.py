import pytest

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import (
    FILE_NAME,
    Manifest,
    hash_inputs,
    is_up_to_date,
    read_manifest,
    versions_of,
    write_manifest,
)
from xray_chest_detection.errors import DataError


@pytest.fixture
def product(tmp_path):
    (tmp_path / "table.csv").write_text("a\n1\n")
    manifest = Manifest(
        step="split",
        config={"ratio": 0.8},
        seed=1,
        inputs={"raw.csv": "0" * 64},
        outputs={"table.csv": sha256_of(tmp_path / "table.csv")},
    )
    write_manifest(tmp_path, manifest)
    return tmp_path, manifest


def test_round_trip(product):
    folder, manifest = product
    assert read_manifest(folder) == manifest


def test_up_to_date_until_something_changes(product):
    folder, manifest = product
    assert is_up_to_date(folder, manifest)
    for change in ({"config": {"ratio": 0.7}}, {"seed": 2}, {"step": "unite"}, {"inputs": {}}):
        assert not is_up_to_date(folder, manifest.model_copy(update=change))
    (folder / "table.csv").write_text("a\n2\n")
    assert not is_up_to_date(folder, manifest)
    (folder / "table.csv").unlink()
    assert not is_up_to_date(folder, manifest)


def test_no_manifest_and_a_damaged_one_are_not_up_to_date(product):
    folder, manifest = product
    (folder / FILE_NAME).write_text("{")
    assert not is_up_to_date(folder, manifest)
    with pytest.raises(DataError, match=r"manifest\.json: damaged manifest \(.*\); run the step again"):
        read_manifest(folder)
    (folder / FILE_NAME).unlink()
    assert not is_up_to_date(folder, manifest)
    with pytest.raises(DataError, match=r"manifest\.json: no manifest; run the step that makes"):
        read_manifest(folder)


def test_inputs_go_by_name_and_versions_skip_what_is_not_installed(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    assert list(hash_inputs(tmp_path / "a.csv")) == ["a.csv"]
    assert set(versions_of("numpy", "no-such-package")) == {"xray_chest_detection", "python", "numpy"}
