"""The config of a classifier: what is trained, on what and how. Needs no Keras.

The keys are those of a widely used course project on Stanford Cars (`model.weights`,
`model.data_aug_layer.random_flip`, `compile.optimizer`, …), with phases and a few more.
"""

import dataclasses
from pathlib import Path

from roadmark.classification import yaml_section
from roadmark.classification.yaml_section import Section

IMAGENET = "imagenet"
NO_WEIGHTS = "none"
ADAM, SGD = "adam", "sgd"
CATEGORICAL, SPARSE = "categorical_crossentropy", "sparse_categorical_crossentropy"
ACCURACY, TOP_5 = "accuracy", "top_5_accuracy"
BACKBONE, NOTHING = "backbone", "none"
BALANCED = "balanced"
MONITORS = ("val_loss", "val_accuracy")

# Small, of our own, for small sets and tests; see `network.py`.
SMALL_CNN = "small_cnn"
# Name here -> module and class in keras.applications: all that it has.
KERAS_BACKBONES = {
    "resnet50": ("resnet", "ResNet50"),
    "resnet101": ("resnet", "ResNet101"),
    "resnet152": ("resnet", "ResNet152"),
    "resnet50v2": ("resnet_v2", "ResNet50V2"),
    "resnet101v2": ("resnet_v2", "ResNet101V2"),
    "resnet152v2": ("resnet_v2", "ResNet152V2"),
    "mobilenet": ("mobilenet", "MobileNet"),
    "mobilenet_v2": ("mobilenet_v2", "MobileNetV2"),
    "mobilenet_v3_small": ("mobilenet_v3", "MobileNetV3Small"),
    "mobilenet_v3_large": ("mobilenet_v3", "MobileNetV3Large"),
    **{f"efficientnet_b{n}": ("efficientnet", f"EfficientNetB{n}") for n in range(8)},
    **{f"efficientnet_v2_b{n}": ("efficientnet_v2", f"EfficientNetV2B{n}") for n in range(4)},
    "efficientnet_v2_s": ("efficientnet_v2", "EfficientNetV2S"),
    "efficientnet_v2_m": ("efficientnet_v2", "EfficientNetV2M"),
    "efficientnet_v2_l": ("efficientnet_v2", "EfficientNetV2L"),
    "convnext_tiny": ("convnext", "ConvNeXtTiny"),
    "convnext_small": ("convnext", "ConvNeXtSmall"),
    "convnext_base": ("convnext", "ConvNeXtBase"),
    "convnext_large": ("convnext", "ConvNeXtLarge"),
    "convnext_xlarge": ("convnext", "ConvNeXtXLarge"),
    "densenet121": ("densenet", "DenseNet121"),
    "densenet169": ("densenet", "DenseNet169"),
    "densenet201": ("densenet", "DenseNet201"),
    "inception_v3": ("inception_v3", "InceptionV3"),
    "inception_resnet_v2": ("inception_resnet_v2", "InceptionResNetV2"),
    "nasnet_mobile": ("nasnet", "NASNetMobile"),
    "nasnet_large": ("nasnet", "NASNetLarge"),
    "xception": ("xception", "Xception"),
    "vgg16": ("vgg16", "VGG16"),
    "vgg19": ("vgg19", "VGG19"),
}
BACKBONES = (*KERAS_BACKBONES, SMALL_CNN)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of training pictures; 0 and an empty mode are none.

    Attributes:
        flip: `horizontal`, `vertical`, `horizontal_and_vertical` or empty.
        rotation: Up to this share of a full turn, either way.
        zoom_height: Up to this share in or out, in height.
        zoom_width: Likewise in width; None for the same as in height.
        height: Stretches the height alone by up to this share, as Keras 2's RandomHeight.
        width: Likewise the width.
    """

    flip: str = ""
    rotation: float = 0.0
    zoom_height: float = 0.0
    zoom_width: float | None = None
    height: float = 0.0
    width: float = 0.0


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        name: For messages.
        epochs: Passes over the training pictures.
        learning_rate: Of the optimizer, constant within the phase.
        freeze: `backbone`, whose weights and batch-norm statistics then stay, or `none`.
    """

    name: str
    epochs: int
    learning_rate: float
    freeze: str


