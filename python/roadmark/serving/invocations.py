"""Bodies of `POST /invocations`, the request of a SageMaker endpoint."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from roadmark.ops import annotate
from roadmark.serving.models import Found
from roadmark.serving.refusal import RefusedError

_STRICT = pydantic.ConfigDict(extra="forbid", strict=True)


class EncodedPicture(pydantic.BaseModel):
    """A picture: either its file's bytes, or where they are."""

    model_config = _STRICT

    base64: str | None = pydantic.Field(None, description="A JPEG or PNG file in base64.")
    url: str | None = pydantic.Field(None, description="Where a JPEG or PNG file is.")


class Invocation(pydantic.BaseModel):
    """A batch of pictures."""

    model_config = _STRICT

    images: list[EncodedPicture] = pydantic.Field(min_length=1)
    score_threshold: float | None = pydantic.Field(
        None, ge=0, le=1, description="Objects with this score or less are left out."
    )


class DetectedObject(pydantic.BaseModel):
    """An object in a picture."""

    class_id: int
    class_name: str
    score: float
    box: list[float] = pydantic.Field(
        min_length=4, max_length=4, description="ymin, xmin, ymax, xmax in pixels."
    )


class Prediction(pydantic.BaseModel):
    """What is in one picture, best first."""

    height: int = pydantic.Field(description="Of the picture, upright, in pixels.")
    width: int = pydantic.Field(description="Of the picture, upright, in pixels.")
    objects: list[DetectedObject]


class Predictions(pydantic.BaseModel):
    """One prediction per picture, in the order of the request."""

    model: str
    predictions: list[Prediction]


def parse(body: bytes) -> Invocation:
    """A JSON body.

    Raises:
        RefusedError: It is not JSON, or not of this form; names the field.
    """
    invocation = parse_json(Invocation, body)
    for index, image in enumerate(invocation.images):
        if (image.base64 is None) == (image.url is None):
            raise RefusedError(400, f"images.{index}: expected one of base64 and url")
    return invocation


def parse_json(kind: type[pydantic.BaseModel], body: bytes) -> Any:
    """A JSON body as a model.

    Raises:
        RefusedError: It is not JSON, or not of this form; names the field.
    """
    try:
        return kind.model_validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise RefusedError(400, f"{where}: {first['msg']}") from None


def from_base64(text: str, where: str) -> bytes:
    """The bytes.

    Raises:
        RefusedError: It is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, f"{where}: found no base64 ({error})") from None


def answer(model: str, names: Mapping[int, str], found: Sequence[Found]) -> dict[str, Any]:
    """`Predictions` as JSON knows it.

    Args:
        model: Its name.
        names: Class name by id.
        found: One per picture.
    """
    predictions = [
        {"height": one.height, "width": one.width, "objects": _objects(one, names)} for one in found
    ]
    return {"model": model, "predictions": predictions}


def _objects(found: Found, names: Mapping[int, str]) -> list[dict[str, Any]]:
    detections = found.detections
    return [
        {
            "class_id": class_id,
            "class_name": annotate.class_name(names, class_id),
            "score": round(score, 4),
            "box": [round(value, 2) for value in box],
        }
        for box, score, class_id in zip(
            detections.boxes.tolist(),
            detections.scores.tolist(),
            detections.classes.tolist(),
            strict=True,
        )
    ]
