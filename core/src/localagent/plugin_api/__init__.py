"""The plugin API: hooks, HTTP routes, and how plugins are found and installed.

Most plugin authors need only ``localagent``. This package is for plugins that define hooks or serve HTTP routes, and
for tools. Names are imported on first use, because help and hints do not need plugin discovery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.plugin_api.discovery import Report as Report, as_loaded as as_loaded, find_plugins as find_plugins
    from localagent.plugin_api.http_routes import (
        HttpResponse as HttpResponse, HttpRequest as HttpRequest, HttpStream as HttpStream, BodyStream as BodyStream,
        Route as Route,
    )
    from localagent.plugin_api.installing import (
        CORE as CORE, KnownPlugin as KnownPlugin, PROVIDER as PROVIDER, install as install, is_checkout as is_checkout,
        known_plugins as known_plugins, missing_plugin as missing_plugin, missing_type as missing_type,
        upgrade as upgrade,
    )
    from localagent.plugin_api.kinds import (
        IMPL_ATTRIBUTE as IMPL_ATTRIBUTE, Kind as Kind, OPERATIONS as OPERATIONS, OnRaise as OnRaise, hook as hook,
    )
    from localagent.plugin_api.progress_news import progress as progress
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "discovery": "Report as_loaded find_plugins",
        "http_routes": "BodyStream HttpRequest HttpResponse HttpStream Route",
        "installing": (
            "CORE KnownPlugin PROVIDER install is_checkout known_plugins missing_plugin missing_type upgrade"
        ),
        "kinds": "IMPL_ATTRIBUTE Kind OPERATIONS OnRaise hook",
        "progress_news": "progress",
    },
)
