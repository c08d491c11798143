"""What everybody knows who has to do with one folder."""

from __future__ import annotations

from typing import NamedTuple

from crashtest.conditions import Conditions
from crashtest.content import Content
from crashtest.findings import Findings
from crashtest.ledger import Ledger


class Experiment(NamedTuple):
    """One folder: how it lives, what is sent there, what was acknowledged, what was seen."""

    conditions: Conditions
    content: Content
    ledger: Ledger
    findings: Findings
