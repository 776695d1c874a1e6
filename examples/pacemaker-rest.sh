#!/bin/sh
# Two nodes at OVH, fenced through the REST API, set up with pcs.
#
# The application secret stays out of the CIB, which every user of the cluster can
# read: put it into /etc/fence_ovh.secret (chmod 600) on every node. The consumer
# key alone is of no use. `fence_ovh -o authorize` prints where to get all three.
#
# If the two lose sight of each other, node2 survives (pcmk_delay_base). Do not let the
# cluster start at boot: a node that is back before its fencing has ended stops its cluster
# again ("We were allegedly just fenced"). The last line reminds you of it.
set -eu

APPLICATION_KEY=${APPLICATION_KEY:?}
CONSUMER_KEY=${CONSUMER_KEY:?}

pcs stonith create fence-ovh fence_ovh \
    api=rest endpoint=ovh-eu \
    username="$APPLICATION_KEY" consumer_key="$CONSUMER_KEY" \
    password_script='cat /etc/fence_ovh.secret' \
    pcmk_host_map='node1:ns1001.ip-203-0-113.eu;node2:ns1002.ovh.net' \
    pcmk_delay_base='node1:0s;node2:60s' \
    pcmk_reboot_timeout=1200 pcmk_off_timeout=1200 pcmk_on_timeout=1200 \
    op monitor interval=60s timeout=90s
pcs property set stonith-enabled=true
echo 'Now run: pcs cluster disable --all'
