"""Requests to SageMaker for a training job and an endpoint, checked before they are sent.

The shapes are those of boto3's own description of the service, so a dry run finds what SageMaker
would refuse, without credentials and without a network.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from roadmark.errors import UserError
from roadmark.serving import sagemaker_training

# What `train` prints, as CloudWatch metrics.
METRICS = {
    "loss": r"loss ([0-9.eE+-]+)",
    "mAP": r"mAP ([0-9.]+)",
    "steps_per_second": r"([0-9.]+) steps/s",
}
_CHECKPOINTS = "/opt/ml/checkpoints"
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_HOUR_S = 3600

Request = tuple[str, dict[str, Any]]
"""An operation of SageMaker and its parameters."""


@dataclasses.dataclass(frozen=True)
class Machines:
    """What work runs on.

    Attributes:
        type: SageMaker's name of the machine.
        count: How many.
        disk_gb: Of each, for training.
    """

    type: str
    count: int = 1
    disk_gb: int = 50


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """A training job.

    Attributes:
        name: Of the job.
        image: The container image in ECR.
        role: ARN of the role that the job takes.
        channels: Channel to `s3://` address; see `sagemaker_training.CHANNELS`.
        output: `s3://` address for models and checkpoints.
        hyperparameters: Flags of `train`, and `config`.
        machines: What it runs on.
        max_hours: When it is stopped.
        is_spot: Whether machines may be taken away; the job then waits and goes on.
    """

    name: str
    image: str
    role: str
    channels: Mapping[str, str]
    output: str
    hyperparameters: Mapping[str, str]
    machines: Machines
    max_hours: float = 24.0
    is_spot: bool = False

    def requests(self) -> list[Request]:
        """The request for it.

        Raises:
            UserError: A name, address or channel is none.
        """
        _check_name(self.name)
        for channel in self.channels:
            if channel not in sagemaker_training.CHANNELS:
                known = ", ".join(sagemaker_training.CHANNELS)
                raise UserError(f"channel {channel!r}", "is none", f"choose among {known}")
        if sagemaker_training.RECORDS not in self.channels:
            raise UserError("--records", "missing, expected s3://BUCKET/FOLDER", "give it")
        if "config" not in self.hyperparameters and sagemaker_training.CONFIG not in self.channels:
            raise UserError("--config", "missing, expected the name of a config", "give it")
        for where, address in {"--output": self.output, **self.channels}.items():
            _check_address(where, address)
        seconds, base = int(self.max_hours * _HOUR_S), self.output.rstrip("/")
        stopping = {"MaxRuntimeInSeconds": seconds}
        if self.is_spot:
            stopping["MaxWaitTimeInSeconds"] = 2 * seconds
        request = {
            "TrainingJobName": self.name,
            "AlgorithmSpecification": {
                "TrainingImage": self.image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": n, "Regex": r} for n, r in METRICS.items()],
            },
            "RoleArn": self.role,
            "HyperParameters": dict(self.hyperparameters),
            "InputDataConfig": [_channel(*one) for one in self.channels.items()],
            "OutputDataConfig": {"S3OutputPath": base},
            "CheckpointConfig": {
                "S3Uri": f"{base}/{self.name}/checkpoints",
                "LocalPath": _CHECKPOINTS,
            },
            "ResourceConfig": {
                "InstanceType": self.machines.type,
                "InstanceCount": self.machines.count,
                "VolumeSizeInGB": self.machines.disk_gb,
            },
            "StoppingCondition": stopping,
            "EnableManagedSpotTraining": self.is_spot,
        }
        return _checked([("CreateTrainingJob", request)])


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """An endpoint with one model.

    Attributes:
        name: Of the endpoint; its model and its configuration are named after it.
        image: The container image in ECR.
        role: ARN of the role that the endpoint takes.
        model: `s3://` address of `model.tar.gz`.
        machines: What it runs on.
        version: Tells the model and configuration from those of an earlier update.
    """

    name: str
    image: str
    role: str
    model: str
    machines: Machines
    version: str

    def requests(self, exists: bool = False) -> list[Request]:
        """The requests for it, in order.

        Args:
            exists: Whether it is there already and is to get this model.

        Raises:
            UserError: A name or address is none.
        """
        named = f"{self.name}-{self.version}"
        _check_name(named)
        _check_address("--model", self.model)
        container = {"Image": self.image, "ModelDataUrl": self.model}
        variant = {
            "VariantName": "all",
            "ModelName": named,
            "InstanceType": self.machines.type,
            "InitialInstanceCount": self.machines.count,
        }
        endpoint = {"EndpointName": self.name, "EndpointConfigName": named}
        return _checked(
            [
                (
                    "CreateModel",
                    {
                        "ModelName": named,
                        "PrimaryContainer": container,
                        "ExecutionRoleArn": self.role,
                    },
                ),
                (
                    "CreateEndpointConfig",
                    {"EndpointConfigName": named, "ProductionVariants": [variant]},
                ),
                ("UpdateEndpoint" if exists else "CreateEndpoint", endpoint),
            ]
        )


def _channel(name: str, address: str) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": address,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            "--name", f"found {name!r}", "give up to 63 letters, digits and dashes between them"
        )


def _check_address(where: str, address: str) -> None:
    if not re.fullmatch(r"s3://[^/\s]+(/\S*)?", address):
        raise UserError(where, f"found {address!r}, expected s3://BUCKET/…", "give one")


def _checked(requests: list[Request]) -> list[Request]:
    import botocore.session
    from botocore import validate

    service = botocore.session.Session().get_service_model("sagemaker")
    for operation, parameters in requests:
        shape = service.operation_model(operation).input_shape
        report = validate.ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise UserError(
                operation, report.generate_report(), "correct the flag that it comes from"
            )
    return requests
