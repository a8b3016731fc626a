import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_windowing

from data_prep.sample import main as sample_step
from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.sample import SampleConfig, sample_from_command_line
from xray_chest_detection.data.synthetic import (
    NIH_CLASSES,
    SyntheticImage,
    nih_format,
    render_radiograph,
    sample_finding,
    sample_patient,
    vinbigdata_format,
    write_dataset,
)
from xray_chest_detection.data.synthetic.canvas import Frame, smooth_line
from xray_chest_detection.data.synthetic.figure import EXAMPLES, write_contact_sheet, write_examples
from xray_chest_detection.data.synthetic.findings import bounding_box
from xray_chest_detection.data.synthetic.readers import (
    CLASS_IDS,
    FROM_NIH,
    Reader,
    Truth,
    choose_readers,
    read_image,
    reader_pool,
)
from xray_chest_detection.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
SMALL = {"patients": 4, "max_visits": 3, "vinbigdata_images": 6, "size_px": 160, "healthy_share": 0.3}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample") / "set"
    config = SampleConfig(out=out, **SMALL)
    return config, out, write_dataset(config, out)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def render_pair(class_name: str, seed: int) -> tuple[SyntheticImage, SyntheticImage]:
    """The same patient and exposure without and with a clear finding."""
    patient = sample_patient(np.random.default_rng(seed))
    finding = sample_finding(class_name, np.random.default_rng([seed, 1]), obvious=True)
    pictures = [
        render_radiograph(patient, np.random.default_rng([seed, 2]), size_px=256, findings=findings)
        for findings in ((), (finding,))
    ]
    return pictures[0], pictures[1]


class TestRendering:
    def test_a_normal_chest_has_no_boxes_and_uses_the_grey_scale(self):
        image = render_radiograph(sample_patient(np.random.default_rng(0)), np.random.default_rng(1), size_px=200)
        assert image.boxes == []
        assert image.pixels.shape == (200, 200)
        assert image.pixels.dtype == np.uint8
        assert image.pixels.min() < 20
        assert image.pixels.max() > 215

    def test_lungs_are_darker_than_heart_and_abdomen(self):
        for seed in range(6):
            patient = sample_patient(np.random.default_rng(seed))
            picture = render_radiograph(patient, np.random.default_rng(seed), size_px=256).intensity
            lung, heart, belly = picture[80:130, 60:85], picture[140:160, 130:150], picture[225:245, 100:150]
            assert lung.mean() < 0.6 * heart.mean()
            assert lung.mean() < 0.6 * belly.mean()

    def test_same_generator_state_gives_identical_pixels(self):
        first, second = (render_pair("Mass", 7)[1] for _ in range(2))
        assert np.array_equal(first.intensity, second.intensity)
        assert first.boxes == second.boxes

    def test_two_images_of_one_patient_share_the_anatomy_but_not_the_pixels(self):
        patient = sample_patient(np.random.default_rng(0))
        other = sample_patient(np.random.default_rng(1))
        first, second = (render_radiograph(patient, np.random.default_rng(k), size_px=128) for k in (1, 2))
        assert not np.array_equal(first.pixels, second.pixels)
        assert patient.half_width != other.half_width

    @pytest.mark.parametrize("class_name", [*NIH_CLASSES, "Aortic enlargement"])
    @pytest.mark.parametrize("seed", [1, 2])
    def test_the_box_covers_what_the_finding_changed(self, class_name, seed):
        without, with_finding = render_pair(class_name, seed)
        change = np.abs(with_finding.intensity - without.intensity)
        ((name, x1, y1, x2, y2),) = with_finding.boxes
        inside = np.zeros(change.shape, dtype=bool)
        inside[int(y1) : int(y2), int(x1) : int(x2)] = True
        assert name == class_name
        assert 0 <= x1 < x2 <= 256
        assert 0 <= y1 < y2 <= 256
        assert change[inside].mean() > 4 * change[~inside].mean()

    @pytest.mark.parametrize(
        ("class_name", "sign"),
        [("Effusion", 1), ("Infiltrate", 1), ("Mass", 1), ("Nodule", 1), ("Pneumonia", 1), ("Pneumothorax", -1)],
    )
    def test_opacities_brighten_and_a_pneumothorax_darkens(self, class_name, sign):
        without, with_finding = render_pair(class_name, 5)
        x1, y1, x2, y2 = (int(edge) for edge in with_finding.boxes[0][1:])
        assert sign * (with_finding.intensity - without.intensity)[y1:y2, x1:x2].mean() > 0.015

    def test_boxes_scale_with_the_image(self):
        patient, finding = sample_patient(np.random.default_rng(0)), sample_finding("Mass", np.random.default_rng(1))
        small, large = (
            np.array(render_radiograph(patient, np.random.default_rng(2), size_px=px, findings=(finding,)).boxes[0][1:])
            for px in (256, 512)
        )
        assert np.abs(small * 2 - large).max() <= 5

    def test_nodules_are_under_and_masses_over_three_centimetres(self):
        rng = np.random.default_rng(0)
        limit = 30 / 360
        assert all(sample_finding("Nodule", rng).size < limit for _ in range(50))
        assert all(sample_finding("Mass", rng).size > limit for _ in range(50))

    def test_cardiomegaly_exceeds_half_of_the_chest(self):
        rng = np.random.default_rng(0)
        assert all(sample_finding("Cardiomegaly", rng).size > 0.5 for _ in range(20))
        assert all(sample_patient(rng).heart_ratio < 0.5 for _ in range(50))


