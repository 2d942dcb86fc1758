"""Our TFRecord framing and tf.train.Example against TensorFlow's own, both ways."""

import numpy as np
import pytest
import tensorflow as tf

from roadmark.data import example, tfrecord
from roadmark.data.example import AnnotatedImage

RECORDS = [b"", b"a", bytes(range(256)) * 300]
IMAGE = AnnotatedImage(
    filename="one.png",
    encoded=b"bytes \x00\xff",
    format="png",
    height=10,
    width=20,
    boxes=np.array([[0.1, 0.2, 0.3, 0.4]], np.float32),
    class_ids=np.array([3], np.int64),
    class_names=("cyclist",),
    is_crowd=np.array([True]),
    difficult=np.array([False]),
    areas=np.array([8], np.float32),
    masks=(b"a mask",),
    source_id="one",
)


def test_tensorflow_reads_our_files(tmp_path):
    path = tmp_path / "ours"
    with tfrecord.RecordWriter(path) as writer:
        for record in RECORDS:
            writer.write(record)
    assert [r.numpy() for r in tf.data.TFRecordDataset(str(path))] == RECORDS


def test_we_read_tensorflows_files(tmp_path):
    path = tmp_path / "theirs"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert [tfrecord.intact(frame) for frame in tfrecord.scan(path)] == RECORDS


def test_tensorflow_reads_our_examples():
    features = tf.train.Example.FromString(example.serialise(IMAGE)).features.feature
    assert features["image/encoded"].bytes_list.value[:] == [IMAGE.encoded]
    assert features["image/object/class/label"].int64_list.value[:] == [3]
    assert features["image/object/bbox/xmax"].float_list.value[:] == pytest.approx([0.4])
    spec = {"image/object/mask": tf.io.VarLenFeature(tf.string)}
    parsed = tf.io.parse_single_example(example.serialise(IMAGE), spec)
    assert parsed["image/object/mask"].values.numpy().tolist() == [b"a mask"]


def test_we_read_tensorflows_examples():
    theirs = tf.train.Example.FromString(example.serialise(IMAGE))
    theirs.features.feature["unknown/key"].float_list.value.extend([1.0, 2.0])
    image = example.parse(theirs.SerializeToString(), "here")
    assert (image.filename, image.height, image.class_names) == ("one.png", 10, ("cyclist",))
    np.testing.assert_array_equal(image.boxes, IMAGE.boxes)
