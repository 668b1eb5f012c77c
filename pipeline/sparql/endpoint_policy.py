"""What a public endpoint requires of its clients: http(s), and a user agent with a contact address."""

import ipaddress
import re
from urllib.parse import urlsplit

from hgld.foundation.errors import HgldError

# An e-mail address or a URL, and what marks one as a placeholder.
_CONTACT = re.compile(r"[^\s@()<>]+@[^\s@()<>]+\.[^\s@()<>]+|https?://[^\s()<>]+\.[^\s()<>]+")
_PLACEHOLDER = re.compile(r"@example\b|\bexample\.(?:org|com|net|edu)\b|your|\.invalid\b|\.test\b", re.IGNORECASE)


def check_endpoint(url: str, user_agent: str) -> None:
    """Raise HgldError unless `user_agent` may query `url`.

    A user agent is sent in an HTTP header, which has one line and no letters but Latin ones. Only http and https: a
    file would be read as if it were a response. An endpoint on another machine requires a contact address in the user
    agent, and refuses or bans clients without one.
    """
    if not re.fullmatch(r"[ -~\xa0-\xff]*", user_agent):
        raise HgldError(
            f"the user agent {user_agent!r} cannot be sent: it must be one line of Latin letters (--user-agent, or "
            "wikidata.user_agent in params.yaml)"
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        valid = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
        valid = valid and re.fullmatch(r"[!-~]+", url) is not None
    except ValueError:
        valid, host = False, ""
    if not valid:
        raise HgldError(f"{url!r} is not the URL of a SPARQL endpoint; expected http://... or https://...")
    if not _is_loopback(host) and not has_contact(user_agent):
        raise HgldError(
            f"{url}: a public endpoint requires a contact address in the user agent, and '{user_agent}' has none; set "
            "it to something like 'hgld/0.1 (https://github.com/NAME/REPOSITORY; NAME@HOST)' with your own address "
            "(wikidata.user_agent in params.yaml, or --user-agent)"
        )


def has_contact(user_agent: str) -> bool:
    """Whether a user agent holds an e-mail address or a URL that is not a placeholder.

    >>> has_contact("hgld/0.1 (ana@museum.be)"), has_contact("hgld/0.1 (you@example.org)"), has_contact("hgld")
    (True, False, False)
    """
    return any(not _PLACEHOLDER.search(contact) for contact in _CONTACT.findall(user_agent))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
