"""open_store: from the manifest's datasource to a store."""

import pytest

from selection_api.datasource import Datasource
from selection_job.errors import InvalidManifest, StorageRefused
from selection_job.stores.opening import open_store


def test_a_local_datasource_opens(tmp_path):
    store = open_store(Datasource(type="LOCAL", resource_path=str(tmp_path)), field="spec.datasources.input")
    assert store.url == f"{tmp_path}/"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StorageRefused, match="nowhere"):
        open_store(Datasource(type="LOCAL", resource_path=f"{tmp_path}/nowhere"), field="spec.datasources.input")


@pytest.mark.parametrize("kind", ["S3", "GCS", "AZURE"])
def test_clouds_are_not_supported_yet(kind):
    datasource = Datasource.model_construct(type=kind, resource_path=None)
    with pytest.raises(InvalidManifest, match=rf"spec\.datasources\.input\.type: {kind} is not supported"):
        open_store(datasource, field="spec.datasources.input")
