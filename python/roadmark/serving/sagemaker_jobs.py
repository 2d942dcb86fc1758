"""Sends requests to SageMaker and follows what comes of them, logs and metrics included."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from roadmark.errors import UserError
from roadmark.serving.sagemaker_requests import Request

_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_EVERY_S = 10.0
_LOGIN = "sign in with `aws configure` or `aws sso login`, set AWS_PROFILE and AWS_DEFAULT_REGION"
_UNDER_WAY = ("InProgress", "Stopping", "Creating", "Updating", "SystemUpdating", "RollingBack")


class Client:
    """SageMaker as the cloud's own chain of credentials reaches it.

    Raises:
        UserError: There is no region.
    """

    def __init__(self) -> None:
        import boto3

        session = boto3.Session()
        self._sagemaker = _answered("sagemaker", lambda: session.client("sagemaker"))
        self._logs = _answered("logs", lambda: session.client("logs"))

    def send(self, requests: Sequence[Request]) -> None:
        """Sends requests in order.

        Raises:
            UserError: SageMaker refuses one, or cannot be reached.
        """
        for operation, parameters in requests:
            self._ask(operation, parameters)

    def has_endpoint(self, name: str) -> bool:
        """Whether there is an endpoint of this name."""
        found = self._ask("ListEndpoints", {"NameContains": name})["Endpoints"]
        return any(one["EndpointName"] == name for one in found)

    def model_of(self, job: str) -> str:
        """The `s3://` address of the model that a training job left.

        Raises:
            UserError: There is no such job, or it left none.
        """
        found = self._ask("DescribeTrainingJob", {"TrainingJobName": job})
        if found["TrainingJobStatus"] != "Completed":
            raise UserError(
                f"job {job}", f"is {found['TrainingJobStatus']}", "name one that is completed"
            )
        return found["ModelArtifacts"]["S3ModelArtifacts"]

    def follow_job(self, name: str, say: Callable[[str], None], every_s: float = _EVERY_S) -> bool:
        """Tells the log of a training job, its states and its metrics until it ends.

        Args:
            name: Of the job.
            say: Takes a line.
            every_s: Seconds between two looks.

        Returns:
            Whether it was completed.

        Raises:
            UserError: SageMaker cannot be asked any more; the job goes on.
        """
        told, logs = 0, _Logs(self._logs, name)
        while True:
            found = self._ask("DescribeTrainingJob", {"TrainingJobName": name})
            states = found.get("SecondaryStatusTransitions", [])
            for state in states[told:]:
                say(f"{name}: {state['Status']}: {state.get('StatusMessage', '')}")
            told = max(told, len(states))
            for line in _answered(f"log of {name}", logs.new):
                say(line)
            if found["TrainingJobStatus"] not in _UNDER_WAY:
                break
            time.sleep(every_s)
        for metric in found.get("FinalMetricDataList", []):
            say(f"{name}: {metric['MetricName']} {metric['Value']:g}")
        is_done = found["TrainingJobStatus"] == "Completed"
        if is_done:
            say(f"{name}: model: {found['ModelArtifacts']['S3ModelArtifacts']}")
        else:
            say(f"{name}: {found['TrainingJobStatus']}: {found.get('FailureReason', '')}")
        return is_done

    def follow_endpoint(
        self, name: str, say: Callable[[str], None], every_s: float = _EVERY_S
    ) -> bool:
        """Tells the states of an endpoint until it is in service or has failed.

        Returns:
            Whether it is in service.
        """
        last = ""
        while True:
            found = self._ask("DescribeEndpoint", {"EndpointName": name})
            if found["EndpointStatus"] != last:
                last = found["EndpointStatus"]
                say(f"{name}: {last} {found.get('FailureReason', '')}".rstrip())
            if last not in _UNDER_WAY:
                return last == "InService"
            time.sleep(every_s)

    def _ask(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        from botocore import xform_name

        call = getattr(self._sagemaker, xform_name(operation))
        return _answered(operation, lambda: call(**parameters))


class _Logs:
    """The lines of a job's machines, each told once."""

    def __init__(self, client: Any, job: str):
        self._client, self._job = client, job
        self._tokens: dict[str, str] = {}

    def new(self) -> list[str]:
        """Lines that have come since the last time."""
        lines = []
        for stream in self._streams():
            while True:
                token = self._tokens.get(stream)
                given = {"nextToken": token} if token else {}
                found = self._client.get_log_events(
                    logGroupName=_LOG_GROUP, logStreamName=stream, startFromHead=True, **given
                )
                lines += [event["message"] for event in found["events"]]
                self._tokens[stream] = found["nextForwardToken"]
                if not found["events"] or found["nextForwardToken"] == token:
                    break
        return lines

    def _streams(self) -> list[str]:
        try:
            found = self._client.describe_log_streams(
                logGroupName=_LOG_GROUP, logStreamNamePrefix=f"{self._job}/"
            )
        except self._client.exceptions.ResourceNotFoundException:
            return []  # The job has not begun to write.
        return [stream["logStreamName"] for stream in found["logStreams"]]


def _answered(what: str, ask: Callable[[], Any]) -> Any:
    from botocore import exceptions

    try:
        return ask()
    except exceptions.ClientError as error:
        # Says who lacks which permission, where that is the reason.
        found = error.response["Error"]
        message = found.get("Message", "").rstrip(".")
        raise UserError(what, f"refused: {found['Code']}: {message}", "correct that") from None
    except (exceptions.NoCredentialsError, exceptions.NoRegionError) as error:
        raise UserError(what, str(error).rstrip("."), _LOGIN) from None
    except exceptions.BotoCoreError as error:
        raise UserError(
            what, f"no answer: {error}", "check the connection, and look again"
        ) from None
