"""What a public endpoint asks of its callers: who they are, and to wait when told so."""

import ipaddress
import math
import re
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from hgld.foundation.errors import HgldError

# An address that somebody reads: of e-mail or of a page; not one that stands for no address.
_CONTACT = re.compile(r"[^\s@()<>]+@[^\s@()<>]+\.[^\s@()<>]+|https?://[^\s()<>]+\.[^\s()<>]+")
_NOBODY = re.compile(r"@example\b|\bexample\.(?:org|com|net|edu)\b|your|\.invalid\b|\.test\b", re.IGNORECASE)


def check_endpoint(url: str, user_agent: str) -> None:
    """Raise HgldError unless `url` may be asked by `user_agent`.

    Only http and https: a file would be read as if it were an answer. An endpoint on another machine wants a user
    agent with a contact address: without one it refuses, or bans.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        good = parts.scheme in ("http", "https") and bool(host)
    except ValueError:
        good, host = False, ""
    if not good:
        raise HgldError(f"'{url}' is not the URL of a SPARQL endpoint; expected http://... or https://...")
    if not _is_here(host) and not has_contact(user_agent):
        raise HgldError(
            f"{url}: a public endpoint wants to know whom to write to, and the user agent '{user_agent}' does not "
            "say; set it to something like 'hgld/0.1 (https://github.com/NAME/REPOSITORY; NAME@HOST)' with an address "
            "of yours (wikidata.user_agent in params.yaml, or --user-agent)"
        )


def has_contact(user_agent: str) -> bool:
    """Whether a user agent holds an e-mail address or a URL that is not a placeholder.

    >>> has_contact("hgld/0.1 (ana@museum.be)"), has_contact("hgld/0.1 (you@example.org)"), has_contact("hgld")
    (True, False, False)
    """
    return any(not _NOBODY.search(found) for found in _CONTACT.findall(user_agent))


def retry_after(header: str | None) -> float | None:
    """Seconds to wait, from either form of the header; None where it says nothing that makes sense."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
