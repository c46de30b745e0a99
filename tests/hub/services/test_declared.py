"""The list of services: what nothing reads, nobody has or the chart does not know is said."""

from __future__ import annotations

import pytest
import yaml

from hub.services import declared
from hub.services.declared import listening, services
from tests.support.paths import TOP


def test_each_service_is_a_package_and_has_a_token_in_the_chart():
    values = (TOP / "helm" / "geodes-lab" / "values.yaml").read_text()
    for name in services():
        assert (TOP / "hub" / "services" / name / "__main__.py").is_file()
    for name in listening():
        assert f"key: {name}_token" in values, f"add {name}_token to geodes-lab-secrets in values.yaml"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"for_server": True, "pod": {}}, "new has for_server, which is not a known setting"),
        ({"asks": ["nobody"], "pod": {}}, "new uses nobody, which is not a service"),
        ({"acts_at": ["nobody"], "pod": {}}, "new uses nobody, which is not a service"),
        ({"ready": ""}, "new has no pod: give the size of its pod, or set listens: false"),
    ],
)
def test_line_that_is_wrong(line, said, tmp_path, monkeypatch):
    (tmp_path / "services.yaml").write_text(yaml.safe_dump({"new": line}))
    monkeypatch.setattr(declared, "__file__", str(tmp_path / "declared.py"))
    with pytest.raises(ValueError, match=said):
        services.__wrapped__()
