"""Webhooks: tell another service that a job has ended, signed after Standard Webhooks.

1. A webhook is a row that is added with its job, by the same statement. Nothing has to be done when
   the job ends, so none is lost, whoever ends it and whatever dies then.
2. Servers claim rows whose job has ended (SKIP LOCKED), and have them for the time of a lease. One
   that dies leaves its rows to the others: a message comes at least once, with the same
   ``webhook-id`` each time.
3. Uploaders name URLs, so these are hostile. The name is resolved here, the address checked, and
   the connection made to that very address, so that a second answer of the DNS changes nothing. No
   redirect is followed and no proxy of the environment used, which would resolve names itself.
4. Nothing is read of an answer but its status, and all of an attempt has one deadline.
"""

from mondrian.jobs.webhooks.deliver import Deliverer
from mondrian.jobs.webhooks.urls import check_settings, read_target, read_webhook

__all__ = ["Deliverer", "check_settings", "read_target", "read_webhook"]
