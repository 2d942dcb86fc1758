"""Rendered street scenes (`roadmark.data.synthetic`), as a data set of any size."""

import dataclasses

from roadmark.data import synthetic
from roadmark.data.findings import Ledger
from roadmark.data.formats import tfrecords
from roadmark.data.formats.request import Request
from roadmark.data.source import Loaded, SourceImage, SourceSet, Units
from roadmark.errors import UserError


def read(request: Request) -> SourceSet:
    """Lists `num_images` scenes of `seed`; each is rendered when it is loaded.

    Raises:
        UserError: Fewer than two scenes.
    """
    if request.num_images < 2:
        raise UserError(
            f"--num_images={request.num_images}", "expected 2 or more", "ask for 1000, say"
        )
    images = tuple(_image(request.seed, index) for index in range(request.num_images))
    ids = {name: number for number, name in sorted(synthetic.CLASSES.items())}
    return SourceSet(images, ids, has_masks=True, ledger=Ledger())


@dataclasses.dataclass(frozen=True)
class SceneContents:
    """Renders a scene.

    Attributes:
        seed: Of the set.
        index: Of the scene in it.
        name: Of the picture.
    """

    seed: int
    index: int
    name: str

    def __call__(self) -> Loaded:
        """Renders the scene."""
        scene = synthetic.render_scene(self.seed, self.index)
        image = synthetic.annotated(scene, self.name)
        return tfrecords.contents(image, tfrecords.Classes(label_map=None))


def _image(seed: int, index: int) -> SourceImage:
    name = f"synthetic-{seed}-{index:06d}.jpg"
    return SourceImage(
        name=name,
        where=f"scene {index} of seed {seed}",
        load=SceneContents(seed, index, name),
        units=Units.NORMALISED,
        classes=(),
        split=None,
        group=name,
    )
