from pathlib import Path

import pytest

from xray_chest_detection.config.base import validate
from xray_chest_detection.config.dicom_to_png import DicomToPngConfig
from xray_chest_detection.errors import ConfigError


def test_the_root_is_given_or_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XRAY_VINBIGDATA_ROOT", str(tmp_path))
    assert DicomToPngConfig().resolved_root() == tmp_path
    (tmp_path / "train").mkdir()
    assert DicomToPngConfig(root=tmp_path / "train").resolved_root() == tmp_path / "train"
    monkeypatch.delenv("XRAY_VINBIGDATA_ROOT")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=r"^root: no folder datasets/raw/vinbigdata; .*--root, or set XRAY_VINBIGDATA_ROOT$"
    ):
        DicomToPngConfig().resolved_root()
    Path("datasets/raw/vinbigdata").mkdir(parents=True)
    assert DicomToPngConfig().resolved_root() == Path("datasets/raw/vinbigdata")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"longest_side_px": 10}, r"longest_side_px: input should be greater than or equal to 64, got 10"),
        ({"clahe_clip_limit": 0}, r"clahe_clip_limit: input should be greater than 0, got 0"),
        ({"workers": 0}, r"workers: input should be greater than or equal to 1, got 0"),
        ({"clahe": True}, r"unknown key 'clahe' \(known: .*clahe_clip_limit"),
    ],
)
def test_wrong_values_are_one_line(values, message):
    with pytest.raises(ConfigError, match=message):
        validate(DicomToPngConfig, values, place="x.yaml")
