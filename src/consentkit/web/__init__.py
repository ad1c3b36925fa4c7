"""HTTP without a framework: requests, endpoints, cookies, caching and injection, on bytes.

Adapters translate a server interface to this package and decide nothing.
"""
