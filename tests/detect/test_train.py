"""Training: what reaches ultralytics, what is refused, and what survives a kill."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.detect.runs import Run, create_run, open_run, open_trained_run
from xray_chest_detection.detect.weights import resolve_weights
from xray_chest_detection.errors import ConfigError, DataError, ModelError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.detect.settings import choose_device, overrides_of  # noqa: E402
from xray_chest_detection.detect.side_labels import read_side_labels  # noqa: E402
from xray_chest_detection.detect.train import resume, train  # noqa: E402

ROOT = Path(__file__).parents[2]

# Every value of the configuration: another value, and where ultralytics must find it.
REACHES = [
    ({"data": "elsewhere"}, "data", str(Path("elsewhere/data.yaml").resolve())),
    ({"epochs": 7}, "epochs", 7),
    ({"patience": 9}, "patience", 9),
    ({"image_size_px": 96}, "imgsz", 96),
    ({"batch": 3}, "batch", 3),
    ({"optimizer": "SGD"}, "optimizer", "SGD"),
    ({"learning_rate": 0.02}, "lr0", 0.02),
    ({"final_learning_rate": 0.5}, "lrf", 0.5),
    ({"cosine": False}, "cos_lr", False),
    ({"warmup_epochs": 2.5}, "warmup_epochs", 2.5),
    ({"weight_decay": 0.1}, "weight_decay", 0.1),
    ({"box_gain": 3.0}, "box", 3.0),
    ({"class_gain": 1.5}, "cls", 1.5),
    ({"class_balance": 0.5}, "cls_pw", 0.5),
    ({"freeze": 10}, "freeze", 10),
    ({"device": "cpu"}, "device", "cpu"),
    ({"workers": 2}, "workers", 2),
    ({"cache": True}, "cache", "ram"),
    ({"seed": 5}, "seed", 5),
    ({"augment": {"mosaic": 0.3}}, "mosaic", 0.3),
    ({"augment": {"close_mosaic": 4}}, "close_mosaic", 4),
    ({"augment": {"mixup": 0.5}}, "mixup", 0.5),
    ({"augment": {"brightness": 0.2}}, "hsv_v", 0.2),
    ({"augment": {"rotate_deg": 5}}, "degrees", 5),
    ({"augment": {"translate": 0.2}}, "translate", 0.2),
    ({"augment": {"rescale": 0.25}}, "scale", 0.25),
    ({"augment": {"flip_horizontal": 0.0}}, "fliplr", 0.0),
    ({"augment": {"erasing": 0.4}}, "erasing", 0.4),
    ({"augment": {"copy_paste": 0.8}}, "copy_paste", 0.8),
]
# Used by this project itself, not by ultralytics; or refused above 0.
ELSEWHERE = {
    *("task", "name", "title", "synthetic", "weights", "runs", "checkpoint", "precision", "augment", "comet", "after"),
    *("mask_unknown", "mask_unlocated", "label_weights", "tiles", "flip_views", "calibrate"),
    *("networks", "start_share"),
}
REFUSED = {"hue", "saturation"}
TONES = {"clahe": "CLAHE", "gamma": "RandomGamma", "noise": "GaussNoise"}  # steps of albumentations


@pytest.mark.parametrize(("change", "key", "expected"), REACHES, ids=[key for _, key, _ in REACHES])
def test_value_reaches_ultralytics(change: dict[str, Any], key: str, expected: object, tmp_path, make_config) -> None:
    from ultralytics.cfg import get_cfg

    overrides = overrides_of(make_config(tmp_path, tmp_path, **change), tmp_path / "run")
    assert overrides[key] == expected
    assert getattr(get_cfg(overrides=overrides), key) == expected


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_checkpoint_that_is_measured_and_exported(checkpoint: str, tmp_path, make_config) -> None:
    run = Run(tmp_path, make_config(tmp_path, tmp_path, checkpoint=checkpoint))
    assert run.weights == tmp_path / "weights" / f"{checkpoint}.pt"


def test_no_value_is_forgotten() -> None:
    covered = {name for change, _, _ in REACHES for name in change} | ELSEWHERE
    assert covered == set(DetectConfig.model_fields)
    augment = DetectConfig.model_fields["augment"].annotation
    assert augment is not None
    named = {name for change, _, _ in REACHES for name in change.get("augment", {})}  # type: ignore[attr-defined]
    assert named | REFUSED | set(TONES) == set(augment.model_fields)


def test_validation_does_not_cut_the_curve(tmp_path, make_config) -> None:
    overrides = overrides_of(make_config(tmp_path, tmp_path), tmp_path / "run")
    assert (overrides["conf"], overrides["iou"]) == (0.001, 0.7)


def test_nothing_is_augmented_that_was_not_asked_for(tmp_path, make_config) -> None:
    overrides = overrides_of(make_config(tmp_path, tmp_path), tmp_path / "run")
    assert [overrides[key] for key in ("hsv_h", "hsv_s", "copy_paste", "erasing")] == [0, 0, 0, 0]
    assert overrides["augmentations"] == []  # without the key ultralytics adds four steps of its own


@pytest.mark.parametrize(("key", "name"), TONES.items())
def test_change_of_tone_reaches_ultralytics(key: str, name: str, tmp_path, make_config) -> None:
    overrides = overrides_of(make_config(tmp_path, tmp_path, augment={key: 0.3}), tmp_path / "run")
    assert [(type(step).__name__, step.p) for step in overrides["augmentations"]] == [(name, 0.3)]


def test_several_gpus_pass_through(tmp_path, make_config, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    overrides = overrides_of(make_config(tmp_path, tmp_path, device="0,1"), tmp_path / "run")
    assert (overrides["device"], overrides["amp"]) == ("0,1", "bf16")


@pytest.mark.parametrize(
    ("device", "count", "message"),
    [
        ("0", 0, "device: '0': no CUDA device on this machine; try --device cpu"),
        ("0,3", 2, "device: '0,3': CUDA devices 0 to 1 on this machine; try --device cpu"),
        ("gpu", 2, "device: 'gpu' is not one of cpu, mps, 0, 1, ... or several joined by commas"),
    ],
)
def test_device_that_is_not_there(device: str, count: int, message: str, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ConfigError) as error:
        choose_device(device)
    assert str(error.value) == message


def test_device_is_chosen_when_not_given(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(None) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(None) == "0"


def test_ddp_processes_can_build_the_trainer(dataset, tmp_path, make_config, monkeypatch) -> None:
    """What ultralytics hands to its processes: class, settings, callbacks, and a folder that it empties first."""
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    from ultralytics.engine import trainer as engine
    from ultralytics.utils import dist
    from ultralytics.utils.patches import torch_load

    from xray_chest_detection.detect import trainer as module

    write_side_files(dataset)
    run = create_run(make_config(tmp_path, dataset, mask_unlocated=False))
    state: dict[str, Any] = {}

    def run_nothing(command: list[str], *, check: bool) -> None:
        file = Path(command[-1])
        assert 'state["trainer"](cfg=cfg, overrides=state["args"]' in file.read_text()
        state.update(torch_load(file.with_suffix(".pt"), map_location="cpu"))
        assert (run.folder / "config.yaml").is_file()

    monkeypatch.setattr(engine.subprocess, "run", run_nothing)
    monkeypatch.setattr(dist, "USER_CONFIG_DIR", tmp_path)
    overrides = overrides_of(run.config, run.folder) | {"model": "yolov8n.yaml", "pretrained": False}
    parent = module.XrayTrainer(overrides=overrides)
    parent.ddp, parent.world_size, parent.args.device = True, 2, "0,1"
    parent.train()
    assert state["trainer"] is module.XrayTrainer
    assert module._use_bf16 in state["callbacks"]["on_train_start"]
    child = state["trainer"](cfg=None, overrides=state["args"] | {"device": "cpu"}, _callbacks=state["callbacks"])
    assert child.args.epochs == 2
    assert Path(child.save_dir) == run.folder.resolve()
    assert open_run(run.folder).config == run.config
    assert child.side == read_side_labels(run.config)
    assert child.side.unknown["images/train/film_001.png"] == [1]
    assert "images/train/film_002.png" not in child.side.unknown


def test_validation_leaves_out_marks_of_unknown_classes(tmp_path, dataset, make_config) -> None:
    """Two images, each with a mark of a disc and of a bar, nothing drawn on either; bars are unknown on the first."""
    from ultralytics.cfg import get_cfg

    from xray_chest_detection.detect.trainer import XrayValidator

    validator = XrayValidator(save_dir=tmp_path, args=get_cfg(overrides={"plots": False}))
    validator.seen, validator.is_custom_json, validator.build_gdict, validator.device = 0, False, False, "cpu"
    validator.metrics.names = {0: "Disc", 1: "Bar"}
    marks = {
        "bboxes": torch.rand(2, 4),
        "conf": torch.tensor([0.9, 0.8]),
        "cls": torch.tensor([0.0, 1]),
        "extra": torch.zeros(2, 0),
    }
    batch = {
        "img": torch.zeros(2, 3, 32, 32),
        "batch_idx": torch.zeros(0),
        "cls": torch.zeros(0, 1),
        "bboxes": torch.zeros(0, 4),
        **{key: [None, None] for key in ("ori_shape", "ratio_pad", "im_file")},
    }
    batch["im_file"] = ["0.png", "1.png"]
    regions = torch.zeros(2, 1, 8)
    regions[0, 0, 7] = 1
    validator.update_metrics([dict(marks), dict(marks)], batch | {"unknown": regions})
    assert [values.tolist() for values in validator.metrics.stats["pred_cls"]] == [[0], [0, 1]]


def test_unwanted_integrations_are_off() -> None:
    from ultralytics.utils import SETTINGS

    from xray_chest_detection.detect.trainer import switch_off_integrations

    switch_off_integrations()
    assert not any(SETTINGS[name] for name in ("comet", "mlflow", "tensorboard", "wandb", "clearml", "neptune"))


def test_missing_data_set(tmp_path, make_config) -> None:
    with pytest.raises(DataError, match=r"nowhere: no data set here; build it with `python -m data_prep.build_yolo`"):
        train(make_config(tmp_path, tmp_path / "nowhere"))


def test_damaged_side_file_leaves_no_run_behind(tmp_path, dataset, make_config) -> None:
    (dataset / "unknown.csv").write_text("file,class_name,reason\nimages/train/film_000.png,Ring,not_labelled\n")
    with pytest.raises(DataError, match=r"unknown.csv: line 2: 'Ring', expected class_name: Disc, Bar"):
        train(make_config(tmp_path, dataset))
    assert not (tmp_path / "runs").exists()


def test_missing_weights_file(tmp_path, dataset, make_config) -> None:
    with pytest.raises(ModelError, match=r"^here/none.pt: no such weights file; give a local .pt file"):
        train(make_config(tmp_path, dataset, weights="here/none.pt"))
    assert not (tmp_path / "runs").exists()


def test_damaged_weights_leave_no_run_behind(tmp_path, dataset, make_config) -> None:
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ModelError, match=r"cut.pt: not weights of ultralytics, or damaged \(.*give another file"):
        train(make_config(tmp_path, dataset, weights=str(tmp_path / "cut.pt")))
    assert not (tmp_path / "runs").exists()


def test_weights_offline(monkeypatch) -> None:
    monkeypatch.setattr("ultralytics.utils.ONLINE", False)
    monkeypatch.delenv("XRAY_DATA_PACK", raising=False)
    with pytest.raises(ModelError) as error:
        resolve_weights("yolov8x.pt")
    assert str(error.value) == (
        "weights 'yolov8x.pt': no such file here, and there is no network to download it; "
        "download yolov8x.pt on another machine and pass its path as --weights"
    )


def test_run_that_exists(tmp_path, dataset, make_config) -> None:
    config = make_config(tmp_path, dataset)
    create_run(config)
    with pytest.raises(ModelError, match=r"runs/tiny: this run exists; go on with `python train.py --resume .*tiny`"):
        train(config)


def test_run_that_does_not_exist(tmp_path, dataset, make_config) -> None:
    create_run(make_config(tmp_path, dataset))
    with pytest.raises(ModelError, match=r"runs/tiyn: no such run folder \(runs there: tiny\)"):
        resume(tmp_path / "runs" / "tiyn")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"empty: not a run folder, it has no config.yaml"):
        open_run(tmp_path / "empty")


def test_run_without_weights(tmp_path, dataset, make_config) -> None:
    run = create_run(make_config(tmp_path, dataset))
    with pytest.raises(
        ModelError, match=r"best.pt: no weights yet; finish the training with `python train.py --resume"
    ):
        open_trained_run(run.folder)


def test_complete_run_is_not_resumed(random_run: Run) -> None:
    (random_run.folder / "manifest.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tiny: this run is complete, nothing to resume"):
        resume(random_run.folder)


def test_damaged_checkpoint(random_run: Run) -> None:
    random_run.last.write_bytes(b"PK\x03\x04 half")
    with pytest.raises(ModelError, match=r"last.pt: damaged checkpoint .*; remove it to start this run"):
        resume(random_run.folder)


def test_run_cut_in_its_last_seconds_is_completed(random_run: Run) -> None:
    random_run.last.write_bytes(random_run.best.read_bytes())  # stripped: its epoch is -1
    assert resume(random_run.folder).finished


def test_failure_of_ultralytics_is_one_line(tmp_path, dataset, make_config, monkeypatch) -> None:
    def fail(self: object) -> None:
        raise RuntimeError("Training failed:\n  NaN persisted for 3 epochs")

    monkeypatch.setattr("xray_chest_detection.detect.trainer.XrayTrainer.train", fail)
    with pytest.raises(ModelError, match=r"runs/tiny: training failed: Training failed: NaN persisted for 3 epochs$"):
        train(make_config(tmp_path, dataset))


def test_bfloat16_is_only_for_the_network_in_training() -> None:
    from xray_chest_detection.detect.trainer import _use_bf16

    class Net(torch.nn.Module):
        def predict(self, x: Any) -> dict[str, Any]:
            assert x.is_contiguous(memory_format=torch.channels_last)
            return {"boxes": [torch.nn.functional.linear(x, x[0, 0])]}

    net = Net()
    _use_bf16(SimpleNamespace(cpu_bf16=True, device=torch.device("cpu"), model=net))
    x = torch.full((1, 3, 4, 4), 1.00390625)  # 1 + 2**-8 is not a bfloat16
    net.train()
    assert net.predict(x)["boxes"][0].dtype == torch.float32
    rough = net.predict(x)["boxes"][0]
    net.eval()
    exact = net.predict(x)["boxes"][0]
    assert not torch.equal(rough, exact)


def write_side_files(dataset: Path) -> None:
    """Bars are unknown on every second training film, discs on a validation film; discs of film 2 are not located."""
    rows = [f"images/train/film_{number:03d}.png,Bar,not_labelled" for number in range(1, 16, 2)]
    rows += ["images/train/film_002.png,Disc,not_located", "images/val/film_017.png,Disc,not_labelled"]
    (dataset / "unknown.csv").write_text("\n".join(["file,class_name,reason", *rows]) + "\n")
    (dataset / "label_weights.csv").write_text("file,line,weight\nimages/train/film_004.png,1,0.5\n")


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def environment() -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith("COMET")}
    return keep | {"PYTHONPATH": str(ROOT)}


def write_yaml(config: DetectConfig, path: Path) -> str:
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    return str(path)


@pytest.mark.slow
def test_run_is_complete_and_tracked(tmp_path, dataset, make_config) -> None:
    """Two epochs through train.py: run folder, steps after training, and everything in the Comet archive."""
    pytest.importorskip("comet_ml", reason="comet_ml is not installed")
    config = make_config(tmp_path, dataset, comet={"mode": "offline"})
    done = subprocess.run(
        command(write_yaml(config, tmp_path / "config.yaml")),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    folder = tmp_path / "runs" / "tiny"
    for name in ("config.yaml", "results.csv", "weights/last.pt", "thresholds.yaml", "nms_grid.csv", "results.png"):
        assert (folder / name).is_file(), name
    for name in ("evaluation-test.json", "figures/froc-test.png", "figures/nms-grid.png"):
        assert (folder / name).is_file(), name
    manifest = read_manifest(folder)
    assert manifest.counts["epochs"] == 2
    assert manifest.outputs == {"weights/best.pt": sha256_of(folder / "weights/best.pt")}
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["tiny.card.yaml", "tiny.onnx"]
    assert not [path.name for path in tmp_path.iterdir() if path.name in ("mlruns", "wandb", "runs/mlflow")]
    assert not list(folder.glob("events.out.tfevents*"))
    check_archive(folder, config)


def check_archive(folder: Path, config: DetectConfig) -> None:
    """Read the offline archive back."""
    archives = list((folder / "comet").glob("*.zip"))
    assert len(archives) == 1
    with zipfile.ZipFile(archives[0]) as archive:
        messages = [json.loads(line) for line in archive.read("messages.json").decode().splitlines()]
        of_type = {
            name: [m["payload"] for m in messages if m["type"] == name] for name in {m["type"] for m in messages}
        }
        uploads = {
            m["additional_params"].get("fileName") or m["additional_params"].get("figName"): m
            for m in of_type["file_upload"]
        }
        kept_config = archive.read(uploads["config.yaml"]["file_path"]).decode()
        kept_data = archive.read(uploads["data-manifest.json"]["file_path"])
    parameters = {m["param"]["paramName"]: m["param"]["paramValue"] for m in of_type["parameter_msg"]}
    assert (parameters["epochs"], parameters["augment.mosaic"], parameters["learning_rate"]) == (2, 0.0, 0.001)
    assert kept_config == (folder / "config.yaml").read_text()
    assert kept_data == (config.data / "manifest.json").read_bytes()
    values = [m["metric"] for m in of_type["metric_msg"]]
    for name in ("train/box_loss", "train/cls_loss", "val/box_loss", "metrics/mAP50(B)", "lr/pg0"):
        assert [value["epoch"] for value in values if value["metricName"] == name] == [1, 2], name
    assert "test/mAP50" in {value["metricName"] for value in values}
    assert {"results.png", "confusion_matrix.png", "froc-test.png", "nms-grid.png", "train_batch0.jpg"} <= set(uploads)


@pytest.mark.slow
def test_killed_run_is_resumed(tmp_path, dataset, make_config) -> None:
    """SIGKILL in the middle of an epoch; the checkpoint is whole and the rest of the epochs follow."""
    write_side_files(dataset)
    config = make_config(tmp_path, dataset, epochs=6, after={"tune_nms": False, "evaluate": False, "export": False})
    arguments = command(write_yaml(config, tmp_path / "config.yaml"))
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    folder = tmp_path / "runs" / "tiny"
    deadline = time.monotonic() + 300
    while not (folder / "weights" / "last.pt").is_file():
        assert process.poll() is None, "training ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done_before = epochs_of(folder)
    assert len(done_before) < 6
    torch.load(folder / "weights" / "last.pt", map_location="cpu", weights_only=False)
    assert not (folder / "manifest.json").exists()
    again = subprocess.run(
        command("--resume", str(folder)), cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr[-2000:]
    assert epochs_of(folder) == [1, 2, 3, 4, 5, 6]
    assert open_run(folder).finished
    assert not list((folder / "weights").glob(".tmp-*"))


def epochs_of(folder: Path) -> list[int]:
    path = folder / "results.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return [int(row["epoch"]) for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_bfloat16_on_a_cpu_learns_like_float32(tmp_path, dataset, make_config) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        config = make_config(
            tmp_path, dataset, name=precision, precision=precision, augment={"mosaic": 0.0, "translate": 0}
        )
        path = write_yaml(config, tmp_path / f"{precision}.yaml")
        options = ("--after.no-tune-nms", "--after.no-evaluate", "--after.no-export")
        done = subprocess.run(
            command(path, *options), cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        with (tmp_path / "runs" / precision / "results.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        losses[precision] = [float(row[f"train/{name}_loss"]) for row in rows for name in ("box", "cls", "dfl")]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1)


# Loads a checkpoint where this package cannot be imported, and looks for traces of it in the file.
_LOAD_WITHOUT_US = """
import sys, zipfile
sys.modules["xray_chest_detection"] = None
from ultralytics import YOLO
model = YOLO(sys.argv[1])
assert list(model.names.values()) == ["Disc", "Bar"]
with zipfile.ZipFile(sys.argv[1]) as file:
    pickled = [file.read(name) for name in file.namelist() if name.endswith("data.pkl")]
