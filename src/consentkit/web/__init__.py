"""HTTP without a framework: requests, endpoints, cookies, caching and injection, on bytes.

Adapters translate a server interface to this package and decide nothing. `web.protocol` is its seam to the
manager, `web.exchange` its seam to the adapters.
"""
