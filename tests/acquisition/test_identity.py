"""What a product is, from its name and metadata; hostile names."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodes_lab.acquisition.identity import identify, newest_last, part_of
from geodes_lab.acquisition.keys import beside, key
from geodes_lab.errors import GeodesError
from tests.support.examples import examples

S2 = "S2A_MSIL1C_20200808T010311_N0500_R045_T54PXA_20230413T212505"
S1 = "S1A_IW_GRDH_1SDV_20141010T120113_20141010T120222_002767_0031C8_D5D7"
S3 = "S3A_SR_1_SRA____20230124T062526_20230124T071556_20230220T092834_3029_094_348______PS1_O_NT_004"
times = st.datetimes(datetime(2014, 1, 1), datetime(2040, 1, 1)).map(lambda t: t.replace(microsecond=0))


def form(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%S}"


@pytest.mark.parametrize(
    ("name", "family", "acquisition", "bucket"),
    [
        (S2, "sentinel2", "S2A/MSIL1C/20200808T010311/R045/T54PXA", "sentinel2-l1c/54/P/XA/2020/08/08"),
        (S1, "sentinel1", "S1A/IW/GRDH_1SDV/002767/0031C8", "sentinel1-grd/2014/10/10"),
        (f"{S1}_COG", "sentinel1", "S1A/IW/GRDH_1SDV_COG/002767/0031C8", "sentinel1-grd/2014/10/10"),
        (S3, "sentinel3", "S3A/SR_1_SRA___/NT/O/094_348_____", "sentinel3-sr-1-sra/2023/01/24"),
        (
            "SENTINEL2A_20210605-105857-123_L2A_T31TCJ_C_V2-2", "maja",
            "SENTINEL2A/L2A/20210605-105857-123/T31TCJ/C", "mine/2021/06/05",
        ),
    ],
)  # fmt: skip
def test_names_of_families(name: str, family: str, acquisition: str, bucket: str) -> None:
    identity = identify(name)
    assert (identity.family, identity.acquisition) == (family, acquisition)
    assert key(identity, "MINE", ".zip", None) == f"{bucket}/{name}.zip"
    for ending in (".SAFE", ".zip", ".SAFE.zip", ".SEN3"):
        assert identify(f"{name}{ending}") == identity


def test_recorded_names_are_all_told_apart(shared: Path) -> None:
    names = []
    for path in sorted((shared / "cdse" / "odata").glob("*.json")):
        document = json.loads(path.read_text())
        names += [p["Name"] for p in document["value"]] if isinstance(document, dict) and "value" in document else []
    assert len(set(names)) == 50
    assert len({identify(n).acquisition for n in names}) == 50


@settings(max_examples=examples(200))
@given(times, times, times, st.integers(200, 599), st.integers(200, 599))
def test_reprocessing_of_sentinel_2_is_the_same_acquisition_in_order(start, made, again, baseline, newer) -> None:
    one = identify(f"S2B_MSIL1C_{form(start)}_N{baseline:04d}_R051_T31TCJ_{form(made)}.SAFE")
    two = identify(f"S2B_MSIL1C_{form(start)}_N{newer:04d}_R051_T31TCJ_{form(again)}")
    assert one.is_same_acquisition(two)
    later = (newer, again) > (baseline, made)
    assert newest_last([(one, "2021"), (two, "2021")])[-1] == int(later or one.name == two.name)
    elsewhere = identify(f"S2B_MSIL1C_{form(start)}_N{newer:04d}_R051_T31TCK_{form(again)}")
    assert not one.is_same_acquisition(elsewhere)


@settings(max_examples=examples(200))
@given(times, st.integers(-60, 60), st.text("0123456789ABCDEF", min_size=4, max_size=4))
def test_reprocessing_of_sentinel_1_may_begin_a_little_earlier(start, shift, mark) -> None:
    def name(begin: datetime, end: str) -> str:
        return f"S1C_IW_GRDH_1SDV_{form(begin)}_{form(begin + timedelta(seconds=25))}_001628_002981_{end}"

    one, two = identify(name(start, "0000")), identify(name(start + timedelta(seconds=shift), mark))
    assert one.is_same_acquisition(two) == (abs(shift) <= 2)


def test_what_is_not_known_of_all_orders_none() -> None:
    made = {"processing:datetime": "2021-01-01T00:00:00Z"}
    one, two = identify(S1, made), identify(S1.replace("D5D7", "AAAA"))
    assert newest_last([(one, "2022"), (two, "2021")]) == [1, 0]
    assert newest_last([(one, "2021"), (two, "2022")]) == [0, 1]


def test_two_parts_of_a_pass_are_two_acquisitions() -> None:
    one = identify(S2)
    inside = frozenset(
        {f"{S2}.SAFE/GRANULE/L1C_T54PXA_A026783_20200808T010312/IMG_DATA/T54PXA_20200808T010311_B01.jp2"}
    )
    assert part_of(inside, one) == "20200808T010312"
    assert not one.with_part("20200808T010312").is_same_acquisition(one.with_part("20200808T010520"))


@pytest.mark.attack
@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../etc/passwd", "a/b", ".hidden", "a\\b", "a\0b", "a\nb", "x" * 300, "é" * 150, "a.part",
     "\u202eS2A", "S2A_MSIL1C_20201399T010311_N0500_R045_T54PXA_20230413T212505", "-rf", "a ", "<script>", "a'b"],
)  # fmt: skip
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(GeodesError, match=r"refused\.$"):
        identify(name)


@pytest.mark.thorough
@settings(max_examples=examples(500))
@given(st.text(max_size=60))
def test_any_name_is_a_safe_file_or_refused(name: str) -> None:
    try:
        identity = identify(name)
    except GeodesError:
        return
    path = key(identity, "MINE", ".zip", datetime(2021, 1, 1, tzinfo=UTC))
    for where in (path, beside(path, "0011")):
        assert not {"", ".", ".."} & set(where.split("/"))
        assert where.isprintable()
