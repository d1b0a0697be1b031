"""embeddingInformation: how far images lie apart, and the two-dimensional maps of them."""

from typing import Annotated, Literal

from pydantic import Field

from selection_job.report.models.base import Count, Pair, ReportModel
from selection_job.report.models.statistics import NumericPerSet


class MapPoints(ReportModel):
    """The points of every map."""

    filenames: list[str]
    selected: list[Literal[0, 1]]
    """1 where the file is selected."""
    n_input: Count
    """Images that could be chosen: they take part and pass every THRESHOLD."""
    n_selected: Count
    n_input_shown: Count
    n_selected_shown: Count
    n_preselected_datapool: Count
    """Images that were selected before."""
    n_preselected_datapool_shown: Count


class ExampleImage(ReportModel):
    """An image whose thumbnail is on the plot with overlay."""

    filename: str
    location: Pair
    selected: bool


class EmbeddingMap(ReportModel):
    """Where each point lies on a map."""

    input_2d_embeddings: Annotated[list[Pair], Field(alias="input2dEmbeddings")]
    """One for each of sample.filenames; empty where there is no map."""
    datapool_2d_embeddings: Annotated[list[Pair], Field(alias="datapool2dEmbeddings")]
    """Images that were selected before."""
    example_images: list[ExampleImage]
    """Thumbnails of the plot with overlay."""


class PcaMap(EmbeddingMap):
    """The map by the first two principal components."""

    explained_variance: Pair
    """Share of the variance on each axis."""


class UmapMap(EmbeddingMap):
    """A map by UMAP at one scale."""

    n_neighbors: int | None
    """Less than k where there are no more images."""
    reason: str | None
    """Why there is no map."""


class UmapMaps(ReportModel):
    """The maps by UMAP, by how many neighbours they look at."""

    k5: Annotated[UmapMap, Field(alias="5")]
    k15: Annotated[UmapMap, Field(alias="15")]
    k50: Annotated[UmapMap, Field(alias="50")]


class ScatterPlotData(ReportModel):
    """The maps, drawn for a stated sample."""

    sample: MapPoints
    pca_embedding_data: PcaMap
    umap_embedding_data: UmapMaps


class EmbeddingDistances(ReportModel):
    """How far images lie apart."""

    pairwise_distance: NumericPerSet
    """Between any two images of a set."""
    distance_to_nearest_neighbor_in_set: NumericPerSet
    """From each image of a set to its nearest other one."""
    distance_to_cover_input: NumericPerSet
    """From each image of the input to the nearest one of a set."""


class EmbeddingInformation(EmbeddingDistances):
    """How far images lie apart, and maps of them."""

    scatter_plot_data: ScatterPlotData
