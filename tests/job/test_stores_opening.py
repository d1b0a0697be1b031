"""open_store: from the manifest's datasource to a store."""

import pytest

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused
from selection_job.stores.opening import open_store


def test_a_local_datasource_opens(tmp_path):
    store = open_store(Datasource(type="LOCAL", resource_path=str(tmp_path)), field="spec.datasources.input")
    assert store.url == f"{tmp_path}/"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StorageRefused, match="nowhere"):
        open_store(Datasource(type="LOCAL", resource_path=f"{tmp_path}/nowhere"), field="spec.datasources.input")


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "S3", "resource_path": "s3://bucket/in/", "region": "eu-central-1"},
        {"type": "GCS", "resource_path": "gs://bucket/in/", "project_id": "a-project"},
        {"type": "AZURE", "container_name": "container/in/", "account_name": "account"},
    ],
    ids=lambda fields: fields["type"],
)
def test_a_secret_that_nobody_mounted_is_refused_with_the_way_out(fields, monkeypatch):
    monkeypatch.delenv("SELECTION_SECRETS", raising=False)
    datasource = Datasource.model_validate({**fields, "credentials_secret_ref": {"name": "a-secret"}})
    with pytest.raises(StorageRefused, match=r"input\.credentialsSecretRef \(a-secret\).*set SELECTION_SECRETS=FOLDER"):
        open_store(datasource, field="spec.datasources.input")