class TestCanvas:
    def test_grid_is_the_inverse_of_the_frame(self):
        frame = Frame(64, rotation_rad=0.2, scale=1.1, shift_uv=(0.03, -0.02))
        u, v = frame.grid
        x, y = frame.to_px(np.array([[u[10, 40], v[10, 40]]], dtype=float))[0]
        assert (x, y) == pytest.approx((40.5, 10.5), abs=1e-3)

    def test_a_filled_square_covers_its_pixels_and_at_most_a_rim_of_one(self):
        square = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
        assert 32**2 <= Frame(64).fill(square).sum() <= 34**2

    def test_a_smooth_line_passes_through_its_ends(self):
        corners = np.array([[0.0, 0.0], [0.5, 0.2], [1.0, 0.0]])
        line = smooth_line(corners, 9)
        assert line[[0, 4, -1]] == pytest.approx(corners)

    def test_the_box_of_an_empty_field_is_none(self):
        assert bounding_box(np.zeros((8, 8), dtype=np.float32)) is None

    def test_the_box_is_max_exclusive(self):
        field = np.zeros((8, 8), dtype=np.float32)
        field[2:4, 5:8] = 1
        assert bounding_box(field) == (5, 2, 8, 4)


class TestNihFormat:
    def test_headers_are_those_of_the_public_tables(self, written):
        _, out, _ = written
        assert (out / "nih/BBox_List_2017.csv").read_text().splitlines()[0] == (
            "Image Index,Finding Label,Bbox [x,y,w,h],,,"
        )
        assert list(rows_of(out / "nih/Data_Entry_2017.csv")[0]) == [
            "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender",
            "View Position", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]",
        ]  # fmt: skip

    def test_every_entry_has_its_grey_png_and_the_name_holds_patient_and_follow_up(self, written):
        config, out, _ = written
        entries = rows_of(out / "nih/Data_Entry_2017.csv")
        files = {path.name for path in (out / "nih/images_001/images").iterdir()}
        assert files == {entry["Image Index"] for entry in entries}
        for entry in entries:
            assert entry["Image Index"] == f"{int(entry['Patient ID']):08d}_{int(entry['Follow-up #']):03d}.png"
            with Image.open(out / "nih/images_001/images" / entry["Image Index"]) as image:
                assert (image.mode, image.size) == ("L", (config.size_px, config.size_px))

    def test_boxes_lie_inside_1024_pixels_and_agree_with_the_labels(self, written):
        _, out, _ = written
        labels = {
            row["Image Index"]: row["Finding Labels"].split("|") for row in rows_of(out / "nih/Data_Entry_2017.csv")
        }
        lines = (out / "nih/BBox_List_2017.csv").read_text().splitlines()[1:]
        assert lines
        for line in lines:
            name, label, *numbers = line.split(",")[:6]
            x, y, w, h = map(float, numbers)
            assert line.endswith(",,,")
            assert label in NIH_CLASSES
            assert {"Infiltrate": "Infiltration"}.get(label, label) in labels[name]
            assert min(x, y) >= 0
            assert max(x + w, y + h) <= 1024
            assert min(w, h) > 4

    def test_unboxed_images_keep_their_labels(self):
        visits = nih_format.plan_visits(0, n_patients=30, max_visits=4, healthy_share=0.0, unboxed_share=1.0)
        visit = next(v for v in visits if v.findings)
        image = nih_format.render_visit(visit, 128)
        assert nih_format.box_rows(visit, image) == []
        assert "No Finding" not in nih_format.entry_row(visit, image)

    def test_lasting_findings_stay_on_the_next_visit(self):
        visits = nih_format.plan_visits(0, n_patients=60, max_visits=4, healthy_share=0.0, unboxed_share=0.0)
        lasting = [
            {f.class_name for f in earlier.findings} <= {f.class_name for f in later.findings}
            for earlier, later in pairwise(visits)
            if earlier.patient_id == later.patient_id and {f.class_name for f in earlier.findings} == {"Mass"}
        ]
        assert lasting
        assert all(lasting)

    def test_all_healthy_gives_no_boxes(self):
        visits = nih_format.plan_visits(0, n_patients=5, max_visits=2, healthy_share=1.0, unboxed_share=0.0)
        assert all(visit.findings == () for visit in visits)


