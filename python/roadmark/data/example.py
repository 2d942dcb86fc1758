"""`tf.train.Example` without TensorFlow, as the OD API lays out its features.

The message types are built here from a descriptor, in a pool of their own, so that importing
TensorFlow in the same process cannot clash with them. Field names and numbers are those of
tensorflow/core/example/{example,feature}.proto; feature keys are those of the OD API's
data_decoders/tf_example_decoder.py.
"""

import dataclasses

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from roadmark.errors import UserError

_CURE = "make the records again with: bazel run //python:prepare"
_OBJECT_PREFIX = "image/object/"
_BOX_KEYS = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))
_OBJECT_KEYS = frozenset(
    {
        *_BOX_KEYS,
        "image/object/area",
        "image/object/class/label",
        "image/object/class/text",
        "image/object/difficult",
        "image/object/group_of",
        "image/object/is_crowd",
        "image/object/mask",
    }
)


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One picture with the objects marked in it: what a record holds.

    Nothing is checked here beyond the number of values per object;
    `roadmark.data.validation` judges the values.

    Attributes:
        filename: Name of the picture, with `/` between folders.
        encoded: The picture file's bytes.
        format: `jpeg` or `png` (records made elsewhere also say `jpg`).
        height: Pixels.
        width: Pixels.
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised to 0..1.
        class_ids: int64 `[N]`, label map ids.
        class_names: N names, empty strings where the record has none.
        is_crowd: bool `[N]`, a box around several objects (COCO's iscrowd, Open Images' group-of).
        difficult: bool `[N]`, Pascal VOC's flag.
        areas: float32 `[N]`, square pixels: of the mask where there is one, else of the box.
        masks: N single-channel PNG files of the picture's size, 0 or 1, or None without masks.
        source_id: The picture's id in the set it came from; `filename` where that has none.
        unread: Keys of the record's other features of objects, sorted; `serialise` has no use for
            them.
    """

    filename: str
    encoded: bytes
    format: str
    height: int
    width: int
    boxes: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]
    is_crowd: np.ndarray
    difficult: np.ndarray
    areas: np.ndarray
    masks: tuple[bytes, ...] | None = None
    source_id: str = ""
    unread: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of objects."""
        return len(self.boxes)

    @property
    def boxes_in_pixels(self) -> np.ndarray:
        """float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in pixels."""
        return self.boxes * np.array([self.height, self.width] * 2, np.float32)


