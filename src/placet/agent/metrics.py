"""What the agent counts, for Prometheus."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)


class Metrics:
    """All metrics of one process, in a registry of their own; `workspace` is a folder."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.info = Info("placet_agent", "Version of Placet", registry=self.registry)
        self.info.info({"version": version("placet")})
        self.looks = self._count("looks", "Looks at the Ctrl repository's branches: ok, failed", "result")
        self.last_look = self._now("last_look_timestamp_seconds", "When a look succeeded last, in Unix time")
        self.waiting = self._now("waiting_proposals", "Landed proposals that are not published yet")
        self.quarantined = self._now("quarantined_proposals", "Of these, those that wait for somebody to act")
        self.alarms = self._now("alarms", "What is in the Ctrl repository that should not be there")
        self.corrupt = self._now("repository_corrupt", "1 while the Ctrl repository does not verify, else 0")
        self.promotions = self._count(
            "promotions", "Promotions tried: published, deferred, quarantined, interrupted", "result"
        )
        self.objects = self._count("promoted_objects", "Objects of published artifacts, copied or found")
        self.bytes = self._count("promoted_bytes", "Bytes of published artifacts, copied or found")
        self.promotion_s = Histogram(
            "placet_agent_promotion_duration_seconds", "How long promotions took that published",
            ("workspace",), buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.jobs = self._count("job_runs", "Runs of the agent's jobs: ok, failed", "job", "result")
        self.rounds = self._now(
            "last_round_timestamp_seconds", "When a lane ended a round, good or bad, in Unix time", "lane"
        )
        self.overdue = self._now(
            "lane_overdue",
            "1 while a lane's round shows no sign of life for `overdue` seconds, else 0",
            "lane",
        )
        self.messages = self._count(
            "notifications", "Messages to targets of [notify]: sent, failed", "result"
        )
        self.serious = self._now("scrub_serious_objects", "Objects that the last scrub found not sound")
        self.scrubbed = self._now("last_scrub_timestamp_seconds", "When the last scrub ended, in Unix time")
        self.webhooks = Counter(
            "placet_agent_webhooks",
            "Webhooks: accepted, replayed, refused",
            ("result",),
            registry=self.registry,
        )

    def begin(self, workspace: str) -> None:
        """Show a workspace's metrics before anything has happened."""
        for gauge in (self.last_look, self.waiting, self.quarantined, self.alarms, self.corrupt):
            gauge.labels(workspace)
        for result in ("ok", "failed"):
            self.looks.labels(workspace, result)
        for result in ("published", "deferred", "quarantined", "interrupted"):
            self.promotions.labels(workspace, result)

    def described(self) -> list[MetricWrapperBase]:
        """Every metric, for the reference."""
        return [one for one in vars(self).values() if isinstance(one, MetricWrapperBase)]

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"placet_agent_{name}", text, ("workspace", *labels), registry=self.registry)

    def _now(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"placet_agent_{name}", text, ("workspace", *labels), registry=self.registry)
