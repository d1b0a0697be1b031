"""The datapool of a run: what it builds on, what it looks at, and what it adds."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Listing
from selection_job.catalog.embedded import Embedded
from selection_job.datapool.datapool import (
    GIVEN,
    Datapool,
    Members,
    join,
    leave_out,
    make_part,
    take_listing,
    without_members,
)
from selection_job.datapool.pool_part import PartHeader, PoolPart, dump_part, parse_part
from selection_job.encoder.encoder import EmbeddingSource
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.manifest.noun import agree
from selection_job.process.parallel_calls import call_in_parallel
from selection_job.run.context import RunContext
from selection_job.stages.recognition import digest_read, load_recognized, recognize
from selection_job.stores.lease import Lease, hold

log = logging.getLogger("selection_job")

_PARALLEL_READS = 8  # parts may be large


@dataclass(frozen=True, eq=False)
class DatapoolView:
    """What a run sees of its dataset's pool. Without a pool the listing is everything."""

    listing: Listing
    """What the run looks at: all, or what is new."""
    known_as: Listing | None = None
    """The same under the names that the pool has for it."""
    members: Members = field(default_factory=Members)
    """What earlier runs selected."""
    pool: Datapool | None = None
    lease: Lease | None = None
    notes: tuple[str, ...] = ()

    def leave_out_members(self, embedded: Embedded) -> Embedded:
        """Return the images without those that are in the pool: frames of a video that is looked at once more."""
        return without_members(embedded, self.members)

    def join(self, embedded: Embedded, encoder: EmbeddingSource) -> Embedded:
        """Return the images with the pool's behind them. Raises UnusableData where their vectors don't belong."""
        if self.pool is None:
            return embedded
        self.check_encoder(encoder, embedded.embeddings.shape[1])
        return join(embedded, self.members)

    def spread(self, values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Return a number for each image, NaN for those of the pool."""
        return None if values is None else np.concatenate([values, np.full(len(self.members.names), np.nan)])

    def check_encoder(self, encoder: EmbeddingSource, dimensions: int) -> None:
        """Raise UnusableData where this run's vectors can't be compared with those of the pool."""
        if self.pool is not None:
            self.pool.check_encoder(_identify(encoder), encoder.source, dimensions)


@contextmanager
def open_datapool(context: RunContext, listing: Listing) -> Iterator[DatapoolView]:
    """Give what the run looks at; with use_datapool no other run of the dataset is at work meanwhile.

    Waits for one that is. Raises UnusableData where a part of the pool can't be read, or nothing is new.
    """
    if not context.worker.use_datapool:
        yield DatapoolView(listing)
        return
    dataset = context.run.dataset_name
    lease = Lease(context.target, f".lightly/locks/datapool-{dataset}.json", holders=f"run of the dataset {dataset!r}")
    with hold(lease, is_patient=True):
        yield _view(context, listing, load_datapool(context), lease)


def load_datapool(context: RunContext) -> Datapool:
    """Read the parts of the dataset's pool that this run builds on."""
    folder = f".lightly/datapool/{context.run.dataset_name}/"
    keys = [info.key for info in context.target.list(folder) if info.key.endswith(".npz")]
    calls = [lambda key=key: _read_part(context, key) for key in keys]
    read = sorted(call_in_parallel(iter(calls), _PARALLEL_READS), key=lambda part: part.header.number)
    own = next((part for part in read if part.header.run_id == context.run_id), None)
    limit = own.header.number if own else 1 + max((part.header.number for part in read), default=0)
    parts = tuple(part for part in read if part.header.number < limit)
    if len({(part.header.encoder, part.vectors.shape[1]) for part in parts}) > 1:
        raise UnusableData(
            f"The parts of the datapool {context.target.url}{folder} were embedded by different networks: "
            "somebody has put files of several pools together. Keep those of one."
        )
    return Datapool(context.run.dataset_name, context.target.url + folder, parts, own, load_recognized(context, folder))


def _read_part(context: RunContext, key: str) -> PoolPart:
    try:
        return parse_part(context.target.read(key))
    except (ValueError, ObjectMissing) as error:
        raise UnusableData(
            f"{context.target.url}{key}, a part of the datapool of {context.run.dataset_name!r}, can't be used: "
            f"{error}. "
            "Restore it from a backup, or delete it: what that run selected then counts as never seen."
        ) from error


def _view(context: RunContext, listing: Listing, pool: Datapool, lease: Lease) -> DatapoolView:
    medium = context.medium
    recognized = recognize(context, listing, pool, lease)
    listed = recognized.listed
    is_new = pool.find_new(listed, process_all=context.worker.datasource.process_all, medium=medium)
    files = medium.file_noun.plural
    if not is_new.any():
        every = f"all {len(is_new)} {files} in {context.source.url}"
        raise UnusableData(_say_nothing_is_new(context, pool, every))
    new = leave_out(listing, is_new)
    members = pool.find_members(listed, medium=medium)
    log.info(
        "Datapool %s: %s selected before, %s to look at.",
        pool.url, medium.noun.count(len(members.names)), medium.file_noun.count(len(new.names)),
    )  # fmt: skip
    n_new, are = len(new.names), agree(len(new.names), "are")
    note = f"Datapool {pool.dataset}: {n_new:,} of {len(listing.names):,} listed {files} {are} looked at."
    known_as = take_listing(recognized.known_as, is_new)
    return DatapoolView(new, known_as, members, pool, lease, (note, *recognized.notes))


def _say_nothing_is_new(context: RunContext, pool: Datapool, every: str) -> str:
    process_all = context.worker.datasource.process_all
    if pool.own:
        return (
            f"{every[0].upper()}{every[1:]} are others than those that this run chose among before it was cut off. "
            f"Its picks of then are in the datapool {pool.url}: choose among these by a run of another name."
        )
    last = pool.parts[-1].header.run_id
    files = context.medium.file_noun.plural
    runs = f"by earlier runs of the dataset {pool.dataset!r}, the last one {last}. Add {files}"
    if process_all:
        return f"Nothing is new: {every} were selected {runs}."
    also = "workerConfig.datasource.process_all to choose among those that were not selected"
    return f"Nothing is new: {every} were seen {runs}, or set {also}."


def add_to_datapool(
    context: RunContext, view: DatapoolView, embedded: Embedded, selected: NDArray[np.int64], encoder: EmbeddingSource
) -> None:
    """Write what this run selected and has seen, in one object. Raises TryAgain where another run works on the pool.

    What its table of embeddings marks as selected before goes in too: it counts as seen, so that no later run lists it.
    """
    if view.pool is None or view.known_as is None or not context.worker.datasource.enable_datapool_update:
        return
    header = PartHeader(
        run_id=context.run_id,
        number=view.pool.number,
        added_at=context.now().isoformat(timespec="seconds"),
        encoder=_identify(encoder),
        encoder_source=encoder.source,
    )
    n_own = len(embedded.catalog.names) - len(view.members.names)
    added = np.concatenate([np.arange(embedded.catalog.n_new, n_own), selected])
    sha256 = digest_read(context, view.listing, embedded.catalog, added)
    part = make_part(header, view.listing, embedded, added, known_as=view.known_as, sha256=sha256)
    if view.lease is not None:
        view.lease.check()
    context.target.write(f".lightly/datapool/{view.pool.dataset}/{context.run_id}.npz", dump_part(part))


def _identify(encoder: EmbeddingSource) -> str:
    return GIVEN if encoder.source.startswith("embeddings ") else encoder.fingerprint
