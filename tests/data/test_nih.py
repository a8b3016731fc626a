import gzip
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.config.data import NihConfig
from xray_chest_detection.data.nih import read_nih
from xray_chest_detection.data.nih_tables import read_box_list, read_entries, table_files
from xray_chest_detection.errors import DataError, ImageError

BOX = "00000001_000.png,Mass,100,200,300,150"
ENTRY = "00000001_000.png,Mass|Effusion,0,1,50,M,PA,2048,2048,0.171,0.171"
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
ENTRY_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


@pytest.fixture
def boxes(tmp_path):
    def read(*lines, header=BOX_HEADER, prefix="", end="\n"):
        path = tmp_path / "BBox_List_2017.csv"
        path.write_text(prefix + "\n".join([header, *lines]) + end, encoding="utf-8")
        return read_box_list(path)

    return read


@pytest.fixture
def entries(tmp_path):
    def read(*lines, header=ENTRY_HEADER, prefix="", end="\n"):
        path = tmp_path / "Data_Entry_2017.csv"
        path.write_text(prefix + "\n".join([header, *lines]) + end, encoding="utf-8")
        return read_entries(path)

    return read


def test_the_full_box_list(full_tables):
    table, counts = read_box_list(full_tables / "BBox_List_2017.csv.gz")
    assert counts["boxes_read"] == len(table) == 984
    assert counts["boxes_cut_at_border"] == counts["duplicate_boxes_left_out"] == 0
    assert table["image_id"].nunique() == 880
    assert table["class_name"].value_counts().to_dict() == {
        "Atelectasis": 180,
        "Effusion": 153,
        "Cardiomegaly": 146,
        "Infiltrate": 123,
        "Pneumonia": 120,
        "Pneumothorax": 98,
        "Mass": 85,
        "Nodule": 79,
    }


def test_the_full_label_table_in_seconds(full_tables):
    start = time.perf_counter()
    table, counts = read_entries(full_tables / "Data_Entry_2017_v2020.csv.gz")
    assert time.perf_counter() - start < 10
    assert counts == {"entries_read": 112_120, "repeated_entries_left_out": 0}
    assert table["patient_id"].nunique() == 30_805
    assert table["healthy"].sum() == 60_361


def test_boxes_become_edges_in_pixels_of_the_original(boxes):
    table, counts = boxes("00000001_000.png,Infiltrate,100.5,200.25,300,150,,,", BOX)
    assert table[["image_id", "class_name"]].iloc[0].tolist() == ["00000001_000", "Infiltrate"]
    assert table[["x_min", "y_min", "x_max", "y_max"]].iloc[0].tolist() == [100.5, 200.25, 400.5, 350.25]
    assert counts["boxes_read"] == 2
    assert table[["reader", "n_readers", "agreement"]].isna().all(axis=None)


@pytest.mark.parametrize(
    "header",
    [
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "Image Index,Finding Label,Bbox [x,y,w,h]",
        " image_index , FINDING LABEL ,x,y,w,h",
        "Image Index,Finding Labels,Bbox [x,y,w,h],,,,,,",
    ],
)
@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize("line", [BOX, BOX + ",,,", " 00000001_000.png , mass , 100 ,200.0, 3e2,150"])
def test_odd_headers_spaces_marks_and_spellings_change_nothing(boxes, header, prefix, line):
    table, _ = boxes(line, "", header=header, prefix=prefix)
    assert table[["image_id", "class_name", "x_min", "y_max"]].to_numpy().tolist() == [
        ["00000001_000", "Mass", 100, 350]
    ]


def test_both_spellings_of_infiltrate_are_read_in_both_tables(boxes, entries):
    assert boxes("a.png,Infiltration,1,2,3,4")[0]["class_name"].tolist() == ["Infiltrate"]
    table, _ = entries(ENTRY.replace("Mass|Effusion", "Infiltrate| pleural thickening"))
    assert table["labels"].tolist() == ["Infiltration|Pleural_Thickening"]


