"""``gl.process``: the front door, callable, with the decorator and the plan of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from geodes_lab import extras
from geodes_lab.processing import references
from geodes_lab.processing.process import Process
from geodes_lab.processing.registry import define as _define
from geodes_lab.processing.registry import installed

with extras.needed("gl.process"):
    from geodes_lab.batch import calendar, places, schedules, starting, submission
    from geodes_lab.batch.job import Job
    from geodes_lab.batch.schedules import Schedule
    from geodes_lab.batch.store import chosen
    from geodes_lab.batch.submission import Draft
    from geodes_lab.vector import shapes


class Processing:
    """Begins jobs; its one instance is ``gl.process``."""

    define = staticmethod(_define)

    def __call__(
        self,
        process: str | Process,
        items: Any,
        *,
        region: Any = None,
        period: str | None = None,
        every: str | None = None,
        tile: int = 1024,
        crs: int | None = None,
        resolution: float | None = None,
        clip: bool = False,
        output: Literal["zarr", "cog"] | None = None,
        collection: str | None = None,
        readers: Sequence[str] = (),
        title: str = "",
        profile: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Job:
        """Begin a job: a process over products, which goes on when the notebook is closed.

        The job is written into the store of jobs before this call returns. A runner computes it on your own cluster.

        Parameters
        ----------
        process
            A name of `geodes_lab.processes`, or a process itself.
        items
            Items of `geodes_lab.search`, dictionaries of Items, paths or URLs.
        region
            A file, a GeoDataFrame, GeoJSON or a geometry, as in `geodes_lab.open_cube`: the job is split into tiles of
            a fixed grid. None: into products, or not at all, as the process says.
        period
            A year, a month, a day, or two of them: ``"2021"``, ``"2021-06/2021-08"``. Products outside are left out.
        every
            A frequency of pandas that splits the period, such as ``"1MS"``: each part gives one map.
        tile
            Pixels of a side of a tile.
        crs
            The EPSG code of the results; None: that of the products.
        resolution
            Of a pixel, in units of the CRS; None: the finest of the bands.
        clip
            Whether pixels outside the region become no data.
        output
            ``"zarr"``: one cube of the whole region; ``"cog"``: a GeoTIFF of each unit. None: a cube, if there is a
            region.
        collection
            Your collection in the catalogue, in which the results are published, as by `geodes_lab.publish`. None: the
            process's name, in a lab; nowhere else. Empty: nowhere.
        readers
            Groups that can see the collection.
        title
            What you call the job.
        profile
            The catalogue's name of a service that computes itself, such as ``geodes``; None: the lab computes.
        inputs
            Inputs of the process whose names are arguments here too.
        **more
            The inputs of the process; ``gl.processes()[name]`` lists them.

        Returns
        -------
        Job
            Its ``status``, ``progress``, ``log``, ``wait()``, ``cancel()``, ``retry()``, ``results()``.

        Raises
        ------
        GeodesError
            One sentence: an input, the region or the period is not valid, or no product lies there.

        Examples
        --------
        >>> import geodes_lab as gl                                      # doctest: +SKIP
        >>> items = gl.search("PEPS_S2_L1C", tile="31TCJ", datetime="2021")  # doctest: +SKIP
        >>> job = gl.process("ndvi", items, region="fields.gpkg", period="2021", every="1MS")  # doctest: +SKIP
        >>> cube = job.wait().results()                                  # doctest: +SKIP
        """
        given = {**(inputs or {}), **more}
        if profile is not None:
            from geodes_lab.batch import remote

            return remote.prepared(str(process), items, given, profile=profile, title=title).start()
        return self.prepare(
            process, items, region=region, period=period, every=every, tile=tile, crs=crs, resolution=resolution,
            clip=clip, output=output, collection=collection, readers=readers, title=title, inputs=given,
        ).start()  # fmt: skip

    def prepare(
        self,
        process: str | Process,
        items: Any,
        *,
        region: Any = None,
        period: str | None = None,
        every: str | None = None,
        tile: int = 1024,
        crs: int | None = None,
        resolution: float | None = None,
        clip: bool = False,
        output: Literal["zarr", "cog"] | None = None,
        collection: str | None = None,
        readers: Sequence[str] = (),
        title: str = "",
        inputs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Draft:
        """Check and split a job without beginning it; the arguments are those of ``gl.process``.

        Returns
        -------
        Draft
            ``gl.plan(draft)`` estimates what it costs; ``draft.start()`` begins it.
        """
        return submission.prepared(
            process, items, {**(inputs or {}), **more}, region=region, period=period, every=every, tile=tile, crs=crs,
            resolution=resolution, clip=clip, output=output, collection=collection, readers=readers, title=title,
        )  # fmt: skip

    def schedule(
        self,
        process: str,
        search: Mapping[str, Any],
        *,
        each: str = "product",
        start: str | None = None,
        wait: str = "0h",
        every: str = "1h",
        region: Any = None,
        tile: int = 1024,
        crs: int | None = None,
        resolution: float | None = None,
        clip: bool = False,
        output: Literal["zarr", "cog"] | None = None,
        collection: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Schedule:
        """Begin jobs by itself: for each new product of a search, or for each month.

        A runner of yours looks. A lab with a service of jobs starts one when it is time; elsewhere one must be alive:
        ``geodes-lab runner``.

        Parameters
        ----------
        process
            The name of a process that is installed where jobs run.
        search
            The arguments of `geodes_lab.search`, without ``datetime``.
        each
            ``"product"``: a job for what is new at a look. Or a frequency of pandas, such as ``"1MS"``: a job for each
            period that is over.
        start
            Products and periods from this day on; None: today, or the begin of this month.
        wait
            How long after the end of a period its job begins, such as ``"5D"``: the last products come late.
        every
            The time between two looks, at least a minute.
        region, tile, crs, resolution, clip, output, collection, inputs
            As of ``gl.process``.
        **more
            The inputs of the process.

        Returns
        -------
        Schedule
            Its ``jobs()``, ``status``, ``last_run``, ``next_run``, ``stop()``, ``remove()``. ``gl.process.schedules()``
            lists yours.
        """
        shape = None if region is None else submission.geojson(shapes.union("region", region))
        job = {
            "region": shape, "tile": tile, "crs": crs, "resolution": resolution, "clip": clip, "output": output,
            "collection": collection,
        }  # fmt: skip
        given = {**(inputs or {}), **more}
        known = installed().get(process)  # the plan refuses one that is not
        given |= {n: references.given(n, given[n]) for n in (known.inputs.files if known else set()) & set(given)}
        plan = calendar.plan(process, search, given, job, each=each, start=start, wait=wait, every=every)
        store = chosen.store()
        made = schedules.scheduled(store, plan)
        starting.needed(store, places.person())
        return made

    def schedules(self) -> list[Schedule]:
        """Return your schedules."""
        return schedules.listed(chosen.store(), places.person())


process = Processing()
process.__doc__ = Processing.__call__.__doc__