@dataclasses.dataclass(frozen=True)
class Config:
    """A classifier's config; see docs/classify.md for the keys.

    Attributes:
        path: The file.
        directory: The class set, as `prepare` writes it.
        batch_size: Pictures per step.
        weights: `imagenet`, `none`, or a path: a run folder or a `.weights.h5` file.
        backbone: One of `BACKBONES`.
        input_shape: Height, width and 3, in pixels.
        classes: Number of classes.
        dropout_rate: Before the last layer.
        augmentation: See `Augmentation`.
        optimizer: `adam` or `sgd`.
        momentum: Of SGD.
        loss: `categorical_crossentropy` or `sparse_categorical_crossentropy`.
        metrics: Of `accuracy` and `top_5_accuracy`.
        label_smoothing: Share of a label that is spread over all classes.
        class_weights: `balanced` weights classes by the inverse of their share, or `none`.
        mixed_precision: Computes in float16 on a GPU and bfloat16 on a CPU, variables in float32.
        phases: In their order.
        monitor: What the best epoch is best by, one of `MONITORS`.
        patience: Epochs of a phase without a better one before it ends; 0 for never.
        seed: Of weights, order, augmentation and dropout.
    """

    path: Path
    directory: str
    batch_size: int
    weights: str
    backbone: str
    input_shape: tuple[int, int, int]
    classes: int
    dropout_rate: float
    augmentation: Augmentation
    optimizer: str
    momentum: float
    loss: str
    metrics: tuple[str, ...]
    label_smoothing: float
    class_weights: str
    mixed_precision: bool
    phases: tuple[Phase, ...]
    monitor: str
    patience: int
    seed: int

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def is_continued(self) -> bool:
        """Whether the weights come from an earlier run."""
        return self.weights not in (IMAGENET, NO_WEIGHTS)

    def phase_of(self, epoch: int) -> tuple[int, Phase]:
        """Index and phase of an epoch, counted from 0 over all phases."""
        for index, phase in enumerate(self.phases):
            if epoch < phase.epochs:
                return index, phase
            epoch -= phase.epochs
        raise IndexError(epoch)


def load(path: str | Path) -> Config:
    """Reads and checks a config.

    Raises:
        UserError: It cannot be read, a key is missing or unknown, or a value does not fit; names
            file, line and key.
    """
    path = Path(path)
    top = yaml_section.load(path)
    data, model, compiled = top.section("data"), top.section("model"), top.section("compile")
    shape = model.wholes("input_shape", None, 3, 1)
    if shape[2] != 3 or min(shape[:2]) < 32:
        raise model.error(
            "input_shape", f"found {list(shape)}, expected [height, width, 3], 32 pixels or more",
            "correct it",
        )  # fmt: skip
    optimizer, rate, momentum = _optimizer(compiled)
    loss = compiled.choice("loss", CATEGORICAL, (CATEGORICAL, SPARSE))
    smoothing = compiled.number("label_smoothing", 0.0, 0, 0.9)
    if smoothing and loss == SPARSE:
        raise compiled.error(
            "label_smoothing", f"found {smoothing:g} with {SPARSE}, which has none",
            f"use loss: {CATEGORICAL}",
        )  # fmt: skip
    fit = top.section("fit")
    phases = _phases(top, fit, rate)
    stopping = fit.section("early_stopping")
    config = Config(
        path=path,
        directory=_data(data, shape),
        batch_size=data.whole("batch_size", 32, 1, 4096),
        weights=model.text("weights", IMAGENET),
        backbone=model.choice("backbone", "resnet50", BACKBONES),
        input_shape=shape,
        classes=model.whole("classes", None, 2, 100_000),
        dropout_rate=model.number("dropout_rate", 0.0, 0, 0.95),
        augmentation=_augmentation(model.section("data_aug_layer")),
        optimizer=optimizer,
        momentum=momentum,
        loss=loss,
        metrics=compiled.choices("metrics", (ACCURACY,), (ACCURACY, TOP_5)),
        label_smoothing=smoothing,
        class_weights=compiled.choice("class_weights", NOTHING, (NOTHING, BALANCED)),
        mixed_precision=compiled.truth("mixed_precision", False),
        phases=phases,
        monitor=stopping.choice("monitor", MONITORS[0], MONITORS),
        patience=stopping.whole("patience", 0, 0, 10_000),
        seed=top.whole("seed", 0, 0, 2**31 - 1),
    )
    if config.backbone == SMALL_CNN and config.weights == IMAGENET:
        raise model.error(
            "weights", f"found {IMAGENET}, which {SMALL_CNN} has none of",
            f"write weights: {NO_WEIGHTS}, or the path of a run",
        )  # fmt: skip
    for section in (data, model, compiled, fit, stopping, top):
        section.end()
    return config