def box_areas(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 `[N]` areas in square pixels of float32 `[N, 4]` normalised boxes."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return (sides[:, 0] * sides[:, 1] * height * width).astype(np.float32)


def serialise(image: AnnotatedImage) -> bytes:
    """The record of a picture, in the order of keys that makes equal pictures equal bytes."""
    features = {
        "image/encoded": [image.encoded],
        "image/format": [image.format.encode()],
        "image/filename": [image.filename.encode()],
        "image/source_id": [(image.source_id or image.filename).encode()],
        "image/height": [image.height],
        "image/width": [image.width],
        "image/object/class/text": [name.encode() for name in image.class_names],
        "image/object/class/label": image.class_ids.tolist(),
        "image/object/is_crowd": image.is_crowd.astype(int).tolist(),
        "image/object/difficult": image.difficult.astype(int).tolist(),
        "image/object/area": image.areas.astype(float).tolist(),
    }
    for key, column in zip(_BOX_KEYS, image.boxes.T, strict=True):
        features[key] = column.astype(float).tolist()
    if image.masks is not None:
        features["image/object/mask"] = list(image.masks)
    built = _Example()
    for key, values in features.items():
        _put(built.features.feature[key], values)
    return built.SerializeToString(deterministic=True)


def parse(record: bytes, where: str) -> AnnotatedImage:
    """The picture that a record holds.

    Args:
        record: A serialised `tf.train.Example`.
        where: File and record number, for messages.

    Raises:
        UserError: The bytes are no Example, a feature that every record needs is missing or of
            another type, or the values per object do not match in number.
    """
    features = _features(record, where)
    height = _one(features, "image/height", "int64_list", where)
    width = _one(features, "image/width", "int64_list", where)
    boxes = _boxes(features, where)
    count = len(boxes)
    filename = _text(features, "image/filename", where)
    source_id = _text(features, "image/source_id", where)
    areas = _per_object(features, "image/object/area", "float_list", count, where)
    names = _per_object(features, "image/object/class/text", "bytes_list", count, where)
    ids = _per_object(features, "image/object/class/label", "int64_list", count, where)
    crowd = _per_object(features, "image/object/is_crowd", "int64_list", count, where)
    group = _per_object(features, "image/object/group_of", "int64_list", count, where)
    difficult = _per_object(features, "image/object/difficult", "int64_list", count, where)
    masks = _per_object(features, "image/object/mask", "bytes_list", count, where)
    return AnnotatedImage(
        filename=filename or source_id,
        encoded=_one(features, "image/encoded", "bytes_list", where),
        format=_text(features, "image/format", where),
        height=height,
        width=width,
        boxes=boxes,
        class_ids=np.array(ids or [0] * count, np.int64),
        class_names=tuple(name.decode(errors="replace") for name in names or [b""] * count),
        is_crowd=np.array(crowd or [0] * count, bool) | np.array(group or [0] * count, bool),
        difficult=np.array(difficult or [0] * count, bool),
        areas=np.array(areas, np.float32) if areas else box_areas(boxes, height, width),
        masks=tuple(masks) if masks else None,
        source_id=source_id or filename,
        unread=tuple(sorted(key for key, value in features.items() if _is_unread(key, value))),
    )


def _is_unread(key: str, feature: message.Message) -> bool:
    if not key.startswith(_OBJECT_PREFIX) or key in _OBJECT_KEYS:
        return False
    kind = feature.WhichOneof("kind")
    return kind is not None and bool(getattr(feature, kind).value)


def _boxes(features: dict, where: str) -> np.ndarray:
    columns = [_values(features, key, "float_list", where) for key in _BOX_KEYS]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        sides = [key.rpartition("/")[2] for key in _BOX_KEYS]
        found = ", ".join(f"{n} {side}" for n, side in zip(lengths, sides, strict=True))
        raise UserError(where, f"found {found}, expected as many of each", _CURE)
    return np.array(columns, np.float32).reshape(4, -1).T.copy()


def _features(record: bytes, where: str) -> dict:
    built = _Example()
    try:
        built.ParseFromString(record)
    except message.DecodeError:
        raise UserError(where, "not a tf.train.Example", _CURE) from None
    return dict(built.features.feature)


def _values(features: dict, key: str, kind: str, where: str) -> list:
    feature = features.get(key)
    found = feature.WhichOneof("kind") if feature is not None else None
    if found is None:
        return []
    if found != kind:
        raise UserError(where, f"{key} is a {found}, expected a {kind}", _CURE)
    return list(getattr(feature, kind).value)


def _per_object(features: dict, key: str, kind: str, count: int, where: str) -> list:
    values = _values(features, key, kind, where)
    if values and len(values) != count:
        raise UserError(where, f"{key} has {len(values)} values for {count} boxes", _CURE)
    return values


def _one(features: dict, key: str, kind: str, where: str) -> int | bytes:
    values = _values(features, key, kind, where)
    if len(values) != 1:
        raise UserError(where, f"{key} has {len(values)} values, expected one", _CURE)
    return values[0]


def _text(features: dict, key: str, where: str) -> str:
    values = _values(features, key, "bytes_list", where)
    return values[0].decode(errors="replace") if values else ""


def _put(feature: message.Message, values: list) -> None:
    kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
    if values:
        getattr(feature, kinds[type(values[0])]).value.extend(values)


def _example_class() -> type[message.Message]:
    field = descriptor_pb2.FieldDescriptorProto
    package = "tensorflow"
    file = descriptor_pb2.FileDescriptorProto(
        name="roadmark/example.proto", package=package, syntax="proto3"
    )
    for name, value in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        file.message_type.add(name=name).field.add(
            name="value", number=1, label=field.LABEL_REPEATED, type=value
        )
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        type_name = f".{package}.{name.title().replace('_', '')}"
        _message_field(feature, name, number, type_name).oneof_index = 0
    features = file.message_type.add(name="Features")
    # A protobuf map is a repeated nested message with the map_entry option.
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    _message_field(entry, "value", 2, f".{package}.Feature")
    mapping = _message_field(features, "feature", 1, f".{package}.Features.FeatureEntry")
    mapping.label = field.LABEL_REPEATED
    _message_field(file.message_type.add(name="Example"), "features", 1, f".{package}.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Example"))


def _message_field(
    owner: descriptor_pb2.DescriptorProto, name: str, number: int, type_name: str
) -> descriptor_pb2.FieldDescriptorProto:
    field = descriptor_pb2.FieldDescriptorProto
    return owner.field.add(
        name=name,
        number=number,
        label=field.LABEL_OPTIONAL,
        type=field.TYPE_MESSAGE,
        type_name=type_name,
    )


_Example = _example_class()
