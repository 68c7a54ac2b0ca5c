"""A web server on this machine, of which downloaders are asked."""

import http.server
import threading

import pytest


@pytest.fixture
def server():
    """A local web server of given files; (address, files, requests)."""
    files, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.respond(body=False)

        def do_GET(self):
            asked.append(self.path)
            self.respond(body=True)

        def respond(self, *, body):
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if body and content:
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", files, asked
    running.shutdown()
    running.server_close()