class TestVinBigDataFormat:
    def test_three_different_readers_per_image_from_the_pool_of_seventeen(self, written):
        _, out, _ = written
        readers: dict[str, set[str]] = {}
        for row in rows_of(out / "vinbigdata/train.csv"):
            readers.setdefault(row["image_id"], set()).add(row["rad_id"])
        assert all(len(names) == 3 for names in readers.values())
        assert set().union(*readers.values()) <= {f"R{k}" for k in range(1, 18)}
        files = {path.stem for path in (out / "vinbigdata/train").glob("*.dicom")}
        assert files == set(readers)
        assert all(len(name) == 32 and int(name, 16) >= 0 for name in files)

    def test_rows_carry_the_right_ids_and_boxes_inside_the_image(self, written):
        config, out, _ = written
        for row in rows_of(out / "vinbigdata/train.csv"):
            box = [row[name] for name in ("x_min", "y_min", "x_max", "y_max")]
            assert CLASS_IDS[row["class_name"]] == int(row["class_id"])
            if row["class_name"] == "No finding":
                assert box == ["", "", "", ""]
            else:
                x1, y1, x2, y2 = map(float, box)
                assert 0 <= x1 < x2 <= config.size_px
                assert 0 <= y1 < y2 <= config.size_px

    def test_a_reader_without_boxes_has_exactly_one_no_finding_row(self, written):
        _, out, _ = written
        rows = rows_of(out / "vinbigdata/train.csv")
        empty = [(r["image_id"], r["rad_id"]) for r in rows if r["class_name"] == "No finding"]
        drawn = {(r["image_id"], r["rad_id"]) for r in rows if r["class_name"] != "No finding"}
        assert len(empty) == len(set(empty))
        assert not drawn & set(empty)

    @pytest.mark.parametrize("windowed", [False, True])
    @pytest.mark.parametrize("bits", [12, 14])
    def test_both_photometric_interpretations_show_the_same_picture(self, tmp_path, windowed, bits):
        study = vinbigdata_format.plan_studies(3, n_images=1, healthy_share=0.0)[0]
        image = vinbigdata_format.render_study(study, 128)
        for inverted in (False, True):
            path = tmp_path / f"{inverted}.dicom"
            variant = replace(study, inverted=inverted, bits=bits, windowed=windowed)
            vinbigdata_format.write_dicom(path, variant, image)
            ds = pydicom.dcmread(path)
            assert ds.PhotometricInterpretation == ("MONOCHROME1" if inverted else "MONOCHROME2")
            assert ("WindowWidth" in ds) == windowed
            top = 2**bits - 1
            shown = apply_windowing(apply_modality_lut(ds.pixel_array, ds), ds) / top
            shown = 1 - shown if inverted else shown
            assert np.abs(shown - image.intensity).max() < 1.5 / (0.7 * top)

    def test_files_hold_nothing_that_identifies_a_person(self, written):
        _, out, _ = written
        kinds = set()
        for path in (out / "vinbigdata/train").iterdir():
            ds = pydicom.dcmread(path)
            kinds.add(str(ds.PhotometricInterpretation))
            assert ds.BitsStored in (12, 14)
            assert str(ds.PatientName) == ds.PatientID == ""
            assert not [e for e in ds if e.keyword in ("PatientBirthDate", "InstitutionName", "StudyDate")]
        assert kinds == {"MONOCHROME1", "MONOCHROME2"}

    def test_truth_names_are_vinbigdata_names(self, written):
        _, out, _ = written
        truths = rows_of(out / "vinbigdata/truth.csv")
        assert truths
        assert {row["class_name"] for row in truths} <= set(FROM_NIH.values())


