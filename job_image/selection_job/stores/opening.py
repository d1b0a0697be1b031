"""Opening: from a datasource of the manifest to its Store."""

import logging
from collections.abc import Callable
from functools import partial

from selection_api.datasource import Datasource
from selection_job.errors import InvalidManifest
from selection_job.stores.access import check_reading, check_writing
from selection_job.stores.cloud.bucket import BucketStore, Connection
from selection_job.stores.cloud.retrying import RetryPolicy
from selection_job.stores.local.folders import open_folder
from selection_job.stores.store import Store

log = logging.getLogger("selection_job")


def open_store(datasource: Datasource, *, field: str, writable: bool = False) -> Store:
    """Return the store behind a datasource, after a look at its permissions.

    field      the datasource's path in the manifest, for messages; its last part names the folder of its Secret
    writable   whether the run writes there
    Raises InvalidManifest for a type that does not exist, StorageRefused for an unusable folder or bucket.
    """
    if datasource.type == "LOCAL":
        return open_folder(datasource, field=field, writable=writable)
    store = open_bucket(datasource, purpose=field.rpartition(".")[2])
    (check_writing if writable else check_reading)(store)
    log.info("%s: %s, with the credentials of %s", field, store.url, store.credentials)
    return store


def open_bucket(datasource: Datasource, *, purpose: str, retry_policy: RetryPolicy | None = None) -> BucketStore:
    """Return the store over a bucket, unchecked. The vendor's SDK is imported only here: each takes half a second."""
    connect, url, prefix = _prepare(datasource, purpose)
    return BucketStore(connect, url=url, prefix=prefix, retry_policy=retry_policy)


def _prepare(datasource: Datasource, purpose: str) -> tuple[Callable[[], Connection], str, str]:
    if datasource.type == "S3" and datasource.resource_path is not None:
        from selection_job.stores.cloud.s3 import connect_s3

        bucket, prefix = split_place(datasource.resource_path.removeprefix("s3://"))
        return partial(connect_s3, datasource, bucket, purpose), f"s3://{bucket}/{prefix}", prefix
    if datasource.type == "GCS" and datasource.resource_path is not None:
        from selection_job.stores.cloud.gcs import connect_gcs

        bucket, prefix = split_place(datasource.resource_path.removeprefix("gs://"))
        return partial(connect_gcs, datasource, bucket, purpose), f"gs://{bucket}/{prefix}", prefix
    if datasource.type == "AZURE" and datasource.container_name is not None:
        from selection_job.stores.cloud.azure import connect_azure

        container, prefix = split_place(datasource.container_name)
        url = f"azure://{datasource.account_name}/{container}/{prefix}"
        return partial(connect_azure, datasource, container, purpose), url, prefix
    raise InvalidManifest(f"spec.datasources.{purpose}.type: {datasource.type} is not supported by this version.")


def split_place(place: str) -> tuple[str, str]:
    """Return bucket and prefix; the prefix ends in '/' or is empty.

    >>> [split_place(place) for place in ("bucket", "bucket/", "bucket/a", "bucket/a/b/")]
    [('bucket', ''), ('bucket', ''), ('bucket', 'a/'), ('bucket', 'a/b/')]
    """
    bucket, _, prefix = place.partition("/")
    return bucket, f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
