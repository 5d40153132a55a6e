"""A bound: nginx as a proxy. It neither parses the body nor checks a key."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from answers import KEY, MODEL

from gateways.processes import LeftOut, Proxy, free_port, listening
from gateways.program import BACKLOG

SETTINGS = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_body_in_single_buffer on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  upstream fake {{
    server 127.0.0.1:{upstream};
    keepalive 1024;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog={backlog};
    location / {{
      proxy_pass http://fake;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer {key}";
    }}
  }}
}}
"""
"""One process; no buffering, so that a stream's pieces pass at once; connections that are kept on both sides."""


@contextmanager
def nginx(name: str, upstream: int) -> Iterator[Proxy]:
    """Run nginx in one process.

    Raises:
        LeftOut: It is not installed.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or shutil.which("nginx")
    if program is None:
        raise LeftOut("nginx is not installed; Debian's package is called nginx.")
    with tempfile.TemporaryDirectory() as folder:
        port, settings = free_port(), Path(folder, "nginx.conf")
        settings.write_text(SETTINGS.format(folder=folder, upstream=upstream, port=port, key=KEY, backlog=BACKLOG))
        with listening([program, "-p", folder, "-c", str(settings)], port, Path(folder)) as pid:
            yield Proxy(name, pid, port, MODEL)
