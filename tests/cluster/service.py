#!/usr/bin/python3 -S
# SPDX-License-Identifier: GPL-2.0-or-later
"""A resource agent (OCF) for a service that must never run twice.

It holds a lock that all nodes share. The kernel frees it when its holder is dead, not before: a
start that finds it taken is a service that would run twice. OCF_RESKEY_folder has the lock and a
journal with a line for each start, stop and failed start: what, which node, seconds since 1970.
"""

import fcntl
import os
import signal
import sys
import time

METADATA = """<?xml version="1.0"?>
<resource-agent name="service" version="1.0">
<version>1.0</version>
<longdesc lang="en">A service that must never run twice</longdesc>
<shortdesc lang="en">A service that must never run twice</shortdesc>
<parameters>
<parameter name="folder" unique="0" required="1">
<longdesc lang="en">Where its lock and its journal are</longdesc>
<shortdesc lang="en">Folder</shortdesc>
<content type="string"/>
</parameter>
</parameters>
<actions>
<action name="start" timeout="20s"/>
<action name="stop" timeout="20s"/>
<action name="monitor" timeout="20s" interval="10s"/>
<action name="meta-data" timeout="5s"/>
</actions>
</resource-agent>
"""

SUCCESS, FAILED, UNIMPLEMENTED, NOT_RUNNING = 0, 1, 3, 7
PID_FILE = "/run/service.pid"


def journal(what):
    line = f"{what} {os.uname().nodename} {time.time():.3f}\n"
    with open(os.path.join(os.environ["OCF_RESKEY_folder"], "journal"), "a") as file:
        file.write(line)


def running():
    """The process of the service; 0 for none."""
    try:
        with open(PID_FILE) as file:
            pid = int(file.read())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid


def start():
    if running():
        return SUCCESS
    lock = os.open(os.path.join(os.environ["OCF_RESKEY_folder"], "lock"), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        journal("double")
        return FAILED
    pid = os.fork()
    if pid == 0:
        serve()
    with open(PID_FILE, "w") as file:
        file.write(str(pid))
    journal("start")
    return SUCCESS


def serve():
    """Hold the lock, which the fork shares, and nothing else."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    signal.pause()


def stop():
    if pid := running():
        os.kill(pid, signal.SIGKILL)
        while running():
            time.sleep(0.01)
        journal("stop")
    return SUCCESS


def monitor():
    return SUCCESS if running() else NOT_RUNNING


def metadata():
    print(METADATA)
    return SUCCESS


ACTIONS = {"start": start, "stop": stop, "monitor": monitor, "meta-data": metadata}
sys.exit(ACTIONS.get(sys.argv[1], lambda: UNIMPLEMENTED)())
