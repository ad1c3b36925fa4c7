"""The demo: a small newspaper that sets cookies carelessly, consentkit around it, and a panel that shows what happens.

`site` is what a site's developer writes, the five lines of integration included. `bench` stands around it: it plays
the visitor's region, browser signal and language, and watches what goes in and out; `panel` shows it.
"""
