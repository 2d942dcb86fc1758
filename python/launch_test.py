"""The commands of docs/sagemaker.md against a server that speaks AWS's protocol, and mistakes."""

import json
import re
import shlex
from pathlib import Path

import boto3
import pytest

from roadmark.serving import sagemaker_training
from roadmark.testing import app_process, bucket_server

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = (_ROOT / "docs" / "sagemaker.md").read_text()
_COMMANDS = [
    shlex.split(line)
    for line in re.findall(r"^    bazel run //python:launch -- (.*)$", _PAGE, re.M)
]
_DRY, _TRAIN, _FOLLOW, _ENDPOINT = _COMMANDS


@pytest.fixture(scope="module")
def server():
    with bucket_server.running() as found:
        yield found


@pytest.fixture
def cloud(server, monkeypatch):
    """Clients of services, past the proxy."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return boto3.client


def _launch(tmp_path, *arguments):
    return app_process.run("launch", tmp_path, *arguments)


def test_a_dry_run_needs_no_cloud(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    done = _launch(tmp_path, *_DRY)
    assert done.returncode == 0, done.stderr
    ((operation, request),) = json.loads(done.stdout)
    assert operation == "CreateTrainingJob"
    assert request["HyperParameters"] == {
        "steps": "20000",
        "batch_size": "32",
        "config": "ssd_mobilenet_v2_fpnlite_320",
    }
    (channel,) = request["InputDataConfig"]
    assert channel["ChannelName"] == "records"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://streets/records"
    assert request["CheckpointConfig"]["S3Uri"] == "s3://streets/jobs/first/checkpoints"
    assert request["EnableManagedSpotTraining"]
    assert request["StoppingCondition"]["MaxWaitTimeInSeconds"] == 48 * 3600


def test_a_job_and_an_endpoint_are_sent_and_followed(cloud, tmp_path):
    logs = cloud("logs")
    group, stream = "/aws/sagemaker/TrainingJobs", "first/algo-1"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    now = 1_795_000_000_000
    events = [{"timestamp": now + n, "message": f"training: {n}/2 steps"} for n in range(2)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    done = _launch(tmp_path, *_TRAIN)
    assert done.returncode == 0, done.stderr
    assert "first: sent CreateTrainingJob" in done.stdout
    assert [done.stdout.count(event["message"]) for event in events] == [1, 1]
    job = cloud("sagemaker").describe_training_job(TrainingJobName="first")
    assert job["HyperParameters"]["steps"] == "20000"
    metric = job["FinalMetricDataList"][0]
    assert f"first: {metric['MetricName']} {metric['Value']:g}" in done.stdout
    assert f"first: model: {job['ModelArtifacts']['S3ModelArtifacts']}" in done.stdout
    again = _launch(tmp_path, *_FOLLOW)
    assert again.returncode == 0
    assert "sent" not in again.stdout
    assert events[0]["message"] in again.stdout
    done = _launch(tmp_path, *_ENDPOINT)
    assert "sent CreateModel, CreateEndpointConfig, CreateEndpoint" in done.stdout, done.stderr
    made = cloud("sagemaker").describe_endpoint(EndpointName="detector")
    config = cloud("sagemaker").describe_endpoint_config(
        EndpointConfigName=made["EndpointConfigName"]
    )
    (variant,) = config["ProductionVariants"]
    assert variant["InstanceType"] == "ml.c5.xlarge"
    model = cloud("sagemaker").describe_model(ModelName=variant["ModelName"])
    found = model["PrimaryContainer"]["ModelDataUrl"]
    assert found == job["ModelArtifacts"]["S3ModelArtifacts"]


_WHOLE = [one for one in _DRY if not one.startswith("--hyperparameter")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--name=x"], "found no cloud; give --sagemaker"),
        (["fly", "--name=x"], "found 'fly'; give one of: train, endpoint"),
        ([*_WHOLE, "--role="], "--role: missing"),
        ([*_WHOLE, "--name=a_b"], "--name: found 'a_b'; give up to 63 letters"),
        ([*_WHOLE, "--records="], "--records: missing, expected s3://BUCKET/FOLDER"),
        ([*_WHOLE, "--records=data/records"], "records: found 'data/records', expected s3://"),
        ([*_WHOLE, "--config="], "--config: missing"),
        ([*_WHOLE, "--hyperparameter=steps"], "--hyperparameter: found 'steps'; write flag=value"),
        ([*_WHOLE, "--role=short"], "CreateTrainingJob: "),
        (["endpoint", *_WHOLE[1:]], "found not one of --model and --job"),
        (["endpoint", *_WHOLE[1:], "--job=first"], "--job: is asked about at SageMaker"),
        (["endpoint", *_WHOLE[1:], "--model=here"], "--model: found 'here', expected s3://"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, says):
    done = _launch(tmp_path, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_the_pages_channels_are_the_containers():
    named = re.findall(r"^\| channel `(\w+)`", _PAGE, re.M)
    assert tuple(named) == tuple(sagemaker_training.CHANNELS)