class TestReaders:
    TRUTH = Truth("Nodule/Mass", (40.0, 50.0, 80.0, 90.0), 0.9)

    def test_habits_differ(self):
        assert len({(r.jitter, r.miss, r.invent) for r in reader_pool()}) == 4

    def test_a_perfect_reader_returns_the_truth(self):
        perfect = Reader("R1", jitter=0.0, miss=0.0, invent=0.0, vague=0.0, split=0.0)
        drawn = read_image(perfect, [self.TRUTH], size_px=128, rng=np.random.default_rng(0))
        assert drawn == [("Nodule/Mass", self.TRUTH.xyxy)]

    @pytest.mark.parametrize(("habit", "n_boxes"), [({"miss": 1.0}, 0), ({"invent": 1.0}, 2), ({"split": 1.0}, 2)])
    def test_each_habit_shows(self, habit, n_boxes):
        values = {"jitter": 0.0, "miss": 0.0, "invent": 0.0, "vague": 0.0, "split": 0.0} | habit
        drawn = read_image(Reader("R1", **values), [self.TRUTH], size_px=128, rng=np.random.default_rng(0))
        assert len(drawn) == n_boxes

    def test_no_findings_and_no_inventions_give_an_empty_reading(self):
        reader = Reader("R1", jitter=0.1, miss=0.0, invent=0.0, vague=0.0, split=0.0)
        assert read_image(reader, [], size_px=128, rng=np.random.default_rng(0)) == []

    def test_sick_images_go_mostly_to_the_busy_three(self):
        rng = np.random.default_rng(0)
        names = [r.name for _ in range(200) for r in choose_readers(rng, sick=True)]
        assert sum(name in ("R8", "R9", "R10") for name in names) > 0.5 * len(names)


