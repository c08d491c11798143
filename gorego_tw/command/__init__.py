"""``gorego``: the command for who runs a cache.

Changes go one way only, whoever holds the folder: the service of :mod:`gorego_tw.control`. A daemon
keeps in memory what is true of its folder alone (how much is taken, which action results are
known to be complete, what is arriving), so nobody else may change it; it answers on a socket in the
folder. Without a daemon the command takes the folder's lock itself, opens the tier, and calls the
very same methods without a socket. A daemon that is started meanwhile says that the folder is in use.
"""
