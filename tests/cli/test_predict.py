import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.cli import main as program
from xray_chest_detection.cli.dependencies import missing_package, require
from xray_chest_detection.cli.predict import find_images
from xray_chest_detection.errors import DataError, DependencyError

HEAD = np.array([[32, 32, 16, 16, 0.9, 0.01]]).T
HEAVY = ("torch", "torchvision", "ultralytics", "timm", "pandas", "sklearn", "cv2", "matplotlib", "mlflow", "comet_ml")


@pytest.fixture
def models(tmp_path, make_model):
    for name in ("multi", "binary"):
        make_model(tmp_path / "models", name, head=HEAD)
    return tmp_path / "models"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    picture = Image.new("L", (200, 100), 90)
    for name in ("b.png", "a.jpg", "deep/er/c.tiff", "deep/noname"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name, {"noname": "PNG"}.get(name.rpartition("/")[2]))
    for name in ("notes.txt", ".hidden.png", "deep/.cache/d.png", "DICOMDIR"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"something else")
    return folder


def run(*arguments):
    """Exit status of `xray predict`."""
    try:
        return program.main(["predict", *map(str, arguments)])
    except SystemExit as error:
        return error.code


def test_a_folder_is_searched_and_the_answer_is_whole(models, images, tmp_path, capsys):
    out = tmp_path / "new" / "out.json"
    assert run("--source", images, "--models", "multi, binary", "--checkpoints", models, "--out", out) == 0
    answer = json.loads(out.read_text())
    assert [image["file"] for image in answer["images"]] == ["a.jpg", "b.png", "deep/er/c.tiff", "deep/noname"]
    first = answer["images"][0]
    assert (first["width"], first["height"], list(first["models"])) == (200, 100, ["multi", "binary"])
    assert first["models"]["multi"] == [
        {"class": "Cardiomegaly", "score": pytest.approx(0.9), "box": [75.0, 25.0, 125.0, 75.0]}
    ]
    assert answer["errors"] == []
    assert "not a medical device" in answer["notice"]
    assert capsys.readouterr() == ("", "")


def test_one_file_and_a_low_threshold(models, images, tmp_path):
    out = tmp_path / "out.json"
    arguments = ("--models", "multi", "--checkpoints", models, "--out", out, "--conf", "0.001")
    assert run("--source", images / "b.png", *arguments) == 0
    (image,) = json.loads(out.read_text())["images"]
    assert image["file"] == "b.png"
    assert [row["class"] for row in image["models"]["multi"]] == ["Cardiomegaly", "Effusion"]


def test_tiles_are_looked_at_beside_the_whole_film(models, images, tmp_path):
    out = tmp_path / "out.json"
    arguments = ("--source", images / "b.png", "--models", "multi", "--checkpoints", models, "--out", out)
    assert run(*arguments, "--tiles", "1") == 0
    assert len(json.loads(out.read_text())["images"][0]["models"]["multi"]) == 1
    assert run(*arguments, "--tiles", "0.5") == 0
    (image,) = json.loads(out.read_text())["images"]
    found = sorted(row["box"] for row in image["models"]["multi"])
    assert found == [[37.5, 37.5, 62.5, 62.5], [75, 25, 125, 75], [87.5, 37.5, 112.5, 62.5], [137.5, 37.5, 162.5, 62.5]]


@pytest.mark.parametrize("share", ["0.1", "1.5", "nan"])
def test_tiles_of_no_sensible_size_are_refused(share, models, images, tmp_path, capsys):
    arguments = ("--source", images, "--checkpoints", models, "--out", tmp_path / "out.json")
    assert run(*arguments, "--tiles", share) == 2
    assert capsys.readouterr().err == f"error: --tiles: {share} is not a share between 0.2 and 1\n"


def test_pictures_show_the_marks_of_every_model(models, images, tmp_path):
    pictures = tmp_path / "pictures"
    arguments = ("--models", "multi,binary", "--checkpoints", models, "--out", tmp_path / "out.json")
    assert run("--source", images, *arguments, "--pictures", pictures) == 0
    found = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    assert found == ["a.jpg.png", "b.png", "deep/er/c.tiff.png", "deep/noname.png"]
    with Image.open(pictures / "b.png") as sheet:
        assert sheet.mode == "RGB"
        assert len(set(sheet.get_flattened_data() if hasattr(sheet, "get_flattened_data") else sheet.getdata())) > 10


