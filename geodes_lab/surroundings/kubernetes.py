"""Kubernetes' API, asked as the account of this pod."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from geodes_lab.errors import GeodesError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod has its account of the cluster, if it has one."""
_SECONDS = 10.0


@dataclass(frozen=True)
class Kubernetes:
    """The API of a cluster, for what one account may read.

    Parameters
    ----------
    url
        Its address.
    account
        The folder with ``token``, ``namespace`` and ``ca.crt``.
    """

    url: str
    account: Path = ACCOUNT

    @classmethod
    def of_pod(cls) -> Kubernetes | None:
        """Return the API as pods are told it; None where this is no pod, or its account has no token."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (ACCOUNT / "token").exists():
            return None
        return cls(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", ACCOUNT)

    @property
    def namespace(self) -> str:
        """The namespace of the pod."""
        return (self.account / "namespace").read_text().strip()

    def get(self, path: str, **params: str) -> httpx.Response:
        """Ask for a path.

        Raises
        ------
        GeodesError
            If there is no answer, or another than 200.
        """
        try:
            verify = ssl.create_default_context(cafile=self.account / "ca.crt") if self.url[:6] == "https:" else True
            head = {"Authorization": f"Bearer {(self.account / 'token').read_text().strip()}"}
            answer = httpx.get(f"{self.url}{path}", params=params, headers=head, verify=verify, timeout=_SECONDS)
            return answer.raise_for_status()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise GeodesError(f"Kubernetes did not answer {path} ({error})") from error

    def items(self, path: str, **params: str) -> list[dict[str, Any]]:
        """Ask for a list; `namespace` in the path stands for the pod's own.

        Raises
        ------
        GeodesError
            If there is no answer, or it is no list.
        """
        try:
            listed = self.get(path.replace("{namespace}", self.namespace), **params).json()["items"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise GeodesError(f"Kubernetes' answer to {path} is no list ({error})") from error
        return [item for item in listed if isinstance(item, dict)]
