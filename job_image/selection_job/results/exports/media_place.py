"""MediaPlace: where the files of the selected images lie, in the words of each tool."""

from dataclasses import dataclass
from urllib.parse import quote

from selection_api.datasource import Datasource

_SCHEMES = {"S3": "s3", "GCS": "gs", "AZURE": "azure-blob"}


@dataclass(frozen=True)
class MediaPlace:
    """A folder of a datasource."""

    kind: str  # S3, GCS, AZURE or LOCAL
    bucket: str
    """The bucket's or container's name; '' for a folder."""
    root: str
    """Of a folder: its absolute path with a trailing '/'. Of a bucket: the datasource's prefix, with one or ''."""
    url: str
    """What the datasource is known by: s3://bucket/prefix/, an absolute folder."""
    folder: str = ""
    """Below the datasource, with a trailing '/': data/sampled/ of a run, for frames of videos."""

    def name_uri(self, name: str) -> str:
        """Return where a file lies, as people and most tools write it; nothing is escaped."""
        return f"{self.url}{self.folder}{name}"

    def name_key(self, name: str) -> str:
        """Return the object's key in its bucket; of a folder the path below the datasource."""
        prefix = "" if self.kind == "LOCAL" else self.root
        return f"{prefix}{self.folder}{name}"

    def name_label_studio(self, name: str) -> str:
        """Return what Label Studio resolves with a storage of the same kind.

        Of a folder it is served where LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT is the datasource's folder.
        """
        if self.kind == "LOCAL":
            return f"/data/local-files/?d={quote(self.folder + name, safe='/')}"
        return f"{_SCHEMES[self.kind]}://{self.bucket}/{self.name_key(name)}"


def make_place(datasource: Datasource, url: str, folder: str = "") -> MediaPlace:
    """Return the place of a datasource's files. url is the store's."""
    if datasource.type == "LOCAL":
        return MediaPlace("LOCAL", "", url, url, folder)
    path = datasource.container_name or datasource.resource_path or ""
    bucket, _, prefix = path.partition("://")[2].partition("/") if "://" in path else path.partition("/")
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return MediaPlace(datasource.type, bucket, prefix, url, folder)
