"""Starts training and endpoints in a cloud, and follows them.

    bazel run //python:launch -- train --sagemaker --image=IMAGE --role=ROLE --name=first
        --config=ssd_mobilenet_v2_fpnlite_320 --records=s3://streets/records
        --output=s3://streets/jobs --hyperparameter=steps=20000 --spot
    bazel run //python:launch -- endpoint --sagemaker --image=IMAGE --role=ROLE --name=detector
        --job=first

With --dry_run it prints the requests, checked, and sends nothing; otherwise it sends them, tells
the log and the metrics as they come, and ends with the job. Ctrl-C ends the telling and not the
job; the same command with --follow_only takes it up again. docs/sagemaker.md tells the rest.
"""

import json
import time

from absl import flags

from roadmark import app
from roadmark.errors import UserError
from roadmark.serving import sagemaker_jobs, sagemaker_training
from roadmark.serving.sagemaker_requests import Endpoint, Machines, TrainingJob

_SAGEMAKER = flags.DEFINE_bool("sagemaker", False, "On Amazon SageMaker.")
_NAME = flags.DEFINE_string("name", None, "Of the job or the endpoint.", required=True)
_IMAGE = flags.DEFINE_string("image", None, "Container image in ECR.")
_ROLE = flags.DEFINE_string("role", None, "ARN of the role that it takes.")
_CONFIG = flags.DEFINE_string(
    "config", None, "train: one of the image's configs, or the s3:// folder of another."
)
_RECORDS = flags.DEFINE_string("records", None, "train: s3:// folder that prepare wrote.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "train: s3:// folder to start from.")
_OUTPUT = flags.DEFINE_string("output", None, "train: s3:// folder for models and checkpoints.")
_HYPERPARAMETER = flags.DEFINE_multi_string(
    "hyperparameter", [], "train: flag=value of train, such as steps=20000; as often as needed."
)
_MODEL = flags.DEFINE_string("model", None, "endpoint: s3:// address of model.tar.gz.")
_JOB = flags.DEFINE_string("job", None, "endpoint: the training job that left the model.")
_MACHINE = flags.DEFINE_string("machine", "ml.g5.xlarge", "SageMaker's name of the machine.")
_MACHINES = flags.DEFINE_integer("machines", 1, "endpoint: how many.", lower_bound=1)
_DISK_GB = flags.DEFINE_integer("disk_gb", 50, "train: room for records and checkpoints.", 1)
_MAX_HOURS = flags.DEFINE_float("max_hours", 24, "train: stop then.", 0.1, 24 * 28)
_SPOT = flags.DEFINE_bool("spot", False, "train: on machines that may be taken away meanwhile.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the requests and send nothing.")
_FOLLOW_ONLY = flags.DEFINE_bool("follow_only", False, "Send nothing and follow what was sent.")


def main(command: str) -> int:
    """Runs one command; see the module's text."""
    if not _SAGEMAKER.value:
        raise UserError("command line", "found no cloud", "give --sagemaker")
    is_job = command == "train"
    if _FOLLOW_ONLY.value:
        return _follow(sagemaker_jobs.Client(), is_job)
    if _DRY_RUN.value:
        print(json.dumps(_job().requests() if is_job else _endpoint(None).requests(), indent=1))
        return 0
    client = sagemaker_jobs.Client()
    if is_job:
        requests = _job().requests()
    else:
        requests = _endpoint(client).requests(client.has_endpoint(_NAME.value))
    client.send(requests)
    print(f"{_NAME.value}: sent {', '.join(operation for operation, _ in requests)}", flush=True)
    return _follow(client, is_job)


def _follow(client: sagemaker_jobs.Client, is_job: bool) -> int:
    follow = client.follow_job if is_job else client.follow_endpoint
    return 0 if follow(_NAME.value, lambda line: print(line, flush=True)) else 1


def _job() -> TrainingJob:
    channels = {sagemaker_training.RECORDS: _RECORDS, sagemaker_training.CHECKPOINT: _CHECKPOINT}
    given = {name: flag.value for name, flag in channels.items() if flag.value}
    parameters = dict(map(_parameter, _HYPERPARAMETER.value))
    if _CONFIG.value and _CONFIG.value.startswith("s3://"):
        given[sagemaker_training.CONFIG] = _CONFIG.value
    elif _CONFIG.value:
        parameters["config"] = _CONFIG.value
    return TrainingJob(
        name=_NAME.value,
        image=_given(_IMAGE),
        role=_given(_ROLE),
        channels=given,
        output=_given(_OUTPUT),
        hyperparameters=parameters,
        machines=Machines(_MACHINE.value, 1, _DISK_GB.value),
        max_hours=_MAX_HOURS.value,
        is_spot=_SPOT.value,
    )


def _endpoint(client: sagemaker_jobs.Client | None) -> Endpoint:
    if bool(_MODEL.value) == bool(_JOB.value):
        raise UserError("command line", "found not one of --model and --job", "give one of them")
    if _JOB.value and client is None:
        raise UserError("--job", "is asked about at SageMaker", "give --model with --dry_run")
    model = _MODEL.value or (client or sagemaker_jobs.Client()).model_of(_JOB.value)
    return Endpoint(
        name=_NAME.value,
        image=_given(_IMAGE),
        role=_given(_ROLE),
        model=model,
        machines=Machines(_MACHINE.value, _MACHINES.value),
        version=time.strftime("%Y%m%d-%H%M%S", time.gmtime()),
    )


def _parameter(text: str) -> tuple[str, str]:
    name, is_pair, value = text.partition("=")
    if not (name and is_pair):
        raise UserError("--hyperparameter", f"found {text!r}", "write flag=value, as steps=20000")
    return name, value


def _given(flag: flags.FlagHolder) -> str:
    if not flag.value:
        raise UserError(f"--{flag.name}", "missing", "give it; see --help")
    return flag.value


if __name__ == "__main__":
    app.run(main, ("train", "endpoint"))