def test_boxes_over_the_border_are_cut_and_what_has_no_area_or_stands_twice_is_left_out(boxes):
    table, counts = boxes(
        "a.png,Mass,-10,1000,50,50",
        "a.png,Mass,10,10,0,50",
        "a.png,Mass,10,10,50,-5",
        "a.png,Mass,2000,10,50,50",
        "a.png,Nodule,10,10,20,20",
        "a.png,Nodule,10.0,10,20,20",
        "a.png,Mass,10,10,20,20",
    )
    assert table[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [
        [0, 1000, 40, 1024],
        [10, 10, 30, 30],
        [10, 10, 30, 30],
    ]
    assert counts == {
        "boxes_read": 7,
        "boxes_cut_at_border": 1,
        "boxes_without_area_left_out": 3,
        "duplicate_boxes_left_out": 1,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,Maas,1,2,3,4", r"line 3: 'a\.png,Maas,1,2,3,4': unknown label \(known: Atelectasis, "),
        ("a.png,Mass,1,2,3,x", r"line 3: .*: x, y, w and h must be numbers; is the file truncated\?"),
        ("a.png,Mass,1,2,3", r"line 3: 'a\.png,Mass,1,2,3,': x, y, w and h must be numbers"),
        ("a.png,Mass,1,2,inf,4", r"line 3: .*must be numbers"),
        ("a.png,Mas", r"line 3: .*must be numbers"),
        (",Mass,1,2,3,4", r"line 3: ',Mass,1,2,3,4': the image name is missing"),
        ("a.png,Maas,1,2,3,4\nb.png,Maas,1,2,3,4", r"line 3: .*\(2 such lines\)"),
        ("\n\na.png,Maas,1,2,3,4", r"line 5: "),
    ],
)
def test_a_wrong_line_of_the_box_list_is_named(boxes, line, message):
    with pytest.raises(DataError, match=r"BBox_List_2017\.csv: " + message):
        boxes(BOX, line)


def test_a_table_cut_within_its_last_line_is_refused_even_when_the_rest_looks_whole(boxes, entries):
    with pytest.raises(DataError, match=r"BBox_List_2017\.csv: the last line, 3, has no line end.*download it again"):
        boxes(BOX, BOX[:-1], end="")
    with pytest.raises(DataError, match=r"Data_Entry_2017\.csv: the last line, 2, has no line end"):
        entries(ENTRY[:-1], end="")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Finding Label,Image Index,x,y,w,h", "finding label,image index,x,y,w,h"),
        ("Image Index;Finding Label;x;y;w;h", "image index;finding label;x;y;w;h"),
        ("Image Index,Finding Label,x,y,w", "image index,finding label,x,y,w"),
        ("Image Index", "image index"),
    ],
)
def test_a_wrong_header_of_the_box_list_is_shown(boxes, header, found):
    with pytest.raises(DataError, match=f"expected the columns 'Image Index,.*', got '{found}'; download the original"):
        boxes(BOX, header=header)


def test_entries_are_read_with_their_labels_and_health(entries):
    table, counts = entries(ENTRY, ENTRY.replace("Mass|Effusion", "No Finding").replace("_000", "_001"))
    assert table.to_dict("records")[0] == {
        "image_id": "00000001_000",
        "patient_id": "1",
        "view": "PA",
        "labels": "Mass|Effusion",
        "healthy": False,
    }
    assert table["healthy"].tolist() == [False, True]
    assert counts == {"entries_read": 2, "repeated_entries_left_out": 0}


@pytest.mark.parametrize(("text", "patient"), [("1", "1"), ("00000001", "1"), (" 1.0 ", "1"), ("P-7", "P-7")])
def test_spellings_of_a_patient(entries, text, patient):
    assert entries(ENTRY.replace(",1,50", f",{text},50"))[0]["patient_id"].tolist() == [patient]


def test_a_repeated_entry_is_left_out_and_a_contradiction_is_an_error(entries):
    table, counts = entries(ENTRY, ENTRY)
    assert len(table) == counts["repeated_entries_left_out"] == 1
    with pytest.raises(DataError, match=r"line 3: .*the image stands in the table twice with different values"):
        entries(ENTRY, ENTRY.replace(",1,50", ",2,50"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (ENTRY.replace("Effusion", "Efusion"), r"line 2: .*: unknown label \(known: Atelectasis, "),
        (ENTRY.replace("Effusion", "No Finding"), "line 2: .*: 'No Finding' stands beside a finding"),
        (ENTRY[: ENTRY.index(",PA")], r"line 2: .*: a value is missing; is the file truncated\?"),
        (ENTRY.replace(",PA,", ",P,"), r"line 2: .*: the view must be PA or AP; is the file truncated\?"),
    ],
)
def test_a_wrong_line_of_the_label_table_is_named(entries, line, message):
    with pytest.raises(DataError, match=r"Data_Entry_2017\.csv: " + message):
        entries(line)


