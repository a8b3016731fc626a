"""Configuration of a detector's training: `python train.py configs/detect/<name>.yaml [--epochs 5 ...]`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.core.tiling import Tiles

GridName = Literal["original", "fine"]
ObjectiveName = Literal["recall_map", "f1", "f_beta", "sensitivity", "map_then_f1"]


class AugmentConfig(StrictModel):
    """Random changes of training images. What could have no effect on radiographs with boxes is refused.

    Nothing else happens: the steps that ultralytics adds by itself when albumentations is installed (blur, CLAHE and
    grey, one image in a hundred each) are off.

    Attributes:
        mosaic: Probability of joining four images into one.
        close_mosaic: Mosaic, mixup and copy_paste are off for this many last epochs.
        mixup: Probability of blending two images.
        brightness: Largest relative change of brightness.
        rotate_deg: Largest rotation in degrees.
        translate: Largest shift, as a share of the image.
        rescale: Largest relative change of size.
        flip_horizontal: Probability of a left-right flip. It puts the heart on the right side: a usual augmentation,
            though no patient looks like that.
        erasing: Probability of erasing rectangles, which never hide more than a fifth of any box.
        copy_paste: Probability of pasting a finding of another film at the same place of the chest, where the
            neighbourhood allows it; with flip_horizontal above 0 every second one on the other side. Never over a box,
            and nothing as large as a heart.
        clahe: Probability of equalising the histogram in tiles.
        gamma: Probability of a gamma between 0.8 and 1.2.
        noise: Probability of normal noise with a deviation of 1 to 3 % of the grey range.
        hue: Refused above 0: radiographs are grey.
        saturation: Refused above 0: radiographs are grey.
    """

    mosaic: float = Field(1.0, ge=0, le=1)
    close_mosaic: int = Field(10, ge=0)
    mixup: float = Field(0.0, ge=0, le=1)
    brightness: float = Field(0.4, ge=0, le=1)
    rotate_deg: float = Field(0.0, ge=0, le=45)
    translate: float = Field(0.1, ge=0, le=0.9)
    rescale: float = Field(0.5, ge=0, lt=1)
    flip_horizontal: float = Field(0.5, ge=0, le=1)
    erasing: float = Field(0.0, ge=0, le=1)
    copy_paste: float = Field(0.0, ge=0, le=1)
    clahe: float = Field(0.0, ge=0, le=1)
    gamma: float = Field(0.0, ge=0, le=1)
    noise: float = Field(0.0, ge=0, le=1)
    hue: float = 0.0
    saturation: float = 0.0

    @field_validator("hue", "saturation")
    @classmethod
    def _grey(cls, value: float) -> float:
        if value != 0:
            raise ValueError("has no effect on grey radiographs; leave it out or set 0")
        return value


class CometConfig(StrictModel):
    """Experiment tracking. With COMET_API_KEY in the environment runs are sent; without it they go to an archive.

    Attributes:
        mode: `auto` as above, `offline` always writes an archive, `off` logs nothing.
        project: Comet project.
    """

    mode: Literal["auto", "offline", "off"] = "auto"
    project: str = "xray-chest-detection"


class AfterConfig(StrictModel):
    """What happens when the training is done; each step is also a command.

    Attributes:
        tune_nms: Choose the score and IoU thresholds on the validation split.
        evaluate: Measure the test split with these thresholds.
        export: Write ONNX, compare it with the torch model, and write the model card.
        objective: What the choice of thresholds maximises, as in `xray tune-nms`; `f_beta` with beta 2.
        rate: False positives per image that `sensitivity` allows.
        grid: The points that are tried, as in `xray tune-nms`.
        precision: How the exported weights are stored, as in `xray export`.
        checkpoints: Folder of the exported model and its card.
    """

    tune_nms: bool = True
    evaluate: bool = True
    export: bool = True
    objective: ObjectiveName = "recall_map"
    rate: float = Field(1.0, gt=0)
    grid: GridName = "original"
    precision: Literal["fp16", "fp32"] = "fp16"
    checkpoints: Path = Path("checkpoints")


class DetectConfig(StrictModel):
    """How one detector is trained.

    Attributes:
        task: Always `detect`.
        name: Key of the model, for example `multi`; also the name of the run folder.
        title: Name for people; the name when not given.
        data: Folder of a YOLO data set written by data_prep.build_yolo.
        synthetic: The images were drawn by data_prep.sample; the model card then says so.
        weights: Where training starts: a local file, a name that ultralytics downloads, such as `yolov8s.pt`, or an
            architecture such as `yolov8n.yaml` for random weights.
        runs: Folder of the run folders.
        epochs: Number of passes over the training images.
        patience: Stop after this many epochs without a better validation score.
        image_size_px: Side of the square network input, a multiple of 32.
        batch: Images a step.
        optimizer: Optimizer; `auto` lets ultralytics choose it together with the learning rate.
        learning_rate: First learning rate; only with a named optimizer, since `auto` chooses its own.
        final_learning_rate: Last learning rate as a share of the first one.
        cosine: Let the learning rate fall as a cosine, not as a line.
        warmup_epochs: Epochs in which the learning rate rises.
        weight_decay: L2 penalty.
        box_gain: Weight of the box loss.
        class_gain: Weight of the class loss.
        class_balance: Power of the inverse class frequency that weights the classes, 0 (off) to 1.
        mask_unknown: Learn nothing about a class from the empty places of an image whose source never labelled it.
        mask_unlocated: The same for a class that the image is known to show, but nobody boxed (the box a model guessed
            counts all the same), and for one of which a patch shows too little to box it.
        label_weights: Multiply each box's share of the loss by its weight.
        freeze: Number of first layers that are not trained.
        networks: Networks that are trained one after the other, with the seeds `seed`, `seed + 1` and so on. The model
            is the mean of their answers: better after training on few films, and so many times as slow.
        checkpoint: Which weights are tuned, evaluated and exported: of the epoch that was `best` on the validation
            split, or of the `last` one. On a small validation split the best epoch is mostly a lucky one.
        start_share: Share of the starting weights in those that are tuned, evaluated and exported: 0.5 is the mean of
            the model before and after training. Only for weights that already know the task.
        tiles: Overlapping parts of each film that tuning and evaluation look at beside the whole film, scaled to
            `image_size_px` like it; not given: the whole film only. Training on parts is the data set's business
            (`patches`).
        flip_views: Look at the mirrored film too, when tuning, evaluating and deployed, and fuse both answers.
        calibrate: Map the scores of each class by a line fitted on the validation split, so that one score means the
            same for every class; the thresholds are chosen for the mapped scores.
        device: `cpu`, `0`, `0,1`, ...; the first CUDA device or else the CPU when not given.
        precision: `auto` is mixed precision on CUDA and float32 on a CPU; `bf16` is bfloat16 on either.
        workers: Processes that load images; on a CPU at most one, which keeps the cores for the network.
        cache: Keep the images in memory.
        seed: Seed of all random choices.
        augment: Random changes of the images.
        comet: Experiment tracking.
        after: Steps after training.
    """

    task: Literal["detect"] = "detect"
    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    title: str | None = None
    data: Path
    synthetic: bool = False
    weights: str = "yolov8s.pt"
    runs: Path = Path("runs/detect")
    epochs: int = Field(100, ge=1)
    patience: int = Field(100, ge=1)
    image_size_px: int = Field(800, ge=32, multiple_of=32)
    batch: int = Field(64, ge=1)
    optimizer: Literal["auto", "SGD", "Adam", "AdamW", "NAdam", "RAdam"] = "auto"
    learning_rate: float | None = Field(None, gt=0)
    final_learning_rate: float = Field(0.01, gt=0, le=1)
    cosine: bool = True
    warmup_epochs: float = Field(3.0, ge=0)
    weight_decay: float = Field(0.0005, ge=0)
    box_gain: float = Field(7.5, gt=0)
    class_gain: float = Field(0.5, gt=0)
    class_balance: float = Field(0.0, ge=0, le=1)
    mask_unknown: bool = True
    mask_unlocated: bool = True
    label_weights: bool = True
    freeze: int = Field(0, ge=0)
    networks: int = Field(1, ge=1, le=9)
    checkpoint: Literal["best", "last"] = "best"
    start_share: float = Field(0.0, ge=0, lt=1)
    tiles: Tiles | None = None
    flip_views: bool = False
    calibrate: bool = False
    device: str | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    workers: int = Field(4, ge=0)
    cache: bool = False
    seed: int = 0
    augment: AugmentConfig = AugmentConfig()
    comet: CometConfig = CometConfig()
    after: AfterConfig = AfterConfig()

    @field_validator("learning_rate")
    @classmethod
    def _rate_needs_optimizer(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("optimizer") == "auto":
            raise ValueError("has no effect with optimizer 'auto', which chooses its own; name an optimizer")
        return value
