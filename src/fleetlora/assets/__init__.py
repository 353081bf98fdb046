"""Real inputs by name, fetched when first asked for: ``resolve("asset:warsaw-buses/data_0.txt")``."""

from fleetlora.assets.cache import cache_dir, cache_errors, derived_dir, make_folder
from fleetlora.assets.catalogue import ASSETS, Asset
from fleetlora.assets.store import (
    AssetStatus,
    Progress,
    Store,
    fetch,
    portable,
    resolve,
    standing_in,
    status,
    verify,
)

__all__ = [
    "ASSETS",
    "Asset",
    "AssetStatus",
    "Progress",
    "Store",
    "cache_dir",
    "cache_errors",
    "derived_dir",
    "fetch",
    "make_folder",
    "portable",
    "resolve",
    "standing_in",
    "status",
    "verify",
]
