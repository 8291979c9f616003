"""Webhooks: notify another service of a job's end, signed as in Standard Webhooks.

1. A webhook is a row that is added with its job, by the same statement. The end of the job needs no
   further write, so that no webhook is lost, however the job ends.
2. Servers claim rows whose job has ended (SKIP LOCKED) with a lease. The rows of a server that dies
   are claimed by others: a message is delivered at least once, always with the same ``webhook-id``.
3. URLs come from uploaders and are hostile. The host name is resolved here, the address checked,
   and the connection made to that address, so that a second answer of the DNS has no effect.
   Redirects are not followed, and proxies of the environment are not used: they resolve names
   themselves.
4. Of an answer only the status is read, and an attempt has one deadline.
"""

from mondrian.jobs.webhooks.deliver import Deliverer
from mondrian.jobs.webhooks.urls import check_settings, read_target, read_webhook

__all__ = ["Deliverer", "check_settings", "read_target", "read_webhook"]
