"""Has aics-tlog authenticate every tile and bundle of a log's folder: run by the Python that has it.

`audit_tiles.py FOLDER SIZE ROOT_HEX` prints how many tiles and bundles there are.
"""

import sys

from aics_tlog import FileSystemTileReader, audit_tiles

folder, size, root = sys.argv[1:]
report = audit_tiles(FileSystemTileReader(folder), int(size), bytes.fromhex(root))
print(report.tiles, report.bundles)