def test_a_missing_column_is_named_with_the_columns_found(entries):
    with pytest.raises(DataError, match=r"no column 'patient id' \(found: image index, finding labels, follow-up #, "):
        entries(ENTRY, header=ENTRY_HEADER.replace("Patient ID", "Person"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x80", b"Image Index,Finding Label\n", b'a,b\n"unclosed'])
def test_what_is_no_table_is_named(tmp_path, content):
    path = tmp_path / "BBox_List_2017.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"BBox_List_2017\.csv: .*download (it again|the original table)"):
        read_box_list(path)


def test_a_truncated_gzip_file_is_named(tmp_path):
    path = tmp_path / "BBox_List_2017.csv.gz"
    path.write_bytes(gzip.compress(f"{BOX_HEADER}\n{BOX}\n".encode() * 50)[:-20])
    with pytest.raises(DataError, match=r"cannot be read \(.*\); download it again"):
        read_box_list(path)


def test_tables_are_found_zipped_in_a_sub_folder_and_in_their_newer_version(tmp_path):
    with pytest.raises(DataError, match=r"no file BBox_List_2017\*\.csv; see datasets/README\.md"):
        table_files(tmp_path)
    (tmp_path / "csv").mkdir()
    for name in ("csv/BBox_List_2017.csv", "Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"):
        (tmp_path / name).touch()
    assert [path.name for path in table_files(tmp_path)] == ["BBox_List_2017.csv", "Data_Entry_2017_v2020.csv"]


def test_boxed_images_and_background_with_counts(nih_root):
    tables = read_nih(NihConfig(root=nih_root, background=30))
    assert len(tables.images) == 50
    assert tables.images["healthy"].sum() == 30
    assert tables.images["image_id"].is_monotonic_increasing
    assert set(tables.images["width"]) == set(tables.images["height"]) == {1024}
    assert tables.counts["boxed_images"] == tables.counts["boxes"] == 20
    assert tables.counts["background_images"] == 30
    # 30 finding-free films come from 30 of the 40 patients who have one.
    assert tables.images[tables.images["healthy"]]["patient_id"].nunique() == 30


def test_findings_that_nobody_boxed_are_counted(tmp_path, write_nih):
    one, two = ENTRY, ENTRY.replace("00000001", "00000002").replace("Mass|Effusion", "Mass|Edema")
    root = write_nih(tmp_path, [BOX, BOX.replace("00000001", "00000002")], [one, two])
    assert read_nih(NihConfig(root=root)).counts["boxed_images_with_findings_nobody_boxed"] == 1


def test_images_are_found_by_stem_in_any_folder_extension_and_size(nih_root, film):
    moved = nih_root / "images_003" / "images" / "00000001_000.JPG"
    (nih_root / "images" / "00000001_000.png").unlink()
    moved.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((640, 640), np.uint8)).save(moved)
    film(nih_root / "images" / "._00000001_000.png", 0)
    film(nih_root / "images" / "unrelated.png", 0, (10, 90))
    linked = nih_root / "elsewhere"
    shutil.move(nih_root / "images", linked)
    (nih_root / "images").symlink_to(linked)
    shutil.rmtree(nih_root / "more", ignore_errors=True)
    (nih_root / "images").unlink()
    images = read_nih(NihConfig(root=nih_root)).images.set_index("image_id")
    assert images.loc["00000001_000", "path"] == str(moved.absolute())
    assert len(images) == 80


def test_a_missing_boxed_image_is_an_error_or_is_dropped(nih_root):
    (nih_root / "images" / "00000001_000.png").unlink()
    (nih_root / "images" / "00000040_000.png").unlink()
    with pytest.raises(
        DataError, match=r"raw: 1 boxed images are missing, first '00000001_000'; .* pass --missing drop"
    ):
        read_nih(NihConfig(root=nih_root))
    tables = read_nih(NihConfig(root=nih_root, missing="drop"))
    assert tables.counts["boxed_images_missing"] == 1
    assert tables.counts["boxes"] == 19
    assert tables.counts["background_images"] == 59
    assert "00000001_000" not in set(tables.annotations["image_id"])


def test_a_folder_without_the_images_is_an_error_even_when_dropping(nih_root):
    shutil.rmtree(nih_root / "images")
    with pytest.raises(DataError, match="none of the 20 boxed images is here, first '00000001_000'; unpack the images"):
        read_nih(NihConfig(root=nih_root, missing="drop"))


@pytest.mark.parametrize(
    ("size_px", "sound"), [((33, 33), True), ((640, 645), True), ((640, 650), False), ((64, 80), False)]
)
def test_only_resized_copies_are_taken(nih_root, film, size_px, sound):
    path = nih_root / "images" / "00000001_000.png"
    film(path, 0, size_px)
    if sound:
        read_nih(NihConfig(root=nih_root))
        return
    width, height = size_px
    with pytest.raises(
        DataError, match=f"00000001_000.png: {width} x {height} pixels are not a resized copy of the 1024 x 1024 pixels"
    ):
        read_nih(NihConfig(root=nih_root))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"hello", "not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n", "image"),
    ],
)
def test_a_file_that_is_no_image_is_named(nih_root, content, message):
    (nih_root / "images" / "00000001_000.png").write_bytes(content)
    with pytest.raises(ImageError, match=f"00000001_000.png: .*{message}"):
        read_nih(NihConfig(root=nih_root))


