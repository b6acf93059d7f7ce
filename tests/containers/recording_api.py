"""An API that answers every call with 200 and prints it, one JSON object a line; runs inside our image."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Recorder(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = {"method": self.command, "path": self.path, "key": self.headers.get("Idempotency-Key")}
        sys.stdout.write(json.dumps(call) + "\n")
        sys.stdout.flush()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8000), Recorder).serve_forever()
