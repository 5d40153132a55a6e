"""In a fresh environment that holds localagent-cli and localagent-provider-openai: the command asks a server."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

ANSWER = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Red, green."}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}  # fmt: skip


class Server(BaseHTTPRequestHandler):
    """Speaks the OpenAI API: one answer to every chat."""

    asked: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        """Answer a chat."""
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""


def main() -> None:
    """Fail when the command does not print the server's answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder) / "localagent.toml"
            settings.write_text(
                f'default_model = "mine/m"\n[providers.mine]\ntype = "openai"\n'
                f'instances = ["http://127.0.0.1:{server.server_address[1]}/v1"]\n'
            )
            command = ["localagent", "--config", str(settings), "ask", "--no-stream", "Name three primary colours."]
            homes = {"XDG_STATE_HOME": folder, "XDG_CACHE_HOME": folder, "XDG_CONFIG_HOME": folder}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **homes})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (done.returncode, done.stdout, done.stderr) == (0, "Red, green.\n", ""), done
    assert Server.asked[0]["messages"][-1]["content"] == "Name three primary colours."
    print("localagent-cli and localagent-provider-openai ask a server.")


main()
