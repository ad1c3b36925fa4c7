"""Post as fast as a server answers: `python -m benchmarks.http_client PORT PATH BODY CONNECTIONS SECONDS`.

Prints JSON: answers a second, and the median and 99th percentile of how long one took, in seconds.
"""

import asyncio
import json
import statistics
import sys
import time


def request(path: str, body: str) -> bytes:
    """The request, as a browser sends a form."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: blog.example\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def post(port: int, data: bytes, until: float, taken: list[float]) -> None:
    """Send one request after another over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (begun := time.perf_counter()) < until:
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 303") or b"content-length: 0" not in head.lower():
            raise RuntimeError(f"the server answered {head[:200]!r}")
        taken.append(time.perf_counter() - begun)
    writer.close()


async def load(port: int, data: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Keep every connection busy for so long, after a moment to warm up."""
    await asyncio.gather(*(post(port, data, time.perf_counter() + 0.5, []) for _ in range(connections)))
    taken: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(*(post(port, data, begun + seconds, taken) for _ in range(connections)))
    elapsed = time.perf_counter() - begun
    cuts = statistics.quantiles(taken, n=100)
    return {"rate": len(taken) / elapsed, "p50": cuts[49], "p99": cuts[98]}


def main() -> None:
    """Run, and print what came of it."""
    port, path, body, connections, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(load(int(port), request(path, body), int(connections), float(seconds)))))


if __name__ == "__main__":
    main()
