"""The settings of metrics-prometheus."""

from __future__ import annotations

import attrs


@attrs.frozen
class PrometheusSettings:
    """``[plugins.metrics-prometheus]``: what is shown, and to whom.

    Attributes:
        path: The path of the route.
        open: Whether the route needs no key, even if all others do.
        detail: Labels that are shown although they may have many values: ``model`` (of histograms), ``instance`` and
            ``tenant``. Every one multiplies the number of series.
    """

    path: str = attrs.field(default="/metrics", validator=attrs.validators.matches_re(r"/[\w./-]*"))
    open: bool = False
    detail: tuple[str, ...] = ()
