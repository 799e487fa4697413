"""What Prometheus is told, under BinderHub's names."""

from prometheus_client import Counter, Gauge, Histogram

BUILD_TIME = Histogram(
    "binderhub_build_time_seconds",
    "Histogram of build times",
    ["status"],
    buckets=[60, 120, 300, 600, 1800, 3600, 7200, float("inf")],
)
BUILD_COUNT = Counter("binderhub_build_count", "Counter of builds by repo", ["status", "provider", "repo"])
BUILDS_IN_PROGRESS = Gauge("binderhub_inprogress_builds", "Builds currently in progress")
LAUNCH_TIME = Histogram(
    "binderhub_launch_time_seconds",
    "Histogram of launch times",
    ["status", "retries"],
    buckets=[2, 5, 10, 20, 30, 60, 120, 300, 600, float("inf")],
)
LAUNCH_COUNT = Counter(
    "binderhub_launch_count", "Counter of launches by repo", ["status", "provider", "repo"]
)
LAUNCHES_IN_PROGRESS = Gauge("binderhub_inprogress_launches", "Launches currently in progress")
GITHUB_RATE_LIMIT = Gauge("binderhub_github_rate_limit_remaining", "GitHub rate limit remaining")