class TestWriting:
    def test_the_same_seed_gives_identical_bytes(self, written, tmp_path):
        config, out, _ = written
        write_dataset(config, tmp_path / "again")
        for path in sorted(p for p in out.rglob("*") if p.is_file() and p.name != "manifest.json"):
            assert (tmp_path / "again" / path.relative_to(out)).read_bytes() == path.read_bytes(), path.name

    def test_another_seed_gives_other_pictures(self, written, tmp_path):
        config, out, _ = written
        write_dataset(config.model_copy(update={"seed": 1}), tmp_path)
        name = "nih/images_001/images/00000001_000.png"
        assert (tmp_path / name).read_bytes() != (out / name).read_bytes()

    def test_the_manifest_tells_seed_and_counts(self, written):
        _, out, manifest = written
        stored = json.loads((out / "manifest.json").read_text())
        assert stored["seed"] == 0
        assert stored["counts"] == manifest.counts
        assert stored["counts"]["vinbigdata"]["images"] == 6
        assert "numpy" in stored["versions"]
        assert not [value for value in stored["config"].values() if isinstance(value, str) and "/" in value]

    def test_a_folder_with_content_is_refused(self, written):
        config, out, _ = written
        with pytest.raises(DataError, match=r"folder is not empty; give an empty one, or add --overwrite"):
            write_dataset(config, out)

    def test_overwrite_never_deletes_what_is_not_synthetic(self, written, tmp_path):
        config, _, _ = written
        real = tmp_path / "nih" / "BBox_List_2017.csv"
        real.parent.mkdir()
        real.write_text("real")
        with pytest.raises(DataError, match=r"not a synthetic data set \(found no SYNTHETIC.txt\)"):
            write_dataset(config.model_copy(update={"overwrite": True}), tmp_path)
        assert real.read_text() == "real"

    def test_overwrite_refuses_strange_files_beside_the_set(self, written, tmp_path):
        config, _, _ = written
        (tmp_path / "SYNTHETIC.txt").touch()
        (tmp_path / "thesis.docx").touch()
        with pytest.raises(DataError, match=r"found thesis.docx"):
            write_dataset(config.model_copy(update={"overwrite": True}), tmp_path)

    def test_out_may_not_be_a_file(self, written, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="is a file; give a folder"):
            write_dataset(written[0], tmp_path / "file")

    def test_an_interrupted_run_leaves_nothing_and_can_be_repeated(self, written, tmp_path, monkeypatch):
        config, out, _ = written
        saved = []

        def save_half(image, path, **_):
            Path(path).write_bytes(b"half")
            saved.append(path)
            if len(saved) == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("PIL.Image.Image.save", save_half)
            with pytest.raises(KeyboardInterrupt):
                write_dataset(config, tmp_path)
        left = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
        assert left == []
        write_dataset(config.model_copy(update={"overwrite": True}), tmp_path)
        assert (tmp_path / "nih/BBox_List_2017.csv").read_bytes() == (out / "nih/BBox_List_2017.csv").read_bytes()
        assert (tmp_path / "manifest.json").is_file()


class TestCommand:
    def test_out_config_and_overrides_are_read_together(self, tmp_path):
        (tmp_path / "c.yaml").write_text("patients: 7\nseed: 3\n")
        config = sample_from_command_line([str(tmp_path / "o"), str(tmp_path / "c.yaml"), "--seed", "5"])
        assert (config.out, config.patients, config.seed) == (tmp_path / "o", 7, 5)

    def test_a_config_alone_names_its_own_folder(self, tmp_path):
        (tmp_path / "c.yaml").write_text("out: here\n")
        assert sample_from_command_line([str(tmp_path / "c.yaml")]).out == Path("here")

    def test_nothing_to_write_is_an_error(self):
        with pytest.raises(ConfigError, match="nothing to write; give a folder"):
            sample_from_command_line(["--seed", "1"])

    def test_the_shipped_config_is_valid(self):
        assert read_config(SampleConfig, ROOT / "configs/data/sample.yaml").out is not None

    def test_the_step_prints_what_it_wrote(self, tmp_path, capsys):
        options = ["--patients", "1", "--max-visits", "1", "--vinbigdata-images", "1", "--size-px", "128"]
        sample_step([str(tmp_path / "set"), *options])
        assert "1 patients, 1 images" in capsys.readouterr().out

    def test_the_step_ends_with_one_line_and_status_1(self, tmp_path, capsys):
        (tmp_path / "x").touch()
        with pytest.raises(SystemExit) as stop:
            sample_step([str(tmp_path)])
        assert stop.value.code == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"error: {tmp_path}: folder is not empty; ")


class TestFigures:
    def test_the_contact_sheet_is_a_small_colour_png(self, tmp_path):
        write_contact_sheet(tmp_path / "sheet.png", seed=0)
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.size == (1200, 900)
        assert (tmp_path / "sheet.png").stat().st_size < 700_000

    def test_examples_have_speaking_names_and_are_grey(self, tmp_path):
        paths = write_examples(tmp_path, seed=0, size_px=128)
        assert [path.stem for path in paths] == list(EXAMPLES)
        with Image.open(paths[0]) as image:
            assert (image.mode, image.size) == ("L", (128, 128))