def _data(data: Section, shape: tuple[int, ...]) -> str:
    size = data.wholes("image_size", shape[:2], 2, 32)
    if size != shape[:2]:
        raise data.error(
            "image_size", f"found {list(size)}, expected {list(shape[:2])} as model.input_shape",
            "make them equal",
        )  # fmt: skip
    data.choice("labels", "inferred", ("inferred",))
    data.choice("label_mode", "categorical", ("categorical",))
    if "validation_split" in data:
        raise data.error(
            "validation_split", "found a key without effect: the set is divided already",
            "remove it, and divide the set with prepare --val_fraction",
        )  # fmt: skip
    return data.text("directory", "data/cars")


def _optimizer(compiled: Section) -> tuple[str, float, float]:
    """Name, learning rate and momentum, from `adam` or from `{adam: {learning_rate: 0.001}}`."""
    if not compiled.is_mapping("optimizer"):
        name = compiled.choice("optimizer", ADAM, (ADAM, SGD))
        return name, *_rates(compiled, name)
    section = compiled.section("optimizer")
    names = section.names()
    if len(names) != 1 or names[0] not in (ADAM, SGD):
        raise compiled.error(
            "optimizer", f"found {', '.join(names) or 'nothing'}, expected {ADAM} or {SGD}",
            "name one optimizer",
        )  # fmt: skip
    chosen = section.section(names[0])
    rates = _rates(chosen, names[0])
    chosen.end()
    return names[0], *rates


def _rates(section: Section, optimizer: str) -> tuple[float, float]:
    rate = section.number("learning_rate", 0.001, 1e-9, 10)
    return rate, section.number("momentum", 0.9, 0, 1) if optimizer == SGD else 0.0


def _phases(top: Section, fit: Section, rate: float) -> tuple[Phase, ...]:
    phases = []
    for number, section in enumerate(top.sections("phases")):
        phases.append(
            Phase(
                name=section.text("name", f"phase {number + 1}"),
                epochs=section.whole("epochs", None, 1, 100_000),
                learning_rate=section.number("learning_rate", rate, 1e-9, 10),
                freeze=section.choice("freeze", NOTHING, (BACKBONE, NOTHING)),
            )
        )
        section.end()
    if phases and "epochs" in fit:
        raise fit.error(
            "epochs", "found beside phases, which have epochs of their own", "remove one of the two"
        )
    if phases:
        return tuple(phases)
    return (Phase("training", fit.whole("epochs", 10, 1, 100_000), rate, NOTHING),)


def _augmentation(section: Section) -> Augmentation:
    modes = ("horizontal", "vertical", "horizontal_and_vertical")
    made = Augmentation(
        flip=_of_mapping(section, "random_flip", "mode").choice("mode", modes[2], modes)
        if section.is_mapping("random_flip")
        else section.choice("random_flip", "", ("", *modes)),
        rotation=_factor(section, "random_rotation", 1),
        height=_factor(section, "random_height", 0.9),
        width=_factor(section, "random_width", 0.9),
        **_zoom(section),
    )
    section.end()
    return made


def _of_mapping(section: Section, key: str, *known: str) -> Section:
    inner = section.section(key)
    for name in inner.names():
        if name not in known:
            raise inner.error(
                name, f"found an unknown key, expected {', '.join(known)}", "correct or remove it"
            )
    return inner


def _factor(section: Section, key: str, most: float) -> float:
    """From `key: 0.1` or from `key: {factor: 0.1}`."""
    if section.is_mapping(key):
        return _of_mapping(section, key, "factor").number("factor", None, 0, most)
    return section.number(key, 0.0, 0, most)


def _zoom(section: Section) -> dict[str, float | None]:
    """From `random_zoom: 0.1` or from `{height_factor: 0.1, width_factor: 0.2}`."""
    if not section.is_mapping("random_zoom"):
        return {"zoom_height": section.number("random_zoom", 0.0, 0, 0.9)}
    inner = _of_mapping(section, "random_zoom", "height_factor", "width_factor")
    width = inner.number("width_factor", 0.0, 0, 0.9) if "width_factor" in inner else None
    return {"zoom_height": inner.number("height_factor", None, 0, 0.9), "zoom_width": width}