def test_two_files_of_one_name_are_an_error(nih_root, film):
    film(nih_root / "more" / "00000001_000.bmp", 0)
    with pytest.raises(DataError, match=r"more/00000001_000\.bmp: .*images/00000001_000\.png has the same name"):
        read_nih(NihConfig(root=nih_root))


def test_tables_that_do_not_belong_together_are_an_error(tmp_path, write_nih):
    other = ENTRY.replace("00000001", "00000002")
    with pytest.raises(DataError, match="1 boxed images have no line, first '00000001_000'"):
        read_nih(NihConfig(root=write_nih(tmp_path / "a", [BOX], [other])))
    healthy = ENTRY.replace("Mass|Effusion", "No Finding")
    with pytest.raises(DataError, match="image '00000001_000' is 'No Finding' but has a box"):
        read_nih(NihConfig(root=write_nih(tmp_path / "b", [BOX], [healthy])))


def test_films_that_are_labelled_but_not_boxed_come_on_request(tmp_path, write_nih):
    labels = {1: "Mass", 2: "Infiltration|Hernia", 3: "Hernia", 4: "No Finding", 5: "Effusion"}
    entries = [f"{number:08d}_000.png,{text},0,{number},50,M,PA,2048,2048,0.1,0.1" for number, text in labels.items()]
    entries.append("00000002_001.png,Pneumonia,0,2,50,M,PA,2048,2048,0.1,0.1")
    root = write_nih(tmp_path / "raw", ["00000001_000.png,Mass,100,200,300,150,,,"], entries)
    (root / "images" / "00000005_000.png").unlink()

    def chosen(unboxed):
        tables = read_nih(NihConfig(root=root, unboxed=unboxed))
        assert len(tables.annotations) == 1
        return tables.counts["unboxed_images"], set(tables.images["image_id"]) - {"00000001_000", "00000004_000"}

    assert chosen(0) == (0, set())
    assert chosen(1) in [(1, {"00000002_000"}), (1, {"00000002_001"})]
    assert chosen(9) == (2, {"00000002_000", "00000002_001"})  # not the one with a hernia alone, which nobody boxes


@pytest.mark.pack
def test_the_pack(pack):
    counts = read_nih(NihConfig(root=pack / "nih")).counts
    assert {name: counts[name] for name in ("boxed_images", "boxes", "background_images", "patients")} == {
        "boxed_images": 753,
        "boxes": 846,
        "background_images": 726,
        "patients": 1059,
    }
    assert read_nih(NihConfig(root=pack / "nih", unboxed=2000)).counts["unboxed_images"] == 364