assert len(pickled) == 1 and b"xray_chest_detection" not in pickled[0]
"""


@pytest.mark.slow
def test_run_with_side_files(tmp_path, dataset, make_config) -> None:
    """Every augmentation, bfloat16 and class balance at once; the same run with the switches off learns otherwise."""
    write_side_files(dataset)
    augment = {"mosaic": 0.7, "mixup": 0.5, "close_mosaic": 1, "rotate_deg": 5}
    options = {"precision": "bf16", "class_balance": 0.5, "augment": augment}
    losses = {}
    for name, use in (("on", True), ("off", False)):
        switches = {"mask_unknown": use, "mask_unlocated": use, "label_weights": use}
        run = train(make_config(tmp_path, dataset, name=name, **switches, **options))
        assert {"train_batch0.jpg", "labels.jpg"} <= {path.name for path in run.folder.iterdir()}
        with (run.folder / "results.csv").open(newline="") as stream:
            losses[name] = {key: float(value) for key, value in next(csv.DictReader(stream)).items()}
    assert losses["on"]["train/cls_loss"] < losses["off"]["train/cls_loss"]
    assert losses["on"]["val/cls_loss"] != losses["off"]["val/cls_loss"]
    for name in ("last", "best"):
        file = tmp_path / "runs" / "on" / "weights" / f"{name}.pt"
        loading = [sys.executable, "-c", _LOAD_WITHOUT_US, str(file)]
        done = subprocess.run(loading, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


def test_nobody_trains_on_a_patient_of_the_test_split(tmp_path, dataset, make_config):
    index = dataset / "index.csv"
    index.write_text(index.read_text().replace(",test13,", ",train0,"))
    with pytest.raises(DataError, match=r"index\.csv: patient 'train0' of nih is in test and train"):
        train(make_config(tmp_path, dataset))
    assert not (tmp_path / "runs").exists()
