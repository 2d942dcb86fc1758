"""What the demo works on: records of rendered scenes and a clip. What is the user's is kept."""

from pathlib import Path

from roadmark import locations
from roadmark.data import dataset_card, preparation, synthetic_clip
from roadmark.data.formats.request import Request

CLIP = Path("test.mp4")
CARD_TEXT = "dataset_card.txt"
_FORMAT = "synthetic"
_VAL_FRACTION = 0.1
# Scenes and clip have nothing in common but their seed; another number keeps it so.
_CLIP_SEED_OFFSET = 1000


def records(num_images: int, seed: int, run: Path) -> Path:
    """A folder with records of so many scenes of this seed, rendered unless they are there.

    Args:
        num_images: Scenes, those to validate on included.
        seed: Of the scenes.
        run: The demo's run folder, for the records when `data/records` holds others.

    Returns:
        `data/records`, or `<run>/records` when something else is in `data/records`.
    """
    folder = locations.RECORDS
    if folder.exists() and not _holds(folder, num_images, seed):
        print(f"{folder} holds other records, which stay as they are")
        folder = run / "records"
    if _holds(folder, num_images, seed):
        print(f"{folder}: {num_images} scenes of seed {seed} are there already")
        return folder
    preparation.prepare(
        preparation.Options(
            request=Request(num_images=num_images, seed=seed),
            format=_FORMAT,
            out=folder,
            val_fraction=_VAL_FRACTION,
            seed=seed,
        )
    )
    return folder


def _holds(folder: Path, num_images: int, seed: int) -> bool:
    card = dataset_card.load(folder)
    if card is None:
        return False
    source = card["source"]
    images = sum(split["images"] for split in card["splits"].values())
    return (source["format"], source["seed"], images) == (_FORMAT, seed, num_images)


def clip(seconds: float, seed: int, run: Path) -> Path:
    """A clip of a drive, rendered unless it is there.

    Args:
        seconds: Length.
        seed: The demo's.
        run: The demo's run folder, for the clip when another `test.mp4` is here.

    Returns:
        `test.mp4`, or `<run>/test.mp4` when `test.mp4` is another video.
    """
    seed += _CLIP_SEED_OFFSET
    path = CLIP
    if path.exists() and not synthetic_clip.is_clip(path, seconds, seed):
        print(f"{path} is another video, which stays as it is")
        path = run / CLIP
    if synthetic_clip.is_clip(path, seconds, seed):
        print(f"{path} is there already")
        return path
    synthetic_clip.render_clip(path, seconds, seed)
    return path
