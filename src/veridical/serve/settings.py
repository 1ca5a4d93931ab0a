"""What the service allows; what the pool does is in `pool.Size`."""

from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits and places of a service.

    Attributes:
        max_bytes: Of a picture.
        max_batch_bytes: Of a request for several pictures.
        max_batch_files: Pictures in such a request.
        max_clip_bytes: Of a clip.
        max_held_bytes: Of all requests that are being read or wait, together; clips do not count,
            which lie on disk.
        max_requests: Requests at a time.
        grace_s: Seconds that an upload may be slower than `least_rate`.
        least_rate: Bytes per second that an upload needs.
        max_jobs: Clips that wait or are being judged.
        keep_s: Seconds for which the answer about a clip is kept.
        max_kept: Answers about clips that are kept.
        rate: Pictures per minute and token; None for no limit.
        hosts: What the header `Host` may name, without the port; empty for anything.
        retain: Folder where uploads and answers are kept; None keeps none.
        model: Identity and card of the model.
    """

    max_bytes: int = 200 * MIB
    max_batch_bytes: int = 256 * MIB
    max_batch_files: int = 1000
    max_clip_bytes: int = 1024 * MIB
    max_held_bytes: int = 1024 * MIB
    max_requests: int = 256
    grace_s: float = 10.0
    least_rate: int = 16 * 1024
    max_jobs: int = 16
    keep_s: float = 900.0
    max_kept: int = 200
    rate: float | None = None
    hosts: tuple[str, ...] = ()
    retain: Path | None = None
    model: "dict[str, object] | None" = None
