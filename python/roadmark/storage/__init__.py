"""Files and folders in buckets, `s3://` and `gs://`, behind the flags of the apps.

Nothing above this package knows of buckets: `path_flags` fetches what a flag names before an app's
main function begins, and uploads what it wrote.
"""
