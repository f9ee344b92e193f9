"""What a server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server. Images per second are `rate(minidl_images_total[1m])`; memory is
    `process_resident_memory_bytes`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("minidl_requests", "Requests that were answered.", ("route", "status"),
                                registry=self.registry)
        self.seconds = Histogram("minidl_request_seconds", "Time from a request's head to its answer.", ("route",),
                                 buckets=SECONDS, registry=self.registry)
        self.batch = Histogram("minidl_batch_images", "Images in a batch.", ("model",), buckets=SIZES,
                               registry=self.registry)
        self.images = Counter("minidl_images", "Images that were classified.", ("model",), registry=self.registry)
        self.queued = Gauge("minidl_queue_images", "Images in work: being decoded, waiting, or computed.",
                            registry=self.registry)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
