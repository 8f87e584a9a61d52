"""A whole batch: plan, work, report, exit code."""

from __future__ import annotations

import sys

from deformcli.errors import UsageError
from deformcli.options import BatchOptions
from deformcli.runtime.stop import asked_to_stop

from .job import Job
from .plan import files_read, plan, real, with_output
from .report import Report, outcome, reporting

STOPPING = "interrupted: ending what is in hand; once more ends at once"


def run(options: BatchOptions, job: Job) -> Report:
    """Plan, make and report every picture: the whole work of a command.

    Raises:
        PartialError: some items failed. DeformError: all did. With one item: its own error; or what `plan` refuses.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; what was in hand is written and reported.
    """
    placed = with_output(options, job.suffix)
    items = plan(placed, job.reads)
    _check_stdout(placed)
    read = files_read([item.source for item in items], placed, job.reads)
    todo = [item for item in items if not item.skipped]
    # Late: they need Pillow, and a plan may end the run.
    from .cluster import work_on_cluster
    from .pipeline import preview, work_through

    with reporting(items, options, read) as report:
        for item in items:
            if item.skipped:
                report.add(outcome(item, "skipped"))
        if todo and (job.preview if options.dry_run else options.executor == "local"):
            job.load()
        with asked_to_stop(STOPPING) as interrupted:
            if options.dry_run:
                outcomes = preview(todo, job, options)
            else:
                work = work_on_cluster if options.executor == "ray" and todo else work_through
                planned = read.union(real(item.target) for item in items)
                outcomes = work(todo, job, options, planned, lambda: interrupted.is_set() or report.to_stop)
            for new in outcomes:
                report.add(new)
        if interrupted.is_set():
            raise KeyboardInterrupt
    if error := report.error():
        raise error
    return report


def _check_stdout(options: BatchOptions) -> None:
    if options.output != "-":
        return
    if options.as_json:
        raise UsageError("stdout cannot have the picture and JSON", "write the picture to a file, or use --report FILE")
    if sys.stdout is None:
        raise UsageError("stdout is closed", "write the picture to a file")
    if sys.stdout.isatty() and not options.dry_run:
        raise UsageError("stdout is a terminal, not a place for a picture", "send it into a file: -o - > FILE")
