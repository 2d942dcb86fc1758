"""Following a job, and what SageMaker refuses; //python:launch_test sends and follows for real."""

import pytest

from roadmark.errors import UserError
from roadmark.serving import sagemaker_jobs
from roadmark.testing import bucket_server


@pytest.fixture
def server(monkeypatch):
    """A server that speaks AWS's protocol, behind the cloud's own chain."""
    with bucket_server.running() as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


class _States:
    """A client whose job goes through states; SageMaker's own take hours."""

    def __init__(self, *states):
        self._states = list(states)

    def describe_training_job(self, **given):
        del given
        return self._states.pop(0)

    describe_endpoint = describe_training_job


def test_a_failure_is_told_with_its_reason(server):
    del server
    client, said = sagemaker_jobs.Client(), []
    starting = {"Status": "Starting", "StatusMessage": "preparing"}
    client._sagemaker = _States(
        {"TrainingJobStatus": "InProgress", "SecondaryStatusTransitions": [starting]},
        {
            "TrainingJobStatus": "Failed",
            "FailureReason": "channel 'records': missing",
            "SecondaryStatusTransitions": [starting],
        },
    )
    assert not client.follow_job("other", said.append, 0.0)
    assert said == ["other: Starting: preparing", "other: Failed: channel 'records': missing"]
    client._sagemaker = _States(
        {"EndpointStatus": "Creating"},
        {"EndpointStatus": "Creating"},
        {"EndpointStatus": "Failed", "FailureReason": "no ping"},
    )
    assert not client.follow_endpoint("e", said.append, 0.0)
    assert said[2:] == ["e: Creating", "e: Failed no ping"]


def test_what_the_cloud_refuses_is_one_line(server, monkeypatch):
    text = "User: arn:aws:iam::1:user/me is not authorized to perform: sagemaker:ListEndpoints"
    fault = bucket_server.Fault("AccessDeniedException", "POST", "/", 1, text, 400)
    server.proxy.faults = [fault]
    with pytest.raises(UserError, match="ListEndpoints"):
        sagemaker_jobs.Client().has_endpoint("x")
    with pytest.raises(UserError, match=r"refused: .*Could not find training job"):
        sagemaker_jobs.Client().model_of("none")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(UserError, match="Unable to locate credentials; sign in"):
        sagemaker_jobs.Client().has_endpoint("x")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match="You must specify a region; sign in"):
        sagemaker_jobs.Client()
