"""A harvested catalogue of any size, in the very files that a harvest writes: Sentinel-2 by tile and month, made by DuckDB."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from geodes_lab.catalog.harvested import geoparquet, partitions
from geodes_lab.catalog.harvested.snapshot import Collection, Snapshot, moment

NAME = "PEPS_S2_L1C"
YEARS = range(2016, 2024)
_TILES = 12_000
_TEXTS = ["political", "storage:schemes"]
# Tiles lie on land-like rows: many in the north, few in the south; each is seen from one or two orbits.
_MAKE_TILES = f"""
CREATE OR REPLACE TABLE tiles AS
SELECT i AS n, (i % 60) + 1 AS zone, -50 + 120 * ((hash(i) % 100000) / 100000.0) AS south,
       -180 + 6 * (i % 60) + 4.6 * ((hash(i + 7) % 100000) / 100000.0) AS west,
       1 + hash(i + 13) % 143 AS orbit,
       printf('%02d%s%s%s', (i % 60) + 1, substr('CDEFGHJKLMNPQRSTUVWX', 1 + (hash(i + 1) % 20)::INT, 1),
              substr('ABCDEFGH', 1 + (hash(i + 2) % 8)::INT, 1), substr('ABCDEFGHJKLM', 1 + (hash(i + 3) % 12)::INT, 1)) AS tile
FROM range({_TILES}) t(i)
"""
_MONTH = """
WITH drawn AS (
  SELECT *, TIMESTAMP '{start}' + to_seconds((hash(r * 31 + {seed}) % ({days} * 86400))::BIGINT)
              + to_milliseconds((hash(r) % 1000)::BIGINT) AS t,
         ['S2A', 'S2B'][1 + (hash(r + 3) % 2)::INT] AS platform, md5(concat(r, 'a', {seed})) AS sum,
         md5(concat(r, 'u', {seed})) AS u, md5(concat(r, 'q', {seed})) AS q, (hash(r + 5) % 10000000) / 100000.0 AS clouds,
         (hash(r + 8) % 900)::INT AS wait
  FROM (SELECT range AS r, (hash(range + {seed}) % {tiles})::BIGINT AS n FROM range({rows})) JOIN tiles USING (n)
), named AS (
  SELECT *, printf('%s_MSIL1C_%s_N0510_R%03d_T%s_%s', platform, strftime(t, '%Y%m%dT%H%M%S'), orbit, tile,
                   strftime(t + to_hours(3 + wait % 20), '%Y%m%dT%H%M%S')) AS id,
         concat('URN:FEATURE:DATA:gdh:', u[1:8], '-', u[9:12], '-', u[13:16], '-', u[17:20], '-', u[21:32], ':V1') AS urn
  FROM drawn
)
SELECT 'Feature' AS type, '1.1.0' AS stac_version, ['https://stac-extensions.github.io/eo/v2.0.0/schema.json'] AS stac_extensions,
  id, '{name}' AS collection,
  {{'product': {{'href': concat('https://s3.datalake.cnes.fr/sentinel2-l1c/', tile[1:2], '/', tile[3:3], '/', tile[4:5],
      strftime(t, '/%Y/%m/%d/'), id, '.zip'), 'type': 'application/zip', 'roles': ['data'],
      'alternate': {{'https': {{'href': concat('https://geodes-portal.cnes.fr/api/download/', urn, '/files/', sum),
                              'alternate:name': 'GEODES download (API key)'}}}},
      'storage:refs': ['datalake'], 'file:size': 400000000 + hash(r + 9) % 400000000, 'file:checksum': concat('d50110', sum)}},
    'quicklook': {{'href': concat('https://geodes-portal.cnes.fr/api/quicklook/', urn, '/files/', q, '?scope=gdh'),
      'type': 'image/jpeg', 'roles': ['overview']}}}} AS assets,
  ST_AsWKB(ST_MakePolygon(ST_MakeLine([ST_Point(west, south + 1), ST_Point(west + 1.35, south + 0.98),
    ST_Point(west + 1.32, south), ST_Point(west + 0.01, south + 0.02), ST_Point(west, south + 1)])))::BLOB AS geometry,
  {{'xmin': west, 'ymin': south, 'xmax': west + 1.35, 'ymax': south + 1}} AS bbox,
  id AS identifier, '{name}' AS dataset, concat('MGRS-', tile) AS "grid:code", 'S2MSI1C' AS "product:type", platform,
  'MSI' AS instrument, ['msi'] AS instruments, 'L1C' AS "processing:level", '05.10' AS "processing:version",
  orbit::BIGINT AS "sat:relative_orbit", (30000 + hash(r) % 20000)::BIGINT AS "sat:absolute_orbit",
  'descending' AS "sat:orbit_state", clouds AS "eo:cloud_cover", true AS latest, urn AS "geodes:urn",
  t AT TIME ZONE 'UTC' AS datetime, t AT TIME ZONE 'UTC' AS start_datetime, t AT TIME ZONE 'UTC' AS end_datetime,
  (t + to_hours(3 + wait % 20)) AT TIME ZONE 'UTC' AS published,
  '{{"datalake":{{"type":"custom-s3","platform":"https://s3.datalake.cnes.fr","bucket":"sentinel2-l1c"}}}}' AS "storage:schemes",
  ['EU'] AS continent_code, '{{"continents":[{{"name":"Europe"}}]}}' AS political
FROM named
"""


def write(folder: Path, items: int, years: range = YEARS) -> Snapshot:
    """Write a catalogue of so many Items; what is there already stays."""
    snapshot = Snapshot.load(folder)
    if snapshot.files:
        return snapshot
    import duckdb_extension_spatial

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.load_extension(
        str(next(Path(duckdb_extension_spatial.__file__).parent.glob("extensions/*/*.duckdb_extension")))
    )
    connection.execute(_MAKE_TILES)
    every = [(y, m) for y in years for m in range(1, 13)]
    files, known = [], {}
    for number, (year, month) in enumerate(every):
        rows = items * (number + 1) // len(every) - items * number // len(every)
        days = calendar.monthrange(year, month)[1]
        text = _MONTH.format(
            start=f"{year}-{month:02d}-01", seed=number * 1000003, days=days, tiles=_TILES, rows=rows, name=NAME
        )
        table = connection.execute(text).to_arrow_table().replace_schema_metadata(geoparquet.said(_TEXTS))
        known |= partitions.types(table.schema)
        files.append(partitions.written(folder, NAME, f"{year}-{month:02d}", table))
    told = {NAME: Collection("Sentinel-2 level 1C", moment(datetime.now(UTC)), known)}
    made = Snapshot(folder, "https://geodes.example/stac", moment(datetime.now(UTC)), told, tuple(files))
    made.save()
    return made
