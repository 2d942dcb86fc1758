"""What a store's refusal means for the user, in one line."""

import re
from typing import Any

from roadmark.errors import UserError

LIST, READ, WRITE, DELETE = "list", "read", "write", "delete"
PERMISSIONS = {
    "s3": {
        LIST: "s3:ListBucket",
        READ: "s3:GetObject",
        WRITE: "s3:PutObject",
        DELETE: "s3:DeleteObject",
    },
    "gs": {
        LIST: "storage.objects.list",
        READ: "storage.objects.get",
        WRITE: "storage.objects.create",
        DELETE: "storage.objects.delete",
    },
}
"""The permission that each kind of request takes, by scheme."""

_LOGIN = {
    "s3": "sign in with `aws configure` or `aws sso login`, set AWS_PROFILE, or give the machine "
    "a role",
    "gs": "sign in with `gcloud auth application-default login`, or set "
    "GOOGLE_APPLICATION_CREDENTIALS",
}
_EXPIRED = (
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
    "UnauthorizedSSOTokenError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "RefreshError",
)
_ABSENT = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "DefaultCredentialsError",
)
_INVALID = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "401")
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403")
_BUCKET = ("NoSuchBucket", "InvalidBucketName")


def code(error: BaseException) -> str:
    """The store's own name for an error, else the exception's."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict) and response.get("Error", {}).get("Code"):
            return str(response["Error"]["Code"])
        if getattr(one, "code", None):
            return str(one.code)
    if isinstance(error, PermissionError):
        return _DENIED[0]
    return type(error).__name__


def explained(error: BaseException, url: str, kind: str, store: Any) -> UserError | None:
    """The line for an error that another try does not put right.

    Args:
        error: As the store raised it.
        url: What was asked for.
        kind: A key of `PERMISSIONS`.
        store: The fsspec file system, asked who the user is.

    Returns:
        None for one that may pass.
    """
    scheme, found = url.partition("://")[0], code(error)
    bucket = url.partition("://")[2].partition("/")[0]
    # Listing what is not there gives nothing; only a bucket can be missing.
    if found in _BUCKET or (kind == LIST and isinstance(error, FileNotFoundError)):
        return UserError(url, f"there is no bucket {bucket!r}", "check its name, or make it")
    if found in _DENIED:
        permission, who = PERMISSIONS[scheme][kind], _identity(error, scheme, store)
        return UserError(
            url,
            f"access denied: {who} lacks {permission}",
            "have it granted, or choose other credentials",
        )
    if found in _EXPIRED:
        who = _identity(error, scheme, store)
        return UserError(url, f"the credentials of {who} have expired ({found})", _LOGIN[scheme])
    if found == "RequestTimeTooSkewed":
        return UserError(
            url, "this machine's clock is too far from the store's", "set the clock, as by NTP"
        )
    if found in _ABSENT:
        return UserError(url, f"found no credentials ({found})", _LOGIN[scheme])
    if found in _INVALID:
        who = _identity(error, scheme, store)
        return UserError(url, f"the credentials of {who} are not valid ({found})", _LOGIN[scheme])
    if found == "InvalidObjectState":
        return UserError(url, "the object is archived", "restore it from the archive first")
    return None


def _identity(error: BaseException, scheme: str, store: Any) -> str:
    # The store's message has it where it knows; else the chain says which key it took.
    named = re.search(r"arn:aws[^\s,]*", str(error))
    if named:
        return named.group()
    if scheme == "gs":
        credentials = getattr(getattr(store, "credentials", None), "credentials", None)
        return getattr(credentials, "service_account_email", None) or "this account"
    import botocore.session

    try:
        found = botocore.session.Session().get_credentials()
    except Exception:  # Of the chain's many sources; that one is broken is told elsewhere.
        found = None
    return f"access key {found.access_key} ({found.method})" if found else "an unnamed user"
