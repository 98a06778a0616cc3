"""Unreadable objects are set aside: copied out of the readers' sight, never thrown away."""

import logging

from opt_data.errors import CommitConflict
from opt_data.storage.layout import quarantine_key
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore, StoredObject

log = logging.getLogger(__name__)


def keep_copy(port: ObjectStore, key: str, damaged: StoredObject, why: str) -> str:
    """Keep a damaged object's bytes under a quarantine key and log it; the object itself stays for the caller to
    replace or delete.

    Copying first and removing afterwards needs no rename, and a kill in between leaves both.

    Returns
    -------
    str
        The quarantine key.
    """
    aside = quarantine_key(key, damaged.version)
    try:
        port.put(aside, damaged.data, expected=MUST_NOT_EXIST)
    except CommitConflict:
        log.debug("%s was set aside before", key)
    log.warning("set aside unreadable file %s as %s: %s", key, aside, why)
    return aside
