"""The work on a Ray cluster: the plan as a data set of Ray, with one loaded job in every worker."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import Any

from deformcli.errors import DeformError, UsageError, one_line
from deformcli.options import BatchOptions

from .job import STDIO, Item, Job
from .pipeline import work_through
from .report import Outcome, failure

NOT_LOADED = -1
"""The number of an outcome that is that of a worker, not of an item."""


def work_on_cluster(
    items: Sequence[Item],
    job: Job,
    options: BatchOptions,
    planned: frozenset[Path],
    stopped: Callable[[], bool],
) -> Iterator[Outcome]:
    """`work_through` in the workers of a cluster, one a GPU, or one a CPU where there are no GPUs.

    The files must be where they are here for every worker. Ray restarts a worker that dies and repeats what it had in
    hand; since files are renamed into place, nothing is lost and nothing is half.

    Raises:
        UsageError: Ray is not installed, or stdin or stdout take part.
        DeformError: the cluster cannot be reached, or a worker cannot load the job.
    """
    if any(STDIO in (item.source, item.target) for item in items):
        raise UsageError("a cluster has no stdin and no stdout", "use files, or --executor local")
    # Ray tells stdout when a worker dies; stdout is for the report.
    with redirect_stdout(sys.stderr), _connected(options.address) as ray:
        total = ray.cluster_resources()
        kind = "gpu" if total.get("GPU") else "cpu"
        workers = max(1, min(int(total.get(kind.upper(), 1)), len(items)))
        parts = min(len(items), max(4 * workers, math.ceil(len(items) / (4 * options.batch_size))))
        flag = ray.remote(num_cpus=0)(_Flag).remote()
        results = ray.data.range(len(items), override_num_blocks=parts).map_batches(
            _Worker,
            fn_constructor_args=(list(items), job, options, planned, str(Path.cwd()), flag),
            batch_size=None,  # a call gets a part
            compute=ray.data.ActorPoolStrategy(size=workers),
            **{f"num_{kind}s": 1},
        )
        for row in results.iter_rows():
            new = Outcome(**json.loads(row["outcome"]))
            if new.number == NOT_LOADED:
                raise new.deform_error()
            yield new
            if stopped():  # what the workers have in hand is still to come
                flag.raise_it.remote()


class _Flag:
    """Lives in a process of the cluster: once it is up, workers begin nothing further."""

    up = False

    def raise_it(self) -> None:
        self.up = True

    def is_up(self) -> bool:
        return self.up


class _Worker:
    """Lives in a process of the cluster."""

    def __init__(
        self,
        items: Sequence[Item],
        job: Job,
        options: BatchOptions,
        planned: frozenset[Path],
        folder: str,
        flag: Any,
    ) -> None:
        os.chdir(folder)
        self.items, self.job, self.options, self.planned, self.flag = items, job, options, planned, flag
        self.refused: Outcome | None = None
        try:
            job.load()
        except DeformError as error:  # raised here, Ray would try again and tell of it in many words
            self.refused = replace(failure(items[0], error), number=NOT_LOADED)

    def __call__(self, part: dict[str, Any]) -> dict[str, list[str]]:
        some = [replace(self.items[number], repeatable=True) for number in part["id"]]  # by a worker that has died
        outcomes: Iterable[Outcome]
        outcomes = [self.refused] if self.refused else self._outcomes(some)
        return {"outcome": [json.dumps(asdict(outcome)) for outcome in outcomes]}

    def _outcomes(self, some: Sequence[Item]) -> Iterator[Outcome]:
        import ray

        ended = Event()
        for new in work_through(
            some, self.job, self.options, self.planned, lambda: ended.is_set() or ray.get(self.flag.is_up.remote())
        ):
            if new.status == "failed" and self.options.on_error == "stop":
                ended.set()
            yield new


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # deform tells nobody anything
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError("--executor ray: Ray is not installed", "pip install 'deformcli[ray]'") from error
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # a bare Exception, too, is what Ray raises
        raise DeformError(f"the Ray cluster {address}: {one_line(error)}", "check --address") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    except ray.exceptions.RayError as error:
        cause = str(error).strip().splitlines()[-1:] or [one_line(error)]
        raise DeformError(f"the Ray cluster failed: {cause[0]}", "see its logs, or use --executor local") from error
    finally:
        ray.shutdown()