def test_unreadable_files_are_listed_and_the_others_are_done(models, images, tmp_path, capsys):
    (images / "deep" / "bad.png").write_bytes(b"")
    out = tmp_path / "out.json"
    assert run("--source", images, "--models", "multi", "--checkpoints", models, "--out", out) == 1
    answer = json.loads(out.read_text())
    assert len(answer["images"]) == 4
    (error,) = answer["errors"]
    assert error["file"] == "deep/bad.png"
    assert error["error"].startswith("deep/bad.png: the file is empty (0 bytes)")
    assert capsys.readouterr().err == f"error: {error['error']}\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--source": "nowhere"}, r"error: nowhere: no such file or folder; give an image or a folder of images"),
        ({"--models": "multi,three"}, r"error: no model 'three' (known: multi, binary)"),
        ({"--checkpoints": "nowhere"}, r"error: nowhere: no model here (no *.card.yaml); export one"),
        ({"--out": "."}, r"error: .: is a folder; give the name of the JSON file to write"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_status_1(models, images, tmp_path, capsys, change, message):
    options = {"--source": images, "--models": "multi", "--checkpoints": models, "--out": tmp_path / "o.json", **change}
    assert run(*(part for pair in options.items() for part in pair)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(message)
    assert not (tmp_path / "o.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--source", "a.png"],
        ["--source", "a.png", "--out", "o.json", "--conf", "1.5"],
        ["--source", "a.png", "--out", "o.json", "--conf", "nan"],
        ["--source", "a.png", "--out", "o.json", "--conf", "high"],
        ["--source", "a.png", "--out", "o.json", "--models", " , "],
        ["--source", "a.png", "--out", "o.json", "--threads", "0"],
        ["--source", "a.png", "--out", "o.json", "--sauce", "b"],
    ],
)
def test_wrong_usage_is_exit_status_2(arguments, capsys):
    assert run(*arguments) == 2
    assert capsys.readouterr().err


def test_images_are_known_by_suffix_or_content(images):
    assert [path.name for path in find_images(images)] == ["a.jpg", "b.png", "c.tiff", "noname"]
    (images / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no image in this folder \(PNG, JPEG, TIFF, WebP, BMP, DICOM\)"):
        find_images(images / "empty")


def test_none_of_the_heavy_packages_is_loaded(models, images, tmp_path):
    code = (
        "import sys; from xray_chest_detection.cli.main import main;"
        "assert main(sys.argv[1:]) == 0;"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]; assert not loaded, loaded"
    )
    arguments = ["predict", "--source", images, "--models", "multi", "--checkpoints", models, "--out", tmp_path / "o"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, timeout=120)


def test_another_runtime_gives_the_same_answer(models, images, tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    answers = []
    for runtime in ("onnxruntime", "openvino"):
        out = tmp_path / f"{runtime}.json"
        arguments = ("--source", images, "--models", "multi", "--checkpoints", models, "--out", out)
        assert run(*arguments, "--runtime", runtime) == 0
        answers.append(json.loads(out.read_text()))
    assert len(answers[0]["images"]) == 4
    assert answers[0] == answers[1]


def test_a_runtime_that_is_not_installed_names_its_extra(models, images, tmp_path):
    code = (
        "import sys; sys.modules['openvino'] = None; from xray_chest_detection.cli.main import main; main(sys.argv[1:])"
    )
    arguments = ["predict", "--source", images, "--models", "multi", "--checkpoints", models, "--out", tmp_path / "o"]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments), "--runtime", "openvino"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: OpenVINO is not installed; install it: pip install -e '.[openvino]'\n"
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("heavy", ["pandas", "torch", "tqdm"])
def test_a_missing_package_names_the_extra_to_install(monkeypatch, capsys, heavy):
    def broken(name):
        raise ModuleNotFoundError(f"No module named '{heavy}'", name=heavy)

    monkeypatch.setattr(program.importlib, "import_module", broken)
    with pytest.raises(SystemExit, match="1"):
        program.main(["export", "runs/x"])
    expected = f"error: xray export needs the package {heavy}; install it: pip install -e '.[train]'\n"
    assert capsys.readouterr().err == expected


def test_help_lists_every_command(capsys):
    assert program.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in ("predict", "tune-nms", "evaluate", "export", "figures", "env"))


def test_unknown_commands_are_wrong_usage(capsys):
    assert program.main(["predit"]) == 2
    assert capsys.readouterr().err == "error: unknown command 'predit' (did you mean 'predict'?)\n"
    assert program.main([]) == 2


def test_env_names_versions_and_hardware(capsys):
    assert program.main(["env"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["numpy"] == np.__version__
    assert {"python", "onnxruntime", "torch", "cpu", "gpu"} <= set(lines)


def test_required_packages_are_looked_up_before_work_starts():
    require("json", command="a step")
    for command in ("python -m data_prep", "xray agreement"):
        assert str(missing_package(ModuleNotFoundError(name="tqdm"), command=command)).endswith("'.[data]'")
    with pytest.raises(DependencyError, match=r"^a step needs the package no_such_package; install it$"):
        require("no_such_package", command="a step")
