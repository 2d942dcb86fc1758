"""What Google's and Amazon's own exceptions mean; `buckets_test` has those of a real S3 server."""

import pytest
from botocore import exceptions as amazon
from gcsfs.retry import HttpError
from google.auth import exceptions as google

from roadmark.storage import refusals

_FORBIDDEN = HttpError({"code": 403, "message": "Forbidden"})


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (_FORBIDDEN, refusals.READ, "this account lacks storage.objects.get;"),
        (_FORBIDDEN, refusals.WRITE, "this account lacks storage.objects.create;"),
        (FileNotFoundError("b/films/o"), refusals.LIST, "there is no bucket 'films';"),
        (FileNotFoundError("b/films/o/x"), refusals.READ, None),
        (google.DefaultCredentialsError("none"), refusals.LIST, "found no credentials"),
        (google.RefreshError("old"), refusals.LIST, "have expired (RefreshError); sign in with"),
        (HttpError({"code": 401, "message": "Invalid"}), refusals.LIST, "are not valid (401)"),
        (HttpError({"code": 503, "message": "Busy"}), refusals.LIST, None),
    ],
)
def test_google(error, kind, says):
    found = refusals.explained(error, "gs://films/x", kind, None)
    if says is None:
        assert found is None, "another try may do, or the object has gone"
    else:
        assert str(found).startswith("gs://films/x: ")
        assert says in str(found)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (amazon.NoCredentialsError(), "found no credentials"),
        (amazon.ProfileNotFound(profile="p"), "found no credentials (ProfileNotFound)"),
        (amazon.UnauthorizedSSOTokenError(), "have expired (UnauthorizedSSOTokenError)"),
        (amazon.EndpointConnectionError(endpoint_url="u"), None),
    ],
)
def test_amazon(error, says):
    found = refusals.explained(error, "s3://films/x", refusals.LIST, None)
    assert (found is None) if says is None else (says in str(found))
