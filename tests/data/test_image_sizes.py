import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from xray_chest_detection.data.image_files import read_header
from xray_chest_detection.data.image_sizes import find_images, read_train_meta, reference_sizes
from xray_chest_detection.errors import DataError, ImageError

HEADER = "image_id,dim0,dim1"


def write_png(path, width, height):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width), np.uint8)).save(path)


def write_dicom_without_pixels(path, width, height, view=None):
    """A header alone: reading more than that would fail."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
    ds.Rows, ds.Columns = height, width
    if view is not None:
        ds.ViewPosition = view
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


@pytest.fixture
def meta(tmp_path):
    def read(*lines, header=HEADER):
        path = tmp_path / "train_meta.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return read_train_meta(path)

    return read


def sizes_of(root, meta=None, *, copies=None):
    files = find_images(root, ["a", "b"], copies=copies or root)
    return reference_sizes(sorted(files.chosen), files, meta)


@pytest.mark.parametrize(("stored", "view"), [("PA", "PA"), ("", None), (None, None)])
def test_size_and_view_come_from_the_dicom_header_alone(tmp_path, stored, view):
    write_dicom_without_pixels(tmp_path / "train" / "a.dicom", 300, 400, stored)
    row = sizes_of(tmp_path).to_dict("records")[0]
    assert row == {
        "image_id": "a",
        "path": str(tmp_path / "train" / "a.dicom"),
        "width": 300,
        "height": 400,
        "view": view,
        "assumed": False,
        "squeezed": False,
    }
    assert read_header(tmp_path / "train" / "a.dicom") == (300, 400, view)


def test_a_copy_is_used_in_place_of_the_dicom_file_which_gives_the_size(tmp_path):
    write_dicom_without_pixels(tmp_path / "raw" / "a.dicom", 300, 400, "PA")
    write_dicom_without_pixels(tmp_path / "raw" / "b.dcm", 500, 400)
    write_png(tmp_path / "png" / "train" / "a.png", 150, 200)
    table = sizes_of(tmp_path / "raw", copies=tmp_path / "png")
    assert table["path"].tolist() == [str(tmp_path / "png/train/a.png"), str(tmp_path / "raw/b.dcm")]
    assert table[["width", "height"]].to_numpy().tolist() == [[300, 400], [500, 400]]
    assert table["view"].fillna("none").tolist() == ["PA", "none"]
    assert sizes_of(tmp_path).equals(table)


def test_rows_and_columns_of_the_meta_table_are_height_and_width(tmp_path, meta):
    write_png(tmp_path / "a.png", 150, 200)
    write_png(tmp_path / "b.jpg", 250, 200)
    table = sizes_of(tmp_path, meta("b,400,500", "c,1,1", "a,400,300", "a,400,300"))
    assert table[["width", "height"]].to_numpy().tolist() == [[300, 400], [500, 400]]
    assert not table["assumed"].any()


def test_a_copy_alone_is_taken_for_the_original_and_says_so(tmp_path):
    write_png(tmp_path / "a.png", 150, 200)
    write_dicom_without_pixels(tmp_path / "b.dicom", 300, 400)
    table = sizes_of(tmp_path)
    assert table[["width", "height"]].to_numpy().tolist() == [[150, 200], [300, 400]]
    assert table["assumed"].tolist() == [True, False]


def test_no_image_gives_an_empty_table(tmp_path):
    assert len(sizes_of(tmp_path)) == 0


def test_an_image_without_a_line_is_named(tmp_path, meta):
    write_png(tmp_path / "a.png", 150, 200)
    with pytest.raises(
        DataError, match=r"train_meta\.csv: 1 images have no line, first 'a'; use the table of the full"
    ):
        sizes_of(tmp_path, meta("b,400,300"))


def test_a_meta_table_that_contradicts_the_dicom_file_is_an_error(tmp_path, meta):
    write_dicom_without_pixels(tmp_path / "a.dicom", 300, 400)
    message = (
        r"image 'a' has 400 rows and 301 columns here, 400 and 300 in its DICOM file \(1 such images\); use a table"
    )
    with pytest.raises(DataError, match=message):
        sizes_of(tmp_path, meta("a,400,301"))


@pytest.mark.parametrize("with_dicom", [False, True])
def test_swapped_columns_of_the_meta_table_are_told_by_the_shape_of_the_files(tmp_path, meta, with_dicom):
    if with_dicom:
        write_dicom_without_pixels(tmp_path / "a.dicom", 300, 400)
    else:
        write_png(tmp_path / "a.png", 150, 200)
    write_png(tmp_path / "b.png", 200, 200)
    message = r"train_meta\.csv: dim0 and dim1 look swapped: 'a' has 300 rows and 400 columns here, its file \d00 and "
    with pytest.raises(DataError, match=message + r"\d+ \(1 such images\); dim0 must be the rows, dim1 the columns"):
        sizes_of(tmp_path, meta("a,300,400", "b,500,500"))


def test_a_square_copy_is_taken_for_a_squeezed_one(tmp_path, meta):
    write_png(tmp_path / "a.png", 200, 200)
    write_png(tmp_path / "b.png", 200, 200)
    table = sizes_of(tmp_path, meta("a,400,300", "b,500,500"))
    assert table[["width", "height"]].to_numpy().tolist() == [[300, 400], [500, 500]]
    assert table["squeezed"].tolist() == [True, False]
    write_dicom_without_pixels(tmp_path / "a.dicom", 300, 400)
    write_dicom_without_pixels(tmp_path / "b.dicom", 501, 500)
    assert sizes_of(tmp_path)["squeezed"].tolist() == [True, False]


def test_squares_among_the_copies_do_not_hide_swapped_columns(tmp_path, meta):
    write_png(tmp_path / "a.png", 150, 200)
    write_png(tmp_path / "b.png", 200, 200)
    with pytest.raises(DataError, match=r"dim0 and dim1 look swapped: 'a' has 300 rows .* \(1 such images\)"):
        sizes_of(tmp_path, meta("a,300,400", "b,300,400"))


def test_any_other_copy_of_another_aspect_is_refused(tmp_path, meta):
    write_png(tmp_path / "a.png", 180, 200)
    with pytest.raises(DataError, match=r"a\.png: 180 x 200 pixels are not a resized copy of the 300 x 400 pixels"):
        sizes_of(tmp_path, meta("a,400,300"))


def test_a_damaged_header_is_named(tmp_path):
    (tmp_path / "a.dicom").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(ImageError, match=r"a\.dicom: damaged DICOM header"):
        sizes_of(tmp_path)


def test_two_copies_of_one_name_are_an_error(tmp_path):
    write_png(tmp_path / "512" / "a.png", 20, 20)
    write_png(tmp_path / "1024" / "a.png", 40, 40)
    with pytest.raises(DataError, match=r"512/a\.png: .*1024/a\.png has the same name; keep one of the two"):
        sizes_of(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,400"], "line 2: 'a,400,': dim0 and dim1 must be whole numbers of pixels, from 1"),
        (["a,400,300", "b,0,300"], "line 3: .*from 1"),
        (["a,400,300.5"], "line 2: .*whole numbers"),
        (["a,400,x"], "line 2: .*whole numbers"),
        ([",400,300"], "line 2: .*the image name is missing"),
        (["a,400,300", "b,1,2", "a,400,301"], "line 4: .*twice with different sizes"),
    ],
)
def test_a_wrong_line_of_the_meta_table_is_named(meta, lines, message):
    with pytest.raises(DataError, match=r"train_meta\.csv: " + message):
        meta(*lines)


def test_a_meta_table_with_other_columns_is_refused(meta):
    with pytest.raises(DataError, match=r"no column 'dim0' \(found: image id, width, height\)"):
        meta("a,1,2", header="image_id,width,height")
