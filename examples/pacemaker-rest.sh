#!/bin/sh
# Two nodes at OVH, fenced through the REST API, set up with pcs.
#
# The application secret stays out of the CIB, which every user of the cluster can
# read: put it into /etc/fence_ovh.secret (chmod 600) on every node. The consumer
# key alone is of no use. `fence_ovh -o authorize` makes one for these servers.
set -eu

APPLICATION_KEY=${APPLICATION_KEY:?}
CONSUMER_KEY=${CONSUMER_KEY:?}

pcs stonith create fence-ovh fence_ovh \
    api=rest endpoint=ovh-eu \
    username="$APPLICATION_KEY" consumer_key="$CONSUMER_KEY" \
    password_script='cat /etc/fence_ovh.secret' \
    pcmk_host_map='node1:ns1001.ip-203-0-113.eu;node2:ns1002.ovh.net' \
    pcmk_delay_base='node1:0s;node2:10s' \
    pcmk_reboot_timeout=900 pcmk_off_timeout=900 pcmk_on_timeout=900 \
    op monitor interval=60s timeout=90s
pcs property set stonith-enabled=true
